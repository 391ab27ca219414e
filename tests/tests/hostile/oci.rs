//! The OCI registry, and the bucket's answers to writes: numbers, realms and statuses that no server should give, and blobs that
//! get lost under intact tags.

use std::collections::BTreeSet;

use devfile_registry::artifact::MANIFEST_MEDIA_TYPE;
use registry_tests::distribution::Distribution;
use registry_tests::github::Fault;
use registry_tests::guard::{Guard, KNOWN, Manners};
use registry_tests::proxy::{Fuse, Proxy};
use registry_tests::registry::TestRegistry;
use reqwest::Method;
use serde_json::{Value, json};

fn real() -> String {
    std::env::var("TEST_OCI_REGISTRY").unwrap()
}

/// The example registry, with the OCI registry at an address.
async fn example_at(address: &str) -> TestRegistry {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let namespace = format!("{address}/{}", registry.name);
    registry.with("OCI_REGISTRY", &namespace)
}

/// The example registry, with a proxy before the OCI registry.
async fn behind_a_proxy() -> (TestRegistry, Proxy) {
    let proxy = Proxy::start(&real(), Fuse::default()).await;
    (example_at(&proxy.address()).await, proxy)
}

/// The texts of an array in a report; none when it is not there.
fn lines(report: &Value, name: &str) -> Vec<String> {
    let lines = report[name].as_array().into_iter().flatten();
    lines.map(|line| line.as_str().unwrap().to_owned()).collect()
}

async fn act(registry: &TestRegistry, action: &str) -> Result<Value, String> {
    registry.invoke(&json!({"action": action})).await
}

async fn assert_intact(registry: &TestRegistry) {
    assert_eq!(act(registry, "verify").await.unwrap()["problems"], json!([]));
}

/// A call to an OCI registry below the namespace of a test.
async fn call(address: &str, registry: &TestRegistry, method: Method, path: &str) -> reqwest::Response {
    let url = format!("http://{address}/v2/{}/{path}", registry.name);
    registry_tests::http::client().request(method, url).header("accept", MANIFEST_MEDIA_TYPE).send().await.unwrap()
}

/// The digests of config and layers of an artifact.
async fn blobs_of(address: &str, registry: &TestRegistry, repository: &str, tag: &str) -> BTreeSet<String> {
    let manifest = call(address, registry, Method::GET, &format!("{repository}/manifests/{tag}")).await;
    let manifest: Value = serde_json::from_slice(&manifest.bytes().await.unwrap()).unwrap();
    let named = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]);
    named.map(|descriptor| descriptor["digest"].as_str().unwrap().to_owned()).collect()
}

/// The artifacts of a registry, as repository and tag.
async fn artifacts(address: &str, registry: &TestRegistry) -> Vec<(String, String)> {
    let listed = call(address, registry, Method::GET, "devfile-index/tags/list").await;
    let listed: Value = serde_json::from_slice(&listed.bytes().await.unwrap()).unwrap();
    let tags = lines(&listed, "tags").into_iter().filter(|tag| tag == "latest" || tag.starts_with("document-"));
    let of_index = tags.map(|tag| ("devfile-index".to_owned(), tag));
    let of_stacks = [("kiln", "1.0.0"), ("kiln", "1.1.0"), ("loom", "0.3.0")];
    let of_stacks = of_stacks.map(|(stack, version)| (format!("devfile-catalog/{stack}"), version.to_owned()));
    of_index.chain(of_stacks).collect()
}

#[tokio::test]
async fn retry_after_beyond_any_clock_is_a_named_error() {
    let (registry, proxy) = behind_a_proxy().await;
    for (status, seconds) in [(429, u64::MAX), (503, u64::MAX), (429, u64::MAX / 2), (503, i64::MAX as u64)] {
        proxy.faults().clear();
        proxy.faults().add("*", Fault::RateLimit { status, retry_after: Some(seconds), reset: None }, 1000);
        let error = registry.refresh().await.unwrap_err();
        assert!(!error.contains("panicked"), "{seconds}: {error}");
        assert!(error.contains(&format!("answered {status}")) && error.contains(&proxy.address()), "{error}");
    }
    proxy.faults().clear();
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
}

