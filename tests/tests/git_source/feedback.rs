//! Commit statuses and comments on hosts other than GitHub, as unkind as the real ones.

use std::time::{Duration, Instant};

use devfile_registry::digest::CommitSha;
use devfile_registry::secret::Secret;
use devfile_registry::source::SourceError;
use devfile_registry::source::feedback::{CommitState, CommitStatus, Feedback, StatusContext, check_token};
use registry_tests::feedback::{FeedbackHost, READ_ONLY, TOKEN};
use registry_tests::github::Fault;
use serde_json::json;

const COMMIT: &str = "0123456789012345678901234567890123456789";

/// The time of a report that has no budget of its own.
const WITHOUT_BUDGET: Duration = Duration::from_secs(20);

/// Every kind of host with the path of its repository and of its calls.
const KINDS: [(&str, &str, &str); 5] = [
    ("gitlab", "a/b/registry", "/api/v4/projects/a%2Fb%2Fregistry/statuses/COMMIT"),
    ("gitea", "clay/registry", "/api/v1/repos/clay/registry/statuses/COMMIT"),
    ("forgejo", "clay/registry", "/api/v1/repos/clay/registry/statuses/COMMIT"),
    ("bitbucket", "clay/registry", "/2.0/repositories/clay/registry/commit/COMMIT/statuses/build"),
    ("bitbucket-data-center", "scm/clay/registry", "/rest/build-status/1.0/commits/COMMIT"),
];

/// Those with an API for comments, with the paths of a new comment and of the first one.
const COMMENTS: [(&str, &str, &str, &str); 4] = [
    (
        "gitlab",
        "a/b/registry",
        "POST /api/v4/projects/a%2Fb%2Fregistry/merge_requests/7/notes",
        "PUT /api/v4/projects/a%2Fb%2Fregistry/merge_requests/7/notes/1",
    ),
    (
        "gitea",
        "clay/registry",
        "POST /api/v1/repos/clay/registry/issues/7/comments",
        "PATCH /api/v1/repos/clay/registry/issues/comments/1",
    ),
    (
        "forgejo",
        "clay/registry",
        "POST /api/v1/repos/clay/registry/issues/7/comments",
        "PATCH /api/v1/repos/clay/registry/issues/comments/1",
    ),
    (
        "bitbucket",
        "clay/registry",
        "POST /2.0/repositories/clay/registry/pullrequests/7/comments",
        "PUT /2.0/repositories/clay/registry/pullrequests/7/comments/1",
    ),
];

fn feedback(host: &FeedbackHost, kind: &str, path: &str, token: &str) -> Feedback {
    let repository = format!("{}/{path}", host.url()).parse().unwrap();
    Feedback::with_token(&repository, Secret::fixed("STATUS_TOKEN", &format!("{kind}:{token}"))).unwrap()
}

async fn report(feedback: Feedback, state: CommitState, description: &str) -> Result<(), SourceError> {
    let commit: CommitSha = COMMIT.parse().unwrap();
    let target_url = Some("https://registry.example.com/status");
    let status = CommitStatus { context: StatusContext::Live, state, description, target_url };
    feedback.report(&commit, &status).await
}

#[tokio::test]
async fn status_is_shown_at_the_commit_on_every_host() {
    for (kind, repository, call) in KINDS {
        let host = FeedbackHost::start().await.unwrap();
        let long = "é".repeat(200);
        report(feedback(&host, kind, repository, TOKEN), CommitState::Pending, "publishing").await.unwrap();
        report(feedback(&host, kind, repository, TOKEN), CommitState::Error, &long).await.unwrap();
        report(feedback(&host, kind, repository, TOKEN), CommitState::Success, "published").await.unwrap();
        let shown = host.written().statuses();
        assert_eq!(shown.len(), 3, "{kind}");
        for (path, status) in &shown {
            assert_eq!(path, &call.replace("COMMIT", COMMIT), "{kind}");
            let link = status.get("target_url").or(status.get("url")).unwrap();
            assert_eq!(link, "https://registry.example.com/status", "{kind}");
            assert!(status["description"].as_str().unwrap().chars().count() <= 140, "{kind}");
        }
        assert_eq!(shown[2].1["description"], "published");
    }
}

