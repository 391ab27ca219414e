//! A small release in memory, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use devfile_registry::cache::ETag;
use devfile_registry::diagnostic::Diagnostic;
use devfile_registry::digest::Digest;
use devfile_registry::index::Entry;
use devfile_registry::release::{
    About, Built, Changes, Content, Facts, LiveIndex, Pending, Plan, PublishedVersion, SampleDevfile, StoredFile,
};
use devfile_registry::repository::{Part, Quarantined};
use devfile_registry::source::Listing;

use super::snapshot::Snapshot;
use crate::view::browse::fixture::entries;
use crate::view::icons::Icons;

/// The devfile of `kiln` 1.1.0, with an example of every element.
pub(crate) const KILN: &str = include_str!("../../../../tests/fixtures/registry/stacks/kiln/1.1.0/devfile.yaml");

const KILN_OLD: &str = include_str!("../../../../tests/fixtures/registry/stacks/kiln/1.0.0/devfile.yaml");

/// Files beside the devfiles of the example, by their paths in the registry repository.
pub(crate) const FILES: [(&str, &str); 8] = [
    ("stacks/kiln/1.1.0/devfile.yaml", KILN),
    ("stacks/kiln/1.0.0/devfile.yaml", KILN_OLD),
    (
        "stacks/kiln/1.1.0/README.md",
        "# Bake\n\nSee [the image](docker/Dockerfile) and ![kiln](logo.svg).\n\n<script>alert(1)</script>\n",
    ),
    ("stacks/kiln/1.1.0/docker/Dockerfile", "FROM scratch\n# new\nCOPY pages /pages\n"),
    ("stacks/kiln/1.0.0/docker/Dockerfile", "FROM scratch\nCOPY pages /pages\n"),
    ("stacks/kiln/1.1.0/logo.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
    ("stacks/kiln/1.1.0/pages.zip", "PK\u{0}"),
    ("stacks/loom-frame/readme.md", "Weaves *cloth*.\n"),
];

/// Returns a snapshot of a release with these entries and devfiles of stacks, and with [`FILES`].
pub(crate) fn snapshot_of(entries: Vec<Entry>, devfiles: &[(&str, &str, &str)], source: &str) -> Snapshot {
    snapshot_with(entries, devfiles, &FILES, source)
}

/// Returns the folder of a stack below `stacks/`. That of `loom` differs from the name, and has no
/// folders of versions.
fn stack_folder(name: &str) -> &str {
    if name == "loom" { "loom-frame" } else { name }
}

/// Returns a snapshot of a release with these entries, devfiles of stacks and files.
pub(crate) fn snapshot_with(
    entries: Vec<Entry>,
    devfiles: &[(&str, &str, &str)],
    files: &[(&str, &str)],
    source: &str,
) -> Snapshot {
    let version = |(name, version, devfile): &(&str, &str, &str)| PublishedVersion {
        name: (*name).to_owned(),
        stack: stack_folder(name).to_owned(),
        version: (*version).to_owned(),
        folder: if *name == "loom" { "stacks/loom-frame".to_owned() } else { format!("stacks/{name}/{version}") },
        facts: Facts::default(),
        manifest: Digest::of(devfile.as_bytes()),
        layers: Vec::new(),
        devfile: (*devfile).to_owned(),
        fetched_from: None,
        fetched_at: None,
        offline: None,
    };
    let pot = SampleDevfile {
        name: "pot".into(),
        version: "1.0.0".into(),
        devfile: KILN.into(),
        fetched_from: None,
        fetched_at: None,
    };
    let content = Content {
        stacks: entries,
        versions: devfiles.iter().map(version).collect(),
        samples: vec![pot],
        files: files
            .iter()
            .map(|(path, text)| {
                ((*path).to_owned(), StoredFile { digest: Digest::of(text.as_bytes()), size: text.len() as u64 })
            })
            .collect(),
        ..Content::default()
    };
    let about = About {
        commit_hash: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        source: source.to_owned(),
        offline: None,
        quarantined: vec![Quarantined {
            part: Part::Version { stack: "anvil".into(), version: "2.0.0".into() },
            problems: vec![Diagnostic::error("stacks/anvil/2.0.0/devfile.yaml", "yaml/syntax", "a <key> is open", "")],
        }],
        warnings: vec![Diagnostic::warning(
            "stacks/loom-frame/devfile.yaml",
            "icon/absent",
            "there is no icon",
            "add one",
        )],
        dependencies: BTreeMap::new(),
        pending: Pending::default(),
    };
    let built = Built::new(&Plan::everything(Listing::default()), None, about, content, BTreeMap::new());
    let index = LiveIndex::of(&built, "2025-11-01T10:00:00Z".parse().unwrap(), &Changes::default(), None);
    let bytes = index.to_bytes();
    let release = Arc::unwrap_or_clone(built.release);
    Snapshot::new(ETag::new("\"1\""), index, bytes, release, Icons::new())
}

/// Returns a snapshot of the example release.
pub(crate) fn snapshot() -> Snapshot {
    let loom = "schemaVersion: 2.3.0\nmetadata:\n  name: loom\n";
    snapshot_of(
        entries(),
        &[("kiln", "1.1.0", KILN), ("kiln", "1.0.0", KILN_OLD), ("loom", "0.3.0", loom)],
        "https://github.com/example/registry",
    )
}
