//! A difference as the comment of a pull request, in GitHub Flavored Markdown.
//!
//! The author of a pull request chooses names, descriptions and paths. So every text of a repository stands in a code span, where no
//! host looks for mentions, links, HTML or references to issues, and a code span cannot be left: its text has no line end and no
//! run of backticks as long as its delimiters (CommonMark 0.31, section 6.1).

use std::fmt::Write;

use super::difference::Diff;
use super::outline::{self, OutlineLine, Segment};
use crate::text::{escaped, shortened};

/// The first line of each comment, by which the comment to update is found. Markdown does not show it.
pub const MARKER: &str = "<!-- devfile-registry diff -->";

/// Longest comment, in bytes. GitHub takes 65,536 characters, and the poster may add some.
const COMMENT_BYTES: usize = 60_000;

/// Longest text of a repository, in bytes.
const TEXT_BYTES: usize = 120;

/// Most lines of one entry: a pull request that changes many entries shows some of each.
const ENTRY_LINES: usize = 40;

/// Room for the line that counts the rest.
const REST_BYTES: usize = 200;

/// Writes a difference as a comment of bounded length.
pub fn markdown(diff: &Diff) -> String {
    let mut out = format!("{MARKER}\n### Changes for clients of the registry\n\n");
    let summary = diff.summary();
    // In a code span like everything else there would be no bold, and these are our own words and numbers.
    let _ = writeln!(out, "**{summary}**\n");
    blocks(&mut out, outline::entries(diff));
    if !diff.quarantined.is_empty() {
        out.push_str("\n### Not published as the repository has it\n\nEach keeps its last published state.\n\n");
        blocks(&mut out, outline::quarantined(diff));
    }
    out
}

/// Writes as many blocks as there is room for, and counts the rest.
fn blocks(out: &mut String, blocks: impl Iterator<Item = Vec<OutlineLine>>) {
    let mut left_out = 0_usize;
    for lines in blocks {
        let block = block(&lines);
        if left_out > 0 || out.len() + block.len() + REST_BYTES > COMMENT_BYTES {
            left_out += 1;
        } else {
            out.push_str(&block);
        }
    }
    if left_out > 0 {
        let _ = writeln!(out, "- ... and {left_out} more; `devfile-registry diff` shows all");
    }
}

fn block(lines: &[OutlineLine]) -> String {
    let mut out = String::new();
    for line in lines.iter().take(ENTRY_LINES) {
        out.push_str(&"  ".repeat(line.depth));
        out.push_str("- ");
        if let Some(change) = line.change {
            let _ = write!(out, "`{}` ", change.sign());
        }
        for segment in &line.segments {
            match segment {
                Segment::Words(words) => out.push_str(words),
                Segment::Foreign(text) => out.push_str(&code(text)),
            }
        }
        out.push('\n');
    }
    if let Some(left_out) = lines.len().checked_sub(ENTRY_LINES).filter(|count| *count > 0) {
        let _ = writeln!(out, "  - ... and {left_out} more lines");
    }
    out
}

/// A code span with a text.
fn code(text: &str) -> String {
    let text = escaped(&shortened(text, TEXT_BYTES)).into_owned();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    // One space at each end is taken off again, unless there are spaces alone.
    let needs_room = text.is_empty() || text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let room = if needs_room { " " } else { "" };
    format!("{fence}{room}{text}{room}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_span_holds_any_text() {
        for (text, expected) in [
            ("kiln", "`kiln`"),
            ("@everyone", "`@everyone`"),
            ("a`b``c", "```a`b``c```"),
            ("`", "`` ` ``"),
            ("", "`  `"),
            (" x", "`  x `"),
            ("a\n```\n# b", "````a\\u000a```\\u000a# b````"),
            ("\u{202e}x", "`\\u202ex`"),
        ] {
            assert_eq!(code(text), expected, "{text:?}");
        }
        assert!(code(&"é".repeat(1000)).len() < 2 * TEXT_BYTES);
    }
}
