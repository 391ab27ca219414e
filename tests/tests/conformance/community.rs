//! The cases of the community registry, which are not part of this repository: every case in plain HTTP, and behind the Lambda
//! emulator.

use std::collections::BTreeSet;
use std::path::Path;

use registry_tests::registry::TestRegistry;

const EMULATOR: &str = "Alterations by the Lambda emulator";
/// The number of times that a case is asked again that the emulator may have lost.
const LOSSES: usize = 3;

/// The number of recorded cases.
const CASES: usize = 535;

#[tokio::test]
async fn plain_http_answers_for_the_community_registry_as_the_reference() {
    let registry = TestRegistry::of(&shared().join("community")).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    assert_eq!(all_failed(&serve.url).await, BTreeSet::new());
}

#[tokio::test]
async fn the_emulator_changes_what_is_listed_and_nothing_else() {
    let registry = TestRegistry::of(&shared().join("community")).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve_emulated().await;
    let expected = listed(EMULATOR);
    let mut failing = BTreeSet::new();
    for case in all_failed(&serve.url).await {
        // The emulator loses large answers at random; such a case passes when it is asked again.
        let mut tries = if expected.contains(&case) { 0 } else { LOSSES };
        while tries > 0 && !failed(&serve.url, &["--only", &case]).await.1.is_empty() {
            tries -= 1;
        }
        if tries == 0 {
            failing.insert(case);
        }
    }
    assert_eq!(failing, expected);
}

/// The folder with the recorded answers.
fn shared() -> &'static Path {
    Path::new(env!("COMMUNITY"))
}

/// The cases that fail, of all.
async fn all_failed(url: &str) -> BTreeSet<String> {
    let (asked, ids) = failed(url, &[]).await;
    assert_eq!(asked, CASES, "cases asked");
    ids
}

/// Returns the number of asked cases, and those that fail.
async fn failed(url: &str, which: &[&str]) -> (usize, BTreeSet<String>) {
    let folder = shared().join("conformance");
    let mut check = tokio::process::Command::new("python3");
    check.arg(folder.join("check")).arg(url).arg(folder.join("cases.jsonl")).args(which);
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

/// The cases in the table below a heading of `docs/contributors/conformance.md`.
fn listed(heading: &str) -> BTreeSet<String> {
    let text = include_str!("../../../docs/contributors/conformance.md");
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect("the heading is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}
