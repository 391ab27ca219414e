//! Content of earlier releases for clients that have begun to pull, and a bucket that holds other bytes than were written.

use bytes::Bytes;
use devfile_registry::artifact::MANIFEST_MEDIA_TYPE;
use devfile_registry::digest::Digest;
use registry_tests::answer::Answer;
use registry_tests::registry::{Serving, TestRegistry};
use serde_json::{Value, json};

async fn published() -> TestRegistry {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    registry
}

async fn act(registry: &TestRegistry, action: &str) -> Value {
    registry.invoke(&json!({ "action": action })).await.unwrap()
}

/// A pull that has got as far as the digest of the manifest.
struct Pull {
    stack: &'static str,
    tag: String,
    manifest: String,
    content: Bytes,
    blobs: Vec<(String, Bytes)>,
}

async fn manifest(serve: &Serving, stack: &str, reference: &str) -> Answer {
    let path = format!("/v2/devfile-catalog/{stack}/manifests/{reference}");
    serve.ask("GET", &path, &[("accept", MANIFEST_MEDIA_TYPE)]).await
}

async fn blob(serve: &Serving, stack: &str, digest: &str) -> Answer {
    serve.ask("GET", &format!("/v2/devfile-catalog/{stack}/blobs/{digest}"), &[]).await
}

impl Pull {
    /// Begins at one instance, and remembers all that the artifact is.
    async fn begin(serve: &Serving, stack: &'static str, tag: &str) -> Self {
        let answer = manifest(serve, stack, tag).await;
        assert_eq!(answer.status, 200, "{stack}:{tag}");
        let document = answer.json();
        let mut blobs = Vec::new();
        for named in document["layers"].as_array().unwrap().iter().chain([&document["config"]]) {
            let digest = named["digest"].as_str().unwrap().to_owned();
            let content = blob(serve, stack, &digest).await.body;
            assert_eq!(Digest::of(&content).to_string(), digest);
            blobs.push((digest, content));
        }
        let manifest = answer.header("docker-content-digest").to_owned();
        Self { stack, tag: tag.to_owned(), manifest, content: answer.body, blobs }
    }

    /// Ends at another, perhaps.
    async fn end(&self, serve: &Serving, what: &str) {
        let Self { stack, manifest: digest, .. } = self;
        let answer = manifest(serve, stack, digest).await;
        assert_eq!((answer.status, &answer.body), (200, &self.content), "{what}: {stack}@{digest}: {answer:?}");
        let path = format!("/v2/devfile-catalog/{stack}/manifests/{digest}");
        let head = serve.ask("HEAD", &path, &[("accept", MANIFEST_MEDIA_TYPE)]).await;
        assert_eq!((head.status, head.header("docker-content-digest")), (200, digest.as_str()), "{what}");
        for (digest, content) in &self.blobs {
            let answer = blob(serve, stack, digest).await;
            assert_eq!((answer.status, &answer.body), (200, content), "{what}: {stack}@{digest}: {answer:?}");
        }
        assert_eq!(manifest(serve, stack, &self.tag).await.status, 404, "{what}: {stack}:{} is gone", self.tag);
    }
}

/// Removes kiln 1.0.0 from the repository.
fn remove_version(registry: &TestRegistry) {
    let path = registry.repository.path().join("stacks/kiln");
    std::fs::remove_dir_all(path.join("1.0.0")).unwrap();
    let stack = std::fs::read_to_string(path.join("stack.yaml")).unwrap();
    registry.write("stacks/kiln/stack.yaml", stack.replace("  - version: 1.0.0\n", ""));
}

#[tokio::test]
async fn pull_of_a_removed_stack_ends_by_digest() {
    let registry = published().await;
    let serve = registry.serve().await;
    let loom = serve.json("/v2/devfile-catalog/loom/tags/list").await["tags"][0].as_str().unwrap().to_owned();
    let loom = Pull::begin(&serve, "loom", &loom).await;
    let kiln = Pull::begin(&serve, "kiln", "1.0.0").await;

    std::fs::remove_dir_all(registry.repository.path().join("stacks/loom")).unwrap();
    registry.refresh().await.unwrap();
    serve.until_serves(&registry).await;
    loom.end(&serve, "an instance that had it").await;
    loom.end(&registry.serve().await, "a new instance").await;

    remove_version(&registry);
    registry.refresh().await.unwrap();
    serve.until_serves(&registry).await;
    for (what, serve) in [("two releases later", &serve), ("a new instance, later", &registry.serve().await)] {
        loom.end(serve, what).await;
        kiln.end(serve, what).await;
        assert_eq!(serve.json("/v2/_catalog").await["repositories"], json!(["devfile-catalog/kiln"]), "{what}");
        let (status, body) = serve.get("/v2/devfile-catalog/loom/tags/list").await;
        assert!(status == 404 && body.contains("NAME_UNKNOWN"), "{what}: {body}");
        assert_eq!(serve.json("/v2/devfile-catalog/kiln/tags/list").await["tags"], json!(["1.1.0"]), "{what}");
        // A digest is one of its repository, and none other is made up.
        assert_eq!(manifest(serve, "kiln", &loom.manifest).await.status, 404, "{what}");
        assert_eq!(manifest(serve, "loom", &kiln.manifest).await.status, 404, "{what}");
        assert_eq!(manifest(serve, "nobody", &loom.manifest).await.status, 404, "{what}");
        let nothing = Digest::of(b"nothing").to_string();
        assert_eq!(manifest(serve, "loom", &nothing).await.status, 404, "{what}");
        assert_eq!(blob(serve, "loom", &nothing).await.status, 404, "{what}");
    }
}

