//! How much of a commit has to be read: only the stacks that changed, when nothing else can have changed with them.

use std::collections::{BTreeMap, BTreeSet};

use super::{PublishError, Publisher, UNDATED};
use crate::cache::Bucket;
use crate::digest::CommitSha;
use crate::index::EntryType;
use crate::registry::Registry;
use crate::release::{RULES, Release};
use crate::repository::{DEVFILE_NAMES, Part, Repository};
use crate::source::{Scope, Source, Tree, TreePath};
use crate::yaml::{self, Node};

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
    if previous.rules != RULES || previous.warnings.iter().any(|warning| warning.rule == UNDATED) {
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
    let mut links: Vec<(&str, &str)> = Vec::new();
    for version in &previous.versions {
        for parent in parents(&version.folder, &version.devfile) {
            match parent {
                Parent::Named(name) => {
                    links.extend(folders.get(name.as_str()).map(|folder| (version.stack.as_str(), *folder)));
                }
                Parent::File(path) => {
                    // Of a file that is no published devfile, the release does not say what it takes from others in turn.
                    let (folder, _) = path.rsplit_once('/').filter(|(_, name)| DEVFILE_NAMES.contains(name))?;
                    let parent = previous.versions.iter().find(|version| version.folder == folder)?;
                    links.push((&version.stack, &parent.stack));
                }
            }
        }
    }
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
    let names: BTreeSet<&str> = previous.versions.iter().map(|version| version.name.as_str()).collect();
    let lives_elsewhere = |name: &str| {
        let mut stacks = previous.stacks.iter().filter(|entry| entry.entry_type == EntryType::Stack);
        !scope.extra_entries && !names.contains(name) && stacks.any(|entry| entry.name == name)
    };
    let mut taken = repository.stacks.iter().map(|stack| stack.fields.name.as_str());
    let takes_name = taken.any(|name| others.contains_key(name) || lives_elsewhere(name))
        || repository.extra_stacks.iter().any(|entry| others.contains_key(entry.name.as_str()));
    let is_yaml = |path: &str| path.ends_with(".yaml") || path.ends_with(".yml");
    let has_parent = tree.iter().filter(|(path, _)| is_yaml(path.as_str())).any(|(path, file)| {
        let folder = path.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
        let text = String::from_utf8_lossy(&file.content);
        parents(folder, &text).into_iter().any(|parent| match parent {
            Parent::Named(name) => others.contains_key(name.as_str()),
            Parent::File(path) => !scope.wants(&path),
        })
    });
    takes_name || has_parent
}

/// Folders of stacks by the names that parents mean them by.
fn folders_by_name(release: &Release) -> BTreeMap<&str, &str> {
    release.versions.iter().map(|version| (version.name.as_str(), version.stack.as_str())).collect()
}

/// What a devfile takes something from.
#[derive(Debug, PartialEq, Eq)]
enum Parent {
    /// The stack of a name.
    Named(String),
    /// A file, by its path in the tree.
    File(String),
}

