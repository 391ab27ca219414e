//! The stacks of the registry that devfiles take parents and plugins from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::repository::Repository;
use crate::tree::Tree;
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
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for reference in references(folder, &String::from_utf8_lossy(content)) {
            match reference {
                Reference::Name(name) => drop(found.insert(Dependency::Named(name))),
                Reference::File(path) => {
                    match path.split_once('/') {
                        Some(("stacks", rest)) => {
                            let stack = rest.split('/').next().unwrap_or(rest);
                            if stack != own {
                                found.insert(Dependency::Folder(stack.to_owned()));
                            }
                        }
                        Some(("samples", _)) => drop(found.insert(Dependency::Samples)),
                        _ => {}
                    }
                    if seen.insert(path.clone()) {
                        files.push(path);
                    }
                }
            }
        }
    }
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

    #[test]
    fn references_of_a_devfile_beside_the_stacks_start_at_the_root() {
        let found = references("", "parent: {uri: stacks/b/devfile.yaml}\n");
        assert_eq!(found, [Reference::File("stacks/b/devfile.yaml".into())]);
    }
}
