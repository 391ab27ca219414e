//! Plans against whole builds: both give the same release.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::release::{Built, Draft, Entries, Upstream};
use crate::repository::tests::{devfile, tree};

fn draft(tree: &Tree, previous: Option<(&Release, &Entries)>, plan: &Plan) -> Built {
    let repository = Repository::parse(tree);
    let upstream = Upstream::default();
    let draft = Draft::new((&repository, &upstream), tree, previous.map(|(release, _)| release), plan);
    let commit = "0".repeat(40).parse().unwrap();
    draft.finish(commit, "https://example.org", &BTreeMap::new(), previous.map(|(_, entries)| entries))
}

fn built(tree: &Tree, previous: Option<&Release>) -> Built {
    let entries = previous.map(|previous| Entries::of(&previous.content.stacks));
    draft(tree, previous.zip(entries.as_ref()), &Plan::everything(Listing::of(tree)))
}

fn release(tree: &Tree, previous: Option<&Release>) -> Release {
    std::sync::Arc::unwrap_or_clone(built(tree, previous).release)
}

/// The stacks that are read of a tree upon a release; all of them are `None`.
fn read(previous: &Outline, tree: &Tree, due: &[&str]) -> Option<Vec<String>> {
    let due = due.iter().map(|subject| (*subject).to_owned()).collect();
    match Plan::upon(previous, Listing::of(tree), &due).scope {
        Scope::All => None,
        Scope::Some { stacks, .. } => Some(stacks.into_iter().collect()),
    }
}

#[test]
fn stack_is_read_when_it_or_what_it_depends_on_changed() {
    let child = format!("{}parent:\n  id: base\n  registryUrl: https://example.org\n", devfile("child", "1.0.0"));
    let by_file = format!("{}parent: {{uri: ../../stacks/parts/one.yaml}}\n", devfile("grandchild", "1.0.0"));
    let mut files = vec![
        ("stacks/base/devfile.yaml", devfile("base", "1.0.0")),
        ("stacks/child/devfile.yaml", child),
        ("stacks/grandchild/devfile.yaml", by_file),
        ("stacks/other/devfile.yaml", devfile("other", "1.0.0")),
        ("stacks/parts/devfile.yaml", devfile("parts", "1.0.0")),
        ("stacks/parts/one.yaml", "schemaVersion: 2.2.2\nparent: {uri: two.yaml}\n".to_owned()),
        ("stacks/parts/two.yaml", "schemaVersion: 2.2.2\nparent: {id: base}\n".to_owned()),
    ];
    let tree_of =
        |files: &[(&str, String)]| tree(&files.iter().map(|(path, text)| (*path, text.as_str())).collect::<Vec<_>>());
    let release = release(&tree_of(&files), None);
    assert_eq!(release.outline.quarantined, []);
    let outline = &release.outline;
    assert_eq!(read(outline, &tree_of(&files), &[]), Some(vec![]));
    assert_eq!(read(outline, &tree_of(&files), &["stacks/other"]).unwrap(), ["other"]);
    for (changed, expected) in [
        ("stacks/other/devfile.yaml", &["other"][..]),
        ("stacks/base/devfile.yaml", &["base", "child", "grandchild", "parts"]),
        ("stacks/parts/two.yaml", &["base", "child", "grandchild", "parts"]),
    ] {
        let mut edited = files.clone();
        edited.iter_mut().filter(|(path, _)| *path == changed).for_each(|(_, text)| text.push_str("# changed\n"));
        assert_eq!(read(outline, &tree_of(&edited), &[]).unwrap(), expected, "{changed}");
    }
    let older = Outline { rules: RULES - 1, ..outline.clone() };
    assert_eq!(read(&older, &tree_of(&files), &[]), None);
    assert_eq!(read(outline, &tree_of(&files[1..]), &[]).unwrap()[0], "base", "a removed stack");
    files.push(("last_modified.json", "{}".to_owned()));
    assert_eq!(read(outline, &tree_of(&files), &[]), None, "dates may change anywhere");
}

#[test]
fn stack_that_takes_a_name_or_parent_of_another_is_read_with_it() {
    let base = ("stacks/base/devfile.yaml", devfile("base", "1.0.0"));
    let release = release(&tree(&[(base.0, &base.1)]), None);
    let wider = |text: &str| {
        let whole = tree(&[(base.0, &base.1), ("stacks/new/devfile.yaml", text)]);
        let plan = Plan::upon(&release.outline, Listing::of(&whole), &BTreeSet::new());
        let part = tree(&[("stacks/new/devfile.yaml", text)]);
        let wider = plan.widened(&part, &Repository::parse(&part), &release)?;
        Some(wider.scope.has_stack("base"))
    };
    assert_eq!(wider(&devfile("new", "1.0.0")), None);
    assert_eq!(wider(&devfile("base", "1.0.0")), Some(true));
    assert_eq!(wider(&format!("{}parent: {{id: base}}\n", devfile("new", "1.0.0"))), Some(true));
    assert_eq!(wider(&format!("{}parent: {{uri: ../base/devfile.yaml}}\n", devfile("new", "1.0.0"))), Some(true));
}