/// The parents and plugins of a devfile in a folder that may be in the tree. Only few devfiles have any, so few are parsed.
fn parents(folder: &str, devfile: &str) -> Vec<Parent> {
    if !devfile.contains("parent") && !devfile.contains("plugin") {
        return Vec::new();
    }
    // What cannot be read takes nothing from others, and is not in order.
    let Ok(document) = yaml::parse(folder, devfile.as_bytes()) else { return Vec::new() };
    let plugins = document.items_of("components").iter().filter_map(|component| component.get("plugin"));
    let parent = |reference: &Node| match (reference.text_of("uri"), reference.text_of("id")) {
        (Some(uri), _) if uri.starts_with("http://") || uri.starts_with("https://") => None,
        (Some(uri), _) => Some(Parent::File(join(folder, uri)?)),
        (None, id) => Some(Parent::Named(id?.to_owned())),
    };
    document.get("parent").into_iter().chain(plugins).filter_map(parent).collect()
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
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::release::Draft;
    use crate::repository::tests::{devfile, tree};

    fn release(tree: &Tree, previous: Option<&Release>) -> Release {
        let repository = Repository::parse(tree);
        let draft = Draft::new(&repository, tree, previous);
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
        let release = release(&files, None);
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
        let release = release(&tree(&[("stacks/base/devfile.yaml", &devfile("base", "1.0.0"))]), None);
        let scope = Scope { stacks: ["new".to_owned()].into(), extra_entries: false };
        let reaches = |text: &str| {
            let tree = tree(&[("stacks/new/devfile.yaml", text)]);
            reaches_out(&tree, &Repository::parse(&tree), &release, &scope)
        };
        assert!(!reaches(&devfile("new", "1.0.0")));
        assert!(reaches(&devfile("base", "1.0.0")));
        assert!(reaches(&format!("{}parent: {{id: base}}\n", devfile("new", "1.0.0"))));
    }

    #[test]
    fn parents_are_what_a_devfile_names() {
        let of = |lines: &str| parents("stacks/a/1.0.0", &format!("schemaVersion: 2.0.0\n{lines}"));
        let named = |name: &str| Parent::Named(name.into());
        let file = |path: &str| Parent::File(path.into());
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
    fn a_name_stays_with_the_stack_that_was_published_under_it() {
        let (old, new) =
            (("stacks/b/devfile.yaml", devfile("loom", "1.0.0")), ("stacks/a/devfile.yaml", devfile("loom", "2.0.0")));
        let first = release(&tree(&[(old.0, &old.1)]), None);
        let second = release(&tree(&[(old.0, &old.1), (new.0, &new.1)]), Some(&first));
        assert_eq!(second.stacks, first.stacks);
        let held: Vec<_> = second.quarantined.iter().map(|held| held.part.clone()).collect();
        let stack = |stack: &str| Part::Stack { stack: stack.to_owned() };
        assert_eq!(held, [stack("b"), stack("a")]);
        let third = release(&tree(&[(new.0, &new.1)]), Some(&second));
        assert_eq!((third.stacks[0].versions[0].version.as_str(), third.stacks.len()), ("2.0.0", 1));
    }

    #[test]
    fn layers_of_older_rules_are_made_again() {
        let files = tree(&[("stacks/a/devfile.yaml", &devfile("a", "1.0.0")), ("stacks/a/x", "x")]);
        let mut older = release(&files, None);
        older.versions[0].layers.clear();
        assert_ne!(release(&files, Some(&older)), release(&files, None));
        older.rules -= 1;
        assert_eq!(release(&files, Some(&older)), release(&files, None));
    }

    /// Files of a stack with an edit, some of which are not valid.
    fn stack(name: usize, edit: u8) -> Vec<(String, String)> {
        let folder = format!("stacks/stack-{name}");
        let text = match edit {
            0 => return Vec::new(),
            1 => "schemaVersion: [".to_owned(),
            2 => devfile(&format!("stack-{}", name / 2), "1.0.0"),
            3..=6 => {
                let own = devfile(&format!("stack-{name}"), "1.0.0");
                let other = (name + usize::from(edit)) % 5;
                match edit {
                    3 => format!("{own}parent: {{id: stack-{other}}}\n"),
                    4 => format!("{own}parent:\n  id:\n    stack-{other}\n"),
                    5 => format!("{own}parent: {{uri: ../stack-{other}/devfile.yaml}}\n"),
                    _ => format!("{own}parent: {{uri: ../stack-{other}/base.yaml}}\n"),
                }
            }
            edit => format!("{}# {edit}\n", devfile(&format!("stack-{name}"), "1.0.0")),
        };
        let base = format!("schemaVersion: {}\n", if edit == 8 { "9" } else { "2.2.2" });
        let files = [("devfile.yaml", text), ("base.yaml", base), ("OWNERS", format!("{edit}"))];
        files.map(|(file, text)| (format!("{folder}/{file}"), text)).into()
    }

    proptest! {
        /// A release from a part of the tree is byte for byte the one from all of it, or it is not made.
        #[test]
        fn a_part_gives_what_the_whole_gives(
            earlier in prop::collection::vec(0_u8..9, 5),
            before in prop::collection::vec(0_u8..9, 5),
            edits in prop::collection::btree_map(0_usize..5, 0_u8..9, 0..4),
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
            let first = release(&tree_of(&files(&earlier)), None);
            let previous = release(&tree_of(&old), Some(&first));
            let names: Vec<_> = previous.stacks.iter().map(|entry| &entry.name).collect();
            prop_assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{:?}", names);
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
