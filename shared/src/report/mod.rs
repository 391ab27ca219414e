//! Diagnostics for people, programs, GitHub and code scanners.

mod github;
mod human;
mod json;
mod sarif;
mod severity;

use std::str::FromStr;

pub use self::github::github;
pub use self::human::{Colour, Sources, human};
pub use self::json::json;
pub use self::sarif::sarif;
pub use self::severity::counts;
use crate::diagnostic::Diagnostic;

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

#[cfg(test)]
mod tests;
