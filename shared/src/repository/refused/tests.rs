//! Files that no tree takes.

use super::super::Repository;
use super::super::tests::{devfile, tree};
use super::*;

fn stack_yaml(name: &str) -> String {
    format!(
        "name: {name}\ndisplayName: x\nicon: https://example.org/i.svg\nversions:\n- version: 1.0.0\n- version: 2.0.0\n  default: true\n"
    )
}

#[test]
fn file_that_is_refused_quarantines_its_version_and_nothing_else() {
    let mut files = tree(&[
        ("stacks/kiln/stack.yaml", &stack_yaml("kiln")),
        ("stacks/kiln/1.0.0/devfile.yaml", &devfile("kiln", "1.0.0")),
        ("stacks/kiln/2.0.0/devfile.yaml", &devfile("kiln", "2.0.0")),
        ("stacks/loom/devfile.yaml", &devfile("loom", "1.0.0")),
        ("stacks/sieve/devfile.yaml", &devfile("sieve", "1.0.0")),
    ]);
    files.refuse("stacks/kiln/1.0.0/link", TreeError::NotAFile("stacks/kiln/1.0.0/link".into()));
    files.refuse("stacks/loom/caf\u{fffd}", TreeError::NotUtf8("stacks/loom/caf\u{fffd}".into()));
    files.refuse("stacks/wheel", TreeError::NotAFile("stacks/wheel".into()));
    let repository = Repository::parse(&files);
    let parts: Vec<_> = repository.quarantined.iter().map(|quarantined| &quarantined.part).collect();
    let stack = |stack: &str| Part::Stack { stack: stack.into() };
    let version = Part::Version { stack: "kiln".into(), version: "1.0.0".into() };
    assert_eq!(parts, [&version, &stack("loom"), &stack("wheel")]);
    let problem = &repository.quarantined[0].problems[0];
    assert_eq!((problem.path.as_str(), problem.rule.as_str()), ("stacks/kiln/1.0.0/link", "tree/link"));
    let published: Vec<_> =
        repository.stacks.iter().map(|stack| (stack.folder.as_str(), stack.versions.len())).collect();
    assert_eq!(published, [("kiln", 1), ("sieve", 1)]);
}

#[test]
fn pointer_of_git_lfs_quarantines_its_version_where_its_content_is_needed() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n";
    let repository = Repository::parse(&tree(&[
        ("stacks/kiln/devfile.yaml", &devfile("kiln", "1.0.0")),
        ("stacks/kiln/logo.png", pointer),
        ("stacks/loom/devfile.yaml", &devfile("loom", "1.0.0")),
        ("stacks/loom/model.bin", pointer),
    ]));
    assert_eq!(repository.quarantined.len(), 1);
    assert_eq!(repository.quarantined[0].part, Part::Stack { stack: "kiln".into() });
    let warned: Vec<_> = repository.warnings.iter().filter(|w| w.rule == "tree/lfs").map(|w| &w.path).collect();
    assert_eq!(warned, ["stacks/loom/model.bin"]);
}

#[test]
fn empty_file_that_would_be_a_layer_is_a_warning() {
    let repository = Repository::parse(&tree(&[
        ("stacks/kiln/devfile.yaml", &devfile("kiln", "1.0.0")),
        ("stacks/kiln/logo.png", ""),
        ("stacks/kiln/notes.txt", ""),
        ("stacks/kiln/docs/logo.png", ""),
    ]));
    assert!(repository.quarantined.is_empty());
    let warned: Vec<_> = repository.warnings.iter().filter(|w| w.rule == "tree/empty").map(|w| &w.path).collect();
    assert_eq!(warned, ["stacks/kiln/logo.png"]);
}
