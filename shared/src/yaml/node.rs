//! A document as a tree in which every key and value knows its position.

use serde_json::{Map, Number, Value};

use crate::diagnostic::Position;

/// A position in one of the files of a validation. File 0 is the devfile itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePosition {
    /// Which of the files.
    pub file: u16,
    /// The position in it.
    pub position: Position,
}

impl FilePosition {
    /// The same position in a validation where files have higher numbers.
    pub(crate) fn shifted(self, by: u16) -> Self {
        Self { file: self.file.saturating_add(by), ..self }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// The beginning of the value.
    pub at: FilePosition,
    /// The beginning of its key; the same as `at` for list items and the root.
    pub key_at: FilePosition,
    /// The value.
    pub data: Data,
}

/// The values that YAML and JSON have in common.
#[derive(Debug, Clone)]
pub enum Data {
    /// Nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in file order, no key twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A value at a position of its own.
    pub(crate) fn new(at: FilePosition, data: Data) -> Self {
        Self { at, key_at: at, data }
    }

    /// The value of a key, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The value at the end of several keys.
    pub fn at_path(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text, when this is one.
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a key, when this is a mapping that has it as text.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// Whether a key is there and `true`.
    pub fn is_true(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Node { data: Data::Bool(true), .. }))
    }

    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The items of the list at a key; none when there is no list.
    pub fn items_of(&self, key: &str) -> &[Node] {
        self.get(key).map_or(&[], Node::items)
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[(String, Node)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Whether this is a mapping.
    pub fn is_map(&self) -> bool {
        matches!(self.data, Data::Map(_))
    }

    /// The node that a JSON pointer names.
    pub fn pointer(&self, pointer: &str) -> Option<&Node> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |node, token| match &node.data {
            Data::List(items) => items.get(token.parse::<usize>().ok()?),
            _ => node.get(&token.replace("~1", "/").replace("~0", "~")),
        })
    }

    /// The position to show when the value is meant: an empty value has none, so its key stands for it.
    pub(crate) fn file_position(&self) -> FilePosition {
        if matches!(self.data, Data::Null) { self.key_at } else { self.at }
    }

    /// The children in file order.
    pub(crate) fn children_mut(&mut self) -> Box<dyn Iterator<Item = &mut Node> + '_> {
        match &mut self.data {
            Data::List(items) => Box::new(items.iter_mut()),
            Data::Map(entries) => Box::new(entries.iter_mut().map(|(_, node)| node)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The mutable value of a key.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.data {
            Data::Map(entries) => entries.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// A copy whose files have higher numbers.
    pub(crate) fn shifted(&self, by: u16) -> Self {
        let data = match &self.data {
            Data::List(items) => Data::List(items.iter().map(|item| item.shifted(by)).collect()),
            Data::Map(entries) => {
                Data::Map(entries.iter().map(|(key, node)| (key.clone(), node.shifted(by))).collect())
            }
            other => other.clone(),
        };
        Self { at: self.at.shifted(by), key_at: self.key_at.shifted(by), data }
    }

    /// Returns the measures of the tree, to compare with the budgets.
    pub(crate) fn measure(&self) -> Measure {
        let one = Measure { nodes: 1, bytes: 0, depth: 1 };
        match &self.data {
            Data::Text(text) => Measure { bytes: text.len(), ..one },
            Data::List(items) => items.iter().fold(one, |sum, node| sum.with(node.measure())),
            Data::Map(entries) => entries.iter().fold(one, |mut sum, (key, node)| {
                sum.nodes += 1;
                sum.bytes += key.len();
                sum.with(node.measure())
            }),
            _ => one,
        }
    }
}

/// The size of a tree.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measure {
    /// Keys and values.
    pub(crate) nodes: usize,
    /// Bytes of text and keys.
    pub(crate) bytes: usize,
    /// Levels.
    pub(crate) depth: usize,
}

impl Measure {
    fn with(self, child: Self) -> Self {
        Self {
            nodes: self.nodes + child.nodes,
            bytes: self.bytes + child.bytes,
            depth: self.depth.max(child.depth + 1),
        }
    }
}

impl From<&Node> for Value {
    fn from(node: &Node) -> Self {
        match &node.data {
            Data::Null => Value::Null,
            Data::Bool(truth) => Value::Bool(*truth),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => Value::Array(items.iter().map(Value::from).collect()),
            Data::Map(entries) => {
                let entries = entries.iter().map(|(key, node)| (key.clone(), Value::from(node)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }
}
