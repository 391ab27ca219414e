use super::*;
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::index::{Entry, EntryType, VersionEntry};
use crate::report::Colour;
use crate::repository::{Part, Quarantined};

fn version(number: &str, default: bool) -> VersionEntry {
    VersionEntry { version: number.to_owned(), default, tags: vec!["Go".to_owned()], ..VersionEntry::default() }
}

fn stack(name: &str, versions: &[VersionEntry]) -> Entry {
    let tags = vec!["Go".to_owned(), "Web".to_owned()];
    let description = format!("About {name}");
    Entry { name: name.to_owned(), tags, description, versions: versions.to_vec(), ..Entry::default() }
}

fn artifact(files: &[(&str, &str)]) -> Artifact {
    let files: FileDigests =
        files.iter().map(|(path, text)| ((*path).to_owned(), Digest::of(text.as_bytes()))).collect();
    Artifact { manifest: Digest::of(format!("{files:?}").as_bytes()), files: Some(files) }
}

fn key(name: &str, version: &str) -> (String, String) {
    (name.to_owned(), version.to_owned())
}

fn side(entries: &[Entry]) -> Side {
    Side { entries: entries.to_vec(), ..Side::default() }
}

#[test]
fn equal_sides_differ_in_nothing() {
    let one = side(&[stack("kiln", &[version("1.0.0", true)])]);
    let mut other = one.clone();
    other.entries[0].last_modified = "2025-03-01T10:00:00Z".parse().unwrap();
    let diff = Diff::between(&one, &other);
    assert!(diff.is_empty(), "{diff:?}");
    assert_eq!(human(&diff, Colour::Never), "no changes for clients\n");
}

#[test]
fn entries_versions_defaults_and_fields_are_compared_one_by_one() {
    let mut old = side(&[
        stack("gone", &[version("1.0.0", true)]),
        stack("kiln", &[version("1.0.0", true), version("0.9.0", false)]),
    ]);
    let mut kiln = stack("kiln", &[version("1.10.0", false), version("1.1.0", true), version("1.0.0", false)]);
    kiln.tags = vec!["Web".to_owned(), "Deprecated".to_owned()];
    kiln.description = "Bakes".to_owned();
    kiln.provider = "Weavers".to_owned();
    let mut new = side(&[kiln, stack("loom", &[version("2.0.0", true)])]);
    old.artifacts.insert(key("kiln", "1.0.0"), artifact(&[("devfile.yaml", "a"), ("logo.svg", "b"), ("x", "c")]));
    new.artifacts.insert(key("kiln", "1.0.0"), artifact(&[("devfile.yaml", "A"), ("logo.svg", "b"), ("y", "c")]));
    let sample = Entry { entry_type: EntryType::Sample, ..stack("loom", &[]) };
    for (side, devfile) in [(&mut old, "a"), (&mut new, "b")] {
        side.entries.push(sample.clone());
        side.samples.insert(key("loom", ""), Digest::of(devfile.as_bytes()));
    }
    let diff = Diff::between(&old, &new);
    let expected = "\
- removed stack gone
  - version 1.0.0, the default
~ stack kiln
  ~ default version: 1.0.0 to 1.1.0
  ~ deprecated
  ~ field description: \"About kiln\" to \"Bakes\"
  ~ field tags: added \"Deprecated\", removed \"Go\"
  + field provider: \"Weavers\"
  + new version 1.10.0
  + new version 1.1.0
  ~ version 1.0.0
    ~ file devfile.yaml
    - file x
    + file y
  - removed version 0.9.0
+ new stack loom
  + version 2.0.0, the default
~ sample loom
  ~ file devfile.yaml

entries: 1 added, 2 changed, 1 removed
";
    assert_eq!(human(&diff, Colour::Never), expected);
    let document = serde_json::to_value(&diff).unwrap();
    assert_eq!(document["entries"][1]["default"], serde_json::json!({"old": "1.0.0", "new": "1.1.0"}));
    assert_eq!(
        document["entries"][1]["versions"][2]["files"][1],
        serde_json::json!({"path": "x", "change": "removed"})
    );
}

