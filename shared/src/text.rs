//! Texts of repositories, clients and other servers, made safe to show and to put into URLs.

use std::borrow::Cow;
use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters that any section of a URL holds unescaped (RFC 3986, section 2.3, "Unreserved Characters").
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether a character does something other than to be shown: controls of ISO 6429, and the marks of Unicode that set the
/// direction of a text (UAX 9, "Explicit Directional Formatting Characters") or end a line.
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns a text in which every such character stands as JSON writes it: `\u001b`.
///
/// ```
/// use devfile_registry::text::escaped;
/// assert_eq!(escaped("a\n\u{202e}b"), "a\\u000a\\u202eb");
/// ```
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_control(c) {
            // All of them are below U+10000; writing to a string cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Returns a text as one segment of a path, or as a value of a query.
///
/// ```
/// use devfile_registry::text::url_segment;
/// assert_eq!(url_segment("a/b?c#d %~"), "a%2Fb%3Fc%23d%20%25~");
/// ```
pub fn url_segment(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Returns at most `limit_bytes` of a text, cut between characters, then the number of bytes left out.
///
/// ```
/// use devfile_registry::text::shortened;
/// assert_eq!(shortened("abc", 3), "abc");
/// assert_eq!(shortened("aéé", 4), "aé... (2 more bytes)");
/// ```
pub fn shortened(text: &str, limit_bytes: usize) -> Cow<'_, str> {
    if text.len() <= limit_bytes {
        return Cow::Borrowed(text);
    }
    let start = &text[..text.floor_char_boundary(limit_bytes)];
    Cow::Owned(format!("{start}... ({} more bytes)", text.len().saturating_sub(start.len())))
}

/// Returns a text as a terminal or the log of a workflow's step may hold it: without control characters, and without the older form of
/// workflow commands, `##[command]`, which GitHub's runner looks for anywhere in a line.
///
/// ```
/// use devfile_registry::text::printable;
/// assert_eq!(printable("a##[error]b\n"), "a# #[error]b\\u000a");
/// ```
pub fn printable(text: &str) -> String {
    escaped(text).replace("##[", "# #[")
}
