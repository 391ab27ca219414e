//! For a terminal: errors with their source lines and carets, repeated warnings as one.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use bytes::Bytes;

use super::severity::{counts, word};
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::text::{is_control, printable};
use crate::validate::text_of;

/// Most characters of a source line to show.
const WIDTH: usize = 120;

/// Gives the bytes of a file by its path, to show lines of it.
pub type Sources<'a> = &'a dyn Fn(&str) -> Option<Bytes>;

/// Whether to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// With escape sequences for a terminal.
    Always,
    /// Plain text.
    Never,
}

impl Colour {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Always => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Never => text.to_owned(),
        }
    }
}

/// Most places of a rule that are listed.
const PLACES: usize = 3;

/// Most warnings whose source lines are shown, and between which lines are empty; with more of them, the report would not fit
/// on a screen.
const EXCERPTS: usize = 10;

/// All problems, and a line that counts them: warnings by their rules, then each error, nearest to the prompt.
pub fn human(diagnostics: &[Diagnostic], sources: Sources<'_>, colour: Colour) -> String {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        diagnostics.iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
    let mut rules: Vec<&str> = warnings.iter().map(|warning| warning.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let source = |diagnostic: &Diagnostic| sources(&diagnostic.path).and_then(|bytes| text_of(&bytes));
    let mut out = String::new();
    let is_crowded = warnings.len() > EXCERPTS;
    for rule in rules {
        let alike: Vec<&Diagnostic> = warnings.iter().copied().filter(|warning| warning.rule == rule).collect();
        match alike.as_slice() {
            [only] if !is_crowded => one(&mut out, only, source(only).as_deref(), colour),
            several => group(&mut out, several, colour),
        }
        if !is_crowded {
            out.push('\n');
        }
    }
    if is_crowded {
        out.push('\n');
    }
    let mut texts: HashMap<&str, Option<String>> = HashMap::new();
    for error in errors {
        let text = texts.entry(&error.path).or_insert_with(|| source(error));
        one(&mut out, error, text.as_deref(), colour);
        out.push('\n');
    }
    out.push_str(&summary(diagnostics));
    out
}

/// Returns the number of problems, and a way to learn more.
fn summary(diagnostics: &[Diagnostic]) -> String {
    let (errors, warnings) = counts(diagnostics);
    let count = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        several => Some(format!("{several} {what}s")),
    };
    let sum: Vec<String> = count(errors, "error").into_iter().chain(count(warnings, "warning")).collect();
    if sum.is_empty() {
        return "no problems\n".to_owned();
    }
    let files: HashSet<&str> = diagnostics.iter().map(|diagnostic| diagnostic.path.as_str()).collect();
    let files = count(files.len(), "file").unwrap_or_default();
    let ignore = if warnings > 0 { ", `--ignore RULE` leaves out its warnings" } else { "" };
    format!(
        "{} in {files}\nhelp: `--explain RULE` explains a rule{ignore}; `--format json` lists every place\n",
        sum.join(", ")
    )
}

/// The warnings of one rule: their number, the remedy and the first places.
fn group(out: &mut String, alike: &[&Diagnostic], colour: Colour) {
    let [first, ..] = alike else { return };
    let same_message = alike.iter().all(|warning| warning.message == first.message);
    let same_hint = alike.iter().all(|warning| warning.hint == first.hint);
    let title = format!("{}[{}]", word(first.severity), first.rule);
    let message = match (same_message, alike.len()) {
        (true, 1) => format!(": {}", printable(&first.message)),
        (true, count) => format!(": {} ({count} times)", printable(&first.message)),
        (false, count) => format!(": {count} times"),
    };
    let _ = write!(out, "{}{}", colour.paint("1;33", &title), colour.paint("1", &message));
    if same_hint && !first.hint.is_empty() {
        let _ = write!(out, "; hint: {}", printable(&first.hint));
    }
    let more = alike.len().saturating_sub(PLACES);
    let shown = alike[..alike.len() - more].iter().map(|warning| {
        let mut line = position(warning);
        if !same_message {
            let _ = write!(line, ": {}", warning.message);
        }
        if !same_hint && !warning.hint.is_empty() {
            let _ = write!(line, " ({})", warning.hint);
        }
        printable(&line)
    });
    let arrow = format!("\n {} ", colour.paint("1;34", "-->"));
    let separator = if same_message && same_hint { ", " } else { &arrow };
    let _ = write!(out, "{arrow}{}", shown.collect::<Vec<_>>().join(separator));
    match more {
        0 => {}
        more if same_message && same_hint => {
            let _ = write!(out, " and {more} more");
        }
        more => {
            let _ = write!(out, ", and {more} more");
        }
    }
    out.push('\n');
}

