//! Completing a repository from a server with faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::fetch::server::{TestServer, ok, status};
use crate::fetch::{Hosts, Loopback, Rules};
use crate::git::server::{Filters, GitHost};
use crate::git::{Client, GitCredentials};
use crate::limits;
use crate::release::{Draft, PendingReason, Plan, Release};
use crate::repository::tests::{devfile, tree};
use crate::repository::{Part, Quarantined};
use crate::source::Listing;
use crate::tree::Tree;

const COMMIT: &str = "0123456789012345678901234567890123456789";
const SVG: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg'/>";

/// The own machine alone.
fn rules() -> Rules {
    Rules { hosts: Hosts::Only([].into()), loopback: Loopback::Allowed, ..Rules::default() }
}

/// Completes a tree with the previous release.
async fn complete(icons: Icons, tree: &Tree, previous: Option<&Release>) -> (Complete, Release) {
    complete_by(&UpstreamFetcher::new(Client::anonymous(rules()), icons), tree, previous).await
}

async fn complete_by(fetcher: &UpstreamFetcher, tree: &Tree, previous: Option<&Release>) -> (Complete, Release) {
    let complete = fetcher.complete(tree.clone(), previous).await;
    let plan = Plan::everything(Listing::of(tree));
    let draft = Draft::new((&complete.repository, &complete.upstream), &complete.tree, previous, &plan);
    let built = draft.finish(COMMIT.parse().unwrap(), "test", &Default::default(), None);
    (complete, Release::clone(&built.release))
}

fn stack(icon: &str, versions: &str) -> String {
    format!("name: kiln\ndisplayName: Kiln\nicon: {icon}\nversions:\n  - {{version: 1.0.0, default: true}}\n{versions}")
}

fn kiln(icon: &str) -> Tree {
    let own = devfile("kiln", "1.0.0").replace("https://example.org/i.svg", icon);
    tree(&[("stacks/kiln/stack.yaml", &stack(icon, "")), ("stacks/kiln/1.0.0/devfile.yaml", &own)])
}

fn samples(icon: &str, rows: &str) -> Tree {
    tree(&[("extraDevfileEntries.yaml", &rows.replace("ICON", icon))])
}

/// Warnings, and the problems of quarantined parts.
fn diagnostics(complete: &Complete) -> Vec<String> {
    let errors = complete.repository.quarantined.iter().flat_map(|quarantined| &quarantined.problems);
    complete.repository.warnings.iter().chain(errors).map(Diagnostic::to_string).collect()
}

#[tokio::test]
async fn icons_are_fetched_once_and_revalidated() {
    let server = TestServer::start(|path, head| match path {
        "/i" if head.contains("if-none-match: \"1\"") => status("304 Not Modified"),
        "/i" => ok(SVG, "etag: \"1\"\r\ncontent-type: text/plain\r\n"),
        _ => status("404 Not Found"),
    })
    .await;
    let tree = kiln(&server.url("/i"));
    let (first, release) = complete(Icons::Strict, &tree, None).await;
    assert_eq!(diagnostics(&first), [""; 0]);
    assert_eq!(server.asked(), ["/i"], "one icon, named twice");
    let icon = &release.content.icons[&server.url("/i")];
    assert_eq!((icon.media_type.as_str(), icon.size), ("image/svg+xml", SVG.len() as u64));
    assert_eq!(icon.etag.as_deref(), Some("\"1\""));

    let (_, again) = complete(Icons::Strict, &tree, Some(&release)).await;
    assert_eq!(again, release, "the same tree, the same release");
    let offline = UpstreamFetcher::without_fetches().complete(tree, Some(&release)).await;
    assert_eq!(offline.upstream.icons.len(), 1);
    assert_eq!(diagnostics(&offline), [""; 0]);
}

