//! The content of a repository on a host that answers well.

use std::os::unix::fs::{PermissionsExt, symlink};

use devfile_registry::source::{GitAccess, GitSource, Scope, Source, SourceError};
use devfile_registry::tree::{Mode, Tree};

use crate::fixture::Fixture;

fn paths(tree: &Tree) -> Vec<&str> {
    tree.iter().map(|(path, _)| path.as_str()).collect()
}

const FETCH: &str = "POST /example/registry/git-upload-pack";

#[tokio::test]
async fn head_is_that_of_the_default_branch_and_takes_one_request() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    assert_eq!(source.url(), fixture.url("").url().as_str());
    assert_eq!(source.head().await.unwrap(), fixture.head());
    assert_eq!(source.branch().await.unwrap(), "main");
    let second = fixture.commit("2025-02-01T10:00:00Z");
    assert_eq!(source.head().await.unwrap(), second);
    assert_eq!(fixture.github.take_requests(), [FETCH; 3]);
    fixture.git(&["branch", "-m", "main", "trunk"]);
    assert_eq!(source.head().await.unwrap(), second, "a renamed default branch");
    assert_eq!(source.branch().await.unwrap(), "trunk");
}

#[tokio::test]
async fn another_branch_is_followed_when_the_url_names_it() {
    let fixture = Fixture::new().await;
    let first = fixture.head();
    fixture.git(&["branch", "release/2025#1"]);
    fixture.commit("2025-02-01T10:00:00Z");
    let source = GitSource::new(fixture.url("release/2025%231"), GitAccess::Anonymous);
    assert_eq!(source.head().await.unwrap(), first);
    assert_eq!(source.branch().await.unwrap(), "release/2025#1");
}

#[tokio::test]
async fn branch_or_repository_that_does_not_exist_is_named() {
    let fixture = Fixture::new().await;
    let source = GitSource::new(fixture.url("gone"), GitAccess::Anonymous);
    let error = source.head().await.unwrap_err();
    assert!(matches!(error, SourceError::NotFound(_)));
    assert!(error.to_string().starts_with("the branch gone of http://127.0.0.1:"), "{error}");
    let other = format!("{}/example/other", fixture.github.url()).parse().unwrap();
    assert!(matches!(GitSource::new(other, GitAccess::Anonymous).head().await, Err(SourceError::NotFound(_))));
}

#[tokio::test]
async fn scope_is_fetched_with_its_modes_and_nothing_beside_it() {
    let fixture = Fixture::new().await;
    fixture.write("stacks/go/1.0.0/run.sh", "#!/bin/sh");
    let script = fixture.path().join("stacks/go/1.0.0/run.sh");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let long = format!("stacks/go/1.0.0/{}/é.txt", "long".repeat(40));
    fixture.write(&long, "long");
    fixture.write("docs/large", &"noise".repeat(100_000));
    let head = fixture.commit("2025-02-01T10:00:00Z");
    let source = fixture.source();
    let wanted = [
        "extraDevfileEntries.yaml",
        "stacks/go/1.0.0/devfile.yaml",
        &long,
        "stacks/go/1.0.0/run.sh",
        "stacks/go/stack.yaml",
        "stacks/node/devfile.yaml",
    ];
    let tree = source.files(&head, &Scope::All).await.unwrap();
    assert_eq!(paths(&tree), wanted);
    assert_eq!(tree.get("stacks/go/1.0.0/devfile.yaml").unwrap(), "go 1.0.0");
    let executable: Vec<_> = tree.iter().filter(|(_, file)| file.mode == Mode::Executable).collect();
    assert_eq!(executable.len(), 1);

    fixture.github.take_requests();
    let listing = source.listing(&head).await.unwrap();
    assert_eq!(fixture.github.take_requests(), [""; 0], "the folders are known");
    for (path, id) in [("stacks/go", listing.stacks["go"]), ("stacks/node", listing.stacks["node"])] {
        assert_eq!(id.to_string(), fixture.git(&["rev-parse", &format!("HEAD:{path}")]).trim());
    }
    let scope = Scope::Some { stacks: ["node".to_owned()].into(), extra_entries: false };
    let part = source.files(&head, &scope).await.unwrap();
    assert_eq!(paths(&part), ["stacks/node/devfile.yaml"]);
    assert_eq!(fixture.github.take_requests(), [FETCH]);
}

