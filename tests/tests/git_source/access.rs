//! Credentials and their permissions.

use std::sync::Arc;

use devfile_registry::digest::CommitSha;
use devfile_registry::secret::Secret;
use devfile_registry::source::feedback::{CommitState, CommitStatus, Feedback, StatusContext};
use devfile_registry::source::github::{AppKey, GitHub, GitHubCredentials, InvalidAppKey, check_token};
use devfile_registry::source::{GitAccess, Scope, Source, SourceError};
use registry_tests::github::{APP_ID, Access, CLIENT_ID, Fault};

use crate::fixture::Fixture;

fn private() -> Access {
    Access::Private { token: "ghp_good".into() }
}

fn token(value: &str) -> GitAccess {
    GitAccess::Token(Secret::fixed("GITHUB_TOKEN", value))
}

fn app(fixture: &Fixture) -> GitHubCredentials {
    GitHubCredentials::App(AppKey::parse(&APP_ID.to_string(), fixture.github.app_key_pem()).unwrap())
}

async fn report(api: &Arc<GitHub>, commit: &CommitSha, state: CommitState, text: &str) -> Result<(), SourceError> {
    let target_url = Some("https://registry.example.com/status");
    let status = CommitStatus { context: StatusContext::Live, state, description: text, target_url };
    Feedback::on_github(Arc::clone(api)).report(commit, &status).await
}

#[tokio::test]
async fn private_repository_is_read_with_a_token_alone() {
    let fixture = Fixture::new().await;
    fixture.github.set_access(private());
    let head = fixture.head();
    let source = fixture.source_as(token("ghp_good"));
    assert_eq!(source.head().await.unwrap(), head);
    assert_eq!(source.files(&head, &Scope::All).await.unwrap().iter().count(), 4);

    for access in [GitAccess::Anonymous, token("ghp_wrong")] {
        let source = fixture.source_as(access);
        let error = source.head().await.unwrap_err().to_string();
        assert!(error.contains("status 401") && error.contains("GIT_CREDENTIALS"), "{error}");
        assert!(!format!("{source:?} {error}").contains("ghp_wrong"));
    }
    assert!(check_token("ghp_with a space").is_err());
}

#[tokio::test]
async fn app_finds_its_installation_and_asks_for_one_token() {
    let fixture = Fixture::new().await;
    fixture.github.set_access(private());
    let head = fixture.head();
    let api = Arc::new(fixture.api(app(&fixture)));
    let source = fixture.source_as(GitAccess::App(Arc::clone(&api)));
    assert_eq!(source.head().await.unwrap(), head);
    source.files(&head, &Scope::All).await.unwrap();
    let paths = ["stacks/go".to_owned()];
    assert_eq!(source.last_modified(&head, &paths).await.unwrap().len(), 1);
    report(&api, &head, CommitState::Success, "published").await.unwrap();
    let requests = fixture.github.take_requests();
    assert_eq!(requests[..2], ["GET /repos/example/registry/installation", "POST /app/installations/77/access_tokens"]);
    assert_eq!(requests.iter().filter(|request| request.contains("installation")).count(), 2);
    // A token that is taken back is replaced.
    fixture.github.revoke_installation_tokens();
    assert_eq!(source.head().await.unwrap(), head);
    fixture.github.revoke_installation_tokens();
    assert_eq!(api.repository_id().await.unwrap(), fixture.github.repository_id());
}

#[tokio::test]
async fn app_is_named_by_its_client_id_as_well() {
    let fixture = Fixture::new().await;
    fixture.github.set_access(private());
    let key = AppKey::parse(CLIENT_ID, fixture.github.app_key_pem()).unwrap();
    let api = Arc::new(fixture.api(GitHubCredentials::App(key)));
    let source = fixture.source_as(GitAccess::App(api));
    assert_eq!(source.head().await.unwrap(), fixture.head());
    for id in ["", "Iv1 8a61f9b3a7aba766", "Iv1/8a61", &"1".repeat(65)] {
        assert_eq!(AppKey::parse(id, fixture.github.app_key_pem()).unwrap_err(), InvalidAppKey::Id, "{id}");
    }
}

