//! Problems of a registry repository, in words with which its owner can repair it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::DIAGNOSTIC_TEXT_BYTES;
use crate::text::shortened;

/// The severity of a [`Diagnostic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The version or entry cannot be published.
    Error,
    /// It is published; its owner should check it.
    Warning,
}

/// One problem at one position of a registry repository.
///
/// The order is by position, so that a sorted list reads like the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Path of the file in the repository, with `/`.
    pub path: String,
    /// Line and column; none when the file as a whole is meant.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The severity of the problem.
    pub severity: Severity,
    /// The rule's stable name, such as `stack/default`.
    pub rule: String,
    /// The problem, one sentence without a full stop, of at most [`DIAGNOSTIC_TEXT_BYTES`] and the number of bytes left out.
    #[serde(deserialize_with = "short")]
    pub message: String,
    /// The remedy, as long at most; may be empty.
    #[serde(default, deserialize_with = "short", skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// A position in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Diagnostic {
    /// An error about a file as a whole.
    pub fn error(path: impl Into<String>, rule: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            position: None,
            severity: Severity::Error,
            rule: rule.to_owned(),
            message: cut(message.into()),
            hint: cut(hint.into()),
        }
    }

    /// A warning about a file as a whole.
    pub fn warning(path: impl Into<String>, rule: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, rule, message, hint) }
    }

    /// The same problem with another message.
    pub fn because(self, message: impl Into<String>) -> Self {
        Self { message: cut(message.into()), ..self }
    }

    /// The same problem at a position in the file.
    pub fn at(self, position: impl Into<Option<Position>>) -> Self {
        Self { position: position.into(), ..self }
    }
}

/// Cuts a text at the limit, so that a problem takes little room in reports, logs, `/status` and releases.
fn cut(text: String) -> String {
    if text.len() <= DIAGNOSTIC_TEXT_BYTES { text } else { shortened(&text, DIAGNOSTIC_TEXT_BYTES).into_owned() }
}

/// Releases of before may have longer texts.
fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(cut)
}

/// `stacks/go/1.0.0/devfile.yaml:3:5: error[yaml/duplicate-key]: message (hint)`, the form that editors and terminals link.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}[{}]: {}", self.rule, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_end_at_the_limit_wherever_they_come_from() {
        let long = "é".repeat(400_000);
        let problem = Diagnostic::error("a", "x/y", long.clone(), long.clone());
        let stored = format!(r#"{{"path":"a","severity":"error","rule":"x/y","message":"{long}","hint":"{long}"}}"#);
        let read: Diagnostic = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, problem);
        let replaced = problem.clone().because(long);
        for text in [&problem.message, &problem.hint, &replaced.message] {
            assert!(text.len() < DIAGNOSTIC_TEXT_BYTES + 40 && text.ends_with("more bytes)"), "{text}");
        }
        assert_eq!(Diagnostic::error("a", "x/y", "short", "").message, "short");
    }
}
