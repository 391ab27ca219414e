//! From bytes to text as YAML 1.1 readers take it: UTF-8, or UTF-16 with a byte order mark, and no control characters.

use std::borrow::Cow;

use super::fault::Fault;
use crate::diagnostic::Position;

/// The text of a file, without its byte order mark.
///
/// # Errors
/// When the bytes are in no encoding that YAML allows, or hold a character that YAML forbids.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let text: Cow<'_, str> = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?.into(),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?.into(),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?.into(),
        _ => utf8(bytes)?.into(),
    };
    match forbidden(&text) {
        Some((offset, character)) => Err(Fault::new(
            position(&text[..offset]),
            "yaml/encoding",
            format!("the control character U+{:04X} is not allowed, not even in a comment", u32::from(character)),
            "delete it, or write it as an escape in double quotes",
        )),
        None => Ok(text),
    }
}

/// The position after a text.
pub(crate) fn position(before: &str) -> Position {
    let line_start = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let breaks = before.matches('\n').count() + before.replace("\r\n", "").matches('\r').count();
    Position { line: count(breaks), column: count(before[line_start..].chars().count()) }
}

/// A number from 1, as positions have it.
pub(crate) fn count(from_zero: usize) -> u32 {
    u32::try_from(from_zero + 1).unwrap_or(u32::MAX)
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let message = format!("the byte 0x{:02x} is not UTF-8", bytes.get(error.valid_up_to()).unwrap_or(&0));
        Fault::new(position(&good), "yaml/encoding", message, "save the file as UTF-8")
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Fault> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let text = String::from_utf16(&pairs.iter().map(|pair| unit(*pair)).collect::<Vec<_>>());
    match text {
        Ok(text) if odd.is_empty() => Ok(text),
        _ => Err(Fault::new(
            Position { line: 1, column: 1 },
            "yaml/encoding",
            "the file begins as UTF-16 and is not",
            "save the file as UTF-8",
        )),
    }
}

/// The first character that YAML 1.1 does not allow in a stream.
fn forbidden(text: &str) -> Option<(usize, char)> {
    let allowed = |character: char| match character {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    };
    text.char_indices().find(|(_, character)| !allowed(*character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_a_known_encoding_is_decoded_and_any_other_refused() {
        let le: Vec<u8> = [0xff, 0xfe].into_iter().chain("a: ü".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let be: Vec<u8> = [0xfe, 0xff].into_iter().chain("a: ü".encode_utf16().flat_map(u16::to_be_bytes)).collect();
        for bytes in ["a: ü".as_bytes(), "\u{feff}a: ü".as_bytes(), &le, &be] {
            assert_eq!(decode(bytes).unwrap(), "a: ü");
        }
        for (bytes, line, column) in [
            (&b"a: \xe9\n"[..], 1, 4),
            (b"a: 1\n# \x00", 2, 3),
            (b"a: 1\r\nb\x7f", 2, 2),
            (b"\xff\xfea", 1, 1),
            (b"a\xc0\xaf", 1, 2),
        ] {
            let fault = decode(bytes).unwrap_err();
            assert_eq!((fault.rule, fault.position), ("yaml/encoding", Position { line, column }), "{bytes:?}");
        }
    }
}
