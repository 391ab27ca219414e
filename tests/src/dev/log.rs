//! Lines of programs, as people read them. A program writes one JSON object a line; its file has it whole, and the terminal its message.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;

use crate::console;

/// Fields that a terminal need not show: time passes at the same speed there, and nobody looks ids up.
const LEFT_OUT: [&str; 8] = ["timestamp", "level", "message", "span", "spans", "target", "request_id", "xray"];

/// Texts in lines about each start of a function behind the emulator, and about metrics for CloudWatch.
const NOISE: [&str; 6] = [
    "INFO spawning function instance",
    "INFO starting lambda function instance",
    "Running `",
    "Finished `",
    "AWS_LAMBDA_MAX_CONCURRENCY is set",
    r#"{"_aws""#,
];

/// Refreshes that change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unchanged {
    /// Someone asked for each.
    Shown,
    /// A schedule of seconds asks for them.
    Hidden,
}

/// Shows the output of a program, whose pipes are taken, until it ends, and writes it to a file.
///
/// # Errors
/// The file cannot be written.
pub(super) fn show(
    program: &mut Child,
    name: &'static str,
    file: &Path,
    unchanged: Unchanged,
) -> Result<Vec<JoinHandle<()>>> {
    let file = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let mut readers = Vec::new();
    if let Some(output) = program.stdout.take() {
        readers.push(tokio::spawn(copy(output, name, file.try_clone()?, unchanged)));
    }
    if let Some(output) = program.stderr.take() {
        readers.push(tokio::spawn(copy(output, name, file, unchanged)));
    }
    Ok(readers)
}

async fn copy(output: impl AsyncRead + Unpin, name: &'static str, mut file: File, unchanged: Unchanged) {
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line);
        // The terminal shows it in any case.
        let _ = writeln!(file, "{line}");
        if let Some(line) = readable(&line, unchanged) {
            console::line(&format!("{name:8}| {line}"));
        }
    }
}

/// Returns a line for people, or none for a line that only says that nothing has happened.
fn readable(line: &str, unchanged: Unchanged) -> Option<String> {
    if NOISE.iter().any(|noise| line.contains(noise)) {
        return None;
    }
    let Ok(Value::Object(event)) = serde_json::from_str(line) else { return Some(line.to_owned()) };
    let Some(message) = event.get("message").and_then(Value::as_str) else { return Some(line.to_owned()) };
    let is_unchanged = message == "refresh" && event.get("outcome").is_some_and(|outcome| outcome == "unchanged");
    if is_unchanged && unchanged == Unchanged::Hidden {
        return None;
    }
    Some(
        [level(&event), message.to_owned(), fields(&event)]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    )
}

fn level(event: &Map<String, Value>) -> String {
    let level = event.get("level").and_then(Value::as_str).unwrap_or("INFO");
    if level == "INFO" { String::new() } else { level.to_owned() }
}

fn fields(event: &Map<String, Value>) -> String {
    let shown = event.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    let fields = shown.map(|(name, value)| match value {
        Value::String(text) if !text.contains(' ') => format!("{name}={text}"),
        value => format!("{name}={value}"),
    });
    fields.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_becomes_one_line_for_people() {
        for (line, shown) in [
            (
                r#"{"timestamp":"t","level":"WARN","message":"late","commit":"1a2b","why":"a b","n":2,"spans":[]}"#,
                Some(r#"WARN late commit=1a2b why="a b" n=2"#),
            ),
            (r#"{"level":"INFO","message":"up"}"#, Some("up")),
            (r#"{"message":"refresh","outcome":"published"}"#, Some("refresh outcome=published")),
            (r#"{"message":"refresh","outcome":"unchanged"}"#, None),
            (r#"{"_aws":{}}"#, None),
            ("thread 'main' panicked", Some("thread 'main' panicked")),
            ("[1, 2]", Some("[1, 2]")),
            (r#"{"errorType": "x"}"#, Some(r#"{"errorType": "x"}"#)),
        ] {
            assert_eq!(readable(line, Unchanged::Hidden).as_deref(), shown, "{line}");
        }
        let line = r#"{"message":"refresh","outcome":"unchanged"}"#;
        assert_eq!(readable(line, Unchanged::Shown).as_deref(), Some("refresh outcome=unchanged"));
    }
}
