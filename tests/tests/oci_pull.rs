//! The pull half of the OCI distribution API: the requests of the conformance suite of the distribution specification for a
//! registry's "Pull" and "Content Discovery" workflows, and the additions of this registry.

use std::sync::Arc;

use bytes::Bytes;
use devfile_registry::artifact::MANIFEST_MEDIA_TYPE;
use devfile_registry::digest::Digest;
use registry_tests::answer::Answer;
use registry_tests::github::Fault;
use registry_tests::proxy::{Fuse, Proxy};
use registry_tests::raw;
use registry_tests::registry::{Serving, TestRegistry};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const NOWHERE: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const REPOSITORY: &str = "/v2/devfile-catalog/kiln";

async fn example() -> (TestRegistry, Serving) {
    published(TestRegistry::of(&TestRegistry::example()).await).await
}

async fn published(registry: TestRegistry) -> (TestRegistry, Serving) {
    assert_eq!(registry.refresh().await.expect("it is published")["outcome"], "published");
    let serve = registry.serve().await;
    (registry, serve)
}

async fn manifest(serve: &Serving, reference: &str) -> Answer {
    serve.ask("GET", &format!("{REPOSITORY}/manifests/{reference}"), &[("accept", MANIFEST)]).await
}

/// Digest and size of a layer of kiln 1.1.0.
async fn layer(serve: &Serving, title: &str) -> (String, usize) {
    let manifest = manifest(serve, "1.1.0").await.json();
    let layers = manifest["layers"].as_array().expect("a manifest");
    let of_title = |layer: &&Value| layer["annotations"]["org.opencontainers.image.title"] == title;
    let layer = layers.iter().find(of_title).unwrap_or_else(|| panic!("{title} is in {layers:?}"));
    (layer["digest"].as_str().expect("a manifest").to_owned(), layer["size"].as_u64().expect("a manifest") as usize)
}

fn assert_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json();
    assert_eq!(document["errors"][0]["code"], code, "{document}");
    assert!(document["errors"][0]["message"].as_str().is_some_and(|message| !message.is_empty()), "{document}");
}

/// 5 MiB that do not compress.
fn noise() -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u8
    };
    (0..5 << 20).map(|_| next()).collect()
}

#[tokio::test]
async fn manifest_and_blobs_are_pulled_by_tag_and_by_digest() {
    let (_registry, serve) = example().await;
    for root in ["/v2/", "/v2"] {
        let version = serve.ask("GET", root, &[]).await;
        assert_eq!((version.status, version.header("docker-distribution-api-version")), (200, "registry/2.0"));
    }

    let by_tag = manifest(&serve, "1.1.0").await;
    let digest = by_tag.header("docker-content-digest").to_owned();
    assert_eq!((by_tag.status, by_tag.header("content-type")), (200, MANIFEST));
    assert_eq!(digest, Digest::of(&by_tag.body).to_string());
    let by_digest = manifest(&serve, &digest).await;
    assert_eq!(by_digest.body, by_tag.body);
    assert!(by_digest.header("cache-control").contains("immutable") && !by_tag.header("cache-control").contains("imm"));
    for reference in ["1.1.0", &digest] {
        let head = serve.ask("HEAD", &format!("{REPOSITORY}/manifests/{reference}"), &[("accept", MANIFEST)]).await;
        assert_eq!((head.status, head.header("docker-content-digest")), (200, digest.as_str()));
        assert_eq!(head.header("content-length"), by_tag.body.len().to_string());
        assert_eq!((head.header("content-type"), head.body.len()), (MANIFEST, 0));
    }

    let document = by_tag.json();
    let blobs = document["layers"].as_array().unwrap().iter().chain([&document["config"]]);
    for blob in blobs {
        let (digest, size) = (blob["digest"].as_str().unwrap(), blob["size"].as_u64().unwrap());
        let path = format!("{REPOSITORY}/blobs/{digest}");
        let head = serve.ask("HEAD", &path, &[]).await;
        assert_eq!((head.status, head.header("content-length")), (200, size.to_string().as_str()));
        let answer = serve.ask("GET", &path, &[]).await;
        assert_eq!((answer.status, answer.body.len() as u64), (200, size));
        assert_eq!(
            (answer.header("docker-content-digest"), digest),
            (digest, Digest::of(&answer.body).to_string().as_str())
        );
        for name in ["etag", "docker-content-digest", "cache-control", "accept-ranges", "content-type"] {
            assert_eq!(head.header(name), answer.header(name), "{name}");
        }
        let known = serve.ask("GET", &path, &[("if-none-match", answer.header("etag"))]).await;
        assert_eq!((known.status, known.body.len()), (304, 0));
    }
}

