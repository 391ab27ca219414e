//! Changes to the text of a document that leave the rest of the text as it is.
//!
//! The parser decides the meaning of a text in YAML, so a change is tried on the text and then read again: if the result does
//! not have the intended meaning (an anchor was changed along, say), the document is written anew, as JSON, which is YAML too.

use std::ops::Range;

use granit_parser::{Event, Parser, StructureStyle};
use serde_json::Value;

use super::{parse, text_of};

/// Some entries of a mapping give way to one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Swap {
    /// JSON pointer of the mapping.
    pub(crate) at: String,
    /// The keys that go, those that are there. The new entry takes the place of the first of these names that is.
    pub(crate) out: &'static [&'static str],
    /// The key that comes.
    pub(crate) key: &'static str,
    /// Its value.
    pub(crate) value: Value,
}

/// Why a document was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSwap {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Document(String),
    /// The mapping, or all of the keys that were to go, are not there.
    #[error("it has no such value at {0}")]
    Missing(String),
    /// Written anew it is more than a document may be.
    #[error("it cannot be written with the change: {0}")]
    Result(String),
}

/// The document with the changes, as UTF-8.
///
/// # Errors
/// [`NoSwap`] when it is not a document or has nothing to change there.
pub(crate) fn swap(bytes: &[u8], swaps: &[Swap]) -> Result<String, NoSwap> {
    let mut wanted = value_of(bytes).map_err(NoSwap::Document)?;
    for swap in swaps {
        swap.apply(&mut wanted)?;
    }
    let text = text_of(bytes).map_err(|fault| NoSwap::Document(fault.message.into_owned()))?;
    if let Some(changed) = changed(&text, swaps).filter(|changed| value_of(changed.as_bytes()).as_ref() == Ok(&wanted))
    {
        return Ok(changed);
    }
    let anew = format!("{}\n", escaped(&format!("{wanted:#}")));
    match value_of(anew.as_bytes()) {
        Ok(value) if value == wanted => Ok(anew),
        Ok(_) => Err(NoSwap::Result("it would mean something else".to_owned())),
        Err(reason) => Err(NoSwap::Result(reason)),
    }
}

impl Swap {
    fn apply(&self, document: &mut Value) -> Result<(), NoSwap> {
        let missing = || NoSwap::Missing(self.at.clone());
        let entries = document.pointer_mut(&self.at).and_then(Value::as_object_mut).ok_or_else(missing)?;
        let replaced = self.out.iter().find(|key| entries.contains_key(**key)).ok_or_else(missing)?;
        let old = std::mem::take(entries);
        for (key, value) in old {
            if key == *replaced {
                entries.insert(self.key.to_owned(), self.value.clone());
            } else if !self.out.contains(&key.as_str()) && key != self.key {
                entries.insert(key, value);
            }
        }
        Ok(())
    }
}

fn value_of(bytes: &[u8]) -> Result<Value, String> {
    let first = |problems: Vec<crate::diagnostic::Diagnostic>| problems.into_iter().next().map(|first| first.message);
    parse("", bytes).map(|node| Value::from(&node)).map_err(|problems| first(problems).unwrap_or_default())
}

