//! What devfiles take from others of the registry: their parents and plugins.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::PublishedVersion;
use crate::repository::DEVFILE_NAMES;
use crate::yaml::{self, Node};

/// What a stack takes something from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relative {
    /// The stack of a name, if there is one.
    Named(String),
    /// The stack with a folder.
    Folder(String),
    /// A file that is no published devfile. Nothing says what that takes from others in turn.
    Unknown,
}

/// The relatives of some stacks, by their folders; stacks without any are left out. Files are looked for in `versions` alone.
pub(super) fn relatives<'v>(
    versions: &[PublishedVersion],
    stacks: impl Fn(&str) -> bool + 'v,
) -> BTreeMap<String, BTreeSet<Relative>> {
    let published: BTreeMap<&str, &str> = versions.iter().map(|v| (v.folder.as_str(), v.stack.as_str())).collect();
    let mut all: BTreeMap<String, BTreeSet<Relative>> = BTreeMap::new();
    for version in versions.iter().filter(|version| stacks(&version.stack)) {
        for reference in references(&version.folder, &version.devfile) {
            let relative = match reference {
                Reference::Name(name) => Relative::Named(name),
                Reference::File(path) => {
                    let folder = path.rsplit_once('/').filter(|(_, name)| DEVFILE_NAMES.contains(name));
                    let stack = folder.and_then(|(folder, _)| published.get(folder));
                    stack.map_or(Relative::Unknown, |stack| Relative::Folder((*stack).to_owned()))
                }
            };
            all.entry(version.stack.clone()).or_default().insert(relative);
        }
    }
    all
}

/// Something of this registry that a devfile names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The stack of a name.
    Name(String),
    /// A file, by its path in the tree.
    File(String),
}

/// The parents and plugins of a devfile in a folder that may be in the tree. Only few devfiles have any, so few are parsed.
pub(crate) fn references(folder: &str, devfile: &str) -> Vec<Reference> {
    if !devfile.contains("parent") && !devfile.contains("plugin") {
        return Vec::new();
    }
    // What cannot be read takes nothing from others, and is not in order.
    let Ok(document) = yaml::parse(folder, devfile.as_bytes()) else { return Vec::new() };
    let plugins = document.items_of("components").iter().filter_map(|component| component.get("plugin"));
    let reference = |node: &Node| match (node.text_of("uri"), node.text_of("id")) {
        (Some(uri), _) if uri.starts_with("http://") || uri.starts_with("https://") => None,
        (Some(uri), _) => Some(Reference::File(join(folder, uri)?)),
        (None, id) => Some(Reference::Name(id?.to_owned())),
    };
    document.get("parent").into_iter().chain(plugins).filter_map(reference).collect()
}

/// The path that a relative `uri` means; none when it leads out of the tree.
fn join(folder: &str, uri: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in uri.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_what_a_devfile_names() {
        let of = |lines: &str| references("stacks/a/1.0.0", &format!("schemaVersion: 2.0.0\n{lines}"));
        let named = |name: &str| Reference::Name(name.into());
        let file = |path: &str| Reference::File(path.into());
        for (lines, expected) in [
            ("parent:\n  id:\n    c++\n", vec![named("c++")]),
            ("x: &p {id: base}\nparent: *p\n", vec![named("base")]),
            ("parent: {uri: ../../../samples/x/devfile.yaml}\n", vec![file("samples/x/devfile.yaml")]),
            ("parent: {uri: \"https://example.org/devfile.yaml\"}\n", vec![]),
            (
                "components: [{name: a, plugin: {id: p}}, {name: b, plugin: {uri: q.yaml}}]\n",
                vec![named("p"), file("stacks/a/1.0.0/q.yaml")],
            ),
            ("metadata: {description: no parent and no plugin}\n", vec![]),
        ] {
            assert_eq!(of(lines), expected, "{lines}");
        }
    }
}
