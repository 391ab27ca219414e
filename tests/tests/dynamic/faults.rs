//! Trouble between refresh and the Git host, the OCI registry and the bucket. Each time the old release is still served, and once the
//! trouble is over the next refresh completes.

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use devfile_registry::digest::Digest;
use devfile_registry::release::LiveIndex;
use registry_tests::github::Fault;
use serde_json::json;

use crate::fixture::Dynamic;

/// Refreshes with some faults, and checks that the release before is untouched and that the next refresh goes through.
async fn survives(world: &Dynamic, name: &str, set: impl Fn(&Dynamic), expected: &str) {
    let serve = world.registry.serve().await;
    let (live, before) = (world.registry.live().await, serve.get("/devfiles/loom").await);
    let commit = world.edit(name);
    set(world);
    let begin = Instant::now();
    let error = world.registry.refresh().await.expect_err(name);
    assert!(error.contains(expected), "{name}: {error}");
    assert!(begin.elapsed() < Duration::from_secs(58), "{name} took {:?}", begin.elapsed());
    assert_eq!(world.registry.live().await, live, "{name}");
    assert_eq!(serve.get("/devfiles/loom").await, before, "{name}");
    assert!(serve.last_refresh().await["failure"].is_string(), "{name}");
    world.github.faults().clear();
    world.s3.faults().clear();
    world.oci.faults().clear();
    let report = world.registry.refresh().await.unwrap();
    assert_eq!((&report["outcome"], &report["commit_hash"]), (&json!("published"), &json!(commit)), "{name}");
    let problems = world.act(json!({"action": "verify"})).await["problems"].clone();
    assert_eq!(problems, json!([]), "{name}");
}

async fn published() -> Dynamic {
    let world = Dynamic::new().await;
    world.registry.refresh().await.unwrap();
    world
}

#[tokio::test]
async fn git_host_that_fails_leaves_the_live_release() {
    let world = published().await;
    let pack = "*/git-upload-pack";
    let refuses = b"0027ERR upload-pack: not our ref 0123ab\n";
    for (name, path, fault, expected) in [
        ("an error", pack, Fault::Status { status: 500 }, "status 500 (tried 6 times)"),
        ("unavailable for legal reasons", pack, Fault::Status { status: 451 }, "status 451"),
        ("cut off", pack, Fault::CutOff, "the answer is broken"),
        ("a page", pack, Fault::Page, "does not speak version 2 of the Git protocol"),
        ("no discovery", "*/info/refs", Fault::Malformed, "does not speak version 2 of the Git protocol"),
        ("not our ref", pack, Fault::Body(Bytes::from_static(refuses)), "not our ref"),
    ] {
        survives(&world, name, |world| world.github.faults().add(path, fault.clone(), 20), expected).await;
    }
}

#[tokio::test]
async fn a_devfile_that_is_not_text_is_quarantined() {
    let world = published().await;
    let serve = world.registry.serve().await;
    let before = serve.get("/devfiles/loom").await;
    let path = world.registry.repository.path().join("stacks/loom/devfile.yaml");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(b"# \xff\xfe\n").unwrap();
    world.registry.commit();
    let report = world.registry.refresh().await.unwrap();
    assert_eq!(report["quarantined"][0]["problems"][0]["path"], "stacks/loom/devfile.yaml", "{report}");
    serve.until_serves(&world.registry).await;
    assert_eq!(serve.get("/devfiles/loom").await, before);
}

#[tokio::test]
async fn oci_registry_that_fails_leaves_the_live_release() {
    let world = published().await;
    let put = "PUT /v2/*";
    for (name, path, fault, expected) in [
        ("401", put, Fault::Status { status: 401 }, "failed to take"),
        ("403", put, Fault::Status { status: 403 }, "failed to take"),
        ("500", put, Fault::Status { status: 500 }, "failed to take"),
        ("disk full", put, Fault::Status { status: 507 }, "failed to take"),
        ("no blobs", "HEAD /v2/*/blobs/*", Fault::Status { status: 502 }, "failed to check the blob"),
    ] {
        survives(&world, name, |world| world.oci.faults().add(path, fault.clone(), 200), expected).await;
    }
    // Passing faults are outlived.
    for fault in [
        Fault::RateLimit { status: 429, retry_after: Some(1), reset: None },
        Fault::Status { status: 500 },
        Fault::CutOff,
        Fault::Slow { milliseconds: 200 },
    ] {
        let commit = world.edit(&format!("{fault:?}"));
        world.oci.faults().add("*", fault.clone(), 2);
        let begin = Instant::now();
        let report = world.registry.refresh().await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(report["commit_hash"], commit.as_str(), "{fault:?}");
        let asked_for = if let Fault::RateLimit { retry_after, .. } = fault { retry_after } else { None };
        assert!(begin.elapsed() >= Duration::from_secs(asked_for.unwrap_or_default()), "{fault:?}");
    }
    assert_eq!(world.act(json!({"action": "verify"})).await["problems"], json!([]));
}

