//! Errors of libraries in our words.

use std::error::Error;

/// An error and its causes on one line, down to the refused connection. Words that a cause repeats are left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let line = |error: &dyn Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    let mut text = line(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let this = line(error);
        if !text.contains(&this) {
            text = format!("{text}: {this}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Caused {
        text: &'static str,
        source: Option<Box<Caused>>,
    }

    #[test]
    fn causes_are_named_once_and_on_one_line() {
        let errors = ["no answer", "no answer", "cannot connect\nto it", "connection refused\nby 127.0.0.1"];
        let caused =
            errors.into_iter().rev().fold(None, |source, text| Some(Box::new(Caused { text, source }))).unwrap();
        assert_eq!(chain(&*caused), "no answer: cannot connect: connection refused");
    }
}
