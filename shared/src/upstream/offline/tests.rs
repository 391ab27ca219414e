//! Taking versions offline from a server with faults.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::{Keep, Known};
use crate::digest::Digest;
use crate::fetch::server::{TestServer, ok, status};
use crate::fetch::{Hosts, Loopback, Rules};
use crate::git::Client;
use crate::git::server::{Filters, GitHost};
use crate::release::{self, Draft, Release};
use crate::repository::Part;
use crate::repository::tests::{devfile, tree};
use crate::source::Listing;
use crate::tree::Tree;
use crate::upstream::tests::of_environment;
use crate::upstream::{Icons, UpstreamFetcher};

const URL: &str = "https://r.example.org";

/// A zip with one file.
pub(crate) fn zip(name: &str, content: &str) -> Vec<u8> {
    let mut zip = ZipArchiveWriter::new(Vec::new());
    let (mut out, config) = zip.new_file(name).compression_method(CompressionMethod::DEFLATE).start().unwrap();
    let mut writer = config.wrap(DeflateEncoder::new(&mut out, Compression::fast()));
    writer.write_all(content.as_bytes()).unwrap();
    let (encoder, descriptor) = writer.finish().unwrap();
    encoder.finish().unwrap();
    out.finish(descriptor).unwrap();
    zip.finish().unwrap()
}

/// Asks the own machine alone.
pub(crate) fn fetcher(stacks: &str) -> UpstreamFetcher {
    let rules = Rules { hosts: Hosts::Only([].into()), loopback: Loopback::Allowed, ..Rules::default() };
    let fetcher = UpstreamFetcher::new(Client::anonymous(rules), Icons::Lenient);
    fetcher.offline(stacks.parse().unwrap(), &URL.parse().unwrap())
}

/// The stored content by digest.
#[derive(Debug, Default)]
struct Memory(Mutex<BTreeMap<Digest, Vec<u8>>>);

impl Keep for Memory {
    type Error = String;

    async fn keep(&self, digest: Digest, file: &Path) -> Result<(), String> {
        let content = std::fs::read(file).unwrap();
        assert_eq!(Digest::of(&content), digest);
        self.0.lock().unwrap().insert(digest, content);
        Ok(())
    }
}

/// No room for anything.
#[derive(Debug)]
struct Full;

impl Keep for Full {
    type Error = String;

    async fn keep(&self, _: Digest, _: &Path) -> Result<(), String> {
        Err("full".to_owned())
    }
}

async fn publish(fetcher: &UpstreamFetcher, tree: &Tree, previous: Option<&Release>, keep: &Memory) -> Release {
    let mut complete = fetcher.complete(tree.clone(), previous).await;
    let plan = release::Plan::everything(Listing::of(tree));
    fetcher.take_offline(&mut complete, &plan, previous, Known::Reused, keep).await.unwrap();
    let draft = Draft::new((&complete.repository, &complete.upstream), &complete.tree, previous, &plan);
    let built = draft.finish("0".repeat(40).parse().unwrap(), "test", &Default::default(), None);
    Release::clone(&built.release)
}

fn warned(release: &Release) -> Vec<String> {
    let warnings = release.outline.warnings.iter().filter(|warning| warning.rule.starts_with(release::OFFLINE_RULES));
    warnings.map(|warning| warning.message.clone()).collect()
}

fn lacking(release: &Release) -> Vec<&str> {
    release.outline.offline.iter().flat_map(|offline| &offline.lacking).map(String::as_str).collect()
}

