//! How much of a commit has to be read: only the stacks that changed, when nothing else can have changed with them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Publisher, UNDATED};
use crate::cache::Bucket;
use crate::index::EntryType;
use crate::outside::offline::UNKNOWN_STACKS;
use crate::registry::Registry;
use crate::release::{Outline, RULES, Reference, Relative, Release, references};
use crate::repository::{Part, Repository};
use crate::source::{Scope, Source, Tree, TreePath};

/// The files that changed; none when that is not known.
pub(super) type Changed = Option<BTreeSet<TreePath>>;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// What has to be read after some files changed since the release before; none when that is the whole.
    pub(super) fn scope(&self, previous: &Outline, changed: &BTreeSet<TreePath>) -> Option<Scope> {
        let offline = previous.offline.as_ref().map(|offline| &offline.settings);
        if offline == self.outside.offline_settings() { scope(previous, changed) } else { None }
    }
}

/// What has to be read again: what changed, what was not in order, and what takes something from either.
fn scope(previous: &Outline, changed: &BTreeSet<TreePath>) -> Option<Scope> {
    // Any change may be the one that makes these wrong.
    let of_all = [UNDATED, UNKNOWN_STACKS];
    if previous.rules != RULES || previous.warnings.iter().any(|warning| of_all.contains(&warning.rule.as_str())) {
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
            Part::Version { stack, .. } | Part::Stack { stack } => {
                scope.stacks.insert(stack.clone());
                // An entry that has the name under which it stays is not in the index.
                scope.extra_entries = true;
            }
            Part::Sample { .. } | Part::ExtraEntries => scope.extra_entries = true,
            Part::Dates => return None,
        }
    }
    scope.stacks.extend(previous.offline.iter().flat_map(|offline| &offline.lacking).cloned());
    let folders = folders_by_name(previous);
    let mut links: Vec<(&str, &str)> = Vec::new();
    for (stack, relatives) in &previous.relatives {
        for relative in relatives {
            match relative {
                Relative::Named(name) => {
                    links.extend(folders.get(name.as_str()).map(|folder| (stack.as_str(), *folder)))
                }
                Relative::Folder(folder) => links.push((stack, folder)),
                Relative::Unknown => return None,
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
    let folders = folders_by_name(&previous.outline);
    let mut others = folders.clone();
    others.retain(|_, folder| !scope.stacks.contains(*folder));
    let lives_elsewhere = |name: &str| {
        let mut stacks = previous.content.stacks.iter().filter(|entry| entry.entry_type == EntryType::Stack);
        !scope.extra_entries && !folders.contains_key(name) && stacks.any(|entry| entry.name == name)
    };
    let taken = Repository::names(tree);
    let takes_name = taken.iter().any(|name| others.contains_key(name.as_str()) || lives_elsewhere(name))
        || repository.extra_stacks.iter().any(|entry| others.contains_key(entry.name.as_str()));
    let is_yaml = |path: &str| path.ends_with(".yaml") || path.ends_with(".yml");
    let has_parent = tree.iter().filter(|(path, _)| is_yaml(path.as_str())).any(|(path, file)| {
        let folder = path.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
        let text = String::from_utf8_lossy(&file.content);
        references(folder, &text).into_iter().any(|reference| match reference {
            Reference::Name(name) => others.contains_key(name.as_str()),
            Reference::File(path) => !scope.wants(&path),
        })
    });
    takes_name || has_parent
}

/// Folders of stacks by the names that parents mean them by.
fn folders_by_name(outline: &Outline) -> BTreeMap<&str, &str> {
    outline.stacks.iter().map(|(folder, name)| (name.as_str(), folder.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::digest::CommitSha;
    use crate::index::Entry;
    use crate::limits::SHARD_STACKS;
    use crate::release::{Base, Built, Draft, Entries};
    use crate::repository::tests::{devfile, tree};

    fn built(tree: &Tree, previous: Option<&Release>) -> Built {
        let repository = Repository::parse(tree);
        let draft = Draft::new(&repository, tree, previous);
        draft.finish("0".repeat(40).parse().unwrap(), "https://example.org", &BTreeMap::new())
    }

    fn release(tree: &Tree, previous: Option<&Release>) -> Release {
        std::sync::Arc::unwrap_or_clone(built(tree, previous).release)
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
        let of = |changed: &[&str]| stacks(scope(&release.outline, &paths(changed)));
        assert_eq!(of(&["stacks/other/devfile.yaml"]).unwrap(), ["other"]);
        assert_eq!(of(&["stacks/base/devfile.yaml"]).unwrap(), ["base", "child"]);
        assert_eq!(of(&["stacks/child/devfile.yaml"]).unwrap(), ["base", "child"]);
        assert_eq!(of(&["last_modified.json"]), None);
        assert_eq!(of(&["stacks/README.md"]), None);
        let older = Outline { rules: RULES - 1, ..release.outline.clone() };
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
    fn a_name_stays_with_the_stack_that_was_published_under_it() {
        let (old, new) =
            (("stacks/b/devfile.yaml", devfile("loom", "1.0.0")), ("stacks/a/devfile.yaml", devfile("loom", "2.0.0")));
        let first = release(&tree(&[(old.0, &old.1)]), None);
        let second = release(&tree(&[(old.0, &old.1), (new.0, &new.1)]), Some(&first));
        assert_eq!(second.content.stacks, first.content.stacks);
        let held: Vec<_> = second.outline.quarantined.iter().map(|held| held.part.clone()).collect();
        let stack = |stack: &str| Part::Stack { stack: stack.to_owned() };
        assert_eq!(held, [stack("b"), stack("a")]);
        let third = release(&tree(&[(new.0, &new.1)]), Some(&second));
        let entries = third.content.stacks;
        assert_eq!((entries[0].versions[0].version.as_str(), entries.len()), ("2.0.0", 1));
    }

    /// A stack that cannot be published as it stands keeps its name, even when its file gives it another.
    #[test]
    fn no_name_is_given_twice() {
        let versions = |name: &str, version: &str| {
            format!(
                "name: {name}\ndisplayName: x\nicon: https://example.org/i.svg\nversions:\n- version: {version}\n  default: true\n"
            )
        };
        let good = [
            ("stacks/a/stack.yaml", versions("loom", "1.0.0")),
            ("stacks/a/1.0.0/devfile.yaml", devfile("loom", "1.0.0")),
            ("stacks/c/devfile.yaml", devfile("kiln", "1.0.0")),
        ];
        let bad = [
            ("stacks/a/stack.yaml", versions("other", "2.0.0")),
            ("stacks/a/2.0.0/devfile.yaml", "schemaVersion: [".to_owned()),
            ("stacks/b/devfile.yaml", devfile("loom", "3.0.0")),
            ("stacks/c/devfile.yaml", devfile("kiln", "1.0.0")),
        ];
        let tree_of = |files: &[(&str, String)]| {
            tree(&files.iter().map(|(path, text)| (*path, text.as_str())).collect::<Vec<_>>())
        };
        let first = release(&tree_of(&good), None);
        assert_eq!(first.outline.quarantined, []);
        let second = built(&tree_of(&bad), Some(&first));
        assert_eq!(second.release.content.stacks, first.content.stacks);
        assert_eq!(second.entries, Entries::of(&first.content.stacks));
        let held: Vec<_> = second.release.outline.quarantined.iter().map(|held| held.part.clone()).collect();
        let version = Part::Version { stack: "a".to_owned(), version: "2.0.0".to_owned() };
        assert_eq!(held, [version, Part::Stack { stack: "b".to_owned() }]);
    }

    #[test]
    fn resources_of_an_entry_are_in_the_order_of_their_names() {
        let files = tree(&[
            ("stacks/a/devfile.yaml", &devfile("a", "1.0.0")),
            ("stacks/a/deploy.yaml", "x"),
            ("stacks/a/logo.png", "b"),
            ("stacks/a/logo.svg", "c"),
        ]);
        let release = release(&files, None);
        let names = ["archive.tar", "devfile.yaml", "logo.png", "logo.svg"];
        assert_eq!(release.content.stacks[0].versions[0].resources, names);
        let layers = &release.content.versions[0].layers;
        assert!(layers.is_sorted_by_key(|layer| layer.digest), "{layers:?}");
    }

    #[test]
    fn layers_of_older_rules_are_made_again() {
        let files = tree(&[("stacks/a/devfile.yaml", &devfile("a", "1.0.0")), ("stacks/a/x", "x")]);
        let mut older = release(&files, None);
        older.content.versions[0].layers.clear();
        assert_ne!(release(&files, Some(&older)), release(&files, None));
        older.outline.rules -= 1;
        assert_eq!(release(&files, Some(&older)), release(&files, None));
    }

    /// Files of a stack with an edit, some of which are not valid.
    fn stack(name: usize, edit: u8) -> Vec<(String, String)> {
        let folder = format!("stacks/stack-{name}");
        let file = |path: &str, text: String| (format!("{folder}/{path}"), text);
        let text = match edit {
            0 => return Vec::new(),
            9.. => {
                // With stack.yaml: a name of its own or another's, and a default version that is in order or not.
                let named = if edit.is_multiple_of(2) { name } else { name / 2 };
                let default = if edit < 11 { "schemaVersion: [".to_owned() } else { devfile("any", "2.0.0") };
                let list = "versions:\n- version: 1.0.0\n- version: 2.0.0\n  default: true\n";
                return vec![
                    file(
                        "stack.yaml",
                        format!("name: stack-{named}\ndisplayName: x\nicon: https://example.org/i.svg\n{list}"),
                    ),
                    file("1.0.0/devfile.yaml", devfile("any", "1.0.0")),
                    file("2.0.0/devfile.yaml", default),
                ];
            }
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
        files.map(|(path, text)| file(path, text)).into()
    }

    /// The entries that live elsewhere: none, broken ones, or a stack that may have the name of one here.
    fn extra(edit: u8) -> Option<(String, String)> {
        let text = match edit {
            0 => return None,
            1 => "stacks: [".to_owned(),
            edit => format!(
                "stacks:\n- {{name: stack-{edit}, git: {{remotes: {{origin: \"https://example.org/x.git\"}}}}}}\n"
            ),
        };
        Some(("extraDevfileEntries.yaml".to_owned(), text))
    }

    proptest! {
        /// A release from a part of the tree is byte for byte the one from all of it, or it is not made.
        #[test]
        fn a_part_gives_what_the_whole_gives(
            earlier in prop::collection::vec(0_u8..13, 5),
            before in prop::collection::vec(0_u8..13, 5),
            edits in prop::collection::btree_map(0_usize..5, 0_u8..13, 0..4),
            extras in prop::array::uniform3(0_u8..5),
        ) {
            let files = |edits: &[u8], elsewhere: u8| -> Vec<(String, String)> {
                let stacks = edits.iter().enumerate().flat_map(|(name, edit)| stack(name, *edit));
                stacks.chain(extra(elsewhere)).collect()
            };
            let tree_of = |files: &[(String, String)]| {
                let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
                tree(&files)
            };
            let mut after = before.clone();
            after.iter_mut().enumerate().for_each(|(name, edit)| *edit = edits.get(&name).copied().unwrap_or(*edit));
            let (old, new) = (files(&before, extras[1]), files(&after, extras[2]));
            let first = release(&tree_of(&files(&earlier, extras[0])), None);
            let before = built(&tree_of(&old), Some(&first));
            let previous = &before.release;
            let names: Vec<_> = previous.content.stacks.iter().map(|entry| &entry.name).collect();
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
            let expected = Draft::new(&repository, &whole, Some(previous))
                .finish(commit.clone(), "https://example.org", &BTreeMap::new());
            if let Some(scope) = scope(&previous.outline, &changed) {
                let mut part = Tree::default();
                for (path, file) in whole.iter().filter(|(path, _)| scope.wants(path.as_str())) {
                    part.insert(path.clone(), file.clone()).unwrap();
                }
                let repository = Repository::parse(&part);
                let documents = previous.outline.documents_of(&scope.stacks);
                let documents = documents.into_iter().map(|name| (name, before.contents[&name].clone()));
                let read = previous.outline.clone().with(documents).unwrap();
                if !reaches_out(&part, &repository, &read, &scope) {
                    let base = Base { release: &read, entries: &before.entries, scope: &scope };
                    let built = Draft::of_part(&repository, &part, base)
                        .finish_part(commit, "https://example.org", &BTreeMap::new());
                    let published = |release: &Release| release.outline.stacks.len().div_ceil(SHARD_STACKS);
                    let Some(built) = built else {
                        let other_shards = published(&expected.release) != published(previous);
                        // Stacks that were not read may name the icon, too.
                        let were_read: BTreeSet<&String> =
                            scope.stacks.iter().chain(read.content.versions.iter().map(|v| &v.stack)).collect();
                        let has_icon = |entry: &Entry| !entry.icon.is_empty();
                        let keeps_icon = expected.release.outline.stacks.iter().any(|(folder, name)| {
                            let mut entries = expected.release.content.stacks.iter();
                            were_read.contains(folder) && entries.any(|entry| entry.name == *name && has_icon(entry))
                        });
                        let lost_icon = read.content.stacks.iter().any(has_icon) && !keeps_icon;
                        prop_assert!(other_shards || lost_icon, "the part suffices");
                        return Ok(());
                    };
                    prop_assert_eq!(&built.release.outline, &expected.release.outline);
                    prop_assert_eq!(&built.entries, &expected.entries);
                    prop_assert_eq!(built.bytes, expected.bytes);
                    for document in built.release.read_from().keys() {
                        prop_assert_eq!(&built.contents[document], &expected.contents[document]);
                    }
                }
            }
        }
    }
}
