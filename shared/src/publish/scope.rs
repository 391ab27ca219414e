//! How much of a commit has to be read: only the stacks that changed, when nothing else can have changed with them.

use std::collections::{BTreeMap, BTreeSet};

use super::{PublishError, Publisher};
use crate::cache::Bucket;
use crate::digest::CommitSha;
use crate::registry::Registry;
use crate::release::{RULES, Release};
use crate::repository::{Part, Repository};
use crate::source::{Scope, Source, Tree, TreePath};

/// The files that changed; none when that is not known.
pub(super) type Changed = Option<BTreeSet<TreePath>>;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Reads what changed since the release before; none when the whole has to be read.
    pub(super) async fn part(
        &self,
        commit: &CommitSha,
        previous: &Release,
        changed: &BTreeSet<TreePath>,
    ) -> Result<Option<(Scope, Tree)>, PublishError> {
        let offline = previous.offline.as_ref().map(|offline| &offline.settings);
        if offline != self.outside.offline_settings() {
            return Ok(None);
        }
        let Some(scope) = scope(previous, changed) else { return Ok(None) };
        Ok(self.source.part(commit, &scope).await?.map(|tree| (scope, tree)))
    }
}

/// What has to be read again: what changed, what was not in order, and what takes something from either.
fn scope(previous: &Release, changed: &BTreeSet<TreePath>) -> Option<Scope> {
    if previous.rules != RULES {
        return None;
    }
    let mut scope = Scope::default();
    for path in changed.iter().map(TreePath::as_str) {
        match path.split_once('/') {
            Some(("stacks", rest)) => drop(scope.stacks.insert(rest.split_once('/')?.0.to_owned())),
            Some(("samples", _)) => scope.extra_entries = true,
            None if path == "extraDevfileEntries.yaml" => scope.extra_entries = true,
            // Dates may change anywhere.
            _ => return None,
        }
    }
    for held in &previous.quarantined {
        match &held.part {
            Part::Version { stack, .. } | Part::Stack { stack } => drop(scope.stacks.insert(stack.clone())),
            Part::Sample { .. } | Part::ExtraEntries => scope.extra_entries = true,
            Part::Dates => return None,
        }
    }
    scope.stacks.extend(previous.offline.iter().flat_map(|offline| &offline.lacking).cloned());
    let folders = folders_by_name(previous);
    let links: Vec<(&str, &str)> = previous
        .versions
        .iter()
        .flat_map(|version| parents(&version.devfile).map(move |name| (version.stack.as_str(), name)))
        .filter_map(|(stack, name)| Some((stack, *folders.get(name)?)))
        .collect();
    // Both ways: a parent is needed to check its children, and children change with their parent.
    loop {
        let before = scope.stacks.len();
        for (child, parent) in &links {
            if scope.stacks.contains(*child) || scope.stacks.contains(*parent) {
                scope.stacks.extend([(*child).to_owned(), (*parent).to_owned()]);
            }
        }
        if scope.stacks.len() == before {
            return Some(scope);
        }
    }
}

/// Whether what was read has to do with stacks that were not: it takes a name, or has a parent among them.
pub(super) fn reaches_out(tree: &Tree, repository: &Repository, previous: &Release, scope: &Scope) -> bool {
    let mut others = folders_by_name(previous);
    others.retain(|_, folder| !scope.stacks.contains(*folder));
    let takes_name = repository.stacks.iter().any(|stack| others.contains_key(stack.fields.name.as_str()));
    let is_yaml = |path: &str| path.ends_with(".yaml") || path.ends_with(".yml");
    let has_parent = tree.iter().filter(|(path, _)| is_yaml(path.as_str())).any(|(_, file)| {
        let text = String::from_utf8_lossy(&file.content);
        parents(&text).any(|name| others.contains_key(name))
    });
    takes_name || has_parent
}

fn folders_by_name(release: &Release) -> BTreeMap<&str, &str> {
    let names = release.versions.iter().map(|version| (version.name.as_str(), version.stack.as_str()));
    // A parent by `uri` is named by its folder.
    release.versions.iter().map(|version| (version.stack.as_str(), version.stack.as_str())).chain(names).collect()
}

