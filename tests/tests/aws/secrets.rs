//! Secrets that change while refresh runs.

use registry_tests::github::signature;
use registry_tests::guard::{Guard, KNOWN, Manners};
use registry_tests::moto::Moto;
use registry_tests::registry::{Serving, TestRegistry};

const FIRST: &str = "the first webhook secret";
const SECOND: &str = "the second webhook secret";

/// Delivers a ping that is signed with a secret, and gives the status of the answer.
async fn ping(refresh: &Serving, secret: &str) -> u16 {
    let request = registry_tests::http::client().post(format!("{}/webhooks/github", refresh.url)).body("{}");
    let request = request.header("x-hub-signature-256", signature(secret, b"{}").unwrap());
    request.header("x-github-event", "ping").send().await.unwrap().status().as_u16()
}

/// Asks for a refresh, and gives the status and the text of the answer.
async fn post(refresh: &Serving) -> (u16, String) {
    let request = registry_tests::http::client().post(format!("{}/refresh", refresh.url)).body("{}");
    let request = request.header("x-hub-signature-256", signature(FIRST, b"{}").unwrap());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn example(moto: &Moto) -> TestRegistry {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.with("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto.url()).with("AWS_ENDPOINT_URL_SSM", moto.url())
}

/// Starts refresh with the first secret, and again asks it after `rotate`.
async fn assert_rotated(registry: TestRegistry, rotate: impl AsyncFnOnce()) {
    let refresh = registry.refreshing().await;
    assert_eq!(ping(&refresh, FIRST).await, 200);
    rotate().await;
    assert_eq!(ping(&refresh, SECOND).await, 200);
    assert_eq!(ping(&refresh, FIRST).await, 401);
}

#[tokio::test]
async fn rotated_secret_in_secrets_manager_counts_at_once() {
    let moto = Moto::start().await;
    let arn = moto.create_secret("webhook", FIRST).await;
    let registry = example(&moto).await.with("WEBHOOK_SECRET_ARN", &arn);
    assert_rotated(registry, async || moto.put_secret(&arn, SECOND).await).await;
}

#[tokio::test]
async fn rotated_parameter_in_the_parameter_store_counts_at_once() {
    let moto = Moto::start().await;
    let arn = moto.put_parameter("registry/webhook", FIRST).await;
    let registry = example(&moto).await.with("WEBHOOK_SECRET_ARN", &arn);
    assert_rotated(registry, async || drop(moto.put_parameter("registry/webhook", SECOND).await)).await;
}

#[tokio::test]
async fn secret_file_that_changes_counts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("webhook");
    std::fs::write(&path, format!("{FIRST}\n")).unwrap();
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let registry = registry.with("WEBHOOK_SECRET_FILE", &path.display().to_string());
    assert_rotated(registry, async || std::fs::write(&path, SECOND).unwrap()).await;
}

#[tokio::test]
async fn secret_that_cannot_be_read_is_a_503_to_who_calls_and_named_in_the_log() {
    let moto = Moto::start().await;
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:missing-a1b2c3";
    let mut refresh = example(&moto).await.with("WEBHOOK_SECRET_ARN", arn).refreshing().await;
    assert_eq!(ping(&refresh, FIRST).await, 503);
    let line = refresh.logs("cannot read WEBHOOK_SECRET_ARN").await;
    assert!(line.contains(arn) && line.contains("ResourceNotFoundException"), "{line}");
}

#[tokio::test]
async fn rotated_password_of_the_oci_registry_counts_within_the_refresh_that_it_is_refused_in() {
    let moto = Moto::start().await;
    let real = std::env::var("TEST_OCI_REGISTRY").unwrap();
    let guard = Guard::start(&real, Manners { calls: 1000, ..Manners::default() }).await;
    let arn = moto.create_secret("oci", KNOWN.1).await;
    let registry = example(&moto).await;
    let namespace = format!("{}/{}", guard.address(), registry.name);
    let registry = registry.with("OCI_REGISTRY", &namespace).with("OCI_USERNAME", KNOWN.0);
    let registry = registry.with("OCI_PASSWORD_ARN", &arn).with("WEBHOOK_SECRET", FIRST);
    let refresh = registry.refreshing().await;
    let (status, text) = post(&refresh).await;
    assert!(status == 200 && text.contains("published"), "{status} {text}");

    guard.rotate("another password");
    moto.put_secret(&arn, "another password").await;
    let devfile = std::fs::read_to_string(registry.repository.path().join("stacks/loom/devfile.yaml")).unwrap();
    registry.write("stacks/loom/devfile.yaml", format!("{devfile}# changed\n"));
    let (status, text) = post(&refresh).await;
    assert!(status == 200 && text.contains("published"), "{status} {text}");
}