#[tokio::test]
async fn a_broken_icon_is_a_warning_or_an_error_and_the_one_before_stays() {
    let gone = Arc::new(AtomicU32::new(0));
    let state = gone.clone();
    let server = TestServer::start(move |path, _| match (path, state.load(Ordering::Relaxed)) {
        ("/i", 0) => ok(SVG, ""),
        ("/i", 1) => ok(b"<html>not any more</html>", ""),
        ("/i", 2) => status("500 Internal Server Error"),
        ("/text", _) => ok(b"plain", "content-type: image/png\r\n"),
        ("/large", _) => ok(&vec![b' '; limits::ICON_BYTES as usize + 1], ""),
        _ => status("404 Not Found"),
    })
    .await;
    for (path, reason) in
        [("/text", "this is not an image"), ("/large", "more than 524288 bytes"), ("/none", "not found")]
    {
        let (lenient, release) = complete(Icons::Lenient, &kiln(&server.url(path)), None).await;
        let found = diagnostics(&lenient);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("stacks/kiln/stack.yaml:3:7: warning[index/icon]: `kiln`: "), "{}", found[0]);
        assert!(found[0].contains(reason), "{}", found[0]);
        assert_eq!(release.content.stacks.len(), 1, "it is published");
        let (strict, release) = complete(Icons::Strict, &kiln(&server.url(path)), None).await;
        assert_eq!(strict.repository.errors()[0].rule, "index/icon");
        assert!(release.content.stacks.is_empty());
    }

    let tree = kiln(&server.url("/i"));
    let (_, before) = complete(Icons::Lenient, &tree, None).await;
    gone.store(1, Ordering::Relaxed);
    let (broken, after) = complete(Icons::Lenient, &tree, Some(&before)).await;
    assert_eq!(after.content.icons, before.content.icons);
    assert!(diagnostics(&broken)[0].contains("this is not an image"));
    let (_, strict) = complete(Icons::Strict, &tree, Some(&before)).await;
    assert_eq!(
        (strict.content.icons, strict.content.stacks),
        (before.content.icons.clone(), before.content.stacks.clone())
    );
    gone.store(2, Ordering::Relaxed);
    let (flaky, after) = complete(Icons::Strict, &tree, Some(&before)).await;
    assert_eq!(after.content.icons, before.content.icons);
    assert_eq!(diagnostics(&flaky), [""; 0], "a server that is down for now breaks nothing");
}

#[tokio::test]
async fn an_entry_without_an_icon_is_reported() {
    let (complete, _) = complete(
        Icons::Strict,
        &tree(&[(
            "stacks/loom/devfile.yaml",
            &devfile("loom", "1.0.0").replace("icon: https://example.org/i.svg", "website: x"),
        )]),
        None,
    )
    .await;
    assert_eq!(
        complete.repository.errors()[0].to_string().split(" (").next().unwrap(),
        "stacks/loom/devfile.yaml:2:1: error[index/icon]: `loom`: there is no icon"
    );
}

const SAMPLE: &str = "schemaVersion: 2.2.0\nmetadata: {name: pot}\n";

const DATE: &str = "2026-01-01T00:00:00Z";

#[tokio::test]
async fn sample_devfile_comes_from_its_repository_on_any_host() {
    let server = TestServer::start(|_, _| ok(SVG, "")).await;
    for filters in [Filters::Allowed, Filters::Refused] {
        let host = GitHost::start(filters).await;
        host.commit("clay/pot.git", &[(".devfile.yaml", SAMPLE)], DATE);
        host.git("clay/pot.git", &["tag", "v1"]);
        let vase = host.commit("guild/clay/vase", &[("sub/devfile.yaml", SAMPLE), ("devfile.yaml", "x")], DATE);
        host.commit("bad", &[("devfile.yaml", "schemaVersion: 2.2.0\nx: 1\n")], DATE);
        host.commit("none", &[("README.md", "nothing to see")], DATE);
        let row = |name: &str, path: &str, rest: &str| {
            let remote = if path.contains("://") { path.to_owned() } else { host.url(path) };
            let git = format!("{{remotes: {{origin: \"{remote}\"}}{rest}}}");
            format!("  - name: {name}\n    icon: {}\n    git: {git}\n", server.url("/i"))
        };
        let rows = [
            row("pot", "clay/pot.git", ", revision: v1"),
            row("vase", "guild/clay/vase", &format!(", revision: \"{vase}\", subDir: sub")),
            row("bad", "bad", ""),
            row("none", "none", ""),
            row("far", "https://git.example.org/clay/far", ""),
        ];
        let tree = samples("", &format!("samples:\n{}", rows.concat()));
        let (first, release) = complete(Icons::Strict, &tree, None).await;
        let devfiles: Vec<&str> = release.content.samples.iter().map(|devfile| devfile.name.as_str()).collect();
        assert_eq!(devfiles, ["pot", "vase"]);
        assert_eq!(release.content.samples[1].devfile, SAMPLE);
        let parts: Vec<&Part> = first.repository.quarantined.iter().map(|Quarantined { part, .. }| part).collect();
        assert_eq!(parts, [&Part::Sample { name: "bad".into() }]);
        let error = first.repository.errors()[0].to_string();
        assert!(error.starts_with("extraDevfileEntries.yaml:8:5: error[schema/unknownField]: `bad`: "), "{error}");
        let warned: Vec<String> = first.repository.warnings.iter().map(Diagnostic::to_string).collect();
        assert_eq!(warned.len(), 2, "{warned:?}");
        assert!(
            warned[0].contains("`none`: its devfile could not be fetched: ") && warned[1].contains("git.example.org")
        );

        host.take_asked();
        let (_, again) = complete(Icons::Strict, &tree, Some(&release)).await;
        assert_eq!(again.content.samples, release.content.samples);
        let asked = host.take_asked();
        assert!(!asked.iter().any(|path| path.contains("vase")), "a commit does not change: {asked:?}");
        let pot = asked.iter().filter(|path| path.contains("pot")).collect::<Vec<_>>();
        assert_eq!(pot, ["POST /clay/pot.git/git-upload-pack"], "a tag is resolved, and nothing else is fetched");

        let offline = UpstreamFetcher::without_fetches().complete(tree, Some(&release)).await;
        let devfiles = offline.repository.samples.iter().filter(|sample| !sample.devfiles.is_empty());
        assert_eq!(devfiles.count(), 2, "the published version stays");
    }
}

