//! Configuration from environment variables, with all mistakes named at once.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::settings::{self, Setting};

/// Environment variables, and the faults of those that were read.
pub struct Environment {
    lookup: Lookup,
    problems: Vec<String>,
}

/// Finds the value of a variable.
type Lookup = Box<dyn Fn(&str) -> Option<String>>;

/// Missing and malformed variables of the environment, one line a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid environment:\n  {}", .0.join("\n  "))]
pub struct InvalidEnvironment(pub Vec<String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("problems", &self.problems).finish_non_exhaustive()
    }
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        // A value that is no UTF-8 is malformed rather than unset.
        Self::new(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// An environment that is looked up in some other way. Empty values count as not set.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + 'static) -> Self {
        Self { lookup: Box::new(lookup), problems: Vec::new() }
    }

    /// A setting that must be set. The value counts only when [`Environment::finish`] succeeds.
    pub fn required<T: FromStr + Default>(&mut self, setting: &Setting) -> T {
        if !self.is_set(setting.name) {
            self.reject(not_set(setting));
            return T::default();
        }
        self.optional(setting).unwrap_or_default()
    }

    /// A setting that may be set.
    pub fn optional<T: FromStr>(&mut self, setting: &Setting) -> Option<T> {
        let value = self.lookup(setting.name)?;
        let parsed = value.parse().ok();
        if parsed.is_none() {
            // The value is not shown: it may be a secret that was put into the wrong variable.
            self.reject(format!("{} is malformed; set it to {}", setting.name, setting.value));
        }
        parsed
    }

    /// The text of a variable; `None` when it is not set.
    pub(crate) fn lookup(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).filter(|value| !value.is_empty())
    }

    /// Whether a variable is set.
    pub fn is_set(&self, variable: &str) -> bool {
        self.lookup(variable).is_some()
    }

    /// A setting, or its default.
    ///
    /// # Panics
    /// The setting is declared without a default, or with one that it does not take. Every function reads all of its settings when it
    /// starts.
    pub fn or_default<T: FromStr>(&mut self, setting: &Setting) -> T {
        self.optional(setting).unwrap_or_else(|| match setting.default {
            settings::DefaultValue::Value(value) => {
                value.parse().unwrap_or_else(|_| unreachable!("{} takes its default", setting.name))
            }
            settings::DefaultValue::Required | settings::DefaultValue::Unset => {
                unreachable!("{} has a default", setting.name)
            }
        })
    }

    /// The folder of `STORE`, which excludes the settings of the servers in its place.
    pub fn store(&mut self) -> Option<PathBuf> {
        let folder = self.optional(&settings::STORE)?;
        let variables = settings::OF_SERVERS.into_iter().flat_map(|setting| setting.variables());
        let ignored: Vec<String> = variables.filter(|variable| self.is_set(variable)).collect();
        if !ignored.is_empty() {
            let advice = "set STORE alone, or the settings of servers without it";
            self.reject(format!("STORE excludes {}; {advice}", ignored.join(", ")));
        }
        Some(folder)
    }

    /// Says that the variables do not fit together. A problem of a variable that is read twice counts once.
    pub fn reject(&mut self, problem: impl Into<String>) {
        let problem = problem.into();
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// As [`Environment::reject`], and returns everything that is wrong so far, for a reading that cannot go on.
    pub fn refuse(&mut self, problem: impl Into<String>) -> InvalidEnvironment {
        self.reject(problem);
        InvalidEnvironment(self.problems.clone())
    }

    /// As [`Environment::refuse`], for a setting that must be set and is not.
    pub fn refuse_missing(&mut self, setting: &Setting) -> InvalidEnvironment {
        self.refuse(not_set(setting))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`InvalidEnvironment`] with everything that was missing or malformed.
    pub fn finish(self) -> Result<(), InvalidEnvironment> {
        if self.problems.is_empty() { Ok(()) } else { Err(InvalidEnvironment(self.problems)) }
    }
}

fn not_set(setting: &Setting) -> String {
    format!("{} is not set; set it to {}", setting.name, setting.value)
}

impl InvalidEnvironment {
    /// The problems of several readings of one environment, each of them once.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        for problem in others.0 {
            if !self.0.contains(&problem) {
                self.0.push(problem);
            }
        }
        self
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
    fn malformed_environment_names_all_mistakes_and_no_values() {
        let mut environment = Environment::new(|name| match name {
            "LISTEN_ADDR" => Some("s3cret".into()),
            "CACHE_BUCKET" => Some(String::new()),
            "REGISTRY_NAME" => Some("kiln".into()),
            _ => None,
        });
        assert_eq!(environment.required::<String>(&settings::REGISTRY_NAME), "kiln");
        environment.required::<String>(&settings::CACHE_BUCKET);
        environment.required::<String>(&settings::OCI_REGISTRY);
        let listen: std::net::SocketAddr = environment.or_default(&settings::LISTEN_ADDR);
        assert_eq!(listen.port(), 8080);
        assert_eq!(environment.or_default::<u16>(&settings::REVALIDATE_SECONDS), 5);
        let error = environment.finish().unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid environment:\n  CACHE_BUCKET is not set; set it to the name of an S3 bucket, or STORE to a folder\n  \
             OCI_REGISTRY is not set; set it to the OCI registry (host, host:port or host/namespace), or STORE to a folder\n  \
             LISTEN_ADDR is malformed; set it to an address and port, such as 127.0.0.1:8080"
        );
    }
}
