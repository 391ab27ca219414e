//! YAML at the edge: bytes of a file into a typed value, or a diagnostic with its place.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_saphyr::{Location, Spanned};

use crate::diagnostic::{Diagnostic, Position};
use crate::limits;

/// Reads one YAML document.
///
/// Duplicate keys, aliases that grow beyond the limits, deep nesting and text that is not UTF-8 are refused.
///
/// # Errors
/// One [`Diagnostic`] for `path`, at the first place that cannot be read.
pub fn parse<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, Box<Diagnostic>> {
    if bytes.len() > limits::DEVFILE_BYTES {
        let message =
            format!("the file has {} bytes, more than the {} that are read", bytes.len(), limits::DEVFILE_BYTES);
        return Err(Box::new(Diagnostic::error(
            path,
            "yaml/size",
            message,
            "move large content into a file of its own",
        )));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let position = position_after(&before);
        Box::new(
            Diagnostic::error(path, "yaml/encoding", "the file is not UTF-8 text", "save it as UTF-8").at(position),
        )
    })?;
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let message = error.without_snippet().to_string();
        let position = error.location().and_then(position);
        Box::new(Diagnostic::error(path, "yaml/syntax", first_line(&message), "").at(position))
    })
}

fn options() -> serde_saphyr::Options {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_depth = limits::YAML_DEPTH;
    budget.max_nodes = limits::YAML_NODES;
    budget.max_total_scalar_bytes = limits::YAML_SCALAR_BYTES;
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    options.budget = Some(budget);
    options
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

fn position_after(text: &str) -> Position {
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    let line = text.matches('\n').count() + 1;
    Position { line: to_u32(line as u64), column: to_u32(last_line.chars().count() as u64 + 1) }
}

/// The place of a location, if it is known.
pub fn position(location: Location) -> Option<Position> {
    (location.line() > 0).then(|| Position { line: to_u32(location.line()), column: to_u32(location.column()) })
}

/// The place of a value.
pub fn position_of<T>(value: &Spanned<T>) -> Option<Position> {
    position(value.referenced)
}

fn to_u32(n: u64) -> u32 {
    n.try_into().unwrap_or(u32::MAX)
}

/// For `#[serde(deserialize_with)]`: a key without a value (`tags:`) counts as one that is not there.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn problem(bytes: &[u8]) -> Diagnostic {
        *parse::<BTreeMap<String, String>>("stack.yaml", bytes).unwrap_err()
    }

    #[test]
    fn says_where_it_went_wrong() {
        let found = problem(b"name: go\nname: rust\n");
        assert_eq!((found.rule.as_str(), found.position.unwrap().line), ("yaml/syntax", 2));
        let found = problem(b"a: b\nc: \xff\n");
        assert_eq!(found.rule, "yaml/encoding");
        assert_eq!(found.position, Some(Position { line: 2, column: 4 }));
    }

    #[test]
    fn numbers_keep_their_spelling_as_text() {
        let parsed: BTreeMap<String, String> = parse("f", b"a: 1.10\nb: 010\nc: 1_000\n").unwrap();
        assert_eq!(parsed.values().collect::<Vec<_>>(), ["1.10", "010", "1_000"]);
    }

    #[test]
    fn bombs_are_refused_within_the_limits() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 9].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert!(parse::<BTreeMap<String, serde_json::Value>>("f", bomb.as_bytes()).is_err());
        let deep = format!("a: {}", "[".repeat(5000));
        assert!(parse::<BTreeMap<String, serde_json::Value>>("f", deep.as_bytes()).is_err());
        assert_eq!(problem(&vec![b'#'; limits::DEVFILE_BYTES + 1]).rule, "yaml/size");
    }
}