#[test]
fn a_name_stays_with_the_stack_that_was_published_under_it() {
    let (old, new) =
        (("stacks/b/devfile.yaml", devfile("loom", "1.0.0")), ("stacks/a/devfile.yaml", devfile("loom", "2.0.0")));
    let first = release(&tree(&[(old.0, &old.1)]), None);
    let second = release(&tree(&[(old.0, &old.1), (new.0, &new.1)]), Some(&first));
    assert_eq!(second.content.stacks, first.content.stacks);
    let parts: Vec<_> = second.outline.quarantined.iter().map(|quarantined| quarantined.part.clone()).collect();
    let stack = |stack: &str| Part::Stack { stack: stack.to_owned() };
    assert_eq!(parts, [stack("b"), stack("a")]);
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
    let tree_of =
        |files: &[(&str, String)]| tree(&files.iter().map(|(path, text)| (*path, text.as_str())).collect::<Vec<_>>());
    let first = release(&tree_of(&good), None);
    assert_eq!(first.outline.quarantined, []);
    let second = built(&tree_of(&bad), Some(&first));
    assert_eq!(second.release.content.stacks, first.content.stacks);
    assert_eq!(second.entries, Entries::of(&first.content.stacks));
    let parts: Vec<_> = second.release.outline.quarantined.iter().map(|quarantined| quarantined.part.clone()).collect();
    let version = Part::Version { stack: "a".to_owned(), version: "2.0.0".to_owned() };
    assert_eq!(parts, [version, Part::Stack { stack: "b".to_owned() }]);
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

/// The entries in other repositories: none, broken ones, or a stack that may have the name of one here.
fn extra(edit: u8) -> Option<(String, String)> {
    let text = match edit {
        0 => return None,
        1 => "stacks: [".to_owned(),
        edit => {
            format!("stacks:\n- {{name: stack-{edit}, git: {{remotes: {{origin: \"https://example.org/x.git\"}}}}}}\n")
        }
    };
    Some(("extraDevfileEntries.yaml".to_owned(), text))
}

proptest! {
    /// A release that takes stacks over is byte for byte the one that is made of everything.
    #[test]
    fn release_upon_another_is_that_of_everything(
        earlier in prop::collection::vec(0_u8..13, 5),
        before in prop::collection::vec(0_u8..13, 5),
        edits in prop::collection::btree_map(0_usize..5, 0_u8..13, 0..4),
        extras in prop::array::uniform3(0_u8..5),
    ) {
        let files = |edits: &[u8], external: u8| -> Vec<(String, String)> {
            let stacks = edits.iter().enumerate().flat_map(|(name, edit)| stack(name, *edit));
            stacks.chain(extra(external)).collect()
        };
        let tree_of = |files: &[(String, String)]| {
            let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            tree(&files)
        };
        let mut after = before.clone();
        after.iter_mut().enumerate().for_each(|(name, edit)| *edit = edits.get(&name).copied().unwrap_or(*edit));
        let first = release(&tree_of(&files(&earlier, extras[0])), None);
        let before = built(&tree_of(&files(&before, extras[1])), Some(&first));
        let previous = &before.release;
        let names: Vec<_> = previous.content.stacks.iter().map(|entry| &entry.name).collect();
        prop_assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{:?}", names);

        let whole = tree_of(&files(&after, extras[2]));
        let expected = draft(&whole, Some((previous, &before.entries)), &Plan::everything(Listing::of(&whole)));
        let mut plan = Plan::upon(&previous.outline, Listing::of(&whole), &BTreeSet::new());
        let (part, read) = loop {
            let mut part = Tree::default();
            for (path, file) in whole.iter().filter(|(path, _)| plan.scope().wants(path.as_str())) {
                part.insert(path.clone(), file.clone()).unwrap();
            }
            let documents = plan.documents(&previous.outline).into_iter();
            let documents = documents.map(|name| (name, before.contents[&name].clone()));
            let read = previous.outline.clone().with(documents).unwrap();
            match plan.widened(&part, &Repository::parse(&part), &read) {
                Some(wider) => plan = wider,
                None => break (part, read),
            }
        };
        let made = draft(&part, Some((&read, &before.entries)), &plan);
        prop_assert_eq!(&made.release.outline, &expected.release.outline);
        prop_assert_eq!(&made.entries, &expected.entries);
        prop_assert_eq!(&made.bytes, &expected.bytes);
        for document in made.release.read_from().keys() {
            prop_assert_eq!(&made.contents[document], &expected.contents[document]);
        }
    }
}
