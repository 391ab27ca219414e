//! The components and commands of a devfile, as the rules see them.

use std::collections::HashMap;

use crate::yaml::{FilePosition, Node};

/// The devfile after parents, plugins and variables, as the rules see it.
#[derive(Debug)]
pub(super) struct FlatDevfile<'a> {
    /// All of it.
    pub(super) root: &'a Node,
    /// Whether every parent and plugin was there; if not, a missing element may be in one of them.
    pub(super) complete: bool,
    pub(super) components: Vec<Element<'a>>,
    pub(super) commands: Vec<Element<'a>>,
    component_index: HashMap<&'a str, usize>,
    pub(super) command_index: HashMap<&'a str, usize>,
}

/// A component or command: a name and one of several kinds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) name: &'a str,
    pub(super) name_at: FilePosition,
    /// The kind and its content; none when the schema has complained already.
    pub(super) kind: Option<(&'static str, &'a Node)>,
}

/// The kinds of component.
pub(super) const COMPONENT_KINDS: [&str; 7] =
    ["container", "kubernetes", "openshift", "volume", "image", "plugin", "custom"];

/// The kinds of command.
pub(super) const COMMAND_KINDS: [&str; 6] = ["exec", "apply", "composite", "vscodeTask", "vscodeLaunch", "custom"];

impl<'a> FlatDevfile<'a> {
    /// Looks at a tree as a devfile.
    pub(super) fn new(root: &'a Node, complete: bool) -> Self {
        let components = elements(root.items_of("components"), "name", &COMPONENT_KINDS);
        let commands = elements(root.items_of("commands"), "id", &COMMAND_KINDS);
        let (component_index, command_index) = (index(&components), index(&commands));
        Self { root, complete, components, commands, component_index, command_index }
    }

    /// The first component of a name.
    pub(super) fn component(&self, name: &str) -> Option<&Element<'a>> {
        self.components.get(*self.component_index.get(name)?)
    }

    /// The first command of an id.
    pub(super) fn command(&self, id: &str) -> Option<&Element<'a>> {
        self.commands.get(*self.command_index.get(id)?)
    }
}

impl<'a> Element<'a> {
    /// The content, when it is of a kind.
    pub(super) fn of(&self, kind: &str) -> Option<&'a Node> {
        self.kind.filter(|(own, _)| *own == kind).map(|(_, body)| body)
    }
}

fn elements<'a>(items: &'a [Node], key: &str, kinds: &[&'static str]) -> Vec<Element<'a>> {
    let element = |node: &'a Node| {
        let name = node.get(key);
        let kind = kinds.iter().find_map(|kind| Some((*kind, node.get(kind).filter(|body| body.is_map())?)));
        Element {
            name: name.and_then(Node::text).unwrap_or_default(),
            name_at: name.unwrap_or(node).file_position(),
            kind,
        }
    };
    items.iter().map(element).collect()
}

/// Returns the position of the first of each name.
fn index<'a>(elements: &[Element<'a>]) -> HashMap<&'a str, usize> {
    elements.iter().enumerate().rev().map(|(index, element)| (element.name, index)).collect()
}

/// Reports the second and later elements of a name.
pub(super) fn duplicates<'a>(
    elements: impl IntoIterator<Item = (&'a str, FilePosition)>,
    mut report: impl FnMut(&'a str, FilePosition, FilePosition),
) {
    let mut seen = HashMap::new();
    for (name, at) in elements {
        if let Some(first) = seen.get(name) {
            report(name, at, *first);
        } else if !name.is_empty() {
            seen.insert(name, at);
        }
    }
}

/// `on line 12` for a position in the same file, `in another file` for any other.
pub(super) fn where_is(position: FilePosition, from: FilePosition) -> String {
    if position.file == from.file {
        format!("on line {}", position.position.line)
    } else {
        "in another file".to_owned()
    }
}

/// The names of elements, for hints.
pub(super) fn names<'a>(elements: &[Element<'a>]) -> impl Iterator<Item = &'a str> {
    elements.iter().map(|element| element.name)
}
