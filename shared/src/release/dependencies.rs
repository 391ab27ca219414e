//! The stacks of the registry that devfiles take parents and plugins from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::repository::Repository;
use crate::tree::{Tree, stack_of};
use crate::validate::{Reference, is_web, path_from};
use crate::yaml::{self, Node};

/// A section of the registry that a stack takes a parent or plugin from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dependency {
    /// The stack of a name, if there is one.
    Named(String),
    /// The stack with a folder.
    Folder(String),
    /// The devfiles of samples.
    Samples,
}

/// Returns the dependencies of the stacks of a repository, by their folders; stacks without any are left out. Files that are named are
/// read in turn, so that a dependency through other files counts.
pub(super) fn dependencies(repository: &Repository, tree: &Tree) -> BTreeMap<String, BTreeSet<Dependency>> {
    let mut all: BTreeMap<String, BTreeSet<Dependency>> = BTreeMap::new();
    for stack in &repository.stacks {
        let mut found = BTreeSet::new();
        for version in &stack.versions {
            let devfile = format!("{}/{}", version.folder, version.devfile_name());
            collect(tree, &devfile, &stack.folder, &mut found);
        }
        if !found.is_empty() {
            all.insert(stack.folder.clone(), found);
        }
    }
    all
}

/// Adds the dependencies of a file and of the files that it names.
fn collect(tree: &Tree, path: &str, own: &str, found: &mut BTreeSet<Dependency>) {
    let (mut seen, mut files) = (BTreeSet::from([path.to_owned()]), vec![path.to_owned()]);
    while let Some(path) = files.pop() {
        let Some(content) = tree.get(&path) else { continue };
        for named in named_by(&path, content) {
            found.extend(named.dependency().filter(|on| !matches!(on, Dependency::Folder(folder) if folder == own)));
            if let LocalReference::File(path) = named
                && seen.insert(path.clone())
            {
                files.push(path);
            }
        }
    }
}

/// Something of this registry that a devfile names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LocalReference {
    /// The stack of a name.
    Stack(String),
    /// A file, by its path in the tree.
    File(String),
}

impl LocalReference {
    /// The section of the registry that it is in.
    pub(super) fn dependency(&self) -> Option<Dependency> {
        match self {
            Self::Stack(name) => Some(Dependency::Named(name.clone())),
            Self::File(path) if path.starts_with("samples/") => Some(Dependency::Samples),
            Self::File(path) => Some(Dependency::Folder(stack_of(path)?.to_owned())),
        }
    }
}

impl Dependency {
    /// The folder of the stack that it is on. `folders` has those of the release before, by name.
    pub(super) fn folder<'d>(&'d self, folders: &BTreeMap<&str, &'d str>) -> Option<&'d str> {
        match self {
            Self::Named(name) => folders.get(name.as_str()).copied(),
            Self::Folder(folder) => Some(folder),
            Self::Samples => None,
        }
    }
}

/// References of the devfile at a path to parents and plugins. Only few devfiles have any, so few are parsed.
pub(crate) fn named_by(path: &str, devfile: &[u8]) -> Vec<LocalReference> {
    let text = String::from_utf8_lossy(devfile);
    if !text.contains("parent") && !text.contains("plugin") {
        return Vec::new();
    }
    // An unreadable stack takes nothing from others, and is not in order.
    let Ok(document) = yaml::parse(path, text.as_bytes()) else { return Vec::new() };
    let plugins = document.items_of("components").iter().filter_map(|component| component.get("plugin"));
    let named = |node: &Node| match Reference::of(node)? {
        Reference::Uri(uri) if uri.is_empty() || is_web(uri) => None,
        Reference::Uri(uri) => Some(LocalReference::File(path_from(path, uri)?)),
        Reference::Id { id, .. } => Some(LocalReference::Stack(id.to_owned())),
        Reference::Kubernetes => None,
    };
    document.get("parent").into_iter().chain(plugins).filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_what_a_devfile_names() {
        let of = |path: &str, lines: &str| named_by(path, format!("schemaVersion: 2.0.0\n{lines}").as_bytes());
        let named = |name: &str| LocalReference::Stack(name.into());
        let file = |path: &str| LocalReference::File(path.into());
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
            assert_eq!(of("stacks/a/1.0.0/devfile.yaml", lines), expected, "{lines}");
        }
    }

    #[test]
    fn references_of_a_devfile_beside_the_stacks_start_at_the_root() {
        let found = named_by("base.yaml", b"parent: {uri: stacks/b/devfile.yaml}\n");
        assert_eq!(found, [LocalReference::File("stacks/b/devfile.yaml".into())]);
    }
}
