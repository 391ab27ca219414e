//! Lines of the log: printable and bounded, with texts of strangers too.

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::limits::{LOG_LINE_BYTES, LOGGED_TEXT_BYTES};
use crate::text::{escaped, shortened};

/// A text of a client, a repository or another server, for the log.
#[derive(Debug, Clone, Copy)]
pub struct Foreign<'a>(&'a str);

/// Shows a text as the log may hold it: at most [`LOGGED_TEXT_BYTES`], then the number of bytes left out, without characters that
/// control a terminal, turn the direction of a line or begin a new one.
///
/// ```
/// use devfile_registry::logging::foreign;
/// assert_eq!(foreign("/a\n\u{202e}b").to_string(), "/a\\u000a\\u202eb");
/// assert!(foreign(&"é".repeat(300)).to_string().ends_with("é... (88 more bytes)"));
/// ```
pub fn foreign(text: &str) -> Foreign<'_> {
    Foreign(text)
}

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&shortened(self.0, LOGGED_TEXT_BYTES)))
    }
}

/// A line as it may leave. A line of JSON stays JSON: its long texts are cut, one by one.
fn printable(line: &str) -> Cow<'_, str> {
    if line.len() <= LOG_LINE_BYTES {
        return escaped(line);
    }
    let short = match serde_json::from_str(line) {
        Ok(Value::Object(members)) => {
            let short = |value: Value| match value {
                Value::String(text) if text.len() > LOGGED_TEXT_BYTES => foreign(&text).to_string().into(),
                other => other,
            };
            Value::Object(members.into_iter().map(|(name, value)| (name, short(value))).collect()).to_string()
        }
        _ => line.to_owned(),
    };
    if short.len() <= LOG_LINE_BYTES { escaped(&short).into_owned().into() } else { foreign(line).to_string().into() }
}

/// Makes writers of printable lines, each of which is written at once.
#[derive(Debug)]
pub(super) struct Lines<M>(pub(super) M);

/// Writes one line.
#[derive(Debug)]
pub(super) struct LineWriter<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = LineWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter(self.0.make_writer())
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        LineWriter(self.0.make_writer_for(meta))
    }
}

impl<W: io::Write> io::Write for LineWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut out = printable(text.strip_suffix('\n').unwrap_or(&text)).into_owned();
        out.push('\n');
        self.0.write_all(out.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the lines that `log` logs: as JSON, or as text for people.
    fn logged(json: bool, log: impl Fn()) -> String {
        let written = Captured::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Lines(move || writer.clone()));
        let registry = tracing_subscriber::registry();
        if json {
            tracing::subscriber::with_default(registry.with(lines.json().flatten_event(true)), log);
        } else {
            tracing::subscriber::with_default(registry.with(lines), log);
        }
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_is_cut_between_characters_and_says_how_much_is_missing() {
        let text = format!("{}é{}", "a".repeat(LOGGED_TEXT_BYTES - 1), "b".repeat(100));
        let shown = foreign(&text).to_string();
        assert_eq!(shown, format!("{}... (102 more bytes)", "a".repeat(LOGGED_TEXT_BYTES - 1)));
        assert_eq!(foreign("short").to_string(), "short");
    }

    #[test]
    fn line_with_control_characters_is_one_printable_line() {
        let text = "x\u{1b}[31mred\n{\"level\":\"ERROR\"}\r\u{7f}\u{85}\u{202e}\u{2028}\u{2066}";
        for json in [true, false] {
            let lines = logged(json, || tracing::info!(quoted = text, shown = %text, "{text}"));
            assert_eq!(lines.lines().count(), 1, "{lines}");
            assert!(!lines.trim_end_matches('\n').contains(crate::text::is_control), "{lines:?}");
        }
        let line: Value = serde_json::from_str(&logged(true, || tracing::info!(text, "said"))).unwrap();
        assert_eq!(line["text"], text, "a program reads the message");
    }

    #[test]
    fn long_texts_of_a_line_are_cut_and_the_others_stay() {
        let long = "é".repeat(40_000);
        let line = logged(true, || tracing::info!(path = long, reason = "too long", status = 414, "refused"));
        assert!(line.len() < 2 * LOGGED_TEXT_BYTES, "{} bytes", line.len());
        let line: Value = serde_json::from_str(&line).unwrap();
        assert!(line["path"].as_str().unwrap().ends_with("é... (79488 more bytes)"), "{line}");
        assert_eq!((&line["reason"], &line["status"]), (&"too long".into(), &414.into()));
        let line = logged(false, || tracing::info!(path = long, "refused"));
        assert!(line.contains("INFO") && line.len() < 2 * LOGGED_TEXT_BYTES, "{} bytes", line.len());
    }

    proptest! {
        #[test]
        fn any_text_is_a_bounded_printable_line(text in "(\\PC|\\pC|\\pZ){0,30}", times in 1_usize..3000) {
            let text = text.repeat(times);
            let shown = foreign(&text).to_string();
            prop_assert!(shown.len() <= LOGGED_TEXT_BYTES * 6 + 40 && !shown.contains(crate::text::is_control));
            for json in [true, false] {
                let line = logged(json, || tracing::info!(text, more = %text, "said"));
                prop_assert!(line.len() <= LOG_LINE_BYTES * 6 && line.ends_with('\n'));
                prop_assert!(!line.trim_end_matches('\n').contains(crate::text::is_control));
            }
        }
    }
}