#[tokio::test]
async fn version_of_another_repository_is_published_like_the_others() {
    let server = TestServer::start(|_, _| ok(SVG, "")).await;
    let host = GitHost::start(Filters::Allowed).await;
    let second = devfile("kiln", "2.0.0");
    let files = [
        ("README.md", "read me"),
        ("stack/devfile.yaml", second.as_str()),
        ("stack/deploy/app.yaml", "kind: Deployment\n"),
        ("stack/.gitattributes", "deploy export-ignore\ndevfile.yaml export-subst\n"),
    ];
    host.commit("clay/kiln", &files, DATE);
    host.git("clay/kiln", &["branch", "v2"]);
    let remote = |rest: &str| format!("{{remotes: {{origin: \"{}\"}}, {rest}}}", host.url("clay/kiln"));
    let rows = format!(
        "  - {{version: 2.0.0, git: {}}}\n  - {{version: 3.0.0, git: {}}}\n",
        remote("revision: v2, subDir: stack"),
        remote("revision: v3")
    );
    let own = devfile("kiln", "1.0.0").replace("https://example.org/i.svg", &server.url("/i"));
    let tree =
        tree(&[("stacks/kiln/stack.yaml", &stack(&server.url("/i"), &rows)), ("stacks/kiln/1.0.0/devfile.yaml", &own)]);
    let (first, release) = complete(Icons::Lenient, &tree, None).await;
    let versions: Vec<&str> =
        release.content.stacks[0].versions.iter().map(|version| version.version.as_str()).collect();
    assert_eq!(versions, ["2.0.0", "1.0.0"]);
    assert_eq!(release.content.stacks[0].versions[0].resources, ["archive.tar", "devfile.yaml"]);
    assert!(release.content.files.contains_key("stacks/kiln/2.0.0/deploy/app.yaml"));
    let [Quarantined { part, problems }] = &first.repository.quarantined[..] else {
        panic!("{:?}", first.repository.quarantined)
    };
    assert_eq!(*part, Part::Version { stack: "kiln".to_owned(), version: "3.0.0".to_owned() });
    let text = problems[0].to_string();
    assert!(
        text.starts_with("stacks/kiln/stack.yaml:7:5: error[stack/git]: version 3.0.0 could not be read"),
        "{text}"
    );
    assert_eq!(release.outline.quarantined, first.repository.quarantined);

    let (_, again) = complete(Icons::Lenient, &tree, Some(&release)).await;
    assert_eq!(again.content.stacks, release.content.stacks, "nothing is new");
    assert_eq!(
        (again.content.versions, again.content.files),
        (release.content.versions.clone(), release.content.files.clone())
    );
    host.git("clay/kiln", &["checkout", "--quiet", "v2"]);
    host.commit("clay/kiln", &files[..2], DATE);
    let (_, moved) = complete(Icons::Lenient, &tree, Some(&release)).await;
    assert!(!moved.content.files.contains_key("stacks/kiln/2.0.0/deploy/app.yaml"), "the branch is followed");
    host.git("clay/kiln", &["branch", "--move", "v2", "v4"]);
    let (gone, retained) = complete(Icons::Lenient, &tree, Some(&moved)).await;
    assert_eq!(
        (&retained.content.versions, gone.repository.quarantined.len()),
        (&moved.content.versions, 1),
        "it stays"
    );
    let (_, reasons) = retained.outline.pending.iter().next().unwrap();
    assert!(reasons.contains(&PendingReason::Unreachable), "it is tried again");

    let offline = UpstreamFetcher::without_fetches().complete(tree.clone(), Some(&release)).await;
    let plan = Plan::everything(Listing::of(&offline.tree));
    let draft = Draft::new((&offline.repository, &offline.upstream), &offline.tree, Some(&release), &plan);
    let built = draft.finish(COMMIT.parse().unwrap(), "test", &Default::default(), None);
    assert_eq!(built.release.content.stacks, release.content.stacks, "out of reach, it stays as it was");
    let offline = UpstreamFetcher::without_fetches().complete(tree, None).await;
    assert_eq!(offline.repository.stacks[0].versions.len(), 1);
}

