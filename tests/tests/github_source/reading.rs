//! What a source reads when all is well.

use std::os::unix::fs::{PermissionsExt, symlink};

use devfile_registry::source::github::{Credentials, GitHubSource};
use devfile_registry::source::{Mode, Relation, Source, SourceError, Tree, TreeError};

use crate::fixture::{ADDRESS, Fixture};

fn paths(tree: &Tree) -> Vec<&str> {
    tree.iter().map(|(path, _)| path.as_str()).collect()
}

#[tokio::test]
async fn the_head_is_that_of_the_branch_and_costs_nothing_when_it_is_known() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    assert_eq!(source.url(), ADDRESS);
    assert_eq!(source.head().await.unwrap(), fixture.head());
    assert_eq!(source.branch().await.unwrap(), "main");
    assert_eq!(source.head().await.unwrap(), fixture.head(), "by an answer of 304");
    let second = fixture.commit("2025-02-01T10:00:00Z");
    assert_eq!(source.head().await.unwrap(), second);
    let requests = fixture.github.take_requests();
    let head = "GET /repos/example/registry/git/ref/heads/main";
    assert_eq!(requests, ["GET /repos/example/registry", head, head, head]);
}

#[tokio::test]
async fn another_branch_is_followed_when_the_address_names_it() {
    let fixture = Fixture::new().await;
    let first = fixture.head();
    fixture.git(&["branch", "release/2025#1"]);
    fixture.commit("2025-02-01T10:00:00Z");
    let address = format!("{ADDRESS}/tree/release/2025%231").parse().unwrap();
    let source = GitHubSource::new(address, Some(fixture.github.url()), Credentials::Anonymous).unwrap();
    assert_eq!(source.head().await.unwrap(), first);
    assert_eq!(source.url(), ADDRESS);
}

#[tokio::test]
async fn a_default_branch_that_is_renamed_is_found_again() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    source.head().await.unwrap();
    fixture.git(&["branch", "-m", "main", "trunk"]);
    assert!(matches!(source.head().await, Err(SourceError::NotFound(_))));
    assert_eq!(source.head().await.unwrap(), fixture.head());
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let fixture = Fixture::new().await;
    let address = format!("{ADDRESS}/tree/gone").parse().unwrap();
    let source = GitHubSource::new(address, Some(fixture.github.url()), Credentials::Anonymous).unwrap();
    let error = source.head().await.unwrap_err().to_string();
    assert_eq!(error, "the branch gone of https://github.com/example/registry was not found");
    let other = "https://github.com/example/other".parse().unwrap();
    let source = GitHubSource::new(other, Some(fixture.github.url()), Credentials::Anonymous).unwrap();
    let error = source.head().await.unwrap_err().to_string();
    assert_eq!(error, "https://github.com/example/other was not found");
}

#[tokio::test]
async fn a_tree_is_one_download_of_what_is_wanted() {
    let fixture = Fixture::new().await;
    fixture.write("stacks/go/1.0.0/run.sh", "#!/bin/sh");
    let script = fixture.path().join("stacks/go/1.0.0/run.sh");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    // Links elsewhere are nobody's business.
    symlink("README.md", fixture.path().join("READ-ME.md")).unwrap();
    let long = format!("stacks/go/1.0.0/{}/é.txt", "long".repeat(40));
    fixture.write(&long, "long");
    let head = fixture.commit("2025-02-01T10:00:00Z");
    let tree = fixture.source().tree(&head).await.unwrap();
    let wanted = [
        "extraDevfileEntries.yaml",
        "stacks/go/1.0.0/devfile.yaml",
        &long,
        "stacks/go/1.0.0/run.sh",
        "stacks/go/stack.yaml",
        "stacks/node/devfile.yaml",
    ];
    assert_eq!(paths(&tree), wanted);
    assert_eq!(tree.get("stacks/go/1.0.0/devfile.yaml").unwrap(), "go 1.0.0");
    let executable: Vec<_> = tree.iter().filter(|(_, file)| file.mode == Mode::Executable).collect();
    assert_eq!(executable.len(), 1);
    let requests = fixture.github.take_requests();
    assert_eq!(requests.len(), 2, "the redirect and the archive: {requests:?}");
}

#[tokio::test]
async fn a_link_among_the_stacks_is_refused_and_named() {
    let fixture = Fixture::new().await;
    symlink("node", fixture.path().join("stacks/nodejs")).unwrap();
    let head = fixture.commit("2025-02-01T10:00:00Z");
    let source = fixture.source();
    let refused = |error| matches!(error, SourceError::Refused(TreeError::NotAFile(path)) if path == "stacks/nodejs");
    assert!(refused(source.tree(&head).await.unwrap_err()));
    assert!(refused(source.listing(&head).await.unwrap_err()));
}

