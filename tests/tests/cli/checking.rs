//! `check` and `index`: the work of `index-generator`, by the same code.

use registry_tests::registry::binary;

use crate::program::{edit, example, run};

#[tokio::test]
async fn check_reports_as_the_index_generator_does() {
    let folder = example();
    edit(folder.path(), "stacks/kiln/1.1.0/devfile.yaml", "component: runtime", "component: runtme");
    let ran = run(folder.path(), &["check", "--offline"]).await;
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("error[command/reference]"), "{}", ran.stdout);
    let mut reference = tokio::process::Command::new(binary("index-generator"));
    let reference = reference.args(["--check", "--offline", "."]).current_dir(folder.path()).output().await.unwrap();
    assert_eq!(ran.stdout, String::from_utf8(reference.stdout).unwrap());
    assert_eq!(run(folder.path(), &["check", "nowhere"]).await.status, 2);
}

#[tokio::test]
async fn check_of_a_clean_registry_succeeds_and_speaks_json() {
    let folder = example();
    let ran = run(folder.path(), &["check", ".", "--offline", "--format", "json"]).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap();
}

#[tokio::test]
async fn index_is_written_as_the_index_generator_writes_it() {
    let folder = example();
    let ran = run(folder.path(), &["index", ".", "ours.json", "--offline"]).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let mut reference = tokio::process::Command::new(binary("index-generator"));
    let reference = reference.args([".", "theirs.json", "--offline"]).current_dir(folder.path());
    assert!(reference.output().await.unwrap().status.success());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("ours.json"), read("theirs.json"));
}