#[tokio::test]
async fn unavailable_content_is_named_and_the_rest_is_published() {
    let clay = zip("README.md", "clay");
    let server = TestServer::start(move |path, _| match path {
        "/clay.zip" => ok(&clay, ""),
        "/beside.yaml" => ok(b"schemaVersion: 2.2.0\ncomponents: [{name: k, kubernetes: {uri: deploy.yaml}}]\n", ""),
        _ => status("404 Not Found"),
    })
    .await;
    let starters = format!(
        "parent: {{uri: \"{url}beside.yaml\"}}\nstarterProjects:\n- {{name: clay, zip: {{location: \"{url}clay.zip\"}}}}\n- {{name: \
         taken, zip: {{location: \"{url}clay.zip\"}}}}\n- {{name: folder, zip: {{location: \"{url}clay.zip\"}}, subDir: none}}\n",
        url = server.url("/")
    );
    let devfile = devfile("kiln", "1.0.0") + &starters;
    let tree = tree(&[("stacks/kiln/devfile.yaml", &devfile), ("stacks/kiln/taken-offline.zip", "committed")]);
    let (fetcher, keep) = (fetcher("all"), Memory::default());
    let release = publish(&fetcher, &tree, None, &keep).await;
    let expected = [
        "the component `k` of",
        "the starter project `taken` was not fetched: the folder has a file taken-offline.zip already",
        "the starter project `folder` was not fetched: 127.0.0.1: it has no folder none",
    ];
    let found = warned(&release);
    assert_eq!(found.len(), 3, "{found:?}");
    for (message, expected) in found.iter().zip(expected) {
        assert!(message.contains(expected), "{message}: {expected}");
    }
    assert_eq!(lacking(&release), [""; 0], "none of it can change without the devfile");
    let version = &release.content.versions[0];
    let files: Vec<_> = version.offline.as_ref().unwrap().files.keys().collect();
    assert_eq!(files, ["clay-offline.zip"]);
    assert!(version.devfile.contains(&format!("{URL}/stacks/kiln/clay-offline.zip")));
    assert_eq!(version.devfile.matches("127.0.0.1").count(), 3);
    assert!(keep.0.lock().unwrap().contains_key(&release.content.files["stacks/kiln/clay-offline.zip"].digest));
    assert_eq!(
        release.blob_locations()[&release.content.files["stacks/kiln/clay-offline.zip"].digest],
        crate::release::BlobLocation::Index
    );

    server.asked();
    let again = publish(&fetcher, &tree, Some(&release), &keep).await;
    assert_eq!(again, release);
    assert_eq!(server.asked(), ["/beside.yaml"], "to check the devfile with it");

    let plan = release::Plan::everything(Listing::of(&tree));
    let mut complete = fetcher.complete(tree, None).await;
    let full = fetcher.take_offline(&mut complete, &plan, None, Known::Reused, &Full).await;
    assert_eq!(full, Err("full".to_owned()));
}

/// A server with the archives `one.zip` and `two.zip`; while the number is above 0, the second is unavailable.
async fn server_of_two() -> (TestServer, Arc<AtomicU32>) {
    let down = Arc::new(AtomicU32::new(1));
    let state = Arc::clone(&down);
    let server = TestServer::start(move |path, _| match path {
        "/two.zip" if state.load(Ordering::Relaxed) > 0 => status("503 Service Unavailable"),
        "/one.zip" | "/two.zip" => ok(&zip("README.md", path), ""),
        _ => status("404 Not Found"),
    })
    .await;
    (server, down)
}

/// A version that is kept for now is kept whole: the state that is asked about is the one that is published.
#[tokio::test]
async fn a_version_of_another_repository_waits_for_its_starter_projects() {
    let (server, down) = server_of_two().await;
    let host = GitHost::start(Filters::Allowed).await;
    let push = |text: &str| {
        let location = server.url(&format!("/{text}.zip"));
        let starters = format!("starterProjects:\n- {{name: {text}, zip: {{location: \"{location}\"}}}}\n");
        host.commit("kiln", &[("devfile.yaml", &(devfile("kiln", "2.0.0") + &starters))], "2026-01-01T00:00:00Z");
    };
    push("one");
    let stack = format!(
        "name: kiln\ndisplayName: Kiln\nicon: {}\nversions:\n  - {{version: 2.0.0, default: true, git: {{remotes: {{origin: \
         \"{}\"}}, revision: main}}}}\n",
        server.url("/i"),
        host.url("kiln")
    );
    let tree = tree(&[("stacks/kiln/stack.yaml", &stack)]);
    let (fetcher, keep) = (fetcher("kiln"), Memory::default());
    let first = publish(&fetcher, &tree, None, &keep).await;
    assert!(first.content.versions[0].devfile.contains("one-offline.zip"));
    push("two");
    let second = publish(&fetcher, &tree, Some(&first), &keep).await;
    assert_eq!((&second.content.versions, &second.content.files), (&first.content.versions, &first.content.files));
    assert_eq!((lacking(&second), warned(&second).len()), (vec!["kiln"], 1));
    down.store(0, Ordering::Relaxed);
    let third = publish(&fetcher, &tree, Some(&second), &keep).await;
    assert!(third.content.versions[0].devfile.contains("two-offline.zip"), "{}", third.content.versions[0].devfile);
    assert_eq!((lacking(&third), warned(&third)), (Vec::new(), Vec::new()));
    let fourth = publish(&fetcher, &tree, Some(&third), &keep).await;
    assert_eq!((fourth.content.versions, fourth.content.files), (third.content.versions, third.content.files));
}

