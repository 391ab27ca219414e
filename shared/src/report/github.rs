//! GitHub's workflow commands, which become annotations on the lines of a pull request.

use std::fmt::Write;

use super::severity::word;
use crate::diagnostic::Diagnostic;
use crate::text::printable;

/// One command a problem.
pub fn github(diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        let _ = write!(out, "::{} file={}", word(diagnostic.severity), property(&diagnostic.path));
        if let Some(position) = diagnostic.position {
            let _ = write!(out, ",line={},col={}", position.line, position.column);
        }
        let mut message = data(&diagnostic.message);
        if !diagnostic.hint.is_empty() {
            message.push_str("%0A");
            message.push_str(&data(&diagnostic.hint));
        }
        let _ = writeln!(out, ",title={}::{message}", property(&diagnostic.rule));
    }
    out
}

/// Escapes the text of a command, so that nothing in a devfile can begin one of its own: neither on a line of its own, nor in the older
/// form `##[command]`, which the runner looks for anywhere in a line.
fn data(text: &str) -> String {
    printable(text).replace('%', "%25")
}

/// Escapes a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