/// Every name that a devfile with a parent or plugins could mean by it. More than it means does no harm, so nothing is parsed.
fn parents(devfile: &str) -> impl Iterator<Item = &str> {
    let has_any = devfile.contains("parent") || devfile.contains("plugin");
    let words = |line: &'_ str| line.contains("id") || line.contains("uri");
    let lines = devfile.lines().filter(move |line| has_any && words(line));
    lines.flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.')))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::release::Draft;
    use crate::repository::tests::{devfile, tree};

    fn release(tree: &Tree) -> Release {
        let repository = Repository::parse(tree);
        let draft = Draft::new(&repository, tree, None);
        let built = draft.finish("0".repeat(40).parse().unwrap(), "https://example.org", &BTreeMap::new());
        std::sync::Arc::unwrap_or_clone(built.release)
    }

    fn paths(paths: &[&str]) -> BTreeSet<TreePath> {
        paths.iter().map(|path| TreePath::parse(path).unwrap()).collect()
    }

    fn stacks(scope: Option<Scope>) -> Option<Vec<String>> {
        Some(scope?.stacks.into_iter().collect())
    }

    #[test]
    fn what_changed_is_read_with_its_relatives() {
        let child = format!("{}parent:\n  id: base\n  registryUrl: https://example.org\n", devfile("child", "1.0.0"));
        let files = tree(&[
            ("stacks/base/devfile.yaml", &devfile("base", "1.0.0")),
            ("stacks/child/devfile.yaml", &child),
            ("stacks/other/devfile.yaml", &devfile("other", "1.0.0")),
        ]);
        let release = release(&files);
        let of = |changed: &[&str]| stacks(scope(&release, &paths(changed)));
        assert_eq!(of(&["stacks/other/devfile.yaml"]).unwrap(), ["other"]);
        assert_eq!(of(&["stacks/base/devfile.yaml"]).unwrap(), ["base", "child"]);
        assert_eq!(of(&["stacks/child/devfile.yaml"]).unwrap(), ["base", "child"]);
        assert_eq!(of(&["last_modified.json"]), None);
        assert_eq!(of(&["stacks/README.md"]), None);
        let older = Release { rules: RULES - 1, ..release.clone() };
        assert_eq!(scope(&older, &paths(&["stacks/other/devfile.yaml"])), None);
    }

    #[test]
    fn a_name_or_parent_among_the_others_needs_the_whole() {
        let release = release(&tree(&[("stacks/base/devfile.yaml", &devfile("base", "1.0.0"))]));
        let scope = Scope { stacks: ["new".to_owned()].into(), extra_entries: false };
        let reaches = |text: &str| {
            let tree = tree(&[("stacks/new/devfile.yaml", text)]);
            reaches_out(&tree, &Repository::parse(&tree), &release, &scope)
        };
        assert!(!reaches(&devfile("new", "1.0.0")));
        assert!(reaches(&devfile("base", "1.0.0")));
        assert!(reaches(&format!("{}parent: {{id: base}}\n", devfile("new", "1.0.0"))));
    }

    /// Files of a stack with an edit, some of which are not valid.
    fn stack(name: usize, edit: u8) -> Vec<(String, String)> {
        let folder = format!("stacks/stack-{name}");
        let text = match edit {
            0 => return Vec::new(),
            1 => "schemaVersion: [".to_owned(),
            2 => devfile(&format!("stack-{}", name / 2), "1.0.0"),
            edit => format!("{}# {edit}\n", devfile(&format!("stack-{name}"), "1.0.0")),
        };
        vec![(format!("{folder}/devfile.yaml"), text), (format!("{folder}/OWNERS"), format!("{edit}"))]
    }

    proptest! {
        /// A release from a part of the tree is byte for byte the one from all of it, or it is not made.
        #[test]
        fn a_part_gives_what_the_whole_gives(
            before in prop::collection::vec(0_u8..6, 5),
            edits in prop::collection::btree_map(0_usize..5, 0_u8..6, 0..4),
        ) {
            let files = |edits: &[u8]| -> Vec<(String, String)> {
                edits.iter().enumerate().flat_map(|(name, edit)| stack(name, *edit)).collect()
            };
            let tree_of = |files: &[(String, String)]| {
                let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
                tree(&files)
            };
            let mut after = before.clone();
            after.iter_mut().enumerate().for_each(|(name, edit)| *edit = edits.get(&name).copied().unwrap_or(*edit));
            let (old, new) = (files(&before), files(&after));
            let previous = release(&tree_of(&old));
            let changed: BTreeSet<TreePath> = old
                .iter()
                .filter(|file| !new.contains(file))
                .chain(new.iter().filter(|file| !old.contains(file)))
                .map(|(path, _)| TreePath::parse(path).unwrap())
                .collect();
            let commit: CommitSha = "1".repeat(40).parse().unwrap();
            let whole = tree_of(&new);
            let repository = Repository::parse(&whole);
            let expected = Draft::new(&repository, &whole, Some(&previous))
                .finish(commit.clone(), "https://example.org", &BTreeMap::new());
            if let Some(scope) = scope(&previous, &changed) {
                let mut part = Tree::default();
                for (path, file) in whole.iter().filter(|(path, _)| scope.wants(path.as_str())) {
                    part.insert(path.clone(), file.clone()).unwrap();
                }
                let repository = Repository::parse(&part);
                if !reaches_out(&part, &repository, &previous, &scope) {
                    let built = Draft::of_part(&repository, &part, &previous, &scope)
                        .finish(commit, "https://example.org", &BTreeMap::new());
                    prop_assert_eq!(
                        serde_json::to_value(&*built.release).unwrap(),
                        serde_json::to_value(&*expected.release).unwrap()
                    );
                    prop_assert_eq!(built.bytes, expected.bytes);
                }
            }
        }
    }
}
