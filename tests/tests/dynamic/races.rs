//! Readers during updates, processes that are killed, and a bucket that goes away.

use std::collections::BTreeMap;
use std::time::Duration;

use registry_tests::bounded::within_a_minute;
use registry_tests::registry::TestRegistry;
use serde_json::{Value, json};

use crate::fixture::Dynamic;

/// Three stacks that say at which edit they are.
fn write(registry: &TestRegistry, edit: usize) {
    for stack in ["one", "two", "three"] {
        let text = format!(
            "schemaVersion: 2.2.0\nmetadata:\n  name: {stack}\n  displayName: {stack}\n  version: 1.0.0\n  description: at {edit}\n  provider: Clay Guild\n  \
             supportUrl: https://example.org/help\n  language: Rust\n  projectType: axum\n  icon: https://example.org/i.svg\n  architectures: [amd64]\n"
        );
        registry.write(&format!("stacks/{stack}/devfile.yaml"), &text);
    }
}

/// Invariant 1: every answer is of one whole release, the one that its header names.
#[tokio::test]
async fn no_answer_mixes_two_releases() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    write(&registry, 0);
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let client = registry_tests::http::client();
    let url = serve.url.clone();
    let (end, ended) = tokio::sync::watch::channel(false);
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (client, url, ended) = (client.clone(), url.clone(), ended.clone());
            tokio::spawn(async move {
                let mut seen: Vec<(String, String)> = Vec::new();
                while !*ended.borrow() {
                    for path in ["/v2index/all", "/index", "/index.json"] {
                        let answer = client.get(format!("{url}{path}")).send().await.unwrap();
                        let commit = answer.headers()["devfile-registry-commit"].to_str().unwrap().to_owned();
                        let text = answer.text().await.unwrap();
                        let document: Value = serde_json::from_str(&text).unwrap();
                        let entries = if path == "/index.json" { &document["stacks"] } else { &document };
                        let entries = entries.as_array().unwrap().iter();
                        let ours = entries.filter(|e| ["one", "two", "three"].map(Some).contains(&e["name"].as_str()));
                        let edits: Vec<String> = ours
                            .map(|e| {
                                e["versions"][0]["description"]
                                    .as_str()
                                    .or(e["description"].as_str())
                                    .unwrap()
                                    .to_owned()
                            })
                            .collect();
                        assert_eq!(edits.len(), 3, "{path}");
                        assert!(edits.iter().all(|edit| *edit == edits[0]), "{path} mixes {edits:?}");
                        if path == "/index.json" {
                            assert_eq!(document["commit_hash"], commit.as_str());
                        }
                        seen.push((commit, edits[0].clone()));
                    }
                }
                seen
            })
        })
        .collect();
    for edit in 1..=8 {
        write(&registry, edit);
        assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    }
    serve.until_live(registry.live().await["commit_hash"].as_str().unwrap()).await;
    end.send(true).unwrap();
    let mut edits: BTreeMap<String, String> = BTreeMap::new();
    for reader in readers {
        for (commit, edit) in reader.await.unwrap() {
            assert_eq!(edits.entry(commit.clone()).or_insert_with(|| edit.clone()), &edit, "{commit} is one release");
        }
    }
    assert!(edits.len() > 2, "the readers saw several releases: {edits:?}");
}

/// Invariant 3, with the real process: killed after any number of writes, it leaves the old release whole, and the next run
/// finishes the work.
#[tokio::test]
async fn a_refresh_that_is_killed_between_steps_is_finished_by_the_next() {
    let world = Dynamic::new().await;
    world.registry.refresh().await.unwrap();
    let serve = world.registry.serve().await;
    // More than one refresh of this change writes.
    for writes in 0..12 {
        let live = world.registry.live().await;
        serve.until_live(live["commit_hash"].as_str().unwrap()).await;
        let before = serve.get("/devfiles/loom").await;
        let commit = world.edit(&format!("killed after {writes} writes"));
        world.fuse.set(Some(writes));
        let mut process = world.registry.invocation(&json!({"action": "refresh"})).spawn().unwrap();
        let finished = tokio::select! {
            ended = process.wait() => ended.unwrap().success(),
            () = world.fuse.blown() => {
                process.kill().await.unwrap();
                false
            }
        };
        world.fuse.set(None);
        let now = world.registry.live().await;
        if now["commit_hash"] == live["commit_hash"] {
            assert!(!finished, "it said that it had finished");
            assert_eq!((&now, &serve.get("/devfiles/loom").await), (&live, &before), "{writes}");
        } else {
            // Killed while it stored its outcome.
            assert_eq!(now["commit_hash"], commit.as_str(), "{writes}");
        }
        let report = world.registry.refresh().await.unwrap();
        assert_eq!(report["commit_hash"], commit.as_str());
        assert_eq!(world.act(json!({"action": "verify"})).await["problems"], json!([]), "{writes}");
    }
}

/// Invariant 7: without OCI registry and GitHub nothing is missing; without the bucket the snapshot is served, and said to be old.
#[tokio::test]
async fn serve_outlives_the_bucket_and_says_so() {
    let world = Dynamic::new().await;
    world.registry.refresh().await.unwrap();
    world.oci.stop();
    let serve = world.registry.serve().await;
    let before = [serve.get("/v2index/all").await, serve.get("/devfiles/loom").await];
    assert_eq!(serve.json("/status").await["snapshot"]["stale"], false);
    world.s3.faults().add("*", registry_tests::github::Fault::Hang, 1);
    world.s3.faults().add("*", registry_tests::github::Fault::Status { status: 503 }, 1_000_000);
    let begin = std::time::Instant::now();
    assert_eq!([serve.get("/v2index/all").await, serve.get("/devfiles/loom").await], before);
    assert!(begin.elapsed() < Duration::from_secs(2), "a bucket that does not answer holds requests up");
    let stale = async {
        loop {
            // The poll that hangs takes its time to be given up.
            let answer = registry_tests::http::get(format!("{}/devfiles/loom", serve.url)).await.unwrap();
            if answer.headers().contains_key("devfile-registry-stale") {
                break answer;
            }
        }
    };
    let answer = within_a_minute("serve says that it is stale", stale).await;
    assert_eq!(answer.status(), 200);
    let status = serve.json("/status").await;
    assert_eq!(status["snapshot"]["stale"], true);
    assert!(status["snapshot"]["failure"].as_str().unwrap().contains("the store"), "{status}");
    world.s3.faults().clear();
    within_a_minute("serve is fresh again", async {
        while serve.json("/status").await["snapshot"]["stale"] == true {}
    })
    .await;
    assert_eq!(serve.get("/devfiles/loom").await, before[1]);
}