/// An earlier release whose objects are damaged gives nothing wrong, and the live one is untouched by it.
#[tokio::test]
async fn damaged_earlier_release_is_left_out() {
    let registry = published().await;
    let serve = registry.serve().await;
    let kiln = Pull::begin(&serve, "kiln", "1.0.0").await;
    let earlier = registry.keys("releases/").await;
    remove_version(&registry);
    registry.refresh().await.unwrap();
    registry.put(&earlier[0], "{}").await;
    let serve = registry.serve().await;
    assert_eq!(manifest(&serve, "kiln", &kiln.manifest).await.status, 404);
    assert_eq!(manifest(&serve, "kiln", "1.1.0").await.status, 200);
}

/// Ways to damage `index.json`, each with its name.
fn damages(index: &str) -> Vec<(&'static str, String)> {
    let changed = |from: &str, to: &str| {
        assert!(index.contains(from), "{from} is in {index}");
        index.replacen(from, to, 1)
    };
    vec![
        ("empty", String::new()),
        ("cut off", index[..index.len() / 2].to_owned()),
        ("something else", "<html>502 Bad Gateway</html>".to_owned()),
        ("another object", "{}".to_owned()),
        ("another text of an entry", changed("Kiln", "Kilt")),
        ("an entry less", changed("\"stacks\":[", "\"stacks\":[],\"others\":[")),
        ("another commit", changed("\"commit_hash\":\"", "\"commit_hash\":\"00000000").replacen("00000000", "0", 1)),
        ("without its pin", changed("\"pinned\":true", "\"pinned\":false")),
        ("another time", changed("\"generated_at\":\"20", "\"generated_at\":\"19")),
    ]
}

#[tokio::test]
async fn damaged_index_is_never_served_and_is_restored_by_the_schedule() {
    let registry = published().await;
    let before = registry.live().await["commit_hash"].clone();
    registry.write("stacks/kiln/1.1.0/OWNERS", "somebody else\n");
    registry.refresh().await.unwrap();
    // Pinned to the first release, so that the restored release must be pinned and not the head.
    registry.invoke(&json!({"action": "rollback", "commit_hash": before})).await.unwrap();
    let good = String::from_utf8(registry.object("index.json").await.to_vec()).unwrap();
    let serve = registry.serve().await;
    let shown = serve.get("/index.json").await;
    assert_eq!(shown, (200, good.clone()));
    for (what, damaged) in damages(&good) {
        registry.put("index.json", &damaged).await;
        let status = serve.until_status(|status| status["snapshot"]["stale"] == true).await;
        assert_eq!(serve.get("/index.json").await, shown, "{what}");
        assert_eq!(status["live"]["pinned"], true, "{what}: {status}");
        let fresh = registry.serve().await;
        for path in ["/index.json", "/v2index/all", "/health"] {
            assert_eq!(fresh.get(path).await.0, 503, "{what}: {path}");
        }
        let report = act(&registry, "schedule").await;
        assert!(report["repaired"].to_string().contains("bucket: index.json"), "{what}: {report}");
        assert_eq!(String::from_utf8_lossy(&registry.object("index.json").await), good, "{what}");
        fresh.shows("/index.json", &good).await;
        serve.until_status(|status| status["snapshot"]["stale"] == false).await;
        assert_eq!(act(&registry, "verify").await["problems"], json!([]), "{what}");
    }
    // As one that was deleted.
    registry.remove(&["index.json".to_owned()]).await;
    act(&registry, "schedule").await;
    assert_eq!(String::from_utf8_lossy(&registry.object("index.json").await), good);
}

#[tokio::test]
async fn damaged_blob_is_reported_and_repaired_by_the_schedule() {
    let registry = published().await;
    let serve = registry.serve().await;
    let layers = manifest(&serve, "kiln", "1.1.0").await.json()["layers"].clone();
    let archive = |layer: &&Value| layer["annotations"]["org.opencontainers.image.title"] == "archive.tar";
    let digest: Digest =
        layers.as_array().unwrap().iter().find(archive).unwrap()["digest"].as_str().unwrap().parse().unwrap();
    let key = format!("blobs/sha256/{}", digest.hex());
    let good = registry.object(&key).await;
    let mut changed = good.to_vec();
    changed[20] ^= 1;
    for wrong in [changed, [&good[..], b"more"].concat(), good[1..].to_vec(), Vec::new()] {
        registry.put(&key, &wrong).await;
        let serve = registry.serve().await;
        let damaged = async || serve.json("/status").await["snapshot"]["damaged_blobs"].clone();
        assert_eq!(damaged().await, json!([]));
        assert_eq!(blob(&serve, "kiln", &digest.to_string()).await.status, 502);
        assert_eq!(damaged().await, json!([digest]));
        let report = act(&registry, "schedule").await;
        assert_eq!(report["repaired"], json!([format!("bucket: {key}")]), "{report}");
        let answer = blob(&serve, "kiln", &digest.to_string()).await;
        assert_eq!((answer.status, &answer.body), (200, &good));
        assert_eq!(damaged().await, json!([]));
        assert_eq!(act(&registry, "schedule").await["repaired"], json!(null), "nothing is left");
    }
}

#[tokio::test]
async fn every_damaged_blob_of_a_release_is_repaired_by_one_schedule() {
    let registry = published().await;
    let keys = registry.keys("blobs/").await;
    let mut before = Vec::new();
    for key in &keys {
        let good = registry.object(key).await;
        registry.put(key, vec![b'x'; good.len()]).await;
        before.push(good);
    }
    let report = act(&registry, "schedule").await;
    for (key, good) in keys.iter().zip(before) {
        assert_eq!(registry.object(key).await, good, "{key}: {report}");
    }
    assert_eq!(act(&registry, "verify").await["problems"], json!([]));
}
