//! `new`: stacks and versions that the checker accepts.

use crate::program::{example, run};

const STACK: [&str; 11] = [
    "new",
    "stack",
    "spindle",
    "--language",
    "Go",
    "--provider",
    "Clay Guild: \"us\"",
    "--support-url",
    "https://example.org/help",
    "--image",
    "docker.io/library/golang:1.25",
];

#[tokio::test]
async fn new_stack_is_accepted_without_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &STACK).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout.matches("wrote ./stacks/spindle/").count(), 3, "{}", ran.stdout);
    assert!(ran.stdout.ends_with("then see the stack: devfile-registry preview .\n"), "{}", ran.stdout);
    let checked = run(folder.path(), &["check", "--offline"]).await;
    assert_eq!((checked.status, checked.stdout.as_str()), (0, "no problems\n"));
    let again = run(folder.path(), &STACK).await;
    assert!(again.status == 2 && again.stderr.contains("it exists; `new version "), "{}", again.stderr);
}

#[tokio::test]
async fn new_stack_with_the_name_of_a_stack_of_one_devfile_asks_for_another_name() {
    let folder = example();
    let mut stack = STACK;
    stack[2] = "loom";
    let ran = run(folder.path(), &stack).await;
    assert!(ran.status == 2 && ran.stderr.contains("it exists; choose another name"), "{}", ran.stderr);
}

#[tokio::test]
async fn new_stack_and_version_have_a_date_where_the_registry_lists_dates() {
    let folder = example();
    let dates = folder.path().join("last_modified.json");
    let before = std::fs::read_to_string(&dates).unwrap();
    for arguments in [&STACK[..], &["new", "version", "kiln"]] {
        let ran = run(folder.path(), arguments).await;
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains("wrote ./last_modified.json\n"), "{}", ran.stdout);
    }
    let checked = run(folder.path(), &["check", "--offline"]).await;
    assert!(!checked.stdout.contains("lastModified/"), "{}", checked.stdout);
    let after = std::fs::read_to_string(&dates).unwrap();
    assert_eq!(after.lines().count(), before.lines().count() + 2, "{after}");
    assert!(
        before.lines().all(|line| after.lines().any(|other| other == line)),
        "other rows stay as they are: {after}"
    );
}

#[tokio::test]
async fn problems_of_a_new_stack_are_reported_line_by_line_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &[&STACK[..], &["--version", "1"]].concat()).await;
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    let mut lines = ran.stderr.lines();
    let first = "devfile-registry: nothing is written, because the result would have problems:";
    assert_eq!((lines.next(), lines.next()), (Some(first), Some("")), "{}", ran.stderr);
    assert!(lines.any(|line| line.starts_with("error[stack/semver]: ")), "{}", ran.stderr);
    assert!(lines.any(|line| line == " --> stacks/spindle/stack.yaml:6:5"), "{}", ran.stderr);
    assert!(!folder.path().join("stacks").exists());
}

#[tokio::test]
async fn new_stack_names_everything_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &["new", "stack", "spindle", "--language", "Go"]).await;
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("--provider, --support-url, --image not given"), "{}", ran.stderr);
    for (argument, value, reason) in [
        (2, "../spindle", "NAME `../spindle`: use lower-case letters, digits and hyphens"),
        (8, "help", "--support-url `help`: use a URL that begins with https://"),
    ] {
        let mut stack = STACK;
        stack[argument] = value;
        let ran = run(folder.path(), &stack).await;
        assert!(ran.status == 2 && ran.stderr.contains(reason), "{}", ran.stderr);
    }
    let ran = run(folder.path(), &["new", "stack"]).await;
    assert!(ran.status == 2 && ran.stderr.contains(": NAME, --language, "), "{}", ran.stderr);
    let ran = run(folder.path(), &[&STACK[..], &["--dir", "nowhere"]].concat()).await;
    assert!(
        ran.status == 2 && ran.stderr.contains("cannot write to nowhere: there is no such folder"),
        "{}",
        ran.stderr
    );
    assert!(!folder.path().join("stacks").exists());
}

#[tokio::test]
async fn new_version_copies_the_newest_one_and_keeps_the_default() {
    let folder = example();
    let ran = run(folder.path(), &["new", "version", "kiln"]).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("still has 1.1.0: revision: v1.1.0"), "{}", ran.stdout);
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    assert!(read("stacks/kiln/1.2.0/devfile.yaml").contains("\n  version: 1.2.0\n"));
    let copied = |version: &str| read(&format!("stacks/kiln/{version}/docker/Dockerfile"));
    assert_eq!(copied("1.2.0"), copied("1.1.0"));
    let index = run(folder.path(), &["index", ".", "index.json", "--offline"]).await;
    assert_eq!(index.status, 0, "{}", index.stderr);
    let index: serde_json::Value = serde_json::from_str(&read("index.json")).unwrap();
    let versions = index[0]["versions"].as_array().unwrap().iter();
    let versions: Vec<_> =
        versions.map(|version| (version["version"].as_str().unwrap(), version["default"] == true)).collect();
    assert_eq!(versions, [("1.2.0", false), ("1.1.0", true), ("1.0.0", false)]);

    let ran = run(folder.path(), &["new", "version", "kiln", "2.0.0", "--default"]).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(read("stacks/kiln/stack.yaml").ends_with("  - version: 2.0.0\n    default: true\n"));
    let ran = run(folder.path(), &["new", "version", "kiln", "2.0.0"]).await;
    assert!(ran.status == 2 && ran.stderr.contains("has it already"), "{}", ran.stderr);
}

#[tokio::test]
async fn new_version_of_an_unlisted_stack_writes_nothing() {
    let folder = example();
    for (stack, reason) in [
        ("loom", "cannot add a version: ./stacks/loom has no stack.yaml, which lists versions; write one"),
        ("nowhere", "there is no stack `nowhere`; `new stack nowhere` creates it\n"),
        ("../kiln", "there is no stack `../kiln`\n"),
    ] {
        let ran = run(folder.path(), &["new", "version", stack]).await;
        assert!(ran.status == 2 && ran.stderr.contains(reason), "{}", ran.stderr);
    }
}
