//! Diagnostics for people, programs, GitHub and code scanners, and the [rules] that they name.

mod github;
mod human;
mod json;
mod rules;
mod sarif;
mod severity;

use std::fmt;
use std::str::FromStr;

pub use self::github::github;
pub use self::human::{Colour, Sources, human};
pub use self::json::json;
pub use self::rules::{Rule, UnknownRule, rule, rules};
pub use self::sarif::sarif;
pub use self::severity::counts;
use crate::diagnostic::Diagnostic;

/// The forms of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For a terminal: source lines with carets.
    #[default]
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

/// Values that some of the forms need beside the diagnostics.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The files, to show lines of them to people.
    pub sources: Sources<'a>,
    /// The colours for people.
    pub colour: Colour,
    /// The URL of the page of rules, for code scanners; `None` when it is nowhere to be read.
    pub help_url: Option<&'a str>,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("colour", &self.colour)
            .field("help_url", &self.help_url)
            .finish_non_exhaustive()
    }
}

/// Writes a report in a form.
pub fn render(format: Format, diagnostics: &[Diagnostic], options: Options<'_>) -> String {
    match format {
        Format::Human => human(diagnostics, options.sources, options.colour),
        Format::Json => json(diagnostics),
        Format::Github => github(diagnostics),
        Format::Sarif => sarif(diagnostics, options.help_url),
    }
}

#[cfg(test)]
mod tests;
