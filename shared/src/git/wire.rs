//! Lines as Git sends them (git documentation, "gitprotocol-common", "pkt-line format").

use bytes::{Buf, Bytes, BytesMut};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PacketLine {
    /// Its content.
    Data(Bytes),
    /// The end of a message.
    End,
    /// The end of a section, or of a message without an end.
    Section,
}

/// Why bytes are not a line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotALine {
    /// They are not in the form of lines.
    Malformed(&'static str),
    /// The host refuses the request, with this reason.
    Refusal(Bytes),
}

/// Lines from bytes that arrive in chunks.
#[derive(Debug, Default)]
pub(super) struct PacketLines(BytesMut);

impl PacketLines {
    /// Takes a chunk.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.0.extend_from_slice(chunk);
    }

    /// The next line; none until more has arrived. A line is at most 65,520 bytes long, so no more than that is kept.
    pub(super) fn next(&mut self) -> Result<Option<PacketLine>, NotALine> {
        let Some(digits) = self.0.get(..4) else { return Ok(None) };
        let length = std::str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let length = match length.ok_or(NotALine::Malformed("its answer is not in lines"))? {
            0 => return Ok(Some(self.mark(PacketLine::End))),
            1 | 2 => return Ok(Some(self.mark(PacketLine::Section))),
            3 => return Err(NotALine::Malformed("a line has a length without a meaning")),
            length => length,
        };
        if self.0.len() < length {
            return Ok(None);
        }
        let mut line = self.0.split_to(length).freeze();
        line.advance(4);
        if line.starts_with(b"ERR ") {
            Err(NotALine::Refusal(line.split_off(4)))
        } else {
            Ok(Some(PacketLine::Data(line)))
        }
    }

    fn mark(&mut self, line: PacketLine) -> PacketLine {
        self.0.advance(4);
        line
    }
}

/// The message of a command.
pub(super) fn command(command: &str, arguments: &[String]) -> Vec<u8> {
    let mut message = Vec::new();
    // Four digits for the length come before the text, the end of the line after it.
    let line = |text: &str| format!("{:04x}{text}\n", text.len().saturating_add(5)).into_bytes();
    message.extend(line(&format!("command={command}")));
    message.extend(line(concat!("agent=devfile-registry/", env!("CARGO_PKG_VERSION"))));
    message.extend(b"0001");
    message.extend(arguments.iter().flat_map(|argument| line(argument)));
    message.extend(b"0000");
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_any_size_give_the_same_lines() {
        let whole = b"0009text\n0001000apack\x01\x02000000";
        for size in 1..whole.len() {
            let mut lines = PacketLines::default();
            let mut found = Vec::new();
            for chunk in whole.chunks(size) {
                lines.push(chunk);
                while let Some(line) = lines.next().unwrap() {
                    found.push(line);
                }
            }
            let data = |text: &'static [u8]| PacketLine::Data(Bytes::from_static(text));
            assert_eq!(found, [data(b"text\n"), PacketLine::Section, data(b"pack\x01\x02"), PacketLine::End], "{size}");
        }
    }

    #[test]
    fn malformed_lines_and_refusals_are_distinct_errors() {
        for bytes in [&b"0003"[..], b"<html>", b"zzzz", b"\xff\xff\xff\xff"] {
            let mut lines = PacketLines::default();
            lines.push(bytes);
            assert!(matches!(lines.next(), Err(NotALine::Malformed(_))), "{bytes:?}");
        }
        let mut lines = PacketLines::default();
        lines.push(b"0010ERR go away\n");
        assert_eq!(lines.next(), Err(NotALine::Refusal(Bytes::from_static(b"go away\n"))));
    }

    #[test]
    fn command_has_its_arguments_after_the_delimiter() {
        let sent = String::from_utf8(command("ls-refs", &["peel".into(), "ref-prefix HEAD".into()])).unwrap();
        let agent = concat!("agent=devfile-registry/", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(
            sent,
            format!("0014command=ls-refs\n{:04x}{agent}00010009peel\n0014ref-prefix HEAD\n0000", agent.len() + 4)
        );
    }
}