#[tokio::test]
async fn fetched_starter_is_not_fetched_again_for_the_missing_one() {
    let (server, down) = server_of_two().await;
    let starter = |name: &str| format!("- {{name: {name}, zip: {{location: \"{}{name}.zip\"}}}}\n", server.url("/"));
    let devfile = format!("{}starterProjects:\n{}{}", devfile("kiln", "1.0.0"), starter("one"), starter("two"));
    let tree = tree(&[("stacks/kiln/devfile.yaml", &devfile)]);
    let (fetcher, keep) = (fetcher("all"), Memory::default());
    let first = publish(&fetcher, &tree, None, &keep).await;
    assert_eq!((server.asked(), lacking(&first)), (vec!["/one.zip".to_owned(), "/two.zip".to_owned()], vec!["kiln"]));
    assert!(first.content.versions[0].devfile.contains("stacks/kiln/one-offline.zip"));
    let second = publish(&fetcher, &tree, Some(&first), &keep).await;
    assert_eq!((server.asked(), &second), (vec!["/two.zip".to_owned()], &first));
    down.store(0, Ordering::Relaxed);
    let third = publish(&fetcher, &tree, Some(&second), &keep).await;
    assert_eq!((server.asked(), lacking(&third)), (vec!["/two.zip".to_owned()], Vec::new()));
    let names: Vec<_> = third.content.versions[0].offline.as_ref().unwrap().files.keys().collect();
    assert_eq!(names, ["one-offline.zip", "two-offline.zip"]);
    assert_eq!(third.content.files["stacks/kiln/one-offline.zip"], first.content.files["stacks/kiln/one-offline.zip"]);
}

#[tokio::test]
async fn starter_project_of_a_host_with_credentials_is_fetched_with_them() {
    let host = GitHost::start_for(Filters::Allowed, Some("Basic Y2k6czNjcmV0")).await;
    host.commit("clay/starter", &[("README.md", "clay")], "2026-01-01T00:00:00Z");
    let starters =
        format!("starterProjects:\n- {{name: clay, git: {{remotes: {{origin: \"{}\"}}}}}}\n", host.url("clay/starter"));
    let tree = tree(&[("stacks/kiln/devfile.yaml", &(devfile("kiln", "1.0.0") + &starters))]);
    let name = host.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    for (credentials, count) in [(format!("{name}=ci:s3cret"), 0), (String::new(), 1)] {
        let fetcher = of_environment(&[
            ("GIT_CREDENTIALS", credentials),
            ("OFFLINE", "all".to_owned()),
            ("PUBLIC_URL", URL.to_owned()),
        ]);
        let release = publish(&fetcher, &tree, None, &Memory::default()).await;
        assert_eq!((warned(&release).len(), lacking(&release).len()), (count, count));
    }
}

/// The edit asks for a folder that the starter project does not have: the version stays as it was until the edit is corrected.
#[tokio::test]
async fn edit_that_names_a_missing_folder_of_a_starter_project_quarantines_the_version() {
    let server = TestServer::start(move |_, _| ok(&zip("README.md", "one"), "")).await;
    let files = |rest: &str| {
        let location = server.url("/one.zip");
        let starters = format!("starterProjects:\n- {{name: one, zip: {{location: \"{location}\"}}{rest}}}\n");
        tree(&[("stacks/kiln/devfile.yaml", &(devfile("kiln", "1.0.0") + &starters))])
    };
    let (fetcher, keep) = (fetcher("all"), Memory::default());
    let first = publish(&fetcher, &files(""), None, &keep).await;
    assert!(first.outline.quarantined.is_empty());
    let second = publish(&fetcher, &files(", subDir: none"), Some(&first), &keep).await;
    assert_eq!(second.content.versions, first.content.versions);
    let [quarantined] = &second.outline.quarantined[..] else { panic!("{:?}", second.outline.quarantined) };
    assert_eq!(quarantined.part, Part::Stack { stack: "kiln".to_owned() });
    assert_eq!(quarantined.problems[0].rule, "offline/starter");
    let third = publish(&fetcher, &files(""), Some(&second), &keep).await;
    assert_eq!((third.outline.quarantined.len(), &third.content.versions), (0, &first.content.versions));
}