#[tokio::test]
async fn errors_have_the_codes_of_the_specification() {
    let (_registry, serve) = example().await;
    let cases = [
        ("/v2/devfile-catalog/kiln/manifests/9.9.9", 404, "MANIFEST_UNKNOWN"),
        ("/v2/devfile-catalog/kiln/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        ("/v2/devfile-catalog/kiln/manifests/-x", 404, "MANIFEST_UNKNOWN"),
        (&format!("/v2/devfile-catalog/kiln/manifests/{NOWHERE}"), 404, "MANIFEST_UNKNOWN"),
        ("/v2/devfile-catalog/kiln/manifests/sha256:abc", 400, "DIGEST_INVALID"),
        ("/v2/devfile-catalog/kiln/manifests/sha512:abc", 400, "DIGEST_INVALID"),
        (&format!("/v2/devfile-catalog/kiln/manifests/{}", NOWHERE.replace('0', "A")), 400, "DIGEST_INVALID"),
        (&format!("/v2/devfile-catalog/kiln/blobs/{NOWHERE}"), 404, "BLOB_UNKNOWN"),
        ("/v2/devfile-catalog/kiln/blobs/sha256:abc", 400, "DIGEST_INVALID"),
        ("/v2/devfile-catalog/kiln/blobs/abc", 400, "DIGEST_INVALID"),
        ("/v2/devfile-catalog/kiln/referrers/abc", 400, "DIGEST_INVALID"),
        ("/v2/devfile-catalog/kiln/tags/list?n=many", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/devfile-catalog/kiln/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/_catalog?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/devfile-catalog/nope/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/devfile-catalog/nope/manifests/1.0.0", 404, "NAME_UNKNOWN"),
        (&format!("/v2/devfile-catalog/nope/blobs/{NOWHERE}"), 404, "NAME_UNKNOWN"),
        ("/v2/kiln/tags/list", 404, "NAME_UNKNOWN"),
        // The index artifact is in the OCI registry, not here.
        ("/v2/devfile-index/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/devfile-catalog/kiln/nope", 404, "UNSUPPORTED"),
        ("/v2/devfile-catalog/kiln/manifests/%FF", 400, "UNSUPPORTED"),
    ];
    for (path, status, code) in cases {
        assert_error(&serve.ask("GET", path, &[("accept", MANIFEST)]).await, status, code);
        let head = serve.ask("HEAD", path, &[("accept", MANIFEST)]).await;
        assert_eq!((head.status, head.body.len()), (status, 0), "HEAD {path}");
    }
}

#[tokio::test]
async fn writes_are_not_found() {
    let (_registry, serve) = example().await;
    for (method, path) in [
        ("POST", "/v2/devfile-catalog/kiln/blobs/uploads/"),
        ("POST", "/v2/devfile-catalog/kiln/blobs/uploads/?mount=sha256:abc&from=x"),
        ("PATCH", "/v2/devfile-catalog/kiln/blobs/uploads/1"),
        ("PUT", "/v2/devfile-catalog/kiln/manifests/1.1.0"),
        ("DELETE", "/v2/devfile-catalog/kiln/manifests/1.1.0"),
        ("DELETE", &format!("/v2/devfile-catalog/kiln/blobs/{NOWHERE}")),
    ] {
        assert_error(&serve.ask(method, path, &[]).await, 404, "UNSUPPORTED");
    }
    assert_eq!(manifest(&serve, "1.1.0").await.status, 200);
}

#[tokio::test]
async fn tags_and_repositories_are_listed_in_pages() {
    let (registry, serve) = example().await;
    let tags = serve.ask("GET", &format!("{REPOSITORY}/tags/list"), &[]).await;
    assert_eq!(tags.json(), json!({"name": "devfile-catalog/kiln", "tags": ["1.0.0", "1.1.0"]}));
    let catalog = serve.ask("GET", "/v2/_catalog", &[]).await;
    assert_eq!(catalog.json(), json!({"repositories": ["devfile-catalog/kiln", "devfile-catalog/loom"]}));
    assert_eq!((tags.header("link"), catalog.header("link")), ("", ""));

    let devfile = std::fs::read_to_string(registry.repository.path().join("stacks/kiln/1.0.0/devfile.yaml")).unwrap();
    for version in ["0.9.0", "1.0.1"] {
        registry.write(&format!("stacks/kiln/{version}/devfile.yaml"), devfile.replace("1.0.0", version));
    }
    let stack = std::fs::read_to_string(registry.repository.path().join("stacks/kiln/stack.yaml")).unwrap();
    let more = "versions:\n  - version: 0.9.0\n  - version: 1.0.1\n";
    registry.write("stacks/kiln/stack.yaml", stack.replace("versions:\n", more));
    assert_eq!(registry.refresh().await.unwrap()["quarantined"], json!([]));
    serve.until_serves(&registry).await;
    for (start, member, whole) in [
        (format!("{REPOSITORY}/tags/list?n=1"), "tags", json!(["0.9.0", "1.0.0", "1.0.1", "1.1.0"])),
        (format!("{REPOSITORY}/tags/list?n=3"), "tags", json!(["0.9.0", "1.0.0", "1.0.1", "1.1.0"])),
        ("/v2/_catalog?n=1".to_owned(), "repositories", json!(["devfile-catalog/kiln", "devfile-catalog/loom"])),
    ] {
        let (mut next, mut seen) = (start, Vec::new());
        for _ in 0..10 {
            let page = serve.ask("GET", &next, &[]).await;
            seen.extend(page.json()[member].as_array().unwrap().clone());
            let Some(link) = page.header("link").strip_suffix(">; rel=\"next\"") else { break };
            next = link.strip_prefix('<').unwrap().to_owned();
        }
        assert_eq!(json!(seen), whole);
    }
    let none = serve.ask("GET", &format!("{REPOSITORY}/tags/list?n=0"), &[]).await;
    assert_eq!((none.json()["tags"].clone(), none.header("link")), (json!([]), ""));

    let digest = manifest(&serve, "1.1.0").await.header("docker-content-digest").to_owned();
    for digest in [digest.as_str(), NOWHERE] {
        let path = format!("{REPOSITORY}/referrers/{digest}");
        let referrers = serve.ask("GET", &path, &[]).await;
        assert_eq!((referrers.status, referrers.header("content-type")), (200, INDEX));
        assert_eq!(referrers.json(), json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}));
        let filtered = serve.ask("GET", &format!("{path}?artifactType=a/b"), &[]).await;
        assert_eq!((filtered.status, filtered.header("oci-filters-applied")), (200, "artifactType"));
    }
}