#[tokio::test]
async fn token_realm_on_another_host_over_http_gets_no_credentials() {
    let realm = Proxy::start(&real(), Fuse::default()).await;
    let manners = Manners { calls: 1000, realm_at: Some(realm.address()), ..Manners::default() };
    let guard = Guard::start(&real(), manners).await;
    let registry = example_at(&guard.address()).await;
    let registry = registry.with("OCI_USERNAME", KNOWN.0).with("OCI_PASSWORD", KNOWN.1);
    let error = registry.refresh().await.unwrap_err();
    assert_eq!(realm.take_headers("authorization"), [""; 0]);
    assert_eq!(realm.take_requests(), [""; 0]);
    let realm = format!("http://{}", realm.address());
    assert!(error.contains("token realm") && error.contains(&realm) && error.contains("https"), "{error}");
    assert!(error.contains(&guard.address()) && !error.contains(KNOWN.1), "{error}");
}

#[tokio::test]
async fn blob_deleted_under_an_intact_tag_is_pushed_again_and_named() {
    for action in ["reconcile", "schedule"] {
        let registry = example_at(&real()).await;
        registry.refresh().await.unwrap();
        let mut deleted = Vec::new();
        for (repository, tag) in artifacts(&real(), &registry).await {
            for blob in blobs_of(&real(), &registry, &repository, &tag).await {
                let answer = call(&real(), &registry, Method::DELETE, &format!("{repository}/blobs/{blob}")).await;
                // Those that artifacts of one repository share are gone by then.
                assert!([202, 404].contains(&answer.status().as_u16()), "{}", answer.status());
                deleted.push((repository.clone(), tag.clone(), blob));
            }
        }
        assert_eq!(act(&registry, "verify").await.unwrap()["intact"], false);
        let repaired = lines(&act(&registry, action).await.unwrap(), "repaired");
        for (repository, tag, blob) in &deleted {
            let named = |line: &String| line.contains(&format!("{repository}@{blob}")) && line.contains(tag);
            assert!(repaired.iter().any(named), "{action}: {repository}:{tag}@{blob} in {repaired:#?}");
        }
        assert_intact(&registry).await;
        assert_eq!(lines(&act(&registry, action).await.unwrap(), "repaired"), [""; 0], "nothing is left to repair");
    }
}

#[tokio::test]
async fn refresh_after_a_lost_blob_is_published() {
    let registry = example_at(&real()).await;
    registry.refresh().await.unwrap();
    for (repository, tag) in artifacts(&real(), &registry).await {
        for blob in blobs_of(&real(), &registry, &repository, &tag).await {
            call(&real(), &registry, Method::DELETE, &format!("{repository}/blobs/{blob}")).await;
        }
    }
    let devfile = std::fs::read_to_string(registry.repository.path().join("stacks/loom/devfile.yaml")).unwrap();
    registry.write("stacks/loom/devfile.yaml", format!("{devfile}# changed\n"));
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    act(&registry, "reconcile").await.unwrap();
    assert_intact(&registry).await;
}

#[tokio::test]
async fn blob_that_answers_another_length_is_uploaded_again() {
    let (registry, proxy) = behind_a_proxy().await;
    registry.refresh().await.unwrap();
    let blobs = blobs_of(&real(), &registry, "devfile-catalog/kiln", "1.1.0").await;
    for blob in &blobs {
        proxy.faults().add(&format!("HEAD *devfile-catalog/kiln/blobs/{blob}"), Fault::WrongLength { by: 7 }, 1);
    }
    proxy.take_requests();
    let repaired = lines(&act(&registry, "reconcile").await.unwrap(), "repaired");
    assert_eq!(repaired.len(), blobs.len(), "{repaired:#?}");
    let uploads = proxy.take_requests().into_iter().filter(|request| request.starts_with("PUT ")).count();
    assert_eq!(uploads, blobs.len(), "each is sent, although the registry claims to have it");
    assert_intact(&registry).await;

    // A lasting fault is an error that names it, and keeps nothing else from being repaired.
    let (stuck, lost) = (blobs.first().unwrap(), blobs.last().unwrap());
    proxy.faults().add(&format!("HEAD *devfile-catalog/kiln/blobs/{stuck}"), Fault::WrongLength { by: 7 }, 1000);
    call(&real(), &registry, Method::DELETE, &format!("devfile-catalog/kiln/blobs/{lost}")).await;
    let error = act(&registry, "reconcile").await.unwrap_err();
    assert!(error.contains(&format!("devfile-catalog/kiln@{stuck}")) && error.contains("cannot repair"), "{error}");
    proxy.faults().clear();
    assert_intact(&registry).await;
}