#[test]
fn files_that_are_not_known_are_to_be_read_only_where_artifacts_differ() {
    let (mut old, mut new) = (side(&[]), side(&[]));
    for (name, other) in [("same", "a"), ("other", "b")] {
        old.artifacts.insert(key(name, "1.0.0"), artifact(&[("devfile.yaml", "a")]));
        new.artifacts.insert(key(name, "1.0.0"), Artifact { files: None, ..artifact(&[("devfile.yaml", other)]) });
    }
    assert_eq!(new.unread(&old).collect::<Vec<_>>(), [&key("other", "1.0.0")]);
    assert_eq!(old.unread(&new).count(), 0);
}

#[test]
fn quarantined_parts_of_the_new_side_are_named_unless_the_old_one_has_them() {
    let quarantined = |stack: &str| Quarantined {
        part: Part::Version { stack: stack.to_owned(), version: "1.0.0".to_owned() },
        problems: vec![Diagnostic::error(format!("stacks/{stack}/devfile.yaml"), "x/y", "no such component", "")],
    };
    let old = Side { quarantined: vec![quarantined("before")], ..Side::default() };
    let new = Side { quarantined: vec![quarantined("before"), quarantined("kiln")], ..Side::default() };
    let text = human(&Diff::between(&old, &new), Colour::Never);
    assert!(text.contains("version 1.0.0 of stack kiln\n  stacks/kiln/devfile.yaml: no such component"), "{text}");
    assert!(!text.contains("before"), "{text}");
}

#[test]
fn quarantined_version_is_not_reported_as_removed() {
    let linked = |number: &str, default| {
        let link = format!("devfile-catalog/kiln:{number}");
        VersionEntry { links: [("self".to_owned(), link)].into(), ..version(number, default) }
    };
    let old = side(&[stack("kiln", &[linked("1.1.0", false), linked("1.0.0", true)])]);
    let mut new = side(&[stack("kiln", &[linked("1.0.0", true)])]);
    assert_eq!(Diff::between(&old, &new).entries[0].versions[0].change, Change::Removed);
    let part = Part::Version { stack: "kiln".to_owned(), version: "1.1.0".to_owned() };
    new.quarantined.push(Quarantined { part, problems: Vec::new() });
    assert!(Diff::between(&old, &new).is_empty());
    let part = Part::Stack { stack: "kiln".to_owned() };
    let nothing = Side { quarantined: vec![Quarantined { part, problems: Vec::new() }], ..Side::default() };
    assert!(Diff::between(&old, &nothing).is_empty());
}

#[test]
fn stack_and_sample_of_one_name_show_their_own_changes_alone() {
    let sample = Entry { entry_type: EntryType::Sample, ..stack("loom", &[version("1.0.0", true)]) };
    let both = side(&[stack("loom", &[version("1.0.0", true)]), sample]);
    let kinds = |old: &Side, new: &Side| {
        let entries = Diff::between(old, new).entries;
        entries.into_iter().map(|entry| (entry.entry_type, entry.versions.len())).collect::<Vec<_>>()
    };
    let of_sample = |devfile: &str| {
        let digest = Digest::of(devfile.as_bytes());
        Side { samples: [(key("loom", ""), digest), (key("loom", "1.0.0"), digest)].into(), ..both.clone() }
    };
    assert_eq!(kinds(&of_sample("a"), &of_sample("b")), [(EntryType::Sample, 1)]);
    let of_stack = |devfile: &str| {
        let artifacts = [(key("loom", "1.0.0"), artifact(&[("devfile.yaml", devfile)]))].into();
        Side { artifacts, ..both.clone() }
    };
    assert_eq!(kinds(&of_stack("a"), &of_stack("b")), [(EntryType::Stack, 1)]);
}

