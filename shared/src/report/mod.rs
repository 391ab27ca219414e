//! Diagnostics for people, programs, GitHub and code scanners.

mod github;
mod human;
mod sarif;

use std::str::FromStr;

use bytes::Bytes;
use serde_json::{Value, json};

pub use self::github::github;
pub use self::human::{Colour, human};
pub use self::sarif::sarif;
use crate::diagnostic::{Diagnostic, Severity};
use crate::text::escaped;

/// Gives the bytes of a file by its path, to show lines of it.
pub type Sources<'a> = &'a dyn Fn(&str) -> Option<Bytes>;

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a terminal: source lines with carets.
    Human,
    /// One JSON document.
    Json,
    /// Workflow commands that annotate a pull request.
    Github,
    /// SARIF 2.1.0.
    Sarif,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            "github" => Ok(Self::Github),
            "sarif" => Ok(Self::Sarif),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}

/// A format that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format: use human, json, github or sarif")]
pub struct UnknownFormat(String);

/// Writes a report in a form. `sources` and `colour` matter for people only.
pub fn render(format: Format, diagnostics: &[Diagnostic], sources: Sources<'_>, colour: Colour) -> String {
    match format {
        Format::Human => human(diagnostics, sources, colour),
        Format::Json => json(diagnostics),
        Format::Github => github(diagnostics),
        Format::Sarif => sarif(diagnostics),
    }
}

/// All problems with their counts as JSON.
pub fn json(diagnostics: &[Diagnostic]) -> String {
    let (errors, warnings) = counts(diagnostics);
    document(&json!({"errors": errors, "warnings": warnings, "diagnostics": diagnostics}))
}

/// A JSON document that does nothing to the terminal or the log that it is shown in: it means the same, and no text in it holds a
/// character that sets the direction of a line, or begins a command of a workflow.
fn document(content: &Value) -> String {
    let mut text = String::new();
    // A control outside of strings is a line feed of the form.
    for line in format!("{content:#}").lines() {
        text.push_str(&escaped(line).replace("##[", "#\\u0023["));
        text.push('\n');
    }
    text
}

/// How many errors and warnings there are.
pub fn counts(diagnostics: &[Diagnostic]) -> (usize, usize) {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    (errors, diagnostics.len() - errors)
}

/// The word for a severity in all forms.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

#[cfg(test)]
mod tests;
