//! Parents and children: which version takes from which other one, derived once per release.

use std::collections::HashMap;

use devfile_registry::index::{Entry, VersionEntry};
use devfile_registry::validate::{Reference, is_web, path_from};
use devfile_registry::yaml;

use crate::view::versions::{self, Wanted};

/// The parents of the versions of a release, and the versions that name them.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    parents: HashMap<(usize, String), Parent>,
    /// Children by the position of the parent's entry, in the order of the index.
    children: HashMap<usize, Vec<Child>>,
}

/// The parent of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parent {
    /// A version of an entry of this registry.
    Here {
        /// The position of the entry.
        position: usize,
        /// The version; empty for the default one.
        version: String,
    },
    /// A devfile of another registry or host.
    External {
        /// Its name or address.
        name: String,
        /// The address of the registry or of the devfile.
        url: String,
    },
    /// A file of the registry repository, or a stack that this registry lacks.
    Unknown(String),
}

/// A version with a parent in this registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Child {
    /// The position of its entry.
    pub(crate) position: usize,
    /// Its version.
    pub(crate) version: String,
    /// The version of the parent that it names; empty for the default one.
    pub(crate) of: String,
}

/// A devfile of a release.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DevfileSource<'a> {
    /// The position of its entry.
    pub(crate) position: usize,
    /// Its version.
    pub(crate) version: &'a str,
    /// The folder of the version in the registry repository; empty for a sample.
    pub(crate) folder: &'a str,
    /// Its text.
    pub(crate) text: &'a str,
}

impl Lineage {
    /// Reads the references of all devfiles, which come in the order of the index. `entry` finds an entry and its position by a name,
    /// `is_own` says whether an address is this registry's.
    pub(crate) fn new(
        devfiles: &[DevfileSource<'_>],
        entry: impl Fn(&str) -> Option<(usize, Entry)>,
        is_own: impl Fn(&str) -> bool,
    ) -> Self {
        let mut lineage = Self::default();
        // Few devfiles have a parent, so few are parsed.
        let with_parent = devfiles.iter().filter(|devfile| devfile.text.contains("parent"));
        let mut folders: HashMap<&str, (usize, &str)> = HashMap::new();
        for devfile in with_parent {
            let Ok(document) = yaml::parse("devfile.yaml", devfile.text.as_bytes()) else { continue };
            let Some(reference) = document.get("parent").and_then(Reference::of) else { continue };
            if folders.is_empty() {
                folders.extend(devfiles.iter().map(|other| (other.folder, (other.position, other.version))));
            }
            let Some(parent) = parent(reference, devfile, &entry, &folders, &is_own) else { continue };
            if let Parent::Here { position, version } = &parent {
                let child =
                    Child { position: devfile.position, version: devfile.version.to_owned(), of: version.clone() };
                lineage.children.entry(*position).or_default().push(child);
            }
            lineage.parents.insert((devfile.position, devfile.version.to_owned()), parent);
        }
        lineage
    }

    /// The parent of a version.
    pub(crate) fn parent(&self, position: usize, version: &str) -> Option<&Parent> {
        self.parents.get(&(position, version.to_owned()))
    }

    /// The versions with a parent among those of an entry.
    pub(crate) fn children(&self, position: usize) -> &[Child] {
        self.children.get(&position).map_or(&[], Vec::as_slice)
    }
}

fn parent(
    reference: Reference<'_>,
    child: &DevfileSource<'_>,
    entry: &impl Fn(&str) -> Option<(usize, Entry)>,
    folders: &HashMap<&str, (usize, &str)>,
    is_own: &impl Fn(&str) -> bool,
) -> Option<Parent> {
    match reference {
        Reference::Uri("") => None,
        Reference::Uri(uri) if is_web(uri) => Some(Parent::External { name: uri.to_owned(), url: uri.to_owned() }),
        Reference::Uri(uri) => {
            let devfile = format!("{}/devfile.yaml", child.folder);
            let path = path_from(&devfile, uri)?;
            let folder = path.rsplit_once('/').filter(|(_, name)| matches!(*name, "devfile.yaml" | ".devfile.yaml"));
            Some(match folder.and_then(|(folder, _)| folders.get(folder)) {
                Some((position, version)) => Parent::Here { position: *position, version: (*version).to_owned() },
                None => Parent::Unknown(path),
            })
        }
        Reference::Id { id, version, registry: Some(url) } if !is_own(url) => {
            Some(Parent::External { name: named(id, version), url: url.to_owned() })
        }
        Reference::Id { id, version, .. } => {
            let here = entry(id).and_then(|(position, entry)| {
                let version = match version {
                    None | Some("") => String::new(),
                    Some(version) => version_of(&entry, version)?.to_owned(),
                };
                Some(Parent::Here { position, version })
            });
            Some(here.unwrap_or_else(|| Parent::Unknown(named(id, version))))
        }
        Reference::Kubernetes => Some(Parent::Unknown("a resource in a cluster".to_owned())),
    }
}

/// The version of an entry that a reference names, which may be `latest`.
fn version_of<'a>(entry: &'a Entry, version: &str) -> Option<&'a str> {
    let mut versions: Vec<&VersionEntry> = entry.versions.iter().collect();
    versions::sort(&mut versions);
    Some(&Wanted::named(version).choose(&versions, |_| true)?.version)
}

