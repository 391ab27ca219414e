//! Rollback and pins, quarantine, reconcile, restore and verify.

use serde_json::{Value, json};

use crate::fixture::Dynamic;

fn commit_of(live: &Value) -> &str {
    live["commit_hash"].as_str().unwrap()
}

#[tokio::test]
async fn a_rollback_stays_until_it_is_unpinned() {
    let world = Dynamic::new().await;
    let first = world.registry.git(&["rev-parse", "HEAD"]);
    world.act(json!({"action": "refresh"})).await;
    let serve = world.registry.serve().await;
    let before = serve.get("/devfiles/loom").await;
    let second = world.edit("worse than before");
    assert_eq!(world.act(json!({"action": "refresh"})).await["outcome"], "published");

    let back = world.act(json!({"action": "rollback", "commit_hash": first})).await;
    assert_eq!((&back["outcome"], &back["pinned"]), (&json!("published"), &json!(true)), "{back}");
    assert_eq!(back["changed"], json!(["stacks/loom"]));
    serve.until_serves(&world.registry).await;
    assert_eq!(serve.get("/devfiles/loom").await, before);
    assert_eq!(serve.json("/status").await["live"]["pinned"], true);

    // Neither triggers nor the schedule move it.
    for event in [json!({"action": "refresh", "commit_hash": second}), json!({"action": "reconcile"})] {
        let report = world.act(event).await;
        assert_eq!((&report["outcome"], &report["pinned"]), (&json!("superseded"), &json!(true)), "{report}");
    }
    assert_eq!(world.act(json!({"action": "verify"})).await["problems"], json!([]), "tags went back, too");
    let again = world.act(json!({"action": "rollback", "commit_hash": first})).await;
    assert_eq!(again["outcome"], "unchanged");
    assert_eq!(commit_of(&world.registry.live().await), first);

    let forward = world.act(json!({"action": "unpin"})).await;
    assert_eq!((&forward["outcome"], commit_of(&forward)), (&json!("published"), second.as_str()));
    let live = world.registry.live().await;
    assert_eq!((commit_of(&live), live.get("pinned")), (second.as_str(), None));

    let unknown = "0123456789012345678901234567890123456789";
    let error = world.registry.invoke(&json!({"action": "rollback", "commit_hash": unknown})).await.unwrap_err();
    assert!(error.contains("has no release") && error.contains(&first), "{error}");
}

#[tokio::test]
async fn a_forced_push_is_followed_to_the_head_and_no_further() {
    let world = Dynamic::new().await;
    let first = world.registry.git(&["rev-parse", "HEAD"]);
    let second = world.edit("to be taken back");
    world.act(json!({"action": "refresh"})).await;
    // Late: the trigger of an older commit.
    let late = world.act(json!({"action": "refresh", "commit_hash": first})).await;
    assert_eq!((&late["outcome"], commit_of(&late)), (&json!("superseded"), second.as_str()));
    world.registry.git(&["reset", "--quiet", "--hard", &first]);
    let report = world.act(json!({"action": "refresh"})).await;
    assert_eq!((&report["outcome"], commit_of(&report)), (&json!("published"), first.as_str()));
    let third = world.edit("another way");
    world.act(json!({"action": "refresh"})).await;
    assert_eq!(commit_of(&world.registry.live().await), third);
}

#[tokio::test]
async fn broken_devfile_is_reported_everywhere_and_the_rest_goes_live() {
    let world = Dynamic::new().await;
    world.act(json!({"action": "refresh"})).await;
    let serve = world.registry.serve().await;
    let before = serve.get("/devfiles/loom").await;
    let text =
        std::fs::read_to_string(world.registry.repository.path().join("stacks/kiln/1.1.0/devfile.yaml")).unwrap();
    world.registry.write("stacks/kiln/1.1.0/devfile.yaml", format!("{text}# better\n"));
    let commit = world.break_stack();
    let report = world.act(json!({"action": "refresh"})).await;
    assert_eq!(report["changed"], json!(["stacks/kiln/1.1.0"]));
    let problem = &report["quarantined"][0]["problems"][0];
    assert_eq!((&problem["path"], problem["line"].is_u64()), (&json!("stacks/loom/devfile.yaml"), true), "{problem}");
    serve.until_serves(&world.registry).await;
    assert_eq!(serve.get("/devfiles/loom").await, before);
    assert!(serve.get("/devfiles/kiln").await.1.ends_with("# better\n"));
    let shown = serve.json("/status").await;
    assert_eq!(shown["live"]["quarantined"][0]["problems"][0], *problem);
    let statuses = world.github.statuses();
    let last = statuses.last().unwrap();
    assert_eq!((&last["sha"], &last["state"]), (&json!(commit), &json!("failure")));
    assert!(last["description"].as_str().unwrap().contains("stacks/loom/devfile.yaml:"), "{last}");
}

#[tokio::test]
async fn a_strict_registry_publishes_nothing_and_says_so() {
    let world = Dynamic::new().await;
    world.act(json!({"action": "refresh"})).await;
    let live = world.registry.live().await;
    let loom = std::fs::read_to_string(world.registry.repository.path().join("stacks/loom/devfile.yaml")).unwrap();
    let commit = world.break_stack();
    let registry = world.registry.with("STRICT", "true");
    let report = registry.invoke(&json!({"action": "refresh"})).await.unwrap();
    assert_eq!(report["outcome"], "rejected");
    assert_eq!(registry.live().await, live);
    let serve = registry.serve().await;
    let last = serve.last_refresh().await;
    assert_eq!((&last["outcome"], &last["commit_hash"]), (&json!("rejected"), &json!(commit)), "{last}");
    assert_eq!(last["quarantined"][0]["problems"][0]["path"], "stacks/loom/devfile.yaml");
    let page = serve.shows_text("/viewer/status", "the last refresh was rejected").await;
    for part in ["stacks/loom/devfile.yaml:", "STRICT", "1</strong> quarantined"] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("healthy") && !page.contains("Nothing is quarantined"), "{page}");
    // The next commit is in order.
    registry.write("stacks/loom/devfile.yaml", loom);
    registry.commit();
    assert_eq!(registry.invoke(&json!({"action": "refresh"})).await.unwrap()["outcome"], "published");
    serve.until_serves(&registry).await;
    serve.shows_text("/viewer/status", "Live and healthy").await;
}

