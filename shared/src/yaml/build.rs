//! Puts the parser's events together to a tree, within the budgets and without recursion.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, ScalarStyle, Span, StructureStyle, Tag};
use serde_json::Value;

use super::fault::Fault;
use super::node::{Data, FilePosition, Measure, Node};
use super::scalar;
use super::text::{self, count};
use crate::diagnostic::Position;
use crate::limits;

const CORE: &str = "tag:yaml.org,2002:";
const MERGE: &str = "<<";

/// A tree in the making.
#[derive(Debug)]
pub(super) struct Builder {
    file: u16,
    root: Option<Node>,
    open: Vec<Frame>,
    anchors: HashMap<usize, (Node, Measure)>,
    spent: Measure,
    read: usize,
    aliased: usize,
    /// The bytes of the source that were checked.
    seen: usize,
    /// The number of open collections in brackets or braces.
    flow: usize,
    /// Whether the last scalar had no quotes; blanks after it count as its own.
    after_plain: bool,
    faults: Vec<Fault>,
}

/// A list or mapping whose end has not come yet.
#[derive(Debug)]
struct Frame {
    node: Node,
    anchor: usize,
    key: Option<Key>,
    merges: Vec<Node>,
}

/// A key whose value has not come yet.
#[derive(Debug)]
enum Key {
    Named(String, FilePosition),
    Merge,
}

impl Builder {
    pub(super) fn new(file: u16) -> Self {
        Self {
            file,
            root: None,
            open: Vec::new(),
            anchors: HashMap::new(),
            spent: Measure::default(),
            read: 0,
            aliased: 0,
            seen: 0,
            flow: 0,
            after_plain: false,
            faults: Vec::new(),
        }
    }

    pub(super) fn file(&self) -> u16 {
        self.file
    }