#[tokio::test]
async fn relations_are_those_of_the_history() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    let first = fixture.head();
    let second = fixture.commit("2025-02-01T10:00:00Z");
    fixture.git(&["checkout", "--quiet", "-b", "side", first.as_str()]);
    let side = fixture.commit("2025-03-01T10:00:00Z");
    fixture.git(&["checkout", "--quiet", "--orphan", "apart"]);
    let apart = fixture.commit("2025-04-01T10:00:00Z");
    let forgotten = "0123456789012345678901234567890123456789".parse().unwrap();
    for (base, target, relation) in [
        (&first, &first, Relation::Same),
        (&first, &second, Relation::Ahead),
        (&second, &first, Relation::Behind),
        (&second, &side, Relation::Diverged),
        (&second, &apart, Relation::Diverged),
        (&forgotten, &second, Relation::Diverged),
    ] {
        assert_eq!(source.compare(base, target).await.unwrap().relation, relation, "{base} {target}");
    }
    assert!(matches!(source.compare(&first, &forgotten).await, Err(SourceError::NotFound(_))));
}

#[tokio::test]
async fn a_comparison_names_what_changed_and_a_listing_fetches_it() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    let first = fixture.head();
    fixture.write("stacks/go/1.0.0/devfile.yaml", "go 1.0.0, mended");
    fixture.write("docs/guide.md", "a guide");
    fixture.git(&["mv", "stacks/node", "stacks/nodejs"]);
    fixture.git(&["rm", "--quiet", "stacks/go/stack.yaml"]);
    let second = fixture.commit("2025-02-01T10:00:00Z");
    let comparison = source.compare(&first, &second).await.unwrap();
    assert_eq!(comparison.relation, Relation::Ahead);
    let changed = comparison.changed.unwrap();
    let names: Vec<_> = changed.iter().map(|path| path.as_str()).collect();
    let expected = [
        "stacks/go/1.0.0/devfile.yaml",
        "stacks/go/stack.yaml",
        "stacks/node/devfile.yaml",
        "stacks/nodejs/devfile.yaml",
    ];
    assert_eq!(names, expected);

    let mut listing = source.listing(&second).await.unwrap().unwrap();
    listing.retain(|path, _| changed.contains(path));
    let files = source.files(&listing).await.unwrap();
    let tree = source.tree(&second).await.unwrap();
    let of_tree: Vec<_> = tree.iter().filter(|(path, _)| changed.contains(*path)).collect();
    assert_eq!(files.iter().collect::<Vec<_>>(), of_tree, "the same as in the tarball");
    assert_eq!(files.len(), 2);

    // Backwards GitHub does not tell what changed.
    assert_eq!(source.compare(&second, &first).await.unwrap().changed, None);
    assert!(source.compare(&second, &second).await.unwrap().changed.unwrap().is_empty());
}

#[tokio::test]
async fn too_many_changes_are_not_half_told() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    let first = fixture.head();
    for number in 0..300 {
        fixture.write(&format!("stacks/many/{number}/devfile.yaml"), &format!("{number}"));
    }
    let second = fixture.commit("2025-02-01T10:00:00Z");
    assert_eq!(source.compare(&first, &second).await.unwrap().changed, None);
    assert_eq!(source.listing(&second).await.unwrap().unwrap().len(), 304);
    fixture.github.set_tree_entries(300);
    assert_eq!(source.listing(&second).await.unwrap(), None);
}

#[tokio::test]
async fn dates_are_those_of_the_authors() {
    let fixture = Fixture::new().await;
    fixture.write("stacks/node/devfile.yaml", "node, mended");
    fixture.commit("2025-02-02T23:30:00-05:00");
    let middle = fixture.head();
    fixture.write("stacks/node/devfile.yaml", "node, mended again");
    let head = fixture.commit("2025-03-03T12:00:00Z");
    // More paths than one query takes, none of them part of the text of the query.
    let mut paths: Vec<_> = (0..120).map(|number| format!("stacks/not-there-{number}\") {{ x }}")).collect();
    paths.extend(["stacks/go".into(), "stacks/node".into(), "extraDevfileEntries.yaml".into()]);
    let source = fixture.source();
    fixture.github.take_requests();
    let dates = source.last_modified(&head, &paths).await.unwrap();
    assert_eq!(fixture.github.take_requests(), ["POST /graphql"; 3]);
    let shown = |dates: &std::collections::BTreeMap<String, devfile_registry::timestamp::Timestamp>| {
        dates.iter().map(|(path, date)| format!("{path} {date}")).collect::<Vec<_>>()
    };
    let expected = [
        "extraDevfileEntries.yaml 2025-01-01T10:00:00+02:00",
        "stacks/go 2025-01-01T10:00:00+02:00",
        "stacks/node 2025-03-03T12:00:00Z",
    ];
    assert_eq!(shown(&dates), expected);
    let node = ["stacks/node".to_owned()];
    assert_eq!(shown(&source.last_modified(&middle, &node).await.unwrap()), ["stacks/node 2025-02-02T23:30:00-05:00"]);

    // Without credentials there is REST alone, in UTC.
    let anonymous = fixture.source_as(Credentials::Anonymous);
    let node = anonymous.last_modified(&middle, &node).await.unwrap();
    assert_eq!(shown(&node), ["stacks/node 2025-02-03T04:30:00Z"]);
}
