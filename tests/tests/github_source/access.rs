//! Credentials, and what they permit.

use devfile_registry::source::github::{AppKey, CommitState, Credentials, GitHubSource, InvalidAppKey};
use devfile_registry::source::{Source, SourceError};
use registry_tests::github::{APP_ID, Access, Fault};

use crate::fixture::{ADDRESS, Fixture};

fn private() -> Access {
    Access::Private { token: "ghp_good".into() }
}

fn app(fixture: &Fixture) -> Credentials {
    Credentials::App(AppKey::parse(&APP_ID.to_string(), fixture.github.app_key_pem()).unwrap())
}

#[tokio::test]
async fn a_private_repository_is_read_with_a_token() {
    let fixture = Fixture::new().await;
    fixture.github.set_access(private());
    let head = fixture.head();
    let source = fixture.source_as(Credentials::Token("ghp_good".into()));
    assert_eq!(source.head().await.unwrap(), head);
    assert_eq!(source.tree(&head).await.unwrap().iter().count(), 4);

    let source = fixture.source_as(Credentials::Anonymous);
    assert!(matches!(source.head().await, Err(SourceError::NotFound(_))));
    let source = fixture.source_as(Credentials::Token("ghp_wrong".into()));
    let error = source.head().await.unwrap_err().to_string();
    assert_eq!(error, "https://github.com/example/registry: GitHub answered 401 Bad credentials");
    assert!(!format!("{source:?}").contains("ghp_wrong"));
}

#[tokio::test]
async fn an_app_finds_its_installation_and_asks_for_one_token() {
    let fixture = Fixture::new().await;
    fixture.github.set_access(private());
    let head = fixture.head();
    let source = fixture.source_as(app(&fixture));
    assert_eq!(source.head().await.unwrap(), head);
    source.tree(&head).await.unwrap();
    let paths = ["stacks/go".to_owned()];
    assert_eq!(source.last_modified(&head, &paths).await.unwrap().len(), 1);
    source.report_status(&head, CommitState::Success, "published", None).await.unwrap();
    let requests = fixture.github.take_requests();
    assert_eq!(requests[..2], ["GET /repos/example/registry/installation", "POST /app/installations/77/access_tokens"]);
    assert_eq!(requests.iter().filter(|request| request.contains("installation")).count(), 2);
    // A token that is taken back is replaced.
    fixture.github.revoke_installation_tokens();
    assert_eq!(source.head().await.unwrap(), head);
}

#[tokio::test]
async fn an_enterprise_server_has_its_api_below_a_path() {
    let fixture = Fixture::new().await;
    fixture.github.set_access(private());
    let head = fixture.head();
    let api = format!("{}/api/v3", fixture.github.url());
    let source = GitHubSource::new(ADDRESS.parse().unwrap(), Some(&api), app(&fixture)).unwrap();
    assert_eq!(source.head().await.unwrap(), head);
    assert_eq!(source.tree(&head).await.unwrap().iter().count(), 4);
    source.last_modified(&head, &["stacks/go".to_owned()]).await.unwrap();
    let requests = fixture.github.take_requests();
    assert!(requests.contains(&"POST /api/graphql".to_owned()), "{requests:?}");
    assert!(requests.contains(&"GET /api/v3/repos/example/registry/installation".to_owned()), "{requests:?}");
}

#[tokio::test]
async fn an_app_that_is_not_installed_or_not_the_one_is_named() {
    let fixture = Fixture::new().await;
    fixture.github.faults().add("*/installation", Fault::Status { status: 404 }, 1);
    let source = fixture.source_as(app(&fixture));
    let error = source.head().await.unwrap_err().to_string();
    assert!(error.ends_with("the App is not installed there"), "{error}");

    let other = AppKey::parse("999", fixture.github.app_key_pem()).unwrap();
    let error = fixture.source_as(Credentials::App(other)).head().await.unwrap_err().to_string();
    assert!(error.contains("401"), "{error}");

    assert_eq!(AppKey::parse("registry", fixture.github.app_key_pem()).unwrap_err(), InvalidAppKey::Id);
    assert_eq!(AppKey::parse("1", "no key").unwrap_err(), InvalidAppKey::Key);
    // As environment variables carry it.
    let one_line = fixture.github.app_key_pem().replace('\n', "\\n");
    assert!(AppKey::parse(" 1 ", &one_line).is_ok());
}

#[tokio::test]
async fn statuses_show_on_the_commit() {
    let fixture = Fixture::new().await;
    let head = fixture.head();
    let source = fixture.source();
    let long = "x".repeat(200);
    source.report_status(&head, CommitState::Pending, "publishing", None).await.unwrap();
    source
        .report_status(&head, CommitState::Failure, &long, Some("https://registry.example.com/status"))
        .await
        .unwrap();
    let statuses = fixture.github.statuses();
    let states: Vec<_> = statuses.iter().map(|status| status["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["pending", "failure"]);
    assert_eq!(statuses[1]["sha"], head.as_str());
    assert_eq!(statuses[1]["context"], "devfile-registry");
    assert_eq!(statuses[1]["target_url"], "https://registry.example.com/status");
}

#[tokio::test]
async fn statuses_are_off_without_the_permission() {
    let fixture = Fixture::new().await;
    let head = fixture.head();
    fixture.github.set_access(Access::ReadOnly);
    let source = fixture.source();
    source.report_status(&head, CommitState::Success, "published", None).await.unwrap();
    fixture.github.set_access(private());
    let anonymous = fixture.source_as(Credentials::Anonymous);
    anonymous.report_status(&head, CommitState::Success, "published", None).await.unwrap();
    assert!(fixture.github.statuses().is_empty());

    // Trouble is something else than a missing permission.
    let limited = Fault::RateLimit { status: 403, retry_after: Some(3600), reset: None };
    fixture.github.faults().add("*/statuses/*", limited, 1);
    fixture.github.set_access(Access::Public);
    assert!(source.report_status(&head, CommitState::Success, "published", None).await.is_err());
}
