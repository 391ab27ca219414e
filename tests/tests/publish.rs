//! From a registry repository to answers, with a real S3 server and a real OCI registry.

use devfile_registry::artifact::MANIFEST_MEDIA_TYPE;
use devfile_registry::digest::Digest;
use registry_tests::registry::{Serving, TestRegistry};
use serde_json::json;

#[tokio::test]
async fn a_registry_is_published_changed_and_shrunk() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let serve = registry.serve().await;
    let (status, body) = serve.get("/v2index").await;
    assert_eq!(status, 503);
    assert!(body.contains("run refresh"), "{body}");

    let first = registry.refresh().await.unwrap();
    assert_eq!(first["outcome"], "published");
    let (status, body) = serve.get("/v2index/all").await;
    assert_eq!(status, 200);
    let entries: serde_json::Value = serde_json::from_str(&body).unwrap();
    let names: Vec<_> = entries.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["kiln", "loom", "pot"]);
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "unchanged");

    let path = registry.repository.path().join("stacks/loom/devfile.yaml");
    let changed = format!("{}# changed\n", std::fs::read_to_string(path).unwrap());
    registry.write("stacks/loom/devfile.yaml", &changed);
    let second = registry.refresh().await.unwrap();
    assert_eq!(second["changed"], serde_json::json!(["stacks/loom"]));
    assert_eq!(second["writes"]["bucket"], 4, "a devfile, the document that tells of it, the release, the index");
    assert_eq!(serve.get("/devfiles/loom").await, (200, changed));

    std::fs::remove_dir_all(registry.repository.path().join("stacks/loom")).unwrap();
    let third = registry.refresh().await.unwrap();
    assert_eq!(third["removed"], serde_json::json!(["stacks/loom"]));
    assert_eq!(serve.get("/devfiles/loom").await.0, 404);
    assert_eq!(serve.get("/devfiles/kiln").await.0, 200);
}

/// A client asks for a tag, then for the digest behind it, and each request may meet another instance.
#[tokio::test]
async fn what_another_instance_told_of_can_be_pulled() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let old = registry.serve().await;
    let registry = registry.with("REVALIDATE_SECONDS", "3600");
    let slow = registry.serve().await;
    let artifact = async |serve: &Serving, reference: &str| {
        let request =
            reqwest::Client::new().get(format!("{}/v2/devfile-catalog/loom/manifests/{reference}", serve.url));
        let answer = request.header("accept", MANIFEST_MEDIA_TYPE).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let digest = |manifest: &str| format!("sha256:{}", Digest::of(manifest.as_bytes()).hex());
    let before = artifact(&old, "0.3.0").await;
    assert_eq!(before.0, 200, "{}", before.1);
    let path = registry.repository.path().join("stacks/loom/devfile.yaml");
    registry.write("stacks/loom/devfile.yaml", format!("{}# changed\n", std::fs::read_to_string(path).unwrap()));
    registry.refresh().await.unwrap();
    let after = artifact(&old, "0.3.0").await;
    assert_ne!(before, after);
    assert_eq!(artifact(&old, &digest(&before.1)).await, before, "the release before");
    assert_eq!(artifact(&slow, "0.3.0").await, before, "it looks once an hour");
    // It looks before it denies something, but not all the time.
    while artifact(&slow, &digest(&after.1)).await != after {
        tokio::task::yield_now().await;
    }
    assert_eq!(artifact(&slow, "0.3.0").await, after);
}

#[tokio::test]
async fn a_bad_version_is_quarantined_with_its_place() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let before = serve.get("/devfiles/loom").await;
    registry.write("stacks/loom/devfile.yaml", "schemaVersion: [\n");
    let report = registry.refresh().await.unwrap();
    assert_eq!(report["outcome"], "published");
    assert_eq!(report["quarantined"][0]["problems"][0]["path"], "stacks/loom/devfile.yaml");
    assert_eq!(serve.get("/devfiles/loom").await, before);
    assert!(serve.get("/status").await.1.contains("stacks/loom/devfile.yaml"));
}

#[tokio::test]
async fn stack_whose_artifact_is_in_no_oci_registry_is_listed_and_nothing_fails() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let entry = "stacks:\n  - name: anvil\n    displayName: Anvil\n    icon: https://example.org/i.png\n    tags: [a]\n    projectType: p\n    \
                 language: l\n    versions: [{version: 1.0.0, schemaVersion: 2.2.0, default: true, links: {self: \"devfile-catalog/anvil:1.0.0\"}, \
                 resources: [devfile.yaml]}]\n";
    let samples = std::fs::read_to_string(registry.repository.path().join("extraDevfileEntries.yaml")).unwrap();
    registry.write("extraDevfileEntries.yaml", format!("{entry}{samples}"));
    let report = registry.refresh().await.unwrap();
    assert_eq!((&report["outcome"], &report["quarantined"]), (&"published".into(), &json!([])));
    for action in ["reconcile", "verify", "restore"] {
        let report = registry.invoke(&json!({"action": action})).await.unwrap();
        assert_eq!(report.get("problems").unwrap_or(&json!([])), &json!([]), "{action}: {report}");
    }
    let serve = registry.serve().await;
    let index = serve.json("/v2index?name=anvil").await;
    assert_eq!(index[0]["versions"][0]["links"]["self"], "devfile-catalog/anvil:1.0.0");
    for (path, status) in [
        ("/viewer/devfiles/devfile-registry/anvil", 200),
        ("/devfiles/anvil", 404),
        ("/v2/devfile-catalog/anvil/tags/list", 404),
        ("/v2/devfile-catalog/anvil/manifests/1.0.0", 404),
    ] {
        assert_eq!(serve.get(path).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_named_and_a_second_run_completes() {
    let registry = TestRegistry::of(&TestRegistry::example()).await.with("OCI_REGISTRY", "127.0.0.1:1/nobody");
    let error = registry.refresh().await.unwrap_err();
    assert!(error.contains("the OCI registry 127.0.0.1:1/nobody failed to"), "{error}");
    assert_eq!(registry.serve().await.get("/v2index").await.0, 503, "nothing is live before all of it is there");
    let address = format!("{}/{}", std::env::var("TEST_OCI_REGISTRY").unwrap(), registry.name);
    let registry = registry.with("OCI_REGISTRY", &address);
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    let registry = registry.with("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1");
    let error = registry.refresh().await.unwrap_err();
    assert!(error.contains("the cache bucket") && error.contains("failed to read index.json"), "{error}");
}

#[tokio::test]
async fn two_refreshes_at_once_end_in_one_release() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let (one, two) = tokio::join!(registry.refresh(), registry.refresh());
    let mut outcomes = [one, two].map(|report| report.unwrap()["outcome"].as_str().unwrap().to_owned());
    outcomes.sort();
    // In the same second both write the same bytes, and then neither is the loser.
    assert!(outcomes[0] == "published" && ["published", "unchanged"].contains(&outcomes[1].as_str()), "{outcomes:?}");
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "unchanged");
}