#[tokio::test]
async fn manifest_is_answered_to_any_accept_that_admits_it() {
    let (_registry, serve) = example().await;
    let path = format!("{REPOSITORY}/manifests/1.1.0");
    for accept in
        [MANIFEST, "*/*", "text/html, */*;q=0.1", &format!("*/*, {MANIFEST};q=0.5"), &format!("{INDEX}, {MANIFEST}")]
    {
        let answer = serve.ask("GET", &path, &[("accept", accept)]).await;
        assert_eq!((answer.status, answer.header("vary")), (200, "accept"), "{accept}");
        assert_eq!(answer.header("content-type"), MANIFEST, "{accept}");
    }
    let twice = serve.ask("HEAD", &path, &[("accept", INDEX), ("accept", MANIFEST)]).await;
    assert_eq!(twice.status, 200, "the second of two headers admits it");
    for accept in ["application/*", "application/json", INDEX, "*/*;q=0"] {
        let answer = serve.ask("GET", &path, &[("accept", accept)]).await;
        assert_error(&answer, 404, "MANIFEST_UNKNOWN");
        assert!(
            answer.json()["errors"][0]["message"].as_str().unwrap().contains(MANIFEST),
            "it names the media type to send"
        );
        assert_eq!(answer.header("vary"), "accept");
    }
    // reqwest sends `Accept: */*` by itself.
    let silent = format!("GET {path} HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\r\n");
    assert_eq!(raw::ask(&serve.url, silent).await.status, 200);
}

#[tokio::test]
async fn archive_among_the_files_of_a_version_is_that_of_its_artifact() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.write("stacks/loom/archive.tar", "a finished archive");
    registry.write("stacks/kiln/1.1.0/archive.tar", "an archive that the artifact has made anew");
    let (_registry, serve) = published(registry).await;
    let (digest, size) = layer(&serve, "archive.tar").await;
    let path = "/stacks/kiln/1.1.0/archive.tar";
    let file = serve.ask("GET", path, &[]).await;
    assert_eq!((file.status, file.header("content-type")), (200, "application/octet-stream"));
    assert_eq!((Digest::of(&file.body).to_string(), file.body.len()), (digest.clone(), size));
    assert_eq!((file.header("docker-content-digest"), file.header("cache-control")), (&*digest, "public, max-age=60"));
    let head = serve.ask("HEAD", path, &[]).await;
    assert_eq!((head.status, head.header("content-length")), (200, &*size.to_string()));
    assert_eq!(serve.get("/stacks/loom/archive.tar").await, (200, "a finished archive".to_owned()));
    assert_eq!(serve.get("/stacks/kiln/1.0.0/archive.tar").await.0, 404, "all of its files are layers of their own");
}