#[tokio::test]
async fn app_of_a_renamed_repository_asks_for_a_token_by_its_number() {
    let fixture = Fixture::new().await;
    fixture.github.set_access(private());
    fixture.github.rename("stacks");
    let head = fixture.head();
    let api = Arc::new(fixture.api(app(&fixture)));
    let source = fixture.source_as(GitAccess::App(Arc::clone(&api)));
    assert_eq!(source.head().await.unwrap(), head);
    assert_eq!(source.files(&head, &Scope::All).await.unwrap().iter().count(), 4);
    assert_eq!(api.repository_id().await.unwrap(), fixture.github.repository_id());
    report(&api, &head, CommitState::Success, "published").await.unwrap();
    assert_eq!(fixture.github.statuses().len(), 1);
}

#[tokio::test]
async fn enterprise_server_has_its_api_below_a_path() {
    let fixture = Fixture::new().await;
    fixture.github.set_access(private());
    let api = format!("{}/api/v3", fixture.github.url());
    let api = GitHub::new(&fixture.url(""), Some(&api), app(&fixture)).unwrap();
    assert_eq!(api.repository_id().await.unwrap(), fixture.github.repository_id());
    let requests = fixture.github.take_requests();
    assert!(requests.contains(&"GET /api/v3/repos/example/registry/installation".to_owned()), "{requests:?}");
}

#[tokio::test]
async fn app_that_is_not_installed_or_not_the_one_is_named() {
    let fixture = Fixture::new().await;
    fixture.github.faults().add("*/installation", Fault::Status { status: 404 }, 1);
    let source = fixture.source_as(GitAccess::App(Arc::new(fixture.api(app(&fixture)))));
    let error = source.head().await.unwrap_err().to_string();
    assert!(error.ends_with("the App is not installed there"), "{error}");

    let other = AppKey::parse("999", fixture.github.app_key_pem()).unwrap();
    let error = fixture.api(GitHubCredentials::App(other)).repository_id().await.unwrap_err().to_string();
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
    let api = Arc::new(fixture.api(GitHubCredentials::Token(Secret::fixed("GITHUB_TOKEN", "ghp_of_a_test"))));
    let long = "x".repeat(200);
    report(&api, &head, CommitState::Pending, "publishing").await.unwrap();
    report(&api, &head, CommitState::Failure, &long).await.unwrap();
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
    let api = Arc::new(fixture.api(GitHubCredentials::Token(Secret::fixed("GITHUB_TOKEN", "ghp_of_a_test"))));
    report(&api, &head, CommitState::Success, "published").await.unwrap();
    fixture.github.set_access(private());
    let anonymous = Arc::new(fixture.api(GitHubCredentials::Anonymous));
    report(&anonymous, &head, CommitState::Success, "published").await.unwrap();
    assert!(fixture.github.statuses().is_empty());

    // Trouble is something else than a missing permission.
    let limited = Fault::RateLimit { status: 403, retry_after: Some(3600), reset: None };
    fixture.github.faults().add("*/statuses/*", limited, 1);
    fixture.github.set_access(Access::Public);
    assert!(report(&api, &head, CommitState::Success, "published").await.is_err());
}

#[tokio::test]
async fn comment_is_changed_in_place_and_needs_credentials_with_the_permission() {
    let fixture = Fixture::new().await;
    let token = GitHubCredentials::Token(Secret::fixed("GITHUB_TOKEN", "ghp_of_a_test"));
    let feedback = Feedback::on_github(Arc::new(fixture.api(token)));
    assert_eq!(feedback.comment(7, None, "first").await.unwrap(), Some(1));
    assert_eq!(feedback.comment(7, Some(1), "second").await.unwrap(), Some(1));
    assert_eq!(feedback.comment(7, Some(9), "that one is gone").await.unwrap(), Some(2));
    let texts: Vec<_> = fixture.github.comments().iter().map(|comment| comment["body"].clone()).collect();
    assert_eq!(texts, ["second", "that one is gone"]);
    fixture.github.set_access(Access::ReadOnly);
    assert_eq!(feedback.comment(7, Some(1), "third").await.unwrap(), None);
    let anonymous = Feedback::on_github(Arc::new(fixture.api(GitHubCredentials::Anonymous)));
    assert_eq!(anonymous.comment(7, None, "third").await.unwrap(), None);
    assert_eq!(fixture.github.comments().len(), 2);
}
