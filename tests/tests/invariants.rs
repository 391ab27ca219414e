//! What clients may rely on while things change and break.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use registry_tests::cable::Cable;
use registry_tests::registry::TestRegistry;

/// Invariant 1: a request sees one release. Whatever is asked while releases come and go, the commit that an answer names has
/// one content.
#[tokio::test]
async fn answers_are_never_of_two_releases() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let done = AtomicBool::new(false);
    let publish = async {
        for number in 0..6 {
            let path = registry.repository.path().join("stacks/loom/devfile.yaml");
            let devfile = std::fs::read_to_string(path).unwrap();
            registry
                .write("stacks/loom/devfile.yaml", devfile.replace("displayName: ", &format!("displayName: {number}")));
            assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
        }
        done.store(true, Ordering::Relaxed);
    };
    let ask = async {
        let mut seen: BTreeMap<(&str, String), bytes::Bytes> = BTreeMap::new();
        while !done.load(Ordering::Relaxed) {
            for path in
                ["/v2index/all", "/index?name=loom", "/index.json", "/devfiles/loom", "/stacks/loom/devfile.yaml"]
            {
                let answer = serve.ask("GET", path, &[]).await;
                assert_eq!(answer.status, 200, "{path}");
                let commit = answer.header("devfile-registry-commit").to_owned();
                let before = seen.entry((path, commit)).or_insert(answer.body.clone());
                assert_eq!(*before, answer.body, "{path}");
            }
        }
        seen
    };
    let ((), seen) = tokio::join!(publish, ask);
    let commits = seen.keys().filter(|(path, _)| *path == "/v2index/all").count();
    assert!(commits > 1, "releases came while it was asked");
}

/// Invariant 7: with the bucket down, `serve` answers from the snapshot it has, and says so.
#[tokio::test]
async fn a_bucket_that_is_down_is_said_and_does_no_harm() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let cable = Cable::to(&std::env::var("TEST_S3_ENDPOINT").unwrap()).await;
    let registry = registry.with("AWS_ENDPOINT_URL_S3", &cable.url);
    let serve = registry.serve().await;
    let manifest = [("accept", "application/vnd.oci.image.manifest.v1+json")];
    let paths = [
        "/v2index/all",
        "/v2index?tags=python",
        "/devfiles/kiln",
        "/index.json",
        "/v2/devfile-catalog/kiln/manifests/1.1.0",
    ];
    let mut before = Vec::new();
    for path in paths {
        before.push(serve.ask("GET", path, &manifest).await);
    }
    assert!(before.iter().all(|answer| answer.status == 200 && answer.header("devfile-registry-stale").is_empty()));

    cable.cut();
    while serve.ask("GET", "/health", &[]).await.header("devfile-registry-stale").is_empty() {}
    for (path, before) in paths.iter().zip(&before) {
        let answer = serve.ask("GET", path, &manifest).await;
        assert_eq!((answer.status, &answer.body), (200, &before.body), "{path}");
    }
    let status = serve.ask("GET", "/status", &[]).await.json();
    assert_eq!(status["snapshot"]["stale"], true, "{status}");
    assert!(
        status["snapshot"]["failure"].as_str().is_some_and(|reason| reason.contains("the cache bucket")),
        "{status}"
    );
    // What is in no snapshot is not there now, and the answer says whose fault it is.
    assert_eq!(serve.ask("GET", "/stacks/kiln/1.1.0/docker/Dockerfile", &[]).await.status, 502);

    cable.mend();
    while !serve.ask("GET", "/health", &[]).await.header("devfile-registry-stale").is_empty() {}
    assert_eq!(serve.ask("GET", "/stacks/kiln/1.1.0/docker/Dockerfile", &[]).await.status, 200);
}
