//! From a registry repository to answers, with a real S3 server and a real OCI registry.

use devfile_registry::artifact::MANIFEST_MEDIA_TYPE;
use devfile_registry::digest::Digest;
use registry_tests::github::Fault;
use registry_tests::proxy::{Fuse, Proxy};
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
    serve.until_serves(&registry).await;
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
    assert_eq!(second["writes"]["bucket"], 4, "a devfile, the document that names it, the release, the index");
    serve.until_serves(&registry).await;
    assert_eq!(serve.get("/devfiles/loom").await, (200, changed));

    std::fs::remove_dir_all(registry.repository.path().join("stacks/loom")).unwrap();
    let third = registry.refresh().await.unwrap();
    assert_eq!(third["removed"], serde_json::json!(["stacks/loom"]));
    serve.until_serves(&registry).await;
    assert_eq!(serve.get("/devfiles/loom").await.0, 404);
    assert_eq!(serve.get("/devfiles/kiln").await.0, 200);
}

/// The events that AWS, a cluster and compose send every five minutes.
#[tokio::test]
async fn schedule_of_every_deployment_is_an_event_that_repairs_and_compares_a_slice() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let project = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for file in ["template.yaml", "deploy/compose.yaml", "deploy/kubernetes/reconcile.yaml"] {
        // The shell of compose.yaml has it in quotation marks.
        let text = std::fs::read_to_string(project.join(file)).unwrap().replace('\\', "");
        let events: Vec<serde_json::Value> = text
            .match_indices("{\"action\"")
            .map(|(begin, _)| serde_json::Deserializer::from_str(&text[begin..]).into_iter().next().unwrap().unwrap())
            .collect();
        let [event] = &events[..] else { panic!("{file} sends {events:?}") };
        assert_eq!(*event, json!({"action": "schedule"}), "{file}: `reconcile` compares everything");
        registry.remove(&registry.keys("releases/").await).await;
        let report = registry.invoke(event).await.unwrap();
        assert_eq!(report["outcome"], "unchanged", "{file}: {report}");
        assert!(report["repaired"].as_array().is_some_and(|repaired| !repaired.is_empty()), "{file}: {report}");
    }
}

/// A client asks for a tag, then for the digest behind it, and each request may meet another instance.
#[tokio::test]
async fn digest_from_another_instance_can_be_pulled() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let old = registry.serve().await;
    let registry = registry.with("REVALIDATE_SECONDS", "3600");
    let slow = registry.serve().await;
    let artifact = async |serve: &Serving, reference: &str| {
        let request =
            registry_tests::http::client().get(format!("{}/v2/devfile-catalog/loom/manifests/{reference}", serve.url));
        let answer = request.header("accept", MANIFEST_MEDIA_TYPE).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let digest = |manifest: &str| format!("sha256:{}", Digest::of(manifest.as_bytes()).hex());
    let before = artifact(&old, "0.3.0").await;
    assert_eq!(before.0, 200, "{}", before.1);
    let path = registry.repository.path().join("stacks/loom/devfile.yaml");
    registry.write("stacks/loom/devfile.yaml", format!("{}# changed\n", std::fs::read_to_string(path).unwrap()));
    registry.refresh().await.unwrap();
    old.until_serves(&registry).await;
    let after = artifact(&old, "0.3.0").await;
    assert_ne!(before, after);
    assert_eq!(artifact(&old, &digest(&before.1)).await, before, "the release before");
    assert_eq!(artifact(&slow, "0.3.0").await, before, "it looks once an hour");
    assert_eq!(artifact(&slow, &digest(&after.1)).await, after, "it looks before it denies a digest");
    assert_eq!(artifact(&slow, "0.3.0").await, after);
}

#[tokio::test]
async fn manifest_that_another_instance_serves_is_given_to_every_client_that_asks_at_once() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let registry = registry.with("REVALIDATE_SECONDS", "3600");
    let serve = registry.serve().await;
    let path = registry.repository.path().join("stacks/loom/devfile.yaml");
    registry.write("stacks/loom/devfile.yaml", format!("{}# changed\n", std::fs::read_to_string(path).unwrap()));
    registry.refresh().await.unwrap();
    let newer = registry.serve().await;
    let accept = [("accept", MANIFEST_MEDIA_TYPE)];
    let tagged = newer.ask("GET", "/v2/devfile-catalog/loom/manifests/0.3.0", &accept).await;
    let path = format!("/v2/devfile-catalog/loom/manifests/{}", tagged.header("docker-content-digest"));
    let answers = futures_util::future::join_all((0..10).map(|_| serve.ask("GET", &path, &accept))).await;
    for answer in answers {
        assert_eq!((answer.status, &answer.body), (200, &tagged.body), "{answer:?}");
    }
}