/// `path:line:column`, the form that editors and terminals link.
fn position(diagnostic: &Diagnostic) -> String {
    match diagnostic.position {
        Some(Position { line, column }) => format!("{}:{line}:{column}", diagnostic.path),
        None => diagnostic.path.clone(),
    }
}

fn one(out: &mut String, diagnostic: &Diagnostic, source: Option<&str>, colour: Colour) {
    let (code, blue) = match diagnostic.severity {
        Severity::Error => ("1;31", "1;34"),
        Severity::Warning => ("1;33", "1;34"),
    };
    let title = format!("{}[{}]", word(diagnostic.severity), diagnostic.rule);
    let message = colour.paint("1", &format!(": {}", printable(&diagnostic.message)));
    let _ = writeln!(out, "{}{message}", colour.paint(code, &title));
    let line = diagnostic.position.map_or(String::new(), |position| position.line.to_string());
    let margin = " ".repeat(line.len());
    let _ = writeln!(out, "{margin}{} {}", colour.paint(blue, "-->"), printable(&position(diagnostic)));
    let bar = colour.paint(blue, "|");
    if let Some((shown, before, width)) = excerpt(diagnostic.position, source) {
        let _ = writeln!(out, "{margin} {bar}");
        let _ = writeln!(out, "{} {bar} {shown}", colour.paint(blue, &line));
        let caret = colour.paint(code, &"^".repeat(width));
        let _ = writeln!(out, "{margin} {bar} {}{caret}", " ".repeat(before));
    }
    if !diagnostic.hint.is_empty() {
        let _ = writeln!(out, "{margin} {} hint: {}", colour.paint(blue, "="), printable(&diagnostic.hint));
    }
}

/// The line at a position, how many characters are before the place in it, and how many it covers.
fn excerpt(position: Option<Position>, source: Option<&str>) -> Option<(String, usize, usize)> {
    let Position { line, column } = position?;
    let line = lines(source?).nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let width = word_at(line, column).max(1);
    // Of a long line, the part around the place.
    let start = if column + width < WIDTH { 0 } else { column.saturating_sub(WIDTH / 2) };
    let shown: String = line.chars().skip(start).take(WIDTH).map(replaced).collect();
    let before = (column - start).min(shown.chars().count());
    Some((shown.trim_end().replace("##[", "#\u{fffd}["), before, width.min(WIDTH - before.min(WIDTH - 1))))
}

/// Lines as YAML has them: after a line feed, a carriage return, or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Returns the length of the word or quoted text at a column.
fn word_at(line: &str, column: usize) -> usize {
    let mut rest = line.chars().skip(column).peekable();
    match rest.peek() {
        Some(quote @ ('"' | '\'')) => {
            let quote = *quote;
            let inside = rest.skip(1).collect::<Vec<_>>();
            inside.iter().position(|character| *character == quote).map_or(1, |end| end + 2)
        }
        Some('{' | '[') => 1,
        _ => rest.take_while(|character| !character.is_whitespace() && !":,]}".contains(*character)).count(),
    }
}

/// A character of a source line as it may go to a terminal: one for one, so that the caret stands below it.
fn replaced(character: char) -> char {
    match character {
        '\t' => ' ',
        control if is_control(control) => '\u{fffd}',
        other => other,
    }
}
