//! JSON as the reference writes it.

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

/// JSON with two-space indentation and the escapes of Go's `encoding/json`, byte for byte the output of the reference's
/// index generator writes for the same value.
pub fn to_pretty_json(value: &impl Serialize) -> Vec<u8> {
    write(value, GoEscapes(PrettyFormatter::new()))
}

/// JSON without white space, for everything that programs read.
pub fn to_compact_json(value: &impl Serialize) -> Vec<u8> {
    write(value, serde_json::ser::CompactFormatter)
}

fn write(value: &impl Serialize, formatter: impl Formatter) -> Vec<u8> {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    // Our types have string keys and write to memory: neither of the two ways to fail is there.
    value.serialize(&mut serializer).expect("serializing to memory cannot fail");
    out
}

/// Go escapes `<`, `>`, `&` and the two line separators of JavaScript inside strings.
struct GoEscapes<F>(F);

impl<F: Formatter> Formatter for GoEscapes<F> {
    fn write_string_fragment<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            self.0.write_string_fragment(writer, plain)?;
            let mut chars = special.chars();
            if let Some(c) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        self.0.write_string_fragment(writer, rest)
    }

    fn begin_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_escaped_as_go_does_it() {
        let text = to_pretty_json(&serde_json::json!({"a": "1 < 2 & \"3\" > 2\u{2028}é", "b": [], "c": {}}));
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\n  \"a\": \"1 \\u003c 2 \\u0026 \\\"3\\\" \\u003e 2\\u2028é\",\n  \"b\": [],\n  \"c\": {}\n}"
        );
    }
}