fn named(id: &str, version: Option<&str>) -> String {
    version.map_or_else(|| id.to_owned(), |version| format!("{id} {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::browse::fixture;

    fn lineage(texts: &[(usize, &'static str, &'static str, &'static str)]) -> Lineage {
        let source = |(position, version, folder, text): &(usize, &'static str, &'static str, &'static str)| {
            DevfileSource { position: *position, version, folder, text }
        };
        let devfiles: Vec<_> = texts.iter().map(source).collect();
        let entry = |name: &str| fixture::entries().into_iter().enumerate().find(|(_, entry)| entry.name == name);
        Lineage::new(&devfiles, entry, |url| url == "https://own.example")
    }

    #[test]
    fn parent_is_found_by_id_by_path_and_by_the_address_of_this_registry() {
        let kiln = (0, "1.1.0", "stacks/kiln/1.1.0", "schemaVersion: 2.2.0\n");
        let here = |version: &str| Some(Parent::Here { position: 0, version: version.to_owned() });
        for (text, expected) in [
            ("parent: {id: kiln, version: 1.1.0}", here("1.1.0")),
            ("parent: {id: kiln}", here("")),
            ("parent: {id: kiln, registryUrl: 'https://own.example'}", here("")),
            ("parent: {uri: ../kiln/1.1.0/devfile.yaml}", here("1.1.0")),
            ("parent: {uri: ../base.yaml}", Some(Parent::Unknown("stacks/base.yaml".to_owned()))),
            ("parent: {id: kiln, version: 9.0.0}", Some(Parent::Unknown("kiln 9.0.0".to_owned()))),
            ("parent: {id: kiln, version: latest}", here("1.1.0")),
            ("parent: {id: gone, version: 1.0.0}", Some(Parent::Unknown("gone 1.0.0".to_owned()))),
            (
                "parent: {id: kiln, registryUrl: 'https://other.example'}",
                Some(Parent::External { name: "kiln".to_owned(), url: "https://other.example".to_owned() }),
            ),
            ("parent: {uri: ''}", None),
            ("parent: [", None),
            ("# parent\nname: x", None),
        ] {
            let lineage = lineage(&[kiln, (1, "0.3.0", "stacks/loom", text)]);
            assert_eq!(lineage.parent(1, "0.3.0"), expected.as_ref(), "{text}");
            let children = if matches!(expected, Some(Parent::Here { .. })) { 1 } else { 0 };
            assert_eq!(lineage.children(0).len(), children, "{text}");
        }
    }
}