#[tokio::test]
async fn versions_of_other_repositories_share_one_budget_of_bytes() {
    let server = TestServer::start(|_, _| ok(SVG, "")).await;
    let host = GitHost::start(Filters::Refused).await;
    // A small budget: the time for a repository is short.
    let mut fetcher = UpstreamFetcher::new(Client::anonymous(rules()), Icons::Lenient);
    fetcher.bytes = 1 << 20;
    let large = "a".repeat(128 << 10);
    let numbers: Vec<u64> = (1..=10).collect();
    let mut rows = String::new();
    for number in &numbers {
        let text = devfile("kiln", &format!("{number}.0.1"));
        host.commit(&format!("kiln-{number}"), &[("devfile.yaml", text.as_str()), ("large", large.as_str())], DATE);
        let url = host.url(&format!("kiln-{number}"));
        rows += &format!("  - {{version: {number}.0.1, git: {{remotes: {{origin: \"{url}\"}}}}}}\n");
    }
    let own = devfile("kiln", "1.0.0");
    let tree =
        tree(&[("stacks/kiln/stack.yaml", &stack(&server.url("/i"), &rows)), ("stacks/kiln/1.0.0/devfile.yaml", &own)]);
    let (complete, release) = complete_by(&fetcher, &tree, None).await;
    let refused = diagnostics(&complete).into_iter().filter(|warning| warning.contains("bytes together")).count();
    let published = release.content.stacks[0].versions.len() - 1;
    assert_eq!((refused + published, refused > 0, published > 0), (numbers.len(), true, true), "{refused} {published}");
}