#[tokio::test]
async fn range_of_a_blob_is_206_with_its_bytes() {
    let (_registry, serve) = example().await;
    let (digest, size) = layer(&serve, "archive.tar").await;
    let path = format!("{REPOSITORY}/blobs/{digest}");
    let whole = serve.ask("GET", &path, &[]).await.body;
    let last = size - 1;
    for (range, from, to) in
        [("bytes=0-9", 0, 9), ("bytes=-5", size - 5, last), ("bytes=7-", 7, last), ("bytes=3-999999", 3, last)]
    {
        let answer = serve.ask("GET", &path, &[("range", range)]).await;
        assert_eq!((answer.status, answer.body), (206, whole.slice(from..=to)), "{range}");
        assert_eq!(answer.headers["content-range"], format!("bytes {from}-{to}/{size}"));
        assert_eq!(answer.headers["content-length"], (to + 1 - from).to_string());
    }
    for range in ["bytes=999999-", "items=0-1", "bytes=5-2"] {
        let answer = serve.ask("GET", &path, &[("range", range)]).await;
        assert_error(&answer, 416, "RANGE_INVALID");
        assert_eq!(answer.header("content-range"), format!("bytes */{size}"), "{range}");
    }
    assert_eq!(serve.ask("HEAD", &path, &[("range", "bytes=0-9")]).await.status, 200, "ranges are for GET");
}

/// containerd asks so when it resumes a download.
#[tokio::test]
async fn range_from_the_first_byte_is_206_without_encoding() {
    let (_registry, serve) = example().await;
    for title in ["devfile.yaml", "archive.tar"] {
        let (digest, size) = layer(&serve, title).await;
        let path = format!("{REPOSITORY}/blobs/{digest}");
        let headers = [("range", "bytes=0-"), ("accept-encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5")];
        let answer = serve.ask("GET", &path, &headers).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (206, ""), "{title}");
        assert_eq!(answer.header("content-range"), format!("bytes 0-{}/{size}", size - 1), "{title}");
        assert_eq!((Digest::of(&answer.body).to_string(), answer.body.len()), (digest, size), "{title}");
    }
}

#[tokio::test]
async fn damaged_blob_is_502_and_never_leaves() {
    let (registry, serve) = example().await;
    let (digest, size) = layer(&serve, "archive.tar").await;
    let path = format!("{REPOSITORY}/blobs/{digest}");
    let key = format!("blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap());
    let good = registry.object(&key).await;
    for wrong in [vec![b'x'; size], vec![b'x'; size * 2], Vec::new()] {
        registry.put(&key, wrong).await;
        assert_error(&serve.ask("GET", &path, &[]).await, 502, "UNAVAILABLE");
        assert_error(&serve.ask("GET", &path, &[("range", "bytes=0-1")]).await, 502, "UNAVAILABLE");
    }
    registry.remove(std::slice::from_ref(&key)).await;
    assert_error(&serve.ask("GET", &path, &[]).await, 502, "UNAVAILABLE");
    assert_eq!(serve.ask("HEAD", &path, &[]).await.status, 200, "the release names it");

    registry.put(&key, &good).await;
    assert_eq!(serve.ask("GET", &path, &[]).await.body, good);
    registry.remove(std::slice::from_ref(&key)).await;
    assert_eq!(serve.ask("GET", &path, &[]).await.body, good, "it was read once");

    let file = "/stacks/kiln/1.1.0/docker/Dockerfile";
    let content = serve.ask("GET", file, &[]).await;
    assert_eq!(content.status, 200);
    let stored = format!("blobs/sha256/{}", Digest::of(&content.body).hex());
    let fresh = registry.serve().await;
    registry.put(&stored, "wrong").await;
    let damaged = fresh.ask("GET", file, &[]).await;
    assert_eq!(damaged.status, 502);
    assert_eq!(damaged.json()["status"], "the content in the store of this registry is damaged");
}

#[tokio::test]
async fn large_blobs_are_at_the_bucket_unless_they_are_texts() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let (noise, json) = (noise(), format!("[{}1]", "1,".repeat(5 << 19)));
    registry.write("stacks/kiln/1.1.0/large.zip", &noise);
    registry.write("stacks/kiln/1.1.0/large.json", &json);
    let (registry, serve) = published(registry).await;
    let (digest, size) = layer(&serve, "archive.tar").await;
    assert!(size > 4 << 20);
    let path = format!("{REPOSITORY}/blobs/{digest}");
    let zip = "/stacks/kiln/1.1.0/large.zip";
    for path in [&path, zip] {
        let answer = serve.ask("GET", path, &[]).await;
        assert_eq!((answer.status, answer.header("cache-control"), answer.body.len()), (307, "public, max-age=60", 0));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let content = registry_tests::http::get(answer.header("location")).await.unwrap();
        assert_eq!(content.status(), 200);
        let content = content.bytes().await.unwrap();
        assert_eq!(Digest::of(&content).to_string(), answer.header("docker-content-digest"));
        let head = serve.ask("HEAD", path, &[]).await;
        assert_eq!((head.status, head.header("content-length")), (200, content.len().to_string().as_str()));
    }
    let text = serve.ask("GET", "/stacks/kiln/1.1.0/large.json", &[]).await;
    assert_eq!((text.status, text.body), (200, Bytes::from(json)));

    let registry = registry.with("REDIRECT_BLOBS", "false");
    let serve = registry.serve().await;
    let sent = serve.ask("GET", &path, &[]).await;
    assert_eq!((sent.status, sent.body.len()), (200, size));
    assert_eq!(digest, Digest::of(&sent.body).to_string());
    let part = serve.ask("GET", &path, &[("range", "bytes=-3")]).await;
    assert_eq!((part.status, part.body), (206, sent.body.slice(size - 3..)));
    assert_eq!(serve.ask("GET", zip, &[]).await.body, Bytes::from(noise));
}

