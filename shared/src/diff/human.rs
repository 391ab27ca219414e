//! A difference for a terminal.

use super::difference::{Change, Diff};
use super::outline::{self, OutlineLine, Segment};
use crate::report::Colour;
use crate::text::{printable, shortened};

/// Longest text of a repository in a line, in bytes.
const TEXT_BYTES: usize = 200;

/// Writes a difference for people: a line a thing, `+` where it is new, `-` where it is gone.
pub fn human(diff: &Diff, colour: Colour) -> String {
    let mut out = String::new();
    for lines in outline::entries(diff) {
        lines.iter().for_each(|line| write(&mut out, line, colour));
    }
    if !diff.quarantined.is_empty() {
        out.push_str("\nnot published as the repository has it:\n");
        for lines in outline::quarantined(diff) {
            lines.iter().for_each(|line| write(&mut out, line, colour));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&diff.summary());
    out.push('\n');
    out
}

fn write(out: &mut String, line: &OutlineLine, colour: Colour) {
    let (begin, end) = match (line.change, colour) {
        (Some(Change::Added), Colour::Always) => ("\x1b[32m", "\x1b[0m"),
        (Some(Change::Removed), Colour::Always) => ("\x1b[31m", "\x1b[0m"),
        (Some(Change::Changed), Colour::Always) => ("\x1b[33m", "\x1b[0m"),
        (_, Colour::Never) | (None, _) => ("", ""),
    };
    out.push_str(&"  ".repeat(line.depth));
    if let Some(change) = line.change {
        out.push_str(begin);
        out.push(change.sign());
        out.push_str(end);
        out.push(' ');
    }
    for segment in &line.segments {
        match segment {
            Segment::Words(words) => out.push_str(words),
            Segment::Foreign(text) => out.push_str(&printable(&shortened(text, TEXT_BYTES))),
        }
    }
    out.push('\n');
}