/// Attributes change the content of archives; a commit has one content for every reader.
#[tokio::test]
async fn attributes_change_nothing() {
    let fixture = Fixture::new().await;
    let rules = "*.yaml eol=crlf\nsecret.txt export-ignore\nversion.txt export-subst\n";
    fixture.write("stacks/go/.gitattributes", rules);
    fixture.write("stacks/go/secret.txt", "secret");
    fixture.write("stacks/go/version.txt", "$Format:%H$");
    let head = fixture.commit("2025-02-01T10:00:00Z");
    let tree = fixture.source().files(&head, &Scope::All).await.unwrap();
    for (path, content) in
        [("stacks/go/secret.txt", "secret"), ("stacks/go/version.txt", "$Format:%H$"), ("stacks/go/stack.yaml", "go")]
    {
        assert_eq!(tree.get(path).unwrap(), content, "{path}");
    }
}

#[tokio::test]
async fn link_or_large_file_is_refused_alone() {
    let fixture = Fixture::new().await;
    symlink("node", fixture.path().join("stacks/nodejs")).unwrap();
    symlink("devfile.yaml", fixture.path().join("stacks/node/link")).unwrap();
    std::fs::remove_file(fixture.path().join("extraDevfileEntries.yaml")).unwrap();
    symlink("README.md", fixture.path().join("extraDevfileEntries.yaml")).unwrap();
    std::fs::write(fixture.path().join("stacks/go/large"), vec![b'x'; (8 << 20) + 1]).unwrap();
    // A file that takes more memory than anybody has for it, and little to send.
    std::fs::write(fixture.path().join("stacks/go/bomb"), vec![0; 200 << 20]).unwrap();
    let head = fixture.commit("2025-02-01T10:00:00Z");
    let source = fixture.source();
    let tree = source.files(&head, &Scope::All).await.unwrap();
    let mut refused: Vec<_> = tree.refused().iter().map(|refused| refused.path.as_str()).collect();
    refused.sort_unstable();
    let expected =
        ["extraDevfileEntries.yaml", "stacks/go/bomb", "stacks/go/large", "stacks/node/link", "stacks/nodejs"];
    assert_eq!(refused, expected);
    assert_eq!(tree.iter().count(), 3);
    assert!(source.listing(&head).await.unwrap().stacks.contains_key("nodejs"), "it is no stack that was removed");
}

#[tokio::test]
async fn ancestry_is_that_of_the_history() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    let first = fixture.head();
    let second = fixture.commit("2025-02-01T10:00:00Z");
    let third = fixture.commit("2025-02-02T10:00:00Z");
    fixture.git(&["checkout", "--quiet", "-b", "side", first.as_str()]);
    let side = fixture.commit("2025-03-01T10:00:00Z");
    fixture.git(&["checkout", "--quiet", "--orphan", "apart"]);
    let apart = fixture.commit("2025-04-01T10:00:00Z");
    let forgotten = "0123456789012345678901234567890123456789".parse().unwrap();
    for (commit, ancestor, descends) in [
        (&first, &first, true),
        (&second, &first, true),
        (&third, &first, true),
        (&first, &second, false),
        (&side, &second, false),
        (&apart, &second, false),
        (&second, &forgotten, false),
    ] {
        assert_eq!(source.descends(commit, ancestor).await.unwrap(), descends, "{commit} {ancestor}");
    }
    fixture.github.take_requests();
    source.listing(&third).await.unwrap();
    fixture.github.take_requests();
    assert!(source.descends(&third, &second).await.unwrap());
    assert_eq!(fixture.github.take_requests(), [""; 0], "the parent of a listed commit");
}

#[tokio::test]
async fn renamed_repository_is_found_by_its_former_name() {
    let fixture = Fixture::new().await;
    let head = fixture.head();
    fixture.github.rename("stacks");
    let source = fixture.source();
    assert_eq!(source.head().await.unwrap(), head);
    assert_eq!(source.files(&head, &Scope::All).await.unwrap().iter().count(), 4);
}

#[tokio::test]
async fn dates_are_those_of_the_authors() {
    let fixture = Fixture::new().await;
    fixture.write("stacks/node/devfile.yaml", "node, repaired");
    let middle = fixture.commit("2025-02-02T23:30:00-05:00");
    fixture.write("stacks/node/devfile.yaml", "node, repaired again");
    let head = fixture.commit("2025-03-03T12:00:00Z");
    let paths = ["stacks/none", "stacks/go", "stacks/node", "extraDevfileEntries.yaml"].map(str::to_owned);
    let source = fixture.source();
    let dates = source.last_modified(&head, &paths).await.unwrap();
    let shown: Vec<_> = dates.iter().map(|(path, date)| format!("{path} {date}")).collect();
    let expected = [
        "extraDevfileEntries.yaml 2025-01-01T10:00:00+02:00",
        "stacks/go 2025-01-01T10:00:00+02:00",
        "stacks/node 2025-03-03T12:00:00Z",
    ];
    assert_eq!(shown, expected);
    let dates = source.last_modified(&middle, &paths).await.unwrap();
    assert_eq!(dates["stacks/node"].to_string(), "2025-02-02T23:30:00-05:00");
}
