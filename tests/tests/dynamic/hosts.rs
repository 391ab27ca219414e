//! Webhooks and jobs of hosts other than GitHub, with recorded bodies.

use registry_tests::bounded::within_a_minute;
use registry_tests::feedback::{READ_ONLY, TOKEN};
use registry_tests::registry::Serving;
use registry_tests::webhooks::{COMMIT, PROPOSALS, PUSHES, Recorded, proof, signing_headers};
use serde_json::{Value, json};

use crate::fixture::{AUDIENCE, Dynamic, SECRET, post};

/// Sends a delivery with some headers, and returns the status and the reason or status of the answer.
async fn deliver(refresh: &Serving, recorded: &Recorded, body: &str, headers: &[(&str, String)]) -> (u16, String) {
    let url = format!("{}/webhooks/{}", refresh.url, recorded.host);
    let mut request = registry_tests::http::client().post(url).body(body.to_owned());
    request = request.header(recorded.event.0, recorded.event.1).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    (status, body.get("reason").unwrap_or(&body["status"]).as_str().unwrap().to_owned())
}

async fn signed(refresh: &Serving, recorded: &Recorded, body: &str) -> (u16, String) {
    deliver(refresh, recorded, body, &[proof(recorded.host, SECRET, body)]).await
}

fn is_data_center(recorded: &Recorded) -> bool {
    recorded.event.1 == "repo:refs_changed"
}

#[tokio::test]
async fn push_of_every_host_is_published() {
    for recorded in PUSHES.iter().filter(|recorded| !is_data_center(recorded)) {
        let world = Dynamic::new().await;
        let refresh = world.registry.refreshing().await;
        let serve = world.registry.serve().await;
        let head = world.registry.git(&["rev-parse", "HEAD"]);
        let body = recorded.body.replace(COMMIT, &head);
        let (status, said) = signed(&refresh, recorded, &body).await;
        assert_eq!((status, said.contains("under way")), (202, true), "{recorded:?}: {said}");
        serve.until_live(&head).await;
    }
}

#[tokio::test]
async fn delivery_without_the_proof_of_its_host_is_refused() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    world.github.take_requests();
    let unauthenticated = (401, "not authenticated".to_owned());
    for recorded in &PUSHES {
        let body = recorded.body;
        let right = proof(recorded.host, SECRET, body);
        let wrong = proof(recorded.host, "another secret of the tests", body);
        let malformed = (right.0, "sha256=00".to_owned());
        let bearer = ("authorization", "Bearer x".to_owned());
        let wrong_alone = vec![wrong.clone()];
        for headers in [vec![], wrong_alone, vec![malformed], vec![right.clone(), wrong], vec![right.clone(), bearer]] {
            assert_eq!(deliver(&refresh, recorded, body, &headers).await, unauthenticated, "{recorded:?} {headers:?}");
        }
        for other in ["github", "gitlab", "gitea", "forgejo", "bitbucket"].iter().filter(|host| **host != recorded.host)
        {
            let headers = [proof(other, SECRET, body)];
            assert_eq!(deliver(&refresh, recorded, body, &headers).await, unauthenticated, "{recorded:?} {other}");
        }
        // GitLab's token is the only proof that says nothing of the body.
        if recorded.host != "gitlab" {
            assert_eq!(deliver(&refresh, recorded, &format!("{body} "), &[right]).await, unauthenticated);
        }
    }
    assert!(world.github.take_requests().is_empty(), "strangers cause requests to the Git host");
}

#[tokio::test]
async fn other_events_branches_and_repositories_of_every_host_are_ignored_with_a_word() {
    let world = Dynamic::new().await;
    let registry = world.registry.with("REGISTRY_REPO_BRANCH", "main");
    let refresh = registry.refreshing().await;
    for recorded in &PUSHES {
        let feature = recorded.body.replace("refs/heads/main", "refs/heads/feature").replace("\"main\"", "\"feature\"");
        let tag = recorded.body.replace("refs/heads/main", "refs/tags/v1").replace("\"branch\"", "\"tag\"");
        let of_another = recorded.body.replace("example/registry", "mallory/registry").replace("EXAMPLE", "MALLORY");
        let other = Recorded { event: (recorded.event.0, "something else"), ..*recorded };
        // The stand-in has no path of Bitbucket Data Center, so every repository there is another one.
        let branch = if is_data_center(recorded) { "another repository" } else { "another branch" };
        for (recorded, body, word) in [
            (recorded, feature.as_str(), branch),
            (recorded, &tag, branch),
            (recorded, &of_another, "another repository"),
            (&other, "neither read nor JSON", "another event"),
        ] {
            assert_eq!(signed(&refresh, recorded, body).await, (200, word.to_owned()), "{recorded:?}");
        }
        let (status, said) = signed(&refresh, recorded, "{}").await;
        assert_eq!((status, said.starts_with("the event is not as ")), (400, true), "{recorded:?}: {said}");
    }
    for recorded in &PROPOSALS {
        let answer = signed(&refresh, recorded, recorded.body).await;
        assert_eq!(answer, (200, "previews are off".to_owned()), "{recorded:?}");
    }
    assert!(registry.keys("").await.is_empty());
}