/// An instance of serve with the example's release, whose only way to the bucket is the proxy; it does not revalidate by itself.
async fn published_behind_a_proxy() -> (Proxy, Serving) {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.expect("it is published");
    let proxy = Proxy::start(&std::env::var("TEST_S3_ENDPOINT").expect("the S3 server runs"), Fuse::default()).await;
    let registry =
        registry.with("AWS_ENDPOINT_URL_S3", &format!("http://{}", proxy.address())).with("REVALIDATE_SECONDS", "3600");
    let serve = registry.serve().await;
    (proxy, serve)
}

#[tokio::test]
async fn missing_manifest_without_a_read_of_the_bucket_is_not_cacheable() {
    let (proxy, serve) = published_behind_a_proxy().await;
    let missing = format!("/v2/devfile-catalog/loom/manifests/sha256:{}", "0".repeat(64));
    let looked = serve.ask("GET", &missing, &[]).await;
    assert_eq!((looked.status, looked.header("cache-control")), (404, "public, max-age=5"));
    proxy.faults().add("*", Fault::Status { status: 503 }, 1000);
    for path in [missing.as_str(), "/v2/devfile-catalog/loom/manifests/9.9.9"] {
        let answer = serve.ask("GET", path, &[]).await;
        assert_eq!((answer.status, answer.header("cache-control")), (404, "no-store"), "{path} {answer:?}");
    }
}

#[tokio::test]
async fn status_reads_the_bucket_once_a_second_at_most() {
    let (proxy, serve) = published_behind_a_proxy().await;
    assert_eq!(serve.last_refresh().await["outcome"], "published");
    proxy.take_requests();
    let began = std::time::Instant::now();
    let answers = futures_util::future::join_all((0..40).map(|_| serve.ask("GET", "/status", &[]))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let reads = proxy.take_requests();
    // The outcome of the last refresh, and the list of previews.
    let each: std::collections::BTreeSet<&String> = reads.iter().collect();
    assert!(each.len() <= 2, "{reads:?}");
    for read in each {
        let times = reads.iter().filter(|other| *other == read).count() as u64;
        assert!(times <= 1 + began.elapsed().as_secs(), "{read}: {times} times in {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn bad_version_is_quarantined_with_its_position() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let before = serve.get("/devfiles/loom").await;
    registry.write("stacks/loom/devfile.yaml", "schemaVersion: [\n");
    let report = registry.refresh().await.unwrap();
    assert_eq!(report["outcome"], "published");
    assert_eq!(report["quarantined"][0]["problems"][0]["path"], "stacks/loom/devfile.yaml");
    serve.until_serves(&registry).await;
    assert_eq!(serve.get("/devfiles/loom").await, before);
    assert!(serve.get("/status").await.1.contains("stacks/loom/devfile.yaml"));
}

#[tokio::test]
async fn new_stack_without_a_sound_default_version_is_quarantined_as_a_whole() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let devfile = |version: &str| {
        format!(
            "schemaVersion: 2.2.0\nmetadata: {{name: anvil, displayName: Anvil, version: {version}, language: l, projectType: p}}\ncomponents: [{{name: a, container: {{image: b}}}}]\n"
        )
    };
    let rows = "versions:\n  - {version: 2.0.0, default: true}\n  - {version: 1.0.0}\n";
    let about = "name: anvil\ndisplayName: Anvil\ndescription: d\nicon: https://example.org/i.svg\ntags: [a]\nlanguage: l\nprojectType: p\n";
    registry.write("stacks/anvil/stack.yaml", format!("{about}{rows}"));
    registry.write("stacks/anvil/1.0.0/devfile.yaml", devfile("1.0.0"));
    registry.write("stacks/anvil/2.0.0/devfile.yaml", "schemaVersion: [\n");
    let report = registry.refresh().await.unwrap();
    let parts: Vec<_> = report["quarantined"].as_array().unwrap().iter().map(|held| held["part"].clone()).collect();
    assert_eq!(parts, ["version", "stack"], "{report}");
    let problem = &report["quarantined"][1]["problems"][0];
    assert_eq!(
        (&problem["rule"], &problem["line"]),
        (&"stack/default".into(), &json!(9)),
        "the row of the default version"
    );
    registry.write("stacks/anvil/2.0.0/devfile.yaml", devfile("2.0.0"));
    let report = registry.refresh().await.unwrap();
    assert_eq!((&report["outcome"], &report["quarantined"]), (&"published".into(), &json!([])), "{report}");
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
