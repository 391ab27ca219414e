//! The recorded answers of the reference, asked of the registries that they were recorded for: every case in plain HTTP, those of
//! the community registry behind the Lambda emulator, too. `docs/conformance.md` names the cases that the emulator alters; the list
//! is exact.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use registry_tests::registry::TestRegistry;

const EMULATOR: &str = "What the Lambda emulator alters";
/// How often a case is asked again that the emulator may have lost.
const LOSSES: usize = 3;

/// Cases that were recorded for one registry.
#[derive(Debug, Clone, Copy)]
struct Recording {
    file: &'static str,
    cases: usize,
}

const COMMUNITY: Recording = Recording { file: "cases.jsonl", cases: 535 };
const SYNTHETIC: Recording = Recording { file: "synthetic-1505.jsonl", cases: 400 };

#[tokio::test]
async fn plain_http_answers_for_the_community_registry_as_the_reference() {
    let Some(shared) = shared() else { return };
    let registry = TestRegistry::of(&shared.join("community")).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    assert_eq!(all_failed(&shared, COMMUNITY, &serve.url).await, BTreeSet::new());
}

#[tokio::test]
async fn plain_http_answers_for_the_synthetic_registry_as_the_reference() {
    let Some(shared) = shared() else { return };
    let made = tempfile::tempdir().unwrap();
    make_synthetic(&shared, made.path()).await;
    let registry = TestRegistry::of(made.path()).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    assert_eq!(all_failed(&shared, SYNTHETIC, &serve.url).await, BTreeSet::new());
}

#[tokio::test]
async fn the_emulator_changes_what_is_listed_and_nothing_else() {
    let Some(shared) = shared() else { return };
    let registry = TestRegistry::of(&shared.join("community")).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve_emulated().await;
    let expected = listed(EMULATOR);
    let mut failing = BTreeSet::new();
    for case in all_failed(&shared, COMMUNITY, &serve.url).await {
        // The emulator loses large answers at random; such a case passes when it is asked again.
        let mut tries = if expected.contains(&case) { 0 } else { LOSSES };
        while tries > 0 && !failed(&shared, COMMUNITY, &serve.url, &["--only", &case]).await.1.is_empty() {
            tries -= 1;
        }
        if tries == 0 {
            failing.insert(case);
        }
    }
    assert_eq!(failing, expected);
}

/// Makes the registry that [`SYNTHETIC`] was recorded for. The reference does not publish a hidden devfile, so it got them visible.
async fn make_synthetic(shared: &Path, folder: &Path) {
    let mut make = tokio::process::Command::new("python3");
    make.arg(shared.join("tools/make-registry")).arg(folder).args([
        "--stacks",
        "40",
        "--versions",
        "4",
        "--seed",
        "1505",
    ]);
    assert!(make.status().await.expect("python3 runs").success());
    show_devfiles(folder);
}

fn show_devfiles(folder: &Path) {
    for entry in folder.read_dir().expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            show_devfiles(&path);
        } else if path.ends_with(".devfile.yaml") {
            std::fs::rename(&path, path.with_file_name("devfile.yaml")).expect("a file can be renamed");
        }
    }
}

/// The folder with the recorded answers, which is no part of this repository.
fn shared() -> Option<PathBuf> {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared"));
    let found = folders.find(|folder| folder.join("conformance/check").is_file());
    if found.is_none() {
        println!("the recorded answers of the reference are not here; nothing is compared");
    }
    found
}

/// The cases that fail, of all.
async fn all_failed(shared: &Path, recording: Recording, url: &str) -> BTreeSet<String> {
    let (asked, ids) = failed(shared, recording, url, &[]).await;
    assert_eq!(asked, recording.cases, "cases asked");
    ids
}

/// How many cases were asked, and which of them fail.
async fn failed(shared: &Path, recording: Recording, url: &str, which: &[&str]) -> (usize, BTreeSet<String>) {
    let folder = shared.join("conformance");
    let mut check = tokio::process::Command::new("python3");
    check.arg(folder.join("check")).arg(url).arg(folder.join(recording.file)).args(which);
    let output = check.output().await.expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    let (passed, failed) = said.trim_end().rsplit('\n').next().and_then(counts).expect("the check says how it went");
    let ids = said.lines().filter_map(|line| Some(line.strip_prefix("FAIL ")?.split_whitespace().next()?.to_owned()));
    let ids: BTreeSet<String> = ids.collect();
    assert_eq!(ids.len(), failed, "failures named");
    (passed + failed, ids)
}

/// The numbers of `535 passed, 0 failed`.
fn counts(line: &str) -> Option<(usize, usize)> {
    let (passed, failed) = line.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.strip_suffix(" failed")?.parse().ok()?))
}

/// The cases in the table below a heading of `docs/conformance.md`.
fn listed(heading: &str) -> BTreeSet<String> {
    let text = include_str!("../../docs/conformance.md");
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect("the heading is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}
