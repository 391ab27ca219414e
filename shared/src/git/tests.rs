//! The reader against real Git.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::server::{Filters, GitHost};
use super::*;
use crate::digest::CommitSha;
use crate::fetch::{Fetcher, Loopback, Rules};
use crate::limits;
use crate::tree::Tree;

fn fetcher() -> Arc<Fetcher> {
    Arc::new(Fetcher::new(Rules { loopback: Loopback::Allowed, ..Rules::default() }))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn commit(text: &str) -> CommitSha {
    text.parse().unwrap()
}

const FILES: [(&str, &str); 4] = [
    ("README.md", "read me"),
    ("stacks/go/1.0.0/devfile.yaml", "schemaVersion: 2.2.0\n"),
    ("stacks/go/stack.yaml", "name: go\n"),
    ("stacks/java/devfile.yaml", "schemaVersion: 2.2.2\n"),
];

#[tokio::test]
async fn branches_tags_and_commits_are_resolved_with_one_request() {
    let host = GitHost::start(Filters::Allowed).await;
    let first = host.commit("registry", &FILES, "2026-01-01T00:00:00Z");
    host.git("registry", &["tag", "--annotate", "v1", "--message", "one"]);
    let second = host.commit("registry", &FILES[1..], "2026-01-02T00:00:00Z");
    host.git("registry", &["branch", "feature/blue", &first]);
    let fetcher = fetcher();
    for (text, expected) in
        [("", &second), ("main", &second), ("feature/blue", &first), ("v1", &first), (&first.to_uppercase(), &first)]
    {
        host.take_asked();
        let remote = Remote::new(&fetcher, host.url("registry").parse().unwrap(), None);
        let found = remote.resolve(&Revision::parse(text).unwrap(), soon()).await.unwrap();
        assert_eq!(found.as_str(), expected, "{text}");
        assert!(host.take_asked().len() <= 1, "{text}");
    }
    let remote = Remote::new(&fetcher, host.url("registry").parse().unwrap(), None);
    let error = remote.resolve(&Revision::Name("none".into()), soon()).await.unwrap_err();
    assert_eq!(error.to_string(), "127.0.0.1: the repository has no branch or tag `none`");
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn filter_gives_the_folders_first_and_their_files_by_id_afterwards() {
    for filters in [Filters::Allowed, Filters::Refused] {
        let host = GitHost::start(filters).await;
        let head = host.commit("a/b/registry.git", &FILES, "2026-01-01T00:00:00Z");
        let fetcher = fetcher();
        let remote = Remote::new(&fetcher, host.url("a/b/registry.git").parse().unwrap(), None);
        assert_eq!(remote.has_filters(soon()).await.unwrap(), filters == Filters::Allowed);
        let id = object_id(&commit(&head)).unwrap();
        let wanted = Wanted {
            objects: &[id],
            known: None,
            depth: Some(1),
            filter: Filter::Depth(2),
            limit_bytes: limits::PACK_BYTES,
        };
        let packed = remote.fetch(wanted, soon()).await.unwrap();
        let root = packed.pack.root(&id).unwrap();
        let stacks = packed.pack.entries(&packed.pack.folder(root, "stacks").unwrap()).unwrap();
        let names: Vec<&str> = stacks.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(names, ["go", "java"]);
        let expected = host.git("a/b/registry.git", &["rev-parse", "HEAD:stacks/go"]);
        assert_eq!(stacks[0].id.to_string(), expected);
        let is_there = packed.pack.find(&stacks[0].id, gix_object::Kind::Tree).unwrap().is_some();
        assert_eq!(is_there, filters == Filters::Refused);

        let go = [stacks[0].id];
        let wanted = Wanted { objects: &go, depth: None, filter: Filter::Nothing, ..wanted };
        let files = remote.fetch(wanted, soon()).await.unwrap();
        let mut found = Vec::new();
        let walked: Result<(), GitError> = files.pack.walk(stacks[0].id, 10, &mut |entry| {
            let content = files.pack.object(&entry.id, gix_object::Kind::Blob)?;
            found.push((entry.path, String::from_utf8(content).unwrap()));
            Ok(())
        });
        walked.unwrap();
        let text = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        assert_eq!(found, [text("1.0.0/devfile.yaml", FILES[1].1), text("stack.yaml", FILES[2].1)]);
        let walked: Result<(), GitError> = files.pack.walk(stacks[0].id, 2, &mut |_| Ok(()));
        assert!(matches!(walked, Err(GitError::TooLarge { limit: 2, .. })));
    }
}

#[tokio::test]
async fn ancestry_follows_merges_and_tells_a_rewritten_branch() {
    for filters in [Filters::Allowed, Filters::Refused] {
        let host = GitHost::start(filters).await;
        let first = host.commit("r", &FILES, "2026-01-01T00:00:00Z");
        host.git("r", &["checkout", "--quiet", "-b", "side"]);
        let side = host.commit("r", &FILES[..3], "2026-01-02T00:00:00Z");
        host.git("r", &["checkout", "--quiet", "main"]);
        let main = host.commit("r", &FILES[1..], "2026-01-03T00:00:00Z");
        host.git("r", &["merge", "--quiet", "--no-edit", "--strategy-option=ours", "side"]);
        let merge = host.git("r", &["rev-parse", "HEAD"]);
        let fetcher = fetcher();
        let remote = Remote::new(&fetcher, host.url("r").parse().unwrap(), None);
        let unknown = "0123456789012345678901234567890123456789".to_owned();
        for (head, ancestor, expected) in [
            (&merge, &first, true),
            (&merge, &side, true),
            (&merge, &main, true),
            (&merge, &merge, true),
            (&main, &side, false),
            (&side, &merge, false),
            (&first, &merge, false),
            (&merge, &unknown, false),
        ] {
            let found = remote.descends(&commit(head), &commit(ancestor), soon()).await.unwrap();
            assert_eq!(found, expected, "{filters:?} {head} {ancestor}");
        }
    }
}

#[tokio::test]
async fn dates_are_those_of_git_log_through_deep_histories_and_merges() {
    let host = GitHost::start(Filters::Allowed).await;
    host.commit("r", &FILES, "2025-03-01T10:00:00+02:00");
    let mut files = FILES.map(|(path, text)| (path, text.to_owned()));
    for number in 0..40 {
        files[0].1 = format!("{number}");
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        host.commit("r", &files, &format!("2025-04-{:02}T00:00:00-05:30", number % 28 + 1));
    }
    host.git("r", &["checkout", "--quiet", "-b", "side"]);
    files[3].1 = "changed".to_owned();
    let of = |files: &[(&'static str, String)]| -> Vec<(String, String)> {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect()
    };
    let changed = of(&files);
    let changed: Vec<(&str, &str)> = changed.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    host.commit("r", &changed, "2025-05-05T05:05:05Z");
    host.git("r", &["checkout", "--quiet", "main"]);
    host.git("r", &["commit", "--quiet", "--allow-empty", "--message", "nothing"]);
    host.git("r", &["merge", "--quiet", "--no-edit", "side"]);
    let head = commit(&host.git("r", &["rev-parse", "HEAD"]));
    let fetcher = fetcher();
    let remote = Remote::new(&fetcher, host.url("r").parse().unwrap(), None);
    let paths = ["stacks/go", "stacks/go/stack.yaml", "stacks/java", "README.md", "stacks/none"].map(str::to_owned);
    let dates = remote.last_modified(&head, &paths, soon()).await.unwrap();
    for path in &paths {
        let expected = host.git("r", &["log", "-1", "--format=%aI", "HEAD", "--", path]);
        let found = dates.get(path).map(|date| date.as_str().to_owned()).unwrap_or_default();
        assert_eq!(
            found,
            expected.strip_suffix("+00:00").map_or(expected.clone(), |text| format!("{text}Z")),
            "{path}"
        );
    }
    assert_eq!(dates.len(), 4);
}

#[tokio::test]
async fn file_that_a_partial_clone_lacks_is_an_error_and_a_large_one_is_refused() {
    let host = GitHost::start(Filters::Allowed).await;
    let large = "x".repeat(usize::try_from(limits::FILE_BYTES).unwrap() + 1);
    host.commit("r", &[FILES[1], ("stacks/go/large.txt", &large)], "2026-01-01T00:00:00Z");
    host.git("r", &["config", "uploadpack.allowFilter", "true"]);
    let origin = PathBuf::from(host.git("r", &["rev-parse", "--show-toplevel"]));
    let url = format!("file://{}", origin.display());
    host.git("r", &["clone", "--quiet", "--no-checkout", &url, "../whole"]);
    host.git("r", &["clone", "--quiet", "--no-checkout", "--filter=blob:none", &url, "../partial"]);
    let read = |clone: &str| {
        let repository = LocalRepository::of(&origin.with_file_name(clone)).unwrap();
        let stacks = repository.entry_at(repository.head().unwrap(), "stacks").unwrap().unwrap();
        let mut tree = Tree::default();
        repository.read(TreeEntry { path: "stacks".to_owned(), ..stacks }, &mut tree, &mut |_| Ok(())).map(|()| tree)
    };
    let tree = read("whole").unwrap();
    assert_eq!(tree.get(FILES[1].0).unwrap(), FILES[1].1);
    let refused: Vec<_> = tree.refused().iter().map(|refused| refused.reason.to_string()).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    let error = read("partial").unwrap_err().to_string();
    assert!(error.contains("the clone lacks it; run `git fetch --refetch --no-filter`"), "{error}");
    host.git("partial", &["fetch", "--quiet", "--refetch", "--no-filter"]);
    assert_eq!(read("partial").unwrap().refused().len(), 1);
}

#[tokio::test]
async fn answer_that_is_not_git_is_named() {
    let server = crate::fetch::server::TestServer::start(|path, _| match path {
        "/html/info/refs?service=git-upload-pack" | "/html/git-upload-pack" => {
            crate::fetch::server::ok(b"<html>sign in</html>", "")
        }
        "/err/git-upload-pack" => crate::fetch::server::ok(b"0015ERR go away, \x1b[1m\n", ""),
        "/cut/git-upload-pack" => crate::fetch::server::ok(b"003d", ""),
        _ => crate::fetch::server::status("404 Not Found"),
    })
    .await;
    let fetcher = fetcher();
    for (path, expected) in [
        ("html", "127.0.0.1 does not speak version 2 of the Git protocol: its answer is not in lines"),
        ("err", "127.0.0.1 refused the request: go away, [1m"),
        ("cut", "127.0.0.1 does not speak version 2 of the Git protocol: its list of references ends early"),
        ("none", "127.0.0.1: not found"),
    ] {
        let remote = Remote::new(&fetcher, server.url(&format!("/{path}")).parse().unwrap(), None);
        let error = remote.resolve(&Revision::Default, soon()).await.unwrap_err();
        assert_eq!(error.to_string(), expected, "{path}");
    }
}