/// The changed text; `None` when the positions of the changes are unknown.
fn changed(text: &str, swaps: &[Swap]) -> Option<String> {
    let outline = outline(text)?;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for swap in swaps {
        let ValueSpan { range, shape: Shape::Map { flow, entries } } = outline.pointer(&swap.at)? else { return None };
        if *flow {
            // Commas and line breaks are best set anew.
            let mut value = value_of(text.as_bytes()).ok()?;
            swap.apply(&mut value).ok()?;
            edits.push((range.clone(), flow_text(value.pointer(&swap.at)?)));
            continue;
        }
        let replaced = swap.out.iter().find_map(|key| entries.iter().position(|entry| entry.key == **key))?;
        for (index, entry) in entries.iter().enumerate() {
            if index == replaced {
                edits.push((entry.start..entry.value.range.end, format!("{}: {}", swap.key, flow_text(&swap.value))));
            } else if swap.out.contains(&entry.key.as_str()) || entry.key == swap.key {
                let next = entries.get(index + 1).map(|entry| entry.start);
                edits.push((whole_lines(text, entry, next)?, String::new()));
            }
        }
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut changed = text.to_owned();
    let mut untouched = text.len();
    for (range, with) in edits {
        if range.end > untouched {
            return None;
        }
        untouched = range.start;
        changed.replace_range(range, &with);
    }
    Some(changed)
}

/// Returns the range to remove with an entry, so that no empty line stays behind.
fn whole_lines(text: &str, entry: &Member, next: Option<usize>) -> Option<Range<usize>> {
    let line = text[..entry.start].rfind('\n').map_or(0, |at| at + 1);
    let after = &text[entry.value.range.end..];
    let rest = after.find('\n').map_or(after, |at| &after[..=at]);
    let is_alone = text[line..entry.start].trim().is_empty();
    let ends_line = rest.trim().is_empty() || rest.trim_start().starts_with('#');
    if is_alone && ends_line {
        return Some(line..entry.value.range.end + rest.len());
    }
    // The first entry of a list's item is behind the item's dash.
    Some(entry.start..next?)
}

/// A value on one line, in brackets and braces.
fn flow_text(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flow_text).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| {
                format!("{}: {}", escaped(&Value::from(key.as_str()).to_string()), flow_text(value))
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        scalar => escaped(&scalar.to_string()),
    }
}

/// JSON with escapes for characters that YAML does not permit. Outside of texts there is nothing of the kind.
fn escaped(json: &str) -> String {
    let forbidden =
        |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if forbidden(c) {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

/// The position of a value in a text.
#[derive(Debug)]
struct ValueSpan {
    range: Range<usize>,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Leaf,
    List(Vec<ValueSpan>),
    Map { flow: bool, entries: Vec<Member> },
}

#[derive(Debug)]
struct Member {
    key: String,
    start: usize,
    value: ValueSpan,
}

/// A list or mapping whose end has not come yet.
struct Open {
    start: usize,
    shape: Shape,
    /// The key whose value comes next: its text, its start and its end.
    key: Option<(String, Range<usize>)>,
}

impl ValueSpan {
    fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |outline, token| match &outline.shape {
            Shape::List(items) => items.get(token.parse::<usize>().ok()?),
            // Of several entries with a key the last counts.
            Shape::Map { entries, .. } => {
                entries.iter().rev().find(|entry| entry.key == token).map(|entry| &entry.value)
            }
            Shape::Leaf => None,
        })
    }
}