/// Bitbucket does not send the default branch, so refresh asks for it.
#[tokio::test]
async fn push_without_a_default_branch_is_compared_with_that_of_the_host() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    let [.., cloud, _] = &PUSHES;
    let feature = cloud.body.replace("\"main\"", "\"feature\"");
    // A webhook waits half a second at most for the host, and takes the push for one of the monitored branch without its answer.
    within_a_minute("the host names its branch in time", async {
        while signed(&refresh, cloud, &feature).await != (200, "another branch".to_owned()) {}
    })
    .await;
}

#[tokio::test]
async fn gitlab_may_sign_with_a_signing_token() {
    const TOKEN: &str = "whsec_dGVuIHBvdHMgb2YgY2xheSBiZWhpbmQgdGhlIGtpbG4=";
    let world = Dynamic::new().await;
    let registry = world.registry.with("WEBHOOK_SECRET", TOKEN);
    let refresh = registry.refreshing().await;
    let gitlab = &PUSHES[0];
    let body = gitlab.body.replace("\"refs/heads/main\"", "\"refs/heads/feature\"");
    let ignored = (200, "another branch".to_owned());
    assert_eq!(deliver(&refresh, gitlab, &body, &signing_headers(TOKEN, &body)).await, ignored);
    let another = signing_headers("whsec_YW5vdGhlciBrZXkgb2YgdGhlIHRlc3RzIG9mIGtpbG5z", &body);
    let unauthenticated = (401, "not authenticated".to_owned());
    assert_eq!(deliver(&refresh, gitlab, &body, &another).await, unauthenticated);
    // The token in place of the signature does not help a signature that does not fit.
    let with_token = [&another[..], &[("x-gitlab-token", TOKEN.to_owned())]].concat();
    assert_eq!(deliver(&refresh, gitlab, &body, &with_token).await, unauthenticated);
}

