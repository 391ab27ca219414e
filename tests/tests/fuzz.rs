//! A short run of the fuzz targets: all seeds, and copies of them with a few bytes changed.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use registry_tests::bounded::property;

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets see it from another crate")]
mod entry;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A change of some bytes: the position, the number of removed bytes, and the inserted ones.
fn change() -> impl Strategy<Value = (Index, usize, Vec<u8>)> {
    let pieces = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec![
            "\n", "  ", "- ", ": ", "{", "}", "[", "]", "\t", "\"", "&a ", "*a", "<<: *a", "|\n", "\0", "é", "---\n",
            "{{a}}", "../"
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    (any::<Index>(), 0_usize..6, pieces)
}

fn changed(mut bytes: Vec<u8>, changes: &[(Index, usize, Vec<u8>)]) -> Vec<u8> {
    for (at, length, piece) in changes {
        let start = at.index(bytes.len() + 1);
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, piece.iter().copied());
    }
    bytes
}

/// Runs an entry point over seeds and changed copies of them.
fn run(seeds: Vec<Vec<u8>>, cases: u32, entry: impl Fn(&[u8])) {
    seeds.iter().for_each(|seed| entry(seed));
    let config = property(cases, file!());
    let strategy = (prop::sample::select(seeds), prop::collection::vec(change(), 1..8));
    let tested = TestRunner::new(config).run(&strategy, |(seed, changes)| {
        entry(&changed(seed, &changes));
        Ok(())
    });
    tested.unwrap();
}

#[test]
fn mutated_devfile_never_panics() {
    run(seeds("devfile"), 1500, entry::devfile);
}

#[test]
fn mutated_stack_never_panics() {
    run(seeds("stack"), 700, entry::stack);
}

#[test]
fn mutated_query_never_panics() {
    run(seeds("query"), 3000, entry::query);
}

#[test]
fn mutated_query_of_the_viewer_never_panics() {
    run(seeds("viewer"), 150, entry::viewer);
}