#[test]
fn quarantined_default_version_stays_the_default_with_its_tags() {
    let linked = |number: &str, default| {
        let link = format!("devfile-catalog/kiln:{number}");
        VersionEntry { links: [("self".to_owned(), link)].into(), ..version(number, default) }
    };
    let mut default = linked("1.1.0", true);
    default.tags.push("Deprecated".to_owned());
    let mut before = stack("kiln", &[default, linked("1.0.0", false)]);
    before.tags.push("Deprecated".to_owned());
    let old = side(&[before]);
    let mut new = side(&[stack("kiln", &[linked("1.0.0", false)])]);
    assert!(Diff::between(&old, &new).entries[0].default.is_some(), "it is gone");
    let part = Part::Version { stack: "kiln".to_owned(), version: "1.1.0".to_owned() };
    new.quarantined.push(Quarantined { part, problems: Vec::new() });
    let diff = Diff::between(&old, &new);
    assert!(diff.is_empty(), "{diff:?}");
    // Another default version in stack.yaml is a change, though a version is quarantined.
    new.entries[0].versions[0].default = true;
    let default = Diff::between(&old, &new).entries.remove(0).default.unwrap();
    assert_eq!((default.old.as_deref(), default.new.as_deref()), (Some("1.1.0"), Some("1.0.0")));
}

const HOSTILE: &str =
    "@everyone <img src=x onerror=alert(1)> ``` # [a](http://evil.example) acme/repo#1\n\n- |x| <!-- -->`";

#[test]
fn comment_shows_hostile_texts_as_code_alone() {
    let mut hostile = stack(HOSTILE, &[version(HOSTILE, true)]);
    hostile.attributes.insert(HOSTILE.to_owned(), HOSTILE.into());
    let old = side(&[hostile.clone()]);
    hostile.description = HOSTILE.to_owned();
    hostile.versions[0].links.insert(HOSTILE.to_owned(), HOSTILE.to_owned());
    hostile.versions.push(version("2.0.0", false));
    let mut new = side(&[hostile, stack("x", &[])]);
    new.quarantined.push(Quarantined {
        part: Part::Stack { stack: HOSTILE.to_owned() },
        problems: vec![Diagnostic::error(HOSTILE, "x/y", HOSTILE, "")],
    });
    let text = markdown(&Diff::between(&old, &new));
    let lines = text.strip_prefix(MARKER).unwrap();
    for line in lines.lines() {
        let outside = without_code(line);
        assert!(
            !outside.contains(['@', '<', '[', '#', '|', '`', '\\']) || line.starts_with("### "),
            "{line}: {outside}"
        );
    }
}

/// A line without its code spans, by the rules of CommonMark.
fn without_code(line: &str) -> String {
    let (mut outside, mut rest) = (String::new(), line);
    while let Some(begin) = rest.find('`') {
        outside.push_str(&rest[..begin]);
        let length = rest[begin..].chars().take_while(|c| *c == '`').count();
        let inside = &rest[begin + length..];
        let ends = inside.match_indices('`').filter(|(at, _)| !inside[..*at].ends_with('`'));
        let mut ends = ends.filter(|(at, _)| inside[*at..].chars().take_while(|c| *c == '`').count() == length);
        let (end, _) = ends.next().unwrap_or_else(|| panic!("a code span is open: {line}"));
        rest = &inside[end + length..];
    }
    outside + rest
}

#[test]
fn comment_of_thousands_of_changes_is_bounded_and_counts_the_rest() {
    let entries: Vec<Entry> = (0..3000).map(|n| stack(&format!("stack-{n}"), &[version("1.0.0", true)])).collect();
    let text = markdown(&Diff::between(&side(&[]), &side(&entries)));
    assert!(text.len() <= 65_536 && text.contains(" more; `devfile-registry diff` shows all"), "{}", text.len());
    let versions: Vec<_> = (0..3000).map(|n| version(&format!("{n}.0.0"), n == 0)).collect();
    let text = markdown(&Diff::between(&side(&[]), &side(&[stack("kiln", &versions)])));
    assert!(text.len() <= 65_536 && text.contains("more lines"), "{}", text.len());
}