#[tokio::test]
async fn a_blob_is_read_once_for_all_who_ask_at_once() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let bucket = Proxy::start(&std::env::var("TEST_S3_ENDPOINT").unwrap(), Fuse::default()).await;
    let registry = registry.with("AWS_ENDPOINT_URL_S3", &format!("http://{}", bucket.address()));
    let serve = registry.serve().await;
    // Its start reads the documents of the release.
    bucket.take_requests();
    let held = Arc::new(Semaphore::new(0));
    bucket.faults().add("GET */blobs/*", Fault::Held(Arc::clone(&held)), 100);
    let asked = (0..20).map(|_| serve.ask("GET", "/stacks/kiln/1.1.0/docker/Dockerfile", &[]));
    let read = async {
        let mut reads = Vec::new();
        while reads.is_empty() {
            tokio::task::yield_now().await;
            reads.extend(bucket.take_requests());
            reads.retain(|read| read.contains("/blobs/"));
        }
        // Once this later request is answered, the others wait as well.
        assert_eq!(serve.get("/health").await.0, 200);
        reads.extend(bucket.take_requests());
        held.close();
        reads.into_iter().filter(|read| read.contains("/blobs/")).count()
    };
    let (answers, reads) = tokio::join!(futures_util::future::join_all(asked), read);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    assert_eq!(reads, 1);
}

#[tokio::test]
async fn a_pull_that_an_update_overtakes_needs_no_bucket_for_the_devfile() {
    let bucket = Proxy::start(&std::env::var("TEST_S3_ENDPOINT").unwrap(), Fuse::default()).await;
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let registry = registry.with("AWS_ENDPOINT_URL_S3", &format!("http://{}", bucket.address()));
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let (_, before) = serve.get("/devfiles/loom").await;
    let tag = serve.json("/v2/devfile-catalog/loom/tags/list").await["tags"][0].as_str().unwrap().to_owned();
    let manifest = serve
        .ask("GET", &format!("/v2/devfile-catalog/loom/manifests/{tag}"), &[("accept", MANIFEST_MEDIA_TYPE)])
        .await;
    let manifest: Value = serde_json::from_slice(&manifest.body).unwrap();
    let is_devfile = |layer: &&Value| layer["annotations"]["org.opencontainers.image.title"] == "devfile.yaml";
    let layer = manifest["layers"].as_array().unwrap().iter().find(is_devfile).unwrap()["digest"].as_str().unwrap();

    let after = format!("{before}# changed\n");
    registry.write("stacks/loom/devfile.yaml", &after);
    registry.refresh().await.unwrap();
    serve.shows("/devfiles/loom", &after).await;
    bucket.faults().add("*", Fault::Status { status: 503 }, 1000);
    assert_eq!(serve.get(&format!("/v2/devfile-catalog/loom/blobs/{layer}")).await, (200, before));
}