    pub(super) fn take_root(&mut self) -> Option<Node> {
        self.root.take()
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Takes the next event of the document.
    ///
    /// # Errors
    /// When the document cannot be read any further.
    pub(super) fn event(&mut self, event: &Event<'_>, span: &Span, source: &str, json: bool) -> Result<(), Fault> {
        let at = FilePosition { file: self.file, position: position(span) };
        if !json {
            self.refuse_tabs(span, source)?;
        }
        self.after_plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.read += 1;
                self.spend(at, Measure { nodes: 1, bytes: text.len(), depth: self.open.len() + 1 })?;
                refuse_unreadable(at, text, *style, span, source, json)?;
                let quoted_or_plain = !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if quoted_or_plain && self.wants_key() && span.start.line() != span.end.line() {
                    return Err(Fault::new(at.position, "yaml/key", "a key is on one line", ""));
                }
                let plain = *style == ScalarStyle::Plain && tag.is_none();
                if plain && text == MERGE && !json && self.wants_key() {
                    self.set_key(Key::Merge);
                    return Ok(());
                }
                let data = match tag {
                    _ if json && plain => from_json(text),
                    _ if plain => scalar::plain(text),
                    None => Ok(Data::Text(text.to_string())),
                    Some(tag) => scalar::tagged(core(tag).as_deref(), text),
                };
                let rule = if tag.is_some() { "yaml/tag" } else { "yaml/int" };
                let data = data.map_err(|message| Fault::new(at.position, rule, message, ""))?;
                self.attach(Node::new(at, data), *anchor)
            }
            Event::Alias(id) => {
                let (mut node, size) = self.anchors.get(id).cloned().ok_or_else(|| {
                    Fault::new(at.position, "yaml/anchor", "an anchor whose value contains itself", "")
                })?;
                self.read += size.nodes;
                self.aliased += size.nodes;
                self.spend(at, Measure { depth: self.open.len() + size.depth, ..size })?;
                (node.at, node.key_at) = (at, at);
                self.attach(node, 0)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.begin(Node::new(at, Data::List(Vec::new())), *anchor, *style)
            }
            Event::MappingStart(style, anchor, _) => self.begin(Node::new(at, Data::Map(Vec::new())), *anchor, *style),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    /// Refuses lines between two events that begin with a tab, outside brackets. The parser passes over many of them,
    /// clients do not.
    fn refuse_tabs(&mut self, span: &Span, source: &str) -> Result<(), Fault> {
        let Some(range) = span.byte_range() else { return Ok(()) };
        let gap = source.get(self.seen..range.start).unwrap_or_default();
        let indent = self.open.last().map_or(0, |frame| frame.node.at.position.column as usize);
        let from = self.seen;
        self.seen = self.seen.max(range.end);
        if self.flow > 0 {
            return Ok(());
        }
        let breaks = gap.match_indices('\n').map(|(at, _)| at + 1);
        for start in breaks.chain((from == 0).then_some(0)) {
            let rest = &gap[start..];
            let blanks = rest.len() - rest.trim_start_matches(' ').len();
            if rest[blanks..].starts_with('\t') && !(self.after_plain && blanks >= indent) {
                let position = text::position(&source[..from + start + blanks]);
                return Err(Fault::new(position, "yaml/tab", "a line begins with a tab", "indent with spaces"));
            }
        }
        Ok(())
    }

    fn begin(&mut self, node: Node, anchor: usize, style: StructureStyle) -> Result<(), Fault> {
        if self.wants_key() {
            return Err(if self.flow > 0 { self.unquoted_variable(&node) } else { bad_key(node.at) });
        }
        self.read += 1;
        self.spend(node.at, Measure { nodes: 1, bytes: 0, depth: self.open.len() + 1 })?;
        // Everything in a flow collection is in flow style too.
        self.flow += usize::from(style == StructureStyle::Flow);
        self.open.push(Frame { node, anchor, key: None, merges: Vec::new() });
        Ok(())
    }

    /// A mapping or list as a key in braces: nearly always a text that begins with `{{name}}`.
    fn unquoted_variable(&self, node: &Node) -> Fault {
        match (&node.data, self.open.last()) {
            (Data::Map(_), Some(outer)) => {
                let message = "`{{` begins a mapping within a mapping here, and not a variable";
                let hint = "quote the whole text: \"{{name}}\"";
                Fault::new(outer.node.at.position, "yaml/key", message, hint)
            }
            _ => bad_key(node.at),
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(Frame { mut node, anchor, merges, .. }) = self.open.pop() else { return Ok(()) };
        self.flow = self.flow.saturating_sub(1);
        if let Data::Map(entries) = &mut node.data {
            last_of_each(entries, &mut self.faults);
            self.merge(entries, merges)?;
        }
        self.attach(node, anchor)
    }

    /// Puts a finished node where it belongs: as key, value, item or root.
    fn attach(&mut self, mut node: Node, anchor: usize) -> Result<(), Fault> {
        if anchor != 0 {
            let size = node.measure();
            // The copy counts too, so that anchors within anchors cannot multiply the work.
            self.spend(node.at, Measure { depth: 0, ..size })?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.node.data {
            Data::Map(entries) => match frame.key.take() {
                None => frame.key = Some(Key::Named(key_text(&node)?, node.at)),
                Some(Key::Merge) => frame.merges.push(node),
                Some(Key::Named(key, at)) => {
                    node.key_at = at;
                    entries.push((key, node));
                }
            },
            Data::List(items) => items.push(node),
            _ => {}
        }
        Ok(())
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { node: Node { data: Data::Map(_), .. }, key: None, .. }))
    }

    fn set_key(&mut self, key: Key) {
        if let Some(frame) = self.open.last_mut() {
            frame.key = Some(key);
        }
    }

    /// Adds the entries of `<<` that the mapping does not have; of several, the first that has a key counts.
    fn merge(&mut self, entries: &mut Vec<(String, Node)>, merges: Vec<Node>) -> Result<(), Fault> {
        if merges.is_empty() {
            return Ok(());
        }
        let mut taken: HashSet<String> = entries.iter().map(|(key, _)| key.clone()).collect();
        for merge in merges {
            let at = merge.at;
            let sources = match merge.data {
                Data::List(items) => items,
                _ => vec![merge],
            };
            for source in sources {
                let Data::Map(inherited) = source.data else {
                    let message = "<< takes a mapping or a list of mappings";
                    return Err(Fault::new(at.position, "yaml/merge", message, ""));
                };
                entries.extend(inherited.into_iter().filter(|(key, _)| taken.insert(key.clone())));
            }
        }
        Ok(())
    }

    /// Counts the cost of a node. The rule about aliases is yaml.v2's: above a thousand nodes, 99 of 100 may not come
    /// from aliases.
    fn spend(&mut self, at: FilePosition, size: Measure) -> Result<(), Fault> {
        self.spent.nodes += size.nodes;
        self.spent.bytes += size.bytes;
        let (rule, message) = if size.depth > limits::DEVFILE_DEPTH {
            ("yaml/depth", format!("nested deeper than {} levels", limits::DEVFILE_DEPTH))
        } else if self.read > 1000 && self.aliased > 100 && self.aliased * 100 > self.read * 99 {
            ("yaml/anchor", "nearly all of the document comes from aliases".to_owned())
        } else if self.spent.nodes > limits::YAML_NODES || self.spent.bytes > limits::YAML_SCALAR_BYTES {
            ("yaml/size", "the document grows too big when its aliases are followed".to_owned())
        } else {
            return Ok(());
        };
        Err(Fault::new(at.position, rule, message, "write a smaller document"))
    }
}

/// Keeps the last of several entries with one key, as clients do, and reports the earlier ones' followers.
fn last_of_each(entries: &mut Vec<(String, Node)>, faults: &mut Vec<Fault>) {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by(|one, other| entries[*one].0.cmp(&entries[*other].0).then(one.cmp(other)));
    let mut doomed = HashSet::new();
    for pair in order.windows(2) {
        if let [first, second] = pair
            && entries[*first].0 == entries[*second].0
        {
            let (key, node) = &entries[*second];
            let line = entries[*first].1.key_at.position.line;
            let message = format!("the key `{key}` is already on line {line}");
            let hint = "clients take the last of the two; keep one";
            faults.push(Fault::new(node.key_at.position, "yaml/duplicateKey", message, hint));
            doomed.insert(*first);
        }
    }
    if !doomed.is_empty() {
        let mut index = 0..;
        entries.retain(|_| !index.next().is_some_and(|index| doomed.contains(&index)));
    }
}

/// A tag's name in YAML's own namespace.
fn core(tag: &Tag) -> Option<String> {
    tag.suffix_in_namespace(CORE).map(Into::into)
}

/// A JSON literal; the text has been checked before.
fn from_json(text: &str) -> Result<Data, String> {
    match serde_json::from_str(text) {
        Ok(Value::Null) => Ok(Data::Null),
        Ok(Value::Bool(truth)) => Ok(Data::Bool(truth)),
        Ok(Value::Number(number)) => Ok(Data::Number(number)),
        _ => Err(format!("`{text}` is not JSON")),
    }
}

fn key_text(node: &Node) -> Result<String, Fault> {
    match &node.data {
        Data::Text(text) => Ok(text.clone()),
        Data::Number(number) => Ok(number.to_string()),
        Data::Bool(truth) => Ok(truth.to_string()),
        Data::Null | Data::List(_) | Data::Map(_) => Err(bad_key(node.at)),
    }
}

fn bad_key(at: FilePosition) -> Fault {
    Fault::new(at.position, "yaml/key", "a key is a text, a number or a boolean", "quote the key if it is a text")
}

/// Refuses scalars that YAML 1.2, as the parser reads it, and YAML 1.1, as clients do, read differently.
fn refuse_unreadable(
    at: FilePosition,
    text: &str,
    style: ScalarStyle,
    span: &Span,
    source: &str,
    json: bool,
) -> Result<(), Fault> {
    let fault = |rule, message, hint| Err(Fault::new(at.position, rule, message, hint));
    match style {
        ScalarStyle::Plain if text.contains(['\u{85}', '\u{2028}', '\u{2029}']) => {
            fault("yaml/newline", "an invisible line break in unquoted text", "delete it, or quote the text")
        }
        ScalarStyle::DoubleQuoted if !json && span.slice(source).is_some_and(escapes_slash) => {
            fault("yaml/syntax", "YAML 1.1 has no escape \\/", "write / without a backslash")
        }
        _ => Ok(()),
    }
}

/// Whether a double-quoted scalar, as written, has the escape `\/`.
fn escapes_slash(raw: &str) -> bool {
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        if character == '\\' && characters.next() == Some('/') {
            return true;
        }
    }
    false
}

/// Returns the position at which an event begins.
pub(super) fn position(span: &Span) -> Position {
    Position { line: count(span.start.line().max(1) - 1), column: count(span.start.col()) }
}
