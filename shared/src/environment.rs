//! Configuration from environment variables, with all mistakes named at once.

use std::fmt;
use std::str::FromStr;

/// Environment variables, and what is wrong with those that were asked for.
pub struct Environment {
    lookup: Lookup,
    problems: Vec<String>,
}

/// Finds the value of a variable.
type Lookup = Box<dyn Fn(&str) -> Option<String>>;

/// What is missing or malformed in the environment, one line a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment is not complete:\n  {}", .0.join("\n  "))]
pub struct InvalidEnvironment(pub Vec<String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("problems", &self.problems).finish_non_exhaustive()
    }
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// An environment that is looked up in some other way. Empty values count as not set.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + 'static) -> Self {
        Self { lookup: Box::new(lookup), problems: Vec::new() }
    }

    /// A variable that must be set; `what` says what it is. The value counts only when [`Environment::finish`] succeeds.
    pub fn required<T: FromStr + Default>(&mut self, name: &str, what: &str) -> T {
        if (self.lookup)(name).is_none_or(|value| value.is_empty()) {
            self.problems.push(format!("{name} is not set; set it to {what}"));
            return T::default();
        }
        self.optional(name, what).unwrap_or_default()
    }

    /// A variable that may be set.
    pub fn optional<T: FromStr>(&mut self, name: &str, what: &str) -> Option<T> {
        let value = (self.lookup)(name).filter(|value| !value.is_empty())?;
        let parsed = value.parse().ok();
        if parsed.is_none() {
            // The value is not shown: it may be a secret that was put into the wrong variable.
            self.reject(format!("{name} is malformed; set it to {what}"));
        }
        parsed
    }

    /// A variable with a default.
    pub fn or<T: FromStr>(&mut self, name: &str, what: &str, default: T) -> T {
        self.optional(name, what).unwrap_or(default)
    }

    /// Says that the variables do not fit together. A problem of a variable that is read twice counts once.
    pub fn reject(&mut self, problem: impl Into<String>) {
        let problem = problem.into();
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`InvalidEnvironment`] with everything that was missing or malformed.
    pub fn finish(self) -> Result<(), InvalidEnvironment> {
        if self.problems.is_empty() { Ok(()) } else { Err(InvalidEnvironment(self.problems)) }
    }
}

/// Returns whether this process is a function in AWS Lambda, or believes so.
pub fn is_lambda() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_all_mistakes_at_once_and_no_values() {
        let mut environment = Environment::new(|name| match name {
            "PORT" => Some("s3cret".into()),
            "EMPTY" => Some(String::new()),
            "NAME" => Some("kiln".into()),
            _ => None,
        });
        assert_eq!(environment.required::<String>("NAME", "a name"), "kiln");
        environment.required::<String>("EMPTY", "a text");
        environment.required::<String>("MISSING", "a bucket");
        assert_eq!(environment.or("PORT", "a port", 80_u16), 80);
        let error = environment.finish().unwrap_err().to_string();
        assert_eq!(
            error,
            "the environment is not complete:\n  EMPTY is not set; set it to a text\n  MISSING is not set; set it to a bucket\n  \
             PORT is malformed; set it to a port"
        );
    }
}
