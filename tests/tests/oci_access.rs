//! Registries that require authentication, and the credentials that they get.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

use registry_tests::distribution::Distribution;
use registry_tests::guard::{Guard, KNOWN, Manners};
use registry_tests::proxy::{Fuse, Proxy};
use registry_tests::registry::TestRegistry;
use serde_json::json;

/// As `htpasswd -B` writes [`KNOWN`].
const HTPASSWD: &str = "kiln:$2b$04$k93AD7JlRGdUyKHRfLjQUOVH5ka49D2qTUXGFxNH2wQJBBpEhKYSe\n";

const SECRET: &str = "not-the-password";

fn real() -> String {
    std::env::var("TEST_OCI_REGISTRY").unwrap()
}

/// The example registry, published to another OCI registry with some password.
async fn example(address: &str, password: &str) -> TestRegistry {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let namespace = format!("{address}/{}", registry.name);
    registry.with("OCI_REGISTRY", &namespace).with("OCI_USERNAME", KNOWN.0).with("OCI_PASSWORD", password)
}

/// Publishes, changes and checks a registry.
async fn works(registry: &TestRegistry) {
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    let devfile = std::fs::read_to_string(registry.repository.path().join("stacks/loom/devfile.yaml")).unwrap();
    registry.write("stacks/loom/devfile.yaml", format!("{devfile}# changed\n"));
    assert_eq!(registry.refresh().await.unwrap()["changed"], json!(["stacks/loom"]));
    for action in ["reconcile", "restore", "verify"] {
        let report =
            registry.invoke(&json!({"action": action})).await.unwrap_or_else(|error| panic!("{action}: {error}"));
        assert_eq!(report.get("problems").unwrap_or(&json!([])), &json!([]), "{action}: {report}");
    }
}

/// A wrong password is an error that does not reveal it.
async fn refuses(address: &str, said: &str) {
    let error = example(address, SECRET).await.refresh().await.unwrap_err();
    assert!(error.contains(said) && !error.contains(SECRET), "{error}");
}

/// Distribution that asks for a password itself.
async fn distribution(folder: &std::path::Path) -> Distribution {
    std::fs::write(folder.join("htpasswd"), HTPASSWD).unwrap();
    Distribution::start(folder, json!({"htpasswd": {"realm": "kiln", "path": folder.join("htpasswd")}})).await
}

#[tokio::test]
async fn registry_with_passwords_takes_the_right_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let registry = distribution(folder.path()).await;
    works(&example(registry.address(), KNOWN.1).await).await;
    refuses(registry.address(), "authentication required; it wants other credentials").await;
}

#[tokio::test]
async fn registry_with_tokens_gets_one_for_each_repository() {
    let guard = Guard::start(&real(), Manners { calls: 1000, ..Manners::default() }).await;
    let registry = example(&guard.address(), KNOWN.1).await;
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    assert_eq!(guard.issued(), 3, "one for each repository: of the index, kiln and loom");
    refuses(&guard.address(), "it answered 401; check the credentials").await;
}

#[tokio::test]
async fn tokens_that_do_not_last_are_renewed() {
    let guard = Guard::start(&real(), Manners { calls: 12, ..Manners::default() }).await;
    works(&example(&guard.address(), KNOWN.1).await).await;
    assert!(guard.issued() > 3, "{}", guard.issued());
}

#[tokio::test]
async fn another_host_that_has_the_blobs_gets_no_credentials() {
    let blob_host = Proxy::start(&real(), Fuse::default()).await;
    let manners = Manners { calls: 1000, blobs_at: Some(blob_host.address()), ..Manners::default() };
    let guard = Guard::start(&real(), manners).await;
    let registry = example(&guard.address(), KNOWN.1).await;
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    assert_eq!(registry.invoke(&json!({"action": "verify"})).await.unwrap()["problems"], json!([]));
    let requests = blob_host.take_requests();
    for method in ["PUT ", "GET "] {
        assert!(requests.iter().any(|request| request.starts_with(method)), "{method}: {requests:?}");
    }
    assert_eq!(blob_host.take_headers("authorization"), [""; 0]);
}