/// Distribution answers for a blob from its links and its data, and takes no upload of data that it has a file for.
#[tokio::test]
async fn blob_lost_or_cut_in_the_storage_of_distribution_is_repaired_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let distribution = Distribution::start(folder.path(), json!({})).await;
    let registry = example_at(distribution.address()).await;
    registry.refresh().await.unwrap();
    let repository = "devfile-catalog/kiln";
    for blob in blobs_of(distribution.address(), &registry, repository, "1.1.0").await {
        let hex = blob.strip_prefix("sha256:").unwrap();
        let (data, link) = (distribution.data(hex), distribution.link(&format!("{}/{repository}", registry.name), hex));
        for lost in [&data, &link] {
            std::fs::remove_file(lost).unwrap();
            let repaired = lines(&act(&registry, "reconcile").await.unwrap(), "repaired");
            let named = |line: &String| line.contains(&format!("{repository}@{blob}")) && line.contains("1.1.0");
            assert!(repaired.iter().any(named), "{lost:?}: {repaired:#?}");
            assert_intact(&registry).await;
        }
        std::fs::write(&data, "").unwrap();
        let error = act(&registry, "reconcile").await.unwrap_err();
        assert!(error.contains(&format!("@{blob}")) && error.contains("cannot repair"), "{error}");
        std::fs::remove_file(&data).unwrap();
        act(&registry, "reconcile").await.unwrap();
        assert_intact(&registry).await;
    }
}

#[tokio::test]
async fn oci_answers_that_lie_are_named_errors() {
    let (registry, proxy) = behind_a_proxy().await;
    let ok = Fault::Status { status: 200 };
    for (name, path, fault, expected) in [
        ("blob that was not created", "PUT *blobs/uploads/*", ok.clone(), "answered 200"),
        ("blob that may be created", "PUT *blobs/uploads/*", Fault::Status { status: 202 }, "answered 202"),
        ("page for a blob", "PUT *blobs/uploads/*", Fault::Page, "answered 200"),
        ("manifest that was not created", "PUT *manifests/*", ok.clone(), "answered 200"),
        ("page for a manifest", "PUT *manifests/*", Fault::Page, "answered 200"),
        ("upload that was not begun", "POST *blobs/uploads/", ok, "answered 200"),
        ("page for an upload", "POST *blobs/uploads/", Fault::Page, "answered 200"),
        ("upload without a place", "POST *blobs/uploads/", Fault::Status { status: 202 }, "Location"),
        ("page for a tag", "HEAD *manifests/*", Fault::Page, "text/html"),
        ("page for everything", "*", Fault::Page, "answered 200"),
    ] {
        proxy.faults().add(path, fault, 10_000);
        let error = registry.refresh().await.expect_err(name);
        let host = proxy.address();
        assert!(error.contains(expected) && error.contains(&host) && error.contains("failed to"), "{name}: {error}");
        proxy.faults().clear();
    }
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    assert_intact(&registry).await;
}

#[tokio::test]
async fn bucket_answers_that_lie_are_named_errors() {
    let proxy = Proxy::start(&std::env::var("TEST_S3_ENDPOINT").unwrap(), Fuse::default()).await;
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let registry = registry.with("AWS_ENDPOINT_URL_S3", &format!("http://{}", proxy.address()));
    for key in ["blobs/", "releases/", "index.json"] {
        for fault in [Fault::Status { status: 200 }, Fault::Status { status: 201 }, Fault::Page] {
            proxy.faults().add(&format!("PUT /{}/{key}*", registry.name), fault.clone(), 10_000);
            let error = registry.refresh().await.expect_err(key);
            assert!(error.contains("the cache bucket") && error.contains(&format!("failed to write {key}")), "{error}");
            assert!(error.contains("ETag") || error.contains("answered 201"), "{fault:?}: {error}");
            proxy.faults().clear();
        }
    }
    // The OCI registry has the index by then, so the bucket is restored from it.
    let report = registry.refresh().await.unwrap();
    assert_eq!(
        (&report["outcome"], &report["repaired"]),
        (&"unchanged".into(), &serde_json::json!(["bucket: index.json"]))
    );
    assert_intact(&registry).await;
}
