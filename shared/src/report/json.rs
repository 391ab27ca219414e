//! One JSON document with all problems.

use serde_json::{Value, json};

use super::severity::counts;
use crate::diagnostic::Diagnostic;
use crate::text::escaped;

/// All problems with their counts as JSON.
pub fn json(diagnostics: &[Diagnostic]) -> String {
    let (errors, warnings) = counts(diagnostics);
    document(&json!({"errors": errors, "warnings": warnings, "diagnostics": diagnostics}))
}

/// A JSON document that does nothing to the terminal or the log that it is shown in: it means the same, and no text in it holds a
/// character that sets the direction of a line, or begins a command of a workflow.
pub(super) fn document(content: &Value) -> String {
    let mut text = String::new();
    // A control outside of strings is a line feed of the form.
    for line in format!("{content:#}").lines() {
        text.push_str(&escaped(line).replace("##[", "#\\u0023["));
        text.push('\n');
    }
    text
}
