//! Hosts in trouble: the source retries where that helps, and names the reason where it does not.

use std::time::Duration;

use bytes::Bytes;
use devfile_registry::source::github::GitHubCredentials;
use devfile_registry::source::{Scope, Source, SourceError};
use registry_tests::github::Fault;

use crate::fixture::Fixture;

const GIT: &str = "*/git-upload-pack";
const API: &str = "/repos/example/registry";

fn passing() -> [Fault; 7] {
    [
        Fault::Status { status: 500 },
        Fault::Status { status: 502 },
        Fault::Status { status: 409 },
        Fault::CutOff,
        Fault::WrongLength { by: 10 },
        Fault::RateLimit { status: 429, retry_after: Some(0), reset: None },
        Fault::Slow { milliseconds: 10 },
    ]
}

#[tokio::test]
async fn passing_faults_of_the_host_are_outlived() {
    let fixture = Fixture::new().await;
    let head = fixture.head();
    let whole = fixture.source().files(&head, &Scope::All).await.unwrap().digest();
    for fault in passing().into_iter().chain([Fault::Page, Fault::Malformed, Fault::WrongLength { by: -10 }]) {
        let source = fixture.source();
        fixture.github.faults().add(GIT, fault.clone(), 1);
        let found = source.head().await;
        assert!(found.as_ref().is_ok_and(|found| *found == head), "{fault:?}: {found:?}");
        // Of the two packs, the second.
        source.listing(&head).await.unwrap();
        fixture.github.faults().add(GIT, fault.clone(), 1);
        let tree = source.files(&head, &Scope::All).await;
        assert!(tree.as_ref().is_ok_and(|tree| tree.digest() == whole), "{fault:?}: {:?}", tree.err());
    }
}

#[tokio::test]
async fn lasting_faults_of_the_host_are_reported() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    for (fault, reason) in [
        (Fault::Status { status: 500 }, "status 500 (tried 6 times)"),
        (Fault::Status { status: 451 }, "status 451"),
        (Fault::Status { status: 418 }, "status 418"),
        (Fault::Page, "does not speak version 2 of the Git protocol"),
    ] {
        fixture.github.faults().add(GIT, fault.clone(), 6);
        let error = source.head().await.unwrap_err();
        assert!(matches!(error, SourceError::Unavailable { .. }), "{fault:?}: {error}");
        assert!(error.to_string().contains(reason), "{fault:?}: {error}");
        fixture.github.faults().clear();
    }
    fixture.github.faults().add(GIT, Fault::Status { status: 404 }, 1);
    assert!(matches!(source.head().await, Err(SourceError::NotFound(_))));
    assert_eq!(source.head().await.unwrap(), fixture.head(), "no fault is remembered");
}

#[tokio::test]
async fn commit_that_the_host_no_longer_has_is_not_found() {
    let fixture = Fixture::new().await;
    let gone = "0123456789012345678901234567890123456789".parse().unwrap();
    let error = fixture.source().files(&gone, &Scope::All).await.unwrap_err();
    assert!(matches!(error, SourceError::NotFound(_)), "{error}");
}

#[tokio::test]
async fn passing_faults_of_the_api_are_outlived() {
    let fixture = Fixture::new().await;
    let past = jiff::Timestamp::now().as_second() - 1;
    let limits = [
        Fault::RateLimit { status: 403, retry_after: Some(0), reset: None },
        Fault::RateLimit { status: 403, retry_after: None, reset: Some(past) },
    ];
    for fault in passing().into_iter().filter(|fault| !matches!(fault, Fault::Status { status: 409 })).chain(limits) {
        let api = fixture.api(GitHubCredentials::Anonymous);
        fixture.github.faults().add(API, fault.clone(), 1);
        let id = api.repository_id().await;
        assert!(id.as_ref().is_ok_and(|id| *id == fixture.github.repository_id()), "{fault:?}: {id:?}");
    }
}

#[tokio::test]
async fn rate_limit_beyond_the_budget_is_reported_at_once_with_its_end() {
    let fixture = Fixture::new().await;
    let api = fixture.api(GitHubCredentials::Anonymous);
    let reset = jiff::Timestamp::now().as_second() + 1800;
    let end = jiff::Timestamp::from_second(reset).unwrap().to_string();
    fixture.github.faults().add(API, Fault::RateLimit { status: 403, retry_after: None, reset: Some(reset) }, 1);
    let error = api.repository_id().await.unwrap_err().to_string();
    // To the minute: a second may have passed.
    assert!(error.contains("limits the rate of calls (403); API rate limit exceeded"), "{error}");
    assert!(error.contains(&format!("try again after {}", &end[..16])), "{error}");
    assert_eq!(fixture.github.take_requests().len(), 1);
}

#[tokio::test]
async fn call_without_an_answer_ends_with_its_budget() {
    let fixture = Fixture::new().await;
    let api = fixture.api(GitHubCredentials::Anonymous).with_budget(Duration::from_millis(200));
    fixture.github.faults().add("*", Fault::Hang, 2);
    let error = api.repository_id().await.unwrap_err().to_string();
    assert!(error.ends_with("no answer within 0.2 s"), "{error}");
}

#[tokio::test]
async fn answer_of_the_api_has_a_limit() {
    let fixture = Fixture::new().await;
    fixture.github.faults().add(API, Fault::Body(Bytes::from(vec![b' '; 2 << 20])), 1);
    let error = fixture.api(GitHubCredentials::Anonymous).repository_id().await.unwrap_err().to_string();
    assert!(error.ends_with("the answer has more than 1048576 bytes"), "{error}");
}