fn outline(text: &str) -> Option<ValueSpan> {
    let mut open: Vec<Open> = Vec::new();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.ok()?;
        let range = span.byte_range()?;
        let (done, key) = match event {
            Event::Scalar(value, ..) => {
                let written = text.get(range.clone())?.trim_end();
                (ValueSpan { range: range.start..range.start + written.len(), shape: Shape::Leaf }, value.into_owned())
            }
            Event::Alias(_) => (ValueSpan { range, shape: Shape::Leaf }, String::new()),
            Event::SequenceStart(..) => {
                open.push(Open { start: range.start, shape: Shape::List(Vec::new()), key: None });
                continue;
            }
            Event::MappingStart(style, ..) => {
                let shape = Shape::Map { flow: style == StructureStyle::Flow, entries: Vec::new() };
                open.push(Open { start: range.start, shape, key: None });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { start, shape, .. } = open.pop()?;
                // A block ends where the next element begins; its own content ends before.
                let last = match &shape {
                    Shape::List(items) => items.last().map(|item| item.range.end),
                    Shape::Map { flow: false, entries } => entries.last().map(|entry| entry.value.range.end),
                    _ => None,
                };
                let closed = text.get(range.clone())?;
                let end = if matches!(closed, "]" | "}") { range.end } else { last.unwrap_or(range.end) };
                (ValueSpan { range: start..end, shape }, String::new())
            }
            _ => continue,
        };
        let Some(parent) = open.last_mut() else { return Some(done) };
        match &mut parent.shape {
            Shape::List(items) => items.push(done),
            Shape::Map { entries, .. } => match parent.key.take() {
                None => parent.key = Some((key, done.range)),
                Some((key, at)) => {
                    let mut value = done;
                    if value.range.is_empty() {
                        // Nothing stands there: the entry ends with its colon.
                        let colon = text.get(at.end..)?.find(':')? + at.end + 1;
                        value.range = colon..colon;
                    }
                    entries.push(Member { key, start: at.start, value });
                }
            },
            Shape::Leaf => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn starter(index: usize) -> Swap {
        let (at, value) = (format!("/starterProjects/{index}"), json!({"location": "https://r/x.zip"}));
        Swap { at, out: &["git", "zip", "subDir"], key: "zip", value }
    }

    fn parent() -> Swap {
        let value = json!("https://r/p.yaml");
        Swap { at: "/parent".into(), out: &["uri", "id", "registryUrl", "version"], key: "uri", value }
    }

    #[test]
    fn swap_leaves_the_rest_of_the_text() {
        let zip = r#"zip: {"location": "https://r/x.zip"}"#;
        let cases = [
            (
                "# top\nstarterProjects: # all\n  - name: a # one\n    git:\n      remotes:\n        origin: https://x # there\n\n    # \
                 below\n    description: d\nx: 1\n",
                format!(
                    "# top\nstarterProjects: # all\n  - name: a # one\n    {zip} # there\n\n    # below\n    description: d\nx: 1\n"
                ),
            ),
            (
                "starterProjects:\n- name: a\n  subDir: app # the app\n  git: {remotes: {o: https://x}}\n- name: b\n",
                format!("starterProjects:\n- name: a\n  {zip}\n- name: b\n"),
            ),
            (
                "starterProjects:\n- subDir: app\n  zip:\n    location: y\n  name: a\n",
                format!("starterProjects:\n- {zip}\n  name: a\n"),
            ),
            (
                "starterProjects:\n- name: a\n  subDir:\n  zip:\n    location: 'y'",
                format!("starterProjects:\n- name: a\n  {zip}"),
            ),
            (
                "starterProjects: [{name: a, zip: {location: y}, subDir: z}] # end\n",
                "starterProjects: [{\"name\": \"a\", \"zip\": {\"location\": \"https://r/x.zip\"}}] # end\n".to_owned(),
            ),
            (
                "{\"starterProjects\":[{\"name\":\"a\",\"git\":{}}],\"x\":1}",
                "{\"starterProjects\":[{\"name\": \"a\", \"zip\": {\"location\": \"https://r/x.zip\"}}],\"x\":1}"
                    .to_owned(),
            ),
            (
                "starterProjects:\r\n  - name: a\r\n    git: {}\r\n    subDir: b\r\nx: 1\r\n",
                format!("starterProjects:\r\n  - name: a\r\n    {zip}\r\nx: 1\r\n"),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(swap(text.as_bytes(), &[starter(0)]).unwrap(), expected, "{text}");
        }
        let text = "parent:\n  id: go # which\n  registryUrl: https://o\n  version: 1.0.0\n  commands: # ours\n    - id: run\n";
        let expected = "parent:\n  uri: \"https://r/p.yaml\" # which\n  commands: # ours\n    - id: run\n";
        assert_eq!(swap(text.as_bytes(), &[parent()]).unwrap(), expected);
        let both = format!("{text}starterProjects:\n  - git: {{}}\n");
        let expected = format!("{expected}starterProjects:\n  - {zip}\n");
        assert_eq!(swap(both.as_bytes(), &[parent(), starter(0)]).unwrap(), expected);
    }

    #[test]
    fn text_with_shared_values_is_written_anew() {
        for text in [
            "starterProjects:\n- name: a\n  git: &g {remotes: {o: x}}\n- name: b\n  git: *g\n",
            "base: &b {name: a, git: {}}\nstarterProjects:\n- <<: *b\n",
            "starterProjects:\n- &s\n  name: a\n  git: {}\n- *s\n",
        ] {
            let changed = swap(text.as_bytes(), &[starter(0)]).unwrap();
            assert!(changed.starts_with('{'), "{changed}");
            let mut expected = value_of(text.as_bytes()).unwrap();
            starter(0).apply(&mut expected).unwrap();
            assert_eq!(value_of(changed.as_bytes()).unwrap(), expected);
        }
        let odd = "starterProjects:\n- name: \"\\x7f\\u2028\"\n  git: &g {}\n- git: *g\n";
        assert!(swap(odd.as_bytes(), &[starter(0)]).unwrap().contains("\\u007f\\u2028"));
    }

    #[test]
    fn missing_value_to_swap_is_named() {
        assert!(matches!(swap(b"a: [", &[parent()]), Err(NoSwap::Document(_))));
        for text in ["a: 1\n", "parent: text\n", "parent: {commands: []}\n"] {
            assert_eq!(swap(text.as_bytes(), &[parent()]), Err(NoSwap::Missing("/parent".into())), "{text}");
        }
    }

    /// One starter project in one of the ways that people write them.
    fn written(name: u8) -> impl Strategy<Value = String> {
        let source = prop_oneof![
            Just("git:\n      remotes:\n        origin: https://x\n"),
            Just("git: {remotes: {origin: https://x}} # here\n"),
            Just("git: &anchor {remotes: {origin: https://x}}\n"),
            Just("git: *known\n"),
            Just("zip:\n      location: >-\n        https://y\n"),
            Just("zip: {location: 'https://y'}\n"),
            Just("? zip\n    : location: y\n"),
            Just("\"git\": !!map {}\n"),
        ];
        let folder =
            prop_oneof![Just(""), Just("subDir: app\n"), Just("subDir:\n"), Just("subDir: \"a\\\n      b\" # c\n")];
        let more = prop_oneof![
            Just(""),
            Just("description: |\n      two\n\n      lines\n"),
            Just("# alone\n"),
            Just("attributes: {a: [1, 0x10]}\n")
        ];
        let parts = (source, folder, more).prop_map(|(a, b, c)| vec![a.to_owned(), b.to_owned(), c.to_owned()]);
        let parts = parts.prop_shuffle();
        (parts, any::<bool>()).prop_map(move |(parts, first)| {
            let name = format!("name: s{name}\n");
            let mut lines: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            lines.insert(if first { 0 } else { lines.len() }, name);
            let at = lines.iter().position(|line| !line.starts_with('#')).unwrap_or_default();
            lines.swap(0, at);
            format!("  - {}", lines.join("    "))
        })
    }

    proptest! {
        #[test]
        fn swap_changes_its_value_and_nothing_else(one in written(1), two in written(2), which in 0_usize..2) {
            let text = format!("# top\nknown: &known {{remotes: {{o: z}}}}\nstarterProjects:\n{one}{two}# end\nlast: [1, 2]\n");
            let before = value_of(text.as_bytes()).unwrap();
            let changed = swap(text.as_bytes(), &[starter(which)]).unwrap();
            let mut expected = before.clone();
            starter(which).apply(&mut expected).unwrap();
            prop_assert_eq!(value_of(changed.as_bytes()).unwrap(), expected);
            if !changed.starts_with('{') {
                let other = [&two, &one][which];
                prop_assert!(changed.contains(other.as_str()));
                prop_assert!(changed.starts_with("# top\nknown: ") && changed.ends_with("# end\nlast: [1, 2]\n"));
            }
        }
    }
}