#[tokio::test]
async fn passing_faults_of_a_host_are_outlived() {
    let faults = [
        Fault::Status { status: 502 },
        Fault::Status { status: 503 },
        Fault::RateLimit { status: 429, retry_after: Some(0), reset: None },
        Fault::Slow { milliseconds: 200 },
    ];
    let outlive = async |kind: &str, repository: &str, fault: &Fault| {
        let host = FeedbackHost::start().await.unwrap();
        host.faults().add("*", fault.clone(), 1);
        let reported = report(feedback(&host, kind, repository, TOKEN), CommitState::Success, "published").await;
        assert!(reported.is_ok(), "{kind} {fault:?}: {reported:?}");
        assert!(!host.written().statuses().is_empty(), "{kind} {fault:?}");
    };
    let cases = KINDS.iter().flat_map(|(kind, repository, _)| faults.iter().map(|fault| (*kind, *repository, fault)));
    // At once, because each waits before it calls again.
    futures_util::future::join_all(cases.map(|(kind, repository, fault)| outlive(kind, repository, fault))).await;
}

#[tokio::test]
async fn host_that_stays_unkind_fails_the_report_within_its_time() {
    // The answers of a host that gives some must arrive within the budget.
    for (fault, budget, reason) in [
        (Fault::Status { status: 500 }, 3_000, "GitLab answered 500"),
        (Fault::RateLimit { status: 429, retry_after: Some(3600), reset: None }, 3_000, "try again after"),
        (Fault::Hang, 500, "no answer within 0.5 s"),
        (Fault::Status { status: 422 }, 3_000, "GitLab answered 422"),
    ] {
        let host = FeedbackHost::start().await.unwrap();
        host.faults().add("*", fault.clone(), usize::MAX);
        let feedback = feedback(&host, "gitlab", "clay/registry", TOKEN).with_budget(Duration::from_millis(budget));
        let begin = Instant::now();
        let error = report(feedback, CommitState::Success, "published").await.unwrap_err().to_string();
        assert!(error.contains(reason), "{fault:?}: {error}");
        assert!(!error.contains(TOKEN) && begin.elapsed() < WITHOUT_BUDGET, "{error}");
    }
}

#[tokio::test]
async fn redirect_within_the_host_is_followed_as_a_post_and_no_other() {
    let host = FeedbackHost::start().await.unwrap();
    host.redirect("clay/registry", "pottery/registry");
    report(feedback(&host, "gitea", "clay/registry", TOKEN), CommitState::Success, "published").await.unwrap();
    assert_eq!(host.written().statuses()[0].0, format!("/api/v1/repos/pottery/registry/statuses/{COMMIT}"));

    let stranger = FeedbackHost::start().await.unwrap();
    host.redirect("clay/registry", stranger.url());
    let error = report(feedback(&host, "gitea", "clay/registry", TOKEN), CommitState::Success, "published").await;
    assert!(error.unwrap_err().to_string().contains("Gitea redirects to another host"));
    assert_eq!(stranger.requests(), [] as [&str; 0], "the token stays with its host");

    host.redirect("clay/registry", "clay/registry");
    let error = report(feedback(&host, "gitea", "clay/registry", TOKEN), CommitState::Success, "published").await;
    assert!(error.unwrap_err().to_string().contains("more than 5 redirects"));
}

#[tokio::test]
async fn token_without_the_permission_turns_statuses_off_and_a_refused_one_is_an_error() {
    for (kind, repository, _) in KINDS {
        let host = FeedbackHost::start().await.unwrap();
        let off = report(feedback(&host, kind, repository, READ_ONLY), CommitState::Success, "published").await;
        assert!(off.is_ok(), "{kind}: {off:?}");
        let refused = report(feedback(&host, kind, repository, "wrong"), CommitState::Success, "published").await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("answered 401") && !refused.contains("wrong"), "{kind}: {refused}");
        assert_eq!(host.written().statuses(), []);
    }
}

