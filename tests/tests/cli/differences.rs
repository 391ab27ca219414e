//! `diff`: of folders, commits and live registries.

use std::path::Path;

use registry_tests::git::git;

use crate::program::{Preview, Ran, edit, example, run};

const DEVFILE: &str = "stacks/kiln/1.1.0/devfile.yaml";

async fn diff(folder: &Path, arguments: &[&str]) -> Ran {
    run(folder, &[&["diff", "--offline"], arguments].concat()).await
}

/// The example with a commit, and edits that are not committed: another description, another file, a version that is gone.
fn edited() -> tempfile::TempDir {
    let folder = example();
    git(folder.path(), &["init", "-q", "-b", "main"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "One"]);
    edit(folder.path(), DEVFILE, "Bakes pages from Markdown and serves them", "Bakes tiles");
    edit(folder.path(), "stacks/kiln/1.1.0/docker/Dockerfile", "FROM", "# Tiles\nFROM");
    std::fs::remove_dir_all(folder.path().join("stacks/loom")).unwrap();
    folder
}

#[tokio::test]
async fn diff_of_a_commit_and_its_work_tree_has_exactly_the_edits() {
    let folder = edited();
    let ran = diff(folder.path(), &[".@main", "."]).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    for part in [
        "~ stack kiln",
        "  ~ version 1.1.0",
        "    ~ file devfile.yaml",
        "    ~ file docker/Dockerfile",
        "- removed stack loom",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(ran.stdout.ends_with("entries: 1 changed, 1 removed\n"), "{}", ran.stdout);
    let ran = diff(folder.path(), &[".@main", ".", "--json", "--exit-code"]).await;
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let entries = document["entries"].as_array().unwrap().iter();
    let changes: Vec<_> = entries.map(|entry| entry["change"].as_str().unwrap()).collect();
    assert_eq!((ran.status, changes), (1, vec!["changed", "removed"]));
    let ran = diff(folder.path(), &[".", ".", "--exit-code"]).await;
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "no changes for clients\n"));
}

#[tokio::test]
async fn diff_in_markdown_begins_with_its_marker() {
    let folder = edited();
    let ran = diff(folder.path(), &[".@HEAD", ".", "--markdown"]).await;
    assert!(ran.stdout.starts_with("<!-- devfile-registry diff -->\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("- `~` stack `kiln`\n"), "{}", ran.stdout);
}

#[tokio::test]
async fn broken_version_is_named_and_keeps_its_last_published_state() {
    let folder = edited();
    edit(folder.path(), DEVFILE, "component: runtime", "component: runtme");
    let ran = diff(folder.path(), &[".@main", "."]).await;
    assert!(!ran.stdout.contains("file devfile.yaml"), "{}", ran.stdout);
    assert!(ran.stdout.contains("version 1.1.0 of stack kiln\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("runtme"), "{}", ran.stdout);
}

#[tokio::test]
async fn live_registry_is_compared_by_its_answers() {
    let folder = example();
    let preview = Preview::start(folder.path(), &["--port", "0"]).await;
    let other = edited();
    let same = diff(folder.path(), &[&preview.url, ".", "--exit-code"]).await;
    assert_eq!((same.status, same.stdout.as_str()), (0, "no changes for clients\n"), "{}", same.stderr);
    let ran = diff(other.path(), &[&preview.url, "."]).await;
    let offline = diff(other.path(), &[".@main", "."]).await;
    assert_eq!(ran.stdout, offline.stdout, "{}", ran.stderr);
    let other = Preview::start(other.path(), &["--port", "0"]).await;
    assert_eq!(diff(folder.path(), &[&preview.url, &other.url]).await.stdout, offline.stdout);
}

#[tokio::test]
async fn state_that_cannot_be_read_is_named() {
    let folder = edited();
    for (state, reason) in [
        ("nowhere", "there is no such folder"),
        (".@nothing", "the revision nothing"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1/v2index/all"),
        ("https://a:b@example.org/acme/registry", "credentials"),
    ] {
        let ran = diff(folder.path(), &[state, "."]).await;
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{state}");
        assert!(ran.stderr.contains(reason), "{state}: {}", ran.stderr);
    }
    let ran = diff(folder.path(), &[".", ".", "--json", "--markdown"]).await;
    assert_eq!(ran.status, 2);
}