/// A request to the OCI registry itself.
async fn registry_call(world: &Dynamic, method: reqwest::Method, path: &str) -> reqwest::Response {
    let address = std::env::var("TEST_OCI_REGISTRY").unwrap();
    let url = format!("http://{address}/v2/{}/{path}", world.registry.name);
    let request = registry_tests::http::client().request(method, url);
    request.header("accept", "application/vnd.oci.image.manifest.v1+json").send().await.unwrap()
}

#[tokio::test]
async fn store_that_lags_is_repaired_and_the_repairs_are_named() {
    let world = Dynamic::new().await;
    world.act(json!({"action": "refresh"})).await;
    let intact = world.act(json!({"action": "verify"})).await;
    assert_eq!((&intact["intact"], &intact["problems"]), (&json!(true), &json!([])));
    assert!(intact["checked"]["registry"].as_u64().unwrap() > 10, "{intact}");
    let nothing = world.act(json!({"action": "reconcile"})).await;
    assert_eq!((&nothing["outcome"], nothing.get("repaired")), (&json!("unchanged"), None));

    // A tag that names something else, a manifest that is gone, objects that are gone, cut off or another's.
    let head = registry_call(&world, reqwest::Method::HEAD, "devfile-catalog/kiln/manifests/1.1.0").await;
    let digest = head.headers()["docker-content-digest"].to_str().unwrap().to_owned();
    let deleted =
        registry_call(&world, reqwest::Method::DELETE, &format!("devfile-catalog/kiln/manifests/{digest}")).await;
    assert_eq!(deleted.status(), 202);
    let blobs = world.registry.keys("blobs/").await;
    world.registry.remove(&blobs[..2]).await;
    world.registry.put(&blobs[2], "cut").await;
    let releases = world.registry.keys("releases/").await;
    world.registry.put(&releases[0], "{}").await;

    let found = world.act(json!({"action": "verify"})).await;
    let problems: Vec<&str> = found["problems"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    assert_eq!(found["intact"], false);
    for part in [&blobs[0], &blobs[1], &blobs[2], &releases[0], "devfile-catalog/kiln:1.1.0"] {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part} in {problems:?}");
    }
    let repaired = world.act(json!({"source": "aws.events", "detail-type": "Scheduled Event"})).await;
    let named: Vec<&str> = repaired["repaired"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    for part in [&blobs[0], &blobs[1], &blobs[2], &releases[0], "devfile-catalog/kiln:1.1.0"] {
        assert!(named.iter().any(|line| line.contains(part)), "{part} in {named:?}");
    }
    assert_eq!(world.act(json!({"action": "verify"})).await["problems"], json!([]));
    let last = world.registry.serve().await.last_refresh().await;
    assert_eq!(last["repaired"].as_array().unwrap().len(), named.len());
}

#[tokio::test]
async fn the_bucket_is_rebuilt_from_the_oci_registry_alone() {
    let world = Dynamic::new().await;
    world.act(json!({"action": "refresh"})).await;
    // Files without a byte: one that is no layer for that, one in an archive.
    world.registry.write("stacks/loom/logo.png", "");
    world.registry.write("stacks/kiln/1.1.0/docker/empty", "");
    world.edit("a second release");
    world.act(json!({"action": "refresh"})).await;
    let live = world.registry.live().await;
    let mut before = world.registry.keys("blobs/").await;
    let serve = world.registry.serve().await;
    let owners = serve.get("/stacks/kiln/1.1.0/OWNERS").await;
    assert_eq!(owners.0, 200);
    drop(serve);
    world.registry.remove(&world.registry.keys("").await).await;

    // GitHub is not needed.
    let registry = world.registry.with("REGISTRY_REPO_URL", "").with("GITHUB_TOKEN", "");
    let restored = registry.invoke(&json!({"action": "restore"})).await.unwrap();
    assert_eq!(restored["outcome"], "published", "{restored}");
    assert_eq!(registry.live().await, live);
    assert_eq!(registry.invoke(&json!({"action": "verify"})).await.unwrap()["problems"], json!([]));
    let after = registry.keys("blobs/").await;
    before.retain(|key| !after.contains(key));
    // The devfile, the archive and the document that only the release before had.
    assert_eq!(before.len(), 3, "{before:?}");
    let serve = registry.serve().await;
    assert_eq!(serve.get("/stacks/kiln/1.1.0/OWNERS").await, owners);
    assert_eq!(serve.get("/stacks/kiln/1.1.0/docker/Dockerfile").await.0, 200);

    // Each action restores a damaged index.
    for action in ["reconcile", "restore"] {
        registry.put("index.json", "{\"damaged\":").await;
        let error = registry.invoke(&json!({"action": "verify"})).await.unwrap_err();
        assert!(error.contains("run reconcile to restore it"), "{error}");
        registry.invoke(&json!({ "action": action })).await.unwrap();
        assert_eq!(registry.live().await, live, "{action}");
    }
    assert_eq!(registry.invoke(&json!({"action": "restore"})).await.unwrap()["outcome"], "unchanged");
}