#[tokio::test]
async fn content_that_arrives_changed_is_not_believed() {
    let world = published().await;
    let other = Fault::Body(Bytes::from_static(b"something else"));
    world.oci.faults().add("GET /v2/*/blobs/*", other.clone(), 2);
    // Passing: it is asked for once more.
    assert_eq!(world.act(json!({"action": "verify"})).await["problems"], json!([]));
    let blobs = world.registry.keys("blobs/").await;
    world.registry.remove(&blobs).await;
    world.oci.faults().add("GET /v2/*/blobs/*", other, 10_000);
    let error = world.registry.invoke(&json!({"action": "restore"})).await.unwrap_err();
    assert!(error.contains("failed to read the blob"), "{error}");
    world.oci.faults().clear();
    world.act(json!({"action": "restore"})).await;
    assert_eq!(world.act(json!({"action": "verify"})).await["problems"], json!([]));
    let first = world.registry.live().await["commit_hash"].clone();
    world.edit("more");
    world.registry.refresh().await.unwrap();
    let endless = Fault::Body(Bytes::from(vec![b' '; (4 << 20) + 1]));
    world.oci.faults().add("GET /v2/*/manifests/*", endless, 10_000);
    let error = world.registry.invoke(&json!({"action": "rollback", "commit_hash": first})).await.unwrap_err();
    assert!(error.contains("it has more than 4194304 bytes"), "{error}");
    world.oci.faults().clear();
    assert_eq!(world.act(json!({"action": "verify"})).await["problems"], json!([]));
}

#[tokio::test]
async fn bucket_that_fails_leaves_the_live_release() {
    let world = published().await;
    let name = world.registry.name.clone();
    let (put, index) = (format!("PUT /{name}/blobs/*"), format!("PUT /{name}/index.json"));
    for (name, path, fault, expected) in [
        ("403", &put, Fault::Status { status: 403 }, "failed to write blobs/"),
        ("503", &put, Fault::Status { status: 503 }, "failed to write blobs/"),
        ("disk full", &put, Fault::Status { status: 507 }, "failed to write blobs/"),
        ("always too late", &index, Fault::Status { status: 412 }, "other refreshes finished first"),
        ("no commit", &index, Fault::Status { status: 500 }, "failed to write index.json"),
    ] {
        survives(&world, name, |world| world.s3.faults().add(path, fault.clone(), 200), expected).await;
    }
    let slow = world.edit("slow");
    world.s3.faults().add("*", Fault::Slow { milliseconds: 300 }, 200);
    assert_eq!(world.registry.refresh().await.unwrap()["commit_hash"], slow.as_str());
}

/// The answer to the commit is lost, but not the commit.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_counts() {
    let world = published().await;
    let commit = world.edit("lost");
    world.s3.faults().add(&format!("PUT /{}/index.json", world.registry.name), Fault::CutOff, 1);
    let report = world.registry.refresh().await.unwrap();
    assert_eq!(report["commit_hash"], commit.as_str(), "{report}");
    assert_eq!(world.registry.live().await["commit_hash"], commit.as_str());
}

#[tokio::test]
async fn release_of_a_newer_format_is_neither_served_nor_replaced() {
    let world = published().await;
    let serve = world.registry.serve().await;
    let before = serve.get("/devfiles/loom").await;
    // As a newer refresh would leave it: a release of another format.
    let mut index = LiveIndex::from_bytes(&world.registry.object("index.json").await).unwrap();
    let release = json!({"format": 99, "everything": "else"}).to_string();
    index.release = Digest::of(release.as_bytes());
    world.registry.put(&format!("releases/{}.json", index.release.hex()), &release).await;
    world.registry.put("index.json", index.to_bytes()).await;
    let shown = serve.until_status(|status| status["snapshot"]["stale"] == true).await;
    assert_eq!(serve.get("/devfiles/loom").await, before);
    assert!(shown["snapshot"]["failure"].as_str().unwrap().contains("the live release cannot be read"), "{shown}");
    // The older refresh does not replace a release of a newer format.
    world.edit("by older software");
    let error = world.registry.refresh().await.unwrap_err();
    assert!(error.contains("its format is 99"), "{error}");
    assert_eq!(world.registry.object("index.json").await, index.to_bytes());
}

/// The time for which the registry has been behind outlives the processes that find it so, and its end is reported.
#[tokio::test]
async fn time_behind_the_branch_is_counted_from_the_first_failure() {
    let world = published().await;
    let serve = world.registry.serve().await;
    let since = async || serve.last_refresh().await["behind_since"].clone();
    assert_eq!(since().await, json!(null));
    let before = world.registry.git(&["rev-parse", "HEAD"]);
    world.break_stack();
    let fails = async || {
        let mut refresh = world.registry.invocation(&json!({"action": "refresh"}));
        assert!(!refresh.env("OCI_REGISTRY", "127.0.0.1:1/nobody").status().await.unwrap().success());
        since().await
    };
    let first = fails().await;
    assert!(first.is_string(), "{first}");
    assert_eq!(fails().await, first);
    // The head is as it was before: nothing is published, and nothing is behind any more.
    world.registry.git(&["reset", "--quiet", "--hard", &before]);
    assert_eq!(world.registry.refresh().await.unwrap()["outcome"], "unchanged");
    assert_eq!(since().await, json!(null));
    assert_eq!(serve.last_refresh().await["failure"], json!(null));
}