#[tokio::test]
async fn upstream_parents_are_fetched_and_the_unreachable_named_once() {
    let server = TestServer::start(|path, _| match path {
        "/base.yaml" => ok(b"schemaVersion: 2.2.0\nparent: {uri: deeper.yaml}\n", ""),
        "/deeper.yaml" => ok(b"schemaVersion: 2.2.0\ncomponents: [{name: box, container: {image: x}}]\n", ""),
        "/devfiles/go/1.0.0" => ok(b"schemaVersion: 2.2.0\ncolour: red\n", ""),
        _ => status("404 Not Found"),
    })
    .await;
    let with = |name: &str, parent: &str, rest: &str| format!("{}parent: {parent}\n{rest}", devfile(name, "1.0.0"));
    let commands = "commands: [{id: run, exec: {component: box, commandLine: x}}]\n";
    let far = "{uri: \"https://far.example.org/d.yaml\"}";
    let files = [
        ("stacks/a/devfile.yaml", with("a", &format!("{{uri: \"{}\"}}", server.url("/base.yaml")), commands)),
        ("stacks/b/devfile.yaml", with("b", far, "")),
        ("stacks/c/devfile.yaml", with("c", far, "")),
        (
            "stacks/d/devfile.yaml",
            with("d", &format!("{{id: go, version: 1.0.0, registryUrl: \"{}\"}}", server.url("")), ""),
        ),
        ("stacks/e/devfile.yaml", with("e", "{id: a}", "events: {postStart: [run]}\n")),
        ("stacks/f/devfile.yaml", with("f", &format!("{{uri: \"{}\"}}", server.url("/none.yaml")), "")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (*path, content.as_str())).collect();
    let complete = UpstreamFetcher::new(Client::anonymous(rules()), Icons::Lenient).complete(tree(&files), None).await;
    let errors: Vec<String> =
        complete.repository.errors().iter().map(|error| format!("{} {}", error.path, error.rule)).collect();
    assert_eq!(errors, ["stacks/d/devfile.yaml schema/unknownField", "stacks/f/devfile.yaml parent/missing"]);
    let unreachable: Vec<String> =
        diagnostics(&complete).into_iter().filter(|w| w.contains("parent/unreachable")).collect();
    assert_eq!(unreachable.len(), 1, "{unreachable:?}");
    assert!(unreachable[0].contains("far.example.org"), "{unreachable:?}");
    assert_eq!(complete.repository.stacks.len(), 4);
}

/// Reads the environment: the own machine may be asked, and `others` are set.
pub(super) fn of_environment(others: &[(&'static str, String)]) -> UpstreamFetcher {
    let mut variables: Vec<(&str, String)> = vec![("FETCH_ALLOW_LOOPBACK", "true".to_owned())];
    variables.extend(others.iter().cloned());
    let of = move |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
    let mut environment = Environment::new(of);
    let fetcher = {
        let credentials = GitCredentials::from_environment(&mut environment);
        UpstreamFetcher::from_environment(&mut environment, credentials)
    };
    environment.finish().unwrap();
    fetcher
}

#[tokio::test]
async fn credentials_of_a_host_are_sent_to_it_and_to_no_other() {
    let icons = TestServer::start(|_, _| ok(SVG, "")).await;
    let closed = GitHost::start_for(Filters::Allowed, Some("Basic Y2k6czNjcmV0")).await;
    let open = GitHost::start(Filters::Allowed).await;
    let second = devfile("kiln", "2.0.0").replace("https://example.org/i.svg", &icons.url("/i"));
    closed.commit("clay/kiln", &[("devfile.yaml", &second)], DATE);
    closed.commit("clay/pot", &[("devfile.yaml", SAMPLE)], DATE);
    open.commit("clay/vase", &[("devfile.yaml", SAMPLE)], DATE);
    let version = format!("  - {{version: 2.0.0, git: {{remotes: {{origin: \"{}\"}}}}}}\n", closed.url("clay/kiln"));
    let row = |name: &str, url: String| {
        let icon = icons.url("/i");
        format!("  - {{name: {name}, icon: \"{icon}\", git: {{remotes: {{origin: \"{url}\"}}}}}}\n")
    };
    let samples = format!("samples:\n{}{}", row("pot", closed.url("clay/pot")), row("vase", open.url("clay/vase")));
    let own = devfile("kiln", "1.0.0").replace("https://example.org/i.svg", &icons.url("/i"));
    let tree = tree(&[
        ("stacks/kiln/stack.yaml", &stack(&icons.url("/i"), &version)),
        ("stacks/kiln/1.0.0/devfile.yaml", &own),
        ("extraDevfileEntries.yaml", &samples),
    ]);
    let host = closed.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    for (credentials, versions, devfiles, warned) in [
        (vec![("GIT_CREDENTIALS", format!("{host}=ci:s3cret"))], 2, vec!["pot", "vase"], 0),
        (vec![("GIT_CREDENTIALS", format!("{host}=ci:wrong"))], 1, vec!["vase"], 2),
        (vec![], 1, vec!["vase"], 2),
    ] {
        let complete = of_environment(&credentials).complete(tree.clone(), None).await;
        let found = diagnostics(&complete);
        assert_eq!(found.len(), warned, "{found:?}");
        assert!(found.iter().all(|warning| warning.contains("status 401")), "{found:?}");
        assert_eq!(complete.repository.stacks[0].versions.len(), versions);
        let samples = complete.repository.samples.iter().filter(|sample| !sample.devfiles.is_empty());
        let names: Vec<&str> = samples.map(|sample| sample.entry.name.as_str()).collect();
        assert_eq!(names, devfiles);
    }
}

#[tokio::test]
async fn check_without_fetches_warns_of_nothing_that_it_does_not_read() {
    let icon = "https://example.org/i.svg";
    let rows = "  - {version: 2.0.0, git: {remotes: {origin: \"https://git.example.org/a.git\"}}}\n";
    let parent = "parent: {uri: \"https://example.org/devfile.yaml\"}\n";
    let child = format!("{}{parent}", devfile("kiln", "1.0.0"));
    let samples =
        "samples:\n  - {name: pot, icon: /i.svg, git: {remotes: {origin: \"https://git.example.org/b.git\"}}}\n";
    let tree = tree(&[
        ("stacks/kiln/stack.yaml", &stack(icon, rows)),
        ("stacks/kiln/1.0.0/devfile.yaml", &child),
        ("extraDevfileEntries.yaml", samples),
    ]);
    let complete = UpstreamFetcher::without_fetches().complete(tree, None).await;
    assert_eq!(diagnostics(&complete), [""; 0]);
    assert!(complete.repository.errors().is_empty());
}
