//! Amazon ECR as the OCI registry.

use registry_tests::ecr::{Ecr, EcrRefusal};
use registry_tests::moto::Moto;
use registry_tests::registry::TestRegistry;
use serde_json::{Value, json};

/// The example registry with its artifacts in ECR, whose first token is good for so many calls.
async fn example(calls: usize, refusal: EcrRefusal) -> (TestRegistry, Ecr, Moto) {
    let moto = Moto::start().await;
    let ecr = Ecr::start(&moto, &std::env::var("TEST_OCI_REGISTRY").unwrap(), calls, refusal).await;
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let namespace = format!("{}/{}", Ecr::host(), registry.name);
    let registry = registry
        .with("OCI_REGISTRY", &namespace)
        .with("OCI_ENDPOINT", &ecr.address())
        .with("AWS_ENDPOINT_URL_ECR", &format!("http://{}", ecr.address()));
    (registry, ecr, moto)
}

async fn act(registry: &TestRegistry, action: &str) -> Value {
    let acted = registry.invoke(&json!({"action": action})).await;
    acted.unwrap_or_else(|error| panic!("{action}: {error}"))
}

async fn names(ecr: &Ecr) -> Vec<String> {
    let repositories = ecr.repositories().await;
    let mut names: Vec<String> =
        repositories.iter().map(|found| found["repositoryName"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn first_publication_creates_the_repositories_that_it_pushes_to() {
    let (registry, ecr, _moto) = example(usize::MAX, EcrRefusal::Unauthorized).await;
    assert!(registry.invoke(&json!({"action": "restore"})).await.is_err(), "nothing is published");
    assert_eq!(ecr.calls_of("CreateRepository"), 0, "reading creates nothing");

    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    let expected = ["devfile-catalog/kiln", "devfile-catalog/loom", "devfile-index"];
    assert_eq!(names(&ecr).await, expected.map(|name| format!("{}/{name}", registry.name)));
    for repository in ecr.repositories().await {
        assert_eq!(repository["imageTagMutability"], "MUTABLE");
        assert_eq!(repository["encryptionConfiguration"], json!({"encryptionType": "AES256"}));
    }
    assert_eq!(ecr.calls_of("CreateRepository"), expected.len(), "each once, however many blobs it lacks");

    for action in ["restore", "reconcile"] {
        act(&registry, action).await;
    }
    assert_eq!(act(&registry, "verify").await["problems"], json!([]));
    assert_eq!(ecr.calls_of("CreateRepository"), expected.len());
}

#[tokio::test]
async fn created_repositories_have_the_key_and_the_tags_of_the_settings() {
    let (registry, ecr, _moto) = example(usize::MAX, EcrRefusal::Unauthorized).await;
    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let registry = registry.with("ECR_KMS_KEY", key).with("ECR_TAGS", "team=stacks,cost-centre=12");
    registry.refresh().await.unwrap();
    let repositories = ecr.repositories().await;
    assert_eq!(repositories.len(), 3);
    for repository in repositories {
        assert_eq!(repository["encryptionConfiguration"], json!({"encryptionType": "KMS", "kmsKey": key}));
        let tags = ecr.tags(repository["repositoryArn"].as_str().unwrap()).await;
        let expected =
            [("cost-centre", "12"), ("team", "stacks")].map(|(key, value)| json!({"Key": key, "Value": value}));
        assert_eq!(tags, expected);
    }
    let wrong = registry.with("ECR_TAGS", "team").refresh().await.unwrap_err();
    assert!(wrong.contains("ECR_TAGS is malformed") && wrong.contains("KEY=VALUE"), "{wrong}");
}

#[tokio::test]
async fn deleted_repository_is_created_again_by_the_repair_alone() {
    let (registry, ecr, _moto) = example(usize::MAX, EcrRefusal::Unauthorized).await;
    registry.refresh().await.unwrap();
    let before = names(&ecr).await;
    ecr.delete(&before[0]).await;
    assert_eq!(act(&registry, "verify").await["intact"], false);
    assert_eq!(names(&ecr).await, before[1..]);
    act(&registry, "reconcile").await;
    assert_eq!(names(&ecr).await, before);
    assert_eq!(act(&registry, "verify").await["problems"], json!([]));
}

#[tokio::test]
async fn empty_files_of_a_version_keep_nothing_from_ecr() {
    let (registry, _ecr, _moto) = example(usize::MAX, EcrRefusal::Unauthorized).await;
    for name in ["logo.png", "empty.vsx", "notes.txt", "OWNERS"] {
        registry.write(&format!("stacks/loom/{name}"), "");
    }
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    for action in ["restore", "reconcile"] {
        act(&registry, action).await;
    }
    assert_eq!(act(&registry, "verify").await["problems"], json!([]));
}

#[tokio::test]
async fn token_at_its_end_within_a_publication_is_replaced() {
    for refusal in [EcrRefusal::Unauthorized, EcrRefusal::Expired] {
        let (registry, ecr, _moto) = example(12, refusal).await;
        assert_eq!(registry.refresh().await.unwrap()["outcome"], "published", "{refusal:?}");
        assert_eq!(ecr.calls_of("GetAuthorizationToken"), 2, "{refusal:?}");
        assert_eq!(act(&registry, "verify").await["problems"], json!([]), "{refusal:?}");
    }
}

#[tokio::test]
async fn token_is_used_for_all_repositories_until_its_end() {
    let (registry, ecr, _moto) = example(usize::MAX, EcrRefusal::Unauthorized).await;
    registry.refresh().await.unwrap();
    assert_eq!(ecr.calls_of("GetAuthorizationToken"), 1);
}

#[tokio::test]
async fn refused_token_is_replaced_once_and_then_a_named_error() {
    let (registry, ecr, _moto) = example(0, EcrRefusal::Unauthorized).await;
    let error = registry.invoke(&json!({"action": "restore"})).await.unwrap_err();
    assert!(error.contains("answered 401") && error.contains(&Ecr::host()), "{error}");
    assert_eq!(ecr.calls_of("GetAuthorizationToken"), 2);
    let unreachable = registry.with("AWS_ENDPOINT_URL_ECR", "http://127.0.0.1:9");
    let error = unreachable.invoke(&json!({"action": "restore"})).await.unwrap_err();
    assert!(error.contains("cannot get a token from ECR"), "{error}");
}