#[tokio::test]
async fn job_of_gitlab_refreshes_with_its_token() {
    let world = Dynamic::new().await;
    // At its root the stand-in is an issuer as GitLab is one.
    let issuer = world.github.url().to_owned();
    let registry = world.registry.with("OIDC_ISSUER", &issuer);
    let refresh = registry.refreshing().await;
    let now = world.github.oidc_claims("main", AUDIENCE)["iat"].clone();
    let bearer = |changes: Value| {
        let mut claims = json!({
            "iss": issuer, "aud": AUDIENCE, "iat": now, "exp": now.as_i64().unwrap() + 300,
            "project_id": world.github.repository_id().to_string(), "project_path": "example/registry",
            "pipeline_source": "push", "ref_path": "refs/heads/main", "ref_protected": "true", "user_login": "owner",
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        format!("Bearer {}", world.github.oidc_key().sign(&claims).unwrap())
    };
    let (status, report) = post(&refresh, "{}", &[("authorization", &bearer(json!({})))]).await;
    assert_eq!((status, &report["outcome"]), (200, &json!("published")), "{report}");
    let forbidden = (403, json!({"status": "not permitted"}));
    for changes in [
        json!({ "ref_path": "refs/heads/feature" }),
        json!({ "ref_protected": "false" }),
        json!({ "project_id": "7" }),
        json!({ "pipeline_source": "merge_request_event" }),
    ] {
        let token = bearer(changes.clone());
        assert_eq!(post(&refresh, "{}", &[("authorization", &token)]).await, forbidden, "{changes}");
    }
    let of_github = world.github.oidc_key().sign(&world.github.oidc_claims("main", AUDIENCE)).unwrap();
    let (status, _) = post(&refresh, "{}", &[("authorization", &format!("Bearer {of_github}"))]).await;
    assert_eq!(status, 401);
}

/// The block of `docs/operators/follow-a-repository.md` that has a text.
fn documented(text: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operators/follow-a-repository.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split("```").skip(1).step_by(2).find(|block| block.contains(text));
    block.unwrap().split_once('\n').unwrap().1.to_owned()
}

/// Runs a documented script in the repository, with the registry in place of the example.
async fn run(script: &str, refresh: &Serving, folder: &std::path::Path, variables: &[(&str, &str)]) -> (bool, Value) {
    let script = script.replace("https://registry.example.com/refresh", &format!("{}/refresh", refresh.url));
    let mut command = tokio::process::Command::new("sh");
    command.args(["-ec", &script]).current_dir(folder).envs(variables.iter().copied());
    let output = command.output().await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed} {errors}")))
}

#[tokio::test]
async fn documented_job_of_gitlab_publishes_its_commit() {
    let world = Dynamic::new().await;
    let issuer = world.github.url().to_owned();
    let registry = world.registry.with("OIDC_ISSUER", &issuer);
    let refresh = registry.refreshing().await;
    let job = documented("# .gitlab-ci.yml");
    assert!(job.contains(&format!("aud: {AUDIENCE}")), "{job}");
    let script = job.split_once("    - |\n").unwrap().1;
    let claims = json!({
        "iss": issuer, "aud": AUDIENCE, "iat": world.github.oidc_claims("main", AUDIENCE)["iat"],
        "exp": world.github.oidc_claims("main", AUDIENCE)["exp"],
        "project_id": world.github.repository_id().to_string(),
        "pipeline_source": "push", "ref_path": "refs/heads/main", "ref_protected": "true",
    });
    let token = world.github.oidc_key().sign(&claims).unwrap();
    let head = registry.git(&["rev-parse", "HEAD"]);
    let folder = registry.repository.path();
    let variables = [("REGISTRY_TOKEN", token.as_str()), ("CI_COMMIT_SHA", &head)];
    let (succeeded, report) = run(script, &refresh, folder, &variables).await;
    assert_eq!((succeeded, &report["outcome"], &report["commit_hash"]), (true, &json!("published"), &json!(head)));
    let (succeeded, report) = run(script, &refresh, folder, &[("REGISTRY_TOKEN", "x"), variables[1]]).await;
    assert_eq!((succeeded, report), (false, json!({"status": "not authenticated"})));
}

#[tokio::test]
async fn documented_step_of_any_ci_publishes_its_commit() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    let step = documented("openssl dgst");
    let folder = world.registry.repository.path();
    let (succeeded, report) = run(&step, &refresh, folder, &[("WEBHOOK_SECRET", SECRET)]).await;
    let head = world.registry.git(&["rev-parse", "HEAD"]);
    assert_eq!((succeeded, &report["outcome"], &report["commit_hash"]), (true, &json!("published"), &json!(head)));
    let (succeeded, report) = run(&step, &refresh, folder, &[("WEBHOOK_SECRET", "another secret of the tests")]).await;
    assert_eq!((succeeded, report), (false, json!({"status": "not authenticated"})));
}

#[tokio::test]
async fn statuses_of_another_host_need_their_token_alone() {
    let world = Dynamic::new().await;
    let registry = world.registry.with("STATUS_TOKEN", &format!("gitea:{TOKEN}"));
    let refresh = registry.refreshing().await;
    let serve = registry.serve().await;
    let head = registry.git(&["rev-parse", "HEAD"]);
    let body = PUSHES[1].body.replace(COMMIT, &head);
    assert_eq!(signed(&refresh, &PUSHES[1], &body).await.0, 202);
    serve.until_live(&head).await;
    within_a_minute("the commit has a status", async {
        while world.github.written().statuses().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (path, status) = world.github.written().statuses().remove(0);
    assert_eq!(path, format!("/api/v1/repos/example/registry/statuses/{head}"));
    assert_eq!((&status["state"], &status["context"]), (&json!("success"), &json!("devfile-registry")));
    assert_eq!(world.github.statuses(), [] as [Value; 0]);
}

#[tokio::test]
async fn token_without_the_permission_is_named_once() {
    let world = Dynamic::new().await;
    let registry = world.registry.with("STATUS_TOKEN", &format!("gitea:{READ_ONLY}"));
    let mut refresh = registry.refreshing().await;
    let body = PUSHES[1].body.replace(COMMIT, &registry.git(&["rev-parse", "HEAD"]));
    assert_eq!(signed(&refresh, &PUSHES[1], &body).await.0, 202);
    refresh.logs("commit statuses are off: the credentials lack the permission write:repository").await;
    assert!(world.github.written().statuses().is_empty());
}