#[tokio::test]
async fn rotated_token_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "forgejo:wrong\n").unwrap();
    let lookup = {
        let file = file.display().to_string();
        move |name: &str| (name == "STATUS_TOKEN_FILE").then(|| file.clone())
    };
    let mut environment = devfile_registry::environment::Environment::new(lookup);
    let setting = &devfile_registry::settings::STATUS_TOKEN;
    let token = Secret::from_environment(&mut environment, setting, check_token).unwrap();
    token.value().await.unwrap();
    std::fs::write(&file, format!("forgejo:{TOKEN}\n")).unwrap();
    let host = FeedbackHost::start().await.unwrap();
    let feedback = Feedback::with_token(&format!("{}/clay/registry", host.url()).parse().unwrap(), token).unwrap();
    report(feedback, CommitState::Success, "published").await.unwrap();
    assert_eq!(host.written().statuses().len(), 1);
}

#[tokio::test]
async fn state_that_gitlab_shows_already_is_no_error() {
    let host = FeedbackHost::start().await.unwrap();
    for _ in 0..2 {
        report(feedback(&host, "gitlab", "clay/registry", TOKEN), CommitState::Pending, "publishing").await.unwrap();
    }
    assert_eq!(host.written().statuses().len(), 1);
    assert_eq!(host.written().statuses()[0].1["name"], json!("devfile-registry"));
}

#[tokio::test]
async fn token_is_sent_over_tls_or_within_this_machine_alone() {
    let new = |url: &str| Feedback::with_token(&url.parse().unwrap(), Secret::fixed("STATUS_TOKEN", "gitea:secret"));
    for url in ["https://git.example.org/a/b", "http://127.0.0.1:3000/a/b", "http://localhost/a/b", "http://[::1]/a/b"]
    {
        assert!(new(url).is_ok(), "{url}");
    }
    let error = new("http://git.example.org/a/b").unwrap_err().to_string();
    assert!(error.contains("does not begin with https://") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn comment_is_changed_in_place_on_every_host_and_written_anew_when_somebody_removed_it() {
    for (kind, repository, create, change) in COMMENTS {
        let host = FeedbackHost::start().await.unwrap();
        let feedback = feedback(&host, kind, repository, TOKEN);
        assert_eq!(feedback.comment(7, None, "first").await.unwrap(), Some(1), "{kind}");
        assert_eq!(feedback.comment(7, Some(1), "second").await.unwrap(), Some(1), "{kind}");
        assert_eq!(host.requests(), [create, change]);
        let (_, path) = create.split_once(' ').unwrap();
        assert_eq!(host.written().comments(), [(path.to_owned(), "second".to_owned())]);
        host.written().remove_comments();
        assert_eq!(feedback.comment(7, Some(1), "third").await.unwrap(), Some(2), "{kind}");
        assert_eq!(host.written().comments(), [(path.to_owned(), "third".to_owned())]);
    }
}

#[tokio::test]
async fn token_without_the_permission_writes_no_comment_and_a_refused_one_is_an_error() {
    for (kind, repository, ..) in COMMENTS {
        let host = FeedbackHost::start().await.unwrap();
        for known in [None, Some(1)] {
            let off = feedback(&host, kind, repository, READ_ONLY).comment(7, known, "text").await;
            assert_eq!(off.unwrap(), None, "{kind}");
            let refused = feedback(&host, kind, repository, "wrong").comment(7, known, "text").await;
            assert!(refused.unwrap_err().to_string().contains("answered 401"), "{kind}");
        }
        assert_eq!(host.written().comments(), []);
    }
    let host = FeedbackHost::start().await.unwrap();
    let feedback = feedback(&host, "bitbucket-data-center", "scm/clay/registry", TOKEN);
    assert_eq!(feedback.comment(7, None, "text").await.unwrap(), None);
    assert_eq!(host.requests(), [""; 0], "its API for comments is not used");
}
