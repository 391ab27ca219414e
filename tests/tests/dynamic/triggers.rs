//! The permitted callers of a refresh, and the answer to each.

use registry_tests::bounded::within_a_minute;
use registry_tests::github::{Fault, Webhook, signature};
use registry_tests::lambda::{Function, http_event};
use registry_tests::registry::binary;
use serde_json::{Value, json};

use crate::fixture::{AUDIENCE, Dynamic, SECRET, post, signed};

/// A question about references, or a pack.
const GIT: &str = "POST /example/registry/git-upload-pack";

#[tokio::test]
async fn a_push_is_live_within_moments_and_a_replay_changes_nothing() {
    let world = Dynamic::new().await;
    let mut refresh = world.registry.refreshing().await;
    let serve = world.registry.serve().await;
    let webhook = world.webhook(&refresh);
    let first = world.registry.git(&["rev-parse", "HEAD"]);
    let (status, body) = world.github.deliver(&webhook, "push", &world.push(&first)).await.unwrap();
    assert_eq!(status, 202, "{body}");
    serve.until_live(&first).await;

    let second = world.edit("one more line");
    assert_eq!(world.github.deliver(&webhook, "push", &world.push(&second)).await.unwrap().0, 202);
    serve.until_live(&second).await;
    assert!(serve.get("/devfiles/loom").await.1.ends_with("# one more line\n"));
    let status = serve.json("/status").await;
    assert_eq!(status["live"]["changed"], json!(["stacks/loom"]));
    assert_eq!(status["live"]["recent"][1]["commit_hash"], first.as_str());
    assert_eq!(serve.last_refresh().await["outcome"], "published");

    // Replays of both cost a poll of the head each.
    refresh.logs("\"outcome\":\"published\"").await;
    refresh.logs("\"outcome\":\"published\"").await;
    within_a_minute("both commits get a status", async {
        while world.github.statuses().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.github.take_requests();
    let (etag, requests) = (world.registry.live().await, world.s3.take_requests().len());
    assert!(requests > 0);
    for (commit, outcome) in [(&second, "unchanged"), (&first, "superseded")] {
        assert_eq!(world.github.deliver(&webhook, "push", &world.push(commit)).await.unwrap().0, 202);
        refresh.logs(&format!("\"outcome\":\"{outcome}\"")).await;
        assert_eq!(world.github.take_requests(), [GIT]);
    }
    assert_eq!(world.registry.live().await, etag);

    // The commits on GitHub show their statuses.
    let statuses = world.github.statuses();
    let states: Vec<_> = statuses.iter().map(|s| (s["sha"].as_str().unwrap(), s["state"].as_str().unwrap())).collect();
    assert_eq!(states, [(first.as_str(), "success"), (second.as_str(), "success")]);
}

#[tokio::test]
async fn other_events_branches_and_repositories_are_ignored_with_a_word() {
    let world = Dynamic::new().await;
    let mut refresh = world.registry.refreshing().await;
    let webhook = world.webhook(&refresh);
    world.until_repository_is_known(&webhook).await;
    let commit = world.registry.git(&["rev-parse", "HEAD"]);
    let other = registry_tests::github::push_event("mallory/registry", 7, "main", None, Some(&commit));
    for (event, body, status, word) in [
        ("ping", json!({"zen": "Design for failure."}), 200, "pong"),
        ("issues", json!({"action": "opened"}), 200, "another event"),
        ("pull_request", json!({"action": "assigned"}), 200, "another event"),
        ("pull_request", json!({"action": "opened"}), 400, "not as GitHub documents it"),
        ("push", world.github.push_event("feature", None, Some(&commit)), 200, "another branch"),
        ("push", world.github.push_event("main", Some(&commit), None), 200, "the branch was deleted"),
        ("push", other, 200, "another repository"),
        ("push", json!({"ref": "refs/heads/main"}), 400, "not as GitHub documents it"),
    ] {
        let (answered, text) = world.github.deliver(&webhook, event, &body).await.unwrap();
        assert_eq!(answered, status, "{text}");
        assert!(text.contains(word), "{event}: {text}");
    }
    refresh.logs("an event other than a push is ignored").await;
    assert!(!world.github.take_requests().contains(&GIT.to_owned()), "the branch is not read");
    assert!(world.registry.keys("").await.is_empty());
}

/// Deliveries that GitHub sent once, of every event: npm's `@octokit/webhooks-examples`.
#[tokio::test]
async fn every_recorded_delivery_is_answered_without_a_fault() {
    let recorded = registry_tests::tools::tool("webhooks-examples.json");
    let recorded = std::fs::read(&recorded).unwrap_or_else(|error| {
        panic!("cannot read {}: {error}; run scripts/tools webhooks-examples.json", recorded.display())
    });
    let recorded: Value = serde_json::from_slice(&recorded).unwrap();
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    let webhook = world.webhook(&refresh);
    world.until_repository_is_known(&webhook).await;
    let mut delivered = 0;
    for event in recorded.as_array().unwrap() {
        let name = event["name"].as_str().unwrap();
        for body in event["examples"].as_array().unwrap() {
            let is_proposal = name == "pull_request" && is_of_a_proposal(body);
            let answer = match name {
                "ping" => json!({"status": "pong"}),
                "push" => json!({"status": "ignored", "reason": "another repository"}),
                _ if is_proposal => json!({"status": "ignored", "reason": "previews are off"}),
                _ => json!({"status": "ignored", "reason": "another event"}),
            };
            let (status, text) = world.github.deliver(&webhook, name, body).await.unwrap();
            let answered: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((status, &answered), (200, &answer), "{name}: {body}");
            delivered += 1;
        }
    }
    println!("{delivered} recorded deliveries are answered");
    assert!(delivered > 300, "{delivered}");
    assert!(world.registry.keys("").await.is_empty());
}

/// Whether a `pull_request` event has an action that previews follow.
fn is_of_a_proposal(event: &Value) -> bool {
    let actions = ["opened", "reopened", "synchronize", "labeled", "unlabeled", "closed"];
    actions.contains(&event["action"].as_str().unwrap())
}

/// Hosts name each commit of a push with its files.
#[tokio::test]
async fn push_of_many_commits_is_taken() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    let commit = world.registry.git(&["rev-parse", "HEAD"]);
    let mut push = world.push(&commit);
    let files: Vec<String> = (0..100).map(|number| format!("stacks/loom/files/{number:030}.txt")).collect();
    push["commits"] = (0..1000).map(|number| json!({"id": format!("{number:040}"), "modified": files})).collect();
    assert!((5 << 20..6 << 20).contains(&push.to_string().len()), "{}", push.to_string().len());
    assert_eq!(world.github.deliver(&world.webhook(&refresh), "push", &push).await.unwrap().0, 202);
    world.registry.serve().await.until_live(&commit).await;
}

/// GitHub sends a ping when a webhook is made, which is the time to say that its settings are wrong.
#[tokio::test]
async fn webhook_that_sends_forms_is_refused_with_the_remedy() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    let body = "payload=%7B%22zen%22%3A%22Design+for+failure.%22%7D";
    let signature = registry_tests::github::signature(SECRET, body.as_bytes()).unwrap();
    let request = registry_tests::http::client().post(format!("{}/webhooks/github", refresh.url)).body(body);
    let request = request.header("x-hub-signature-256", signature).header("x-github-event", "ping");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let said = answer.text().await.unwrap();
    assert!(said.contains("its pushes will fail; set its content type to application/json"), "{said}");
}

#[tokio::test]
async fn a_caller_waits_no_longer_than_the_gateway_does_and_the_work_goes_on() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    let serve = world.registry.serve().await;
    let head = world.registry.git(&["rev-parse", "HEAD"]);
    world.oci.faults().add("*", Fault::Hang, usize::MAX);
    let (status, body) = signed(&refresh, "{}").await;
    assert_eq!((status, &body["see"]), (202, &json!("/status")), "{body}");
    world.oci.faults().clear();
    serve.until_live(&head).await;
}

#[tokio::test]
async fn strangers_are_refused_and_learn_nothing() {
    let world = Dynamic::new().await;
    let mut refresh = world.registry.refreshing().await;
    world.github.take_requests();
    let unauthenticated = (401, json!({"status": "not authenticated"}));
    let wrong = registry_tests::github::signature("another secret of the tests", b"{}").unwrap();
    let mut by_stranger = world.github.oidc_claims("main", AUDIENCE);
    by_stranger["exp"] = json!(1);
    let expired = format!("Bearer {}", world.github.oidc_key().sign(&by_stranger).unwrap());
    for headers in [
        &[][..],
        &[("x-hub-signature-256", wrong.as_str())],
        &[("x-hub-signature-256", "")],
        &[("x-hub-signature-256", wrong.as_str()), ("authorization", "Bearer x")],
        &[("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")],
        &[("authorization", "Basic eDp5")],
        &[("authorization", expired.as_str())],
    ] {
        assert_eq!(post(&refresh, "{}", headers).await, unauthenticated, "{headers:?}");
    }
    let line = refresh.logs("refused").await;
    assert!(!line.contains(&wrong), "{line}");
    let asked = world.github.take_requests();
    let is_ours = |request: &String| request.contains("/example/registry");
    assert!(!asked.iter().any(is_ours), "strangers cause requests to the Git host: {asked:?}");

    // Too much, whether it is announced or not.
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(signed(&refresh, &large).await.0, 413);
    let parts = vec![Ok::<_, std::io::Error>("x".repeat((6 << 20) + 1))];
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
    let request = registry_tests::http::client().post(format!("{}/webhooks/github", refresh.url)).body(body);
    let answer = request.header("x-hub-signature-256", wrong.as_str()).send().await.unwrap();
    assert_eq!(answer.status(), 413);

    let get = registry_tests::http::get(format!("{}/refresh", refresh.url)).await.unwrap();
    assert_eq!((get.status().as_u16(), get.headers()["allow"].to_str().unwrap()), (405, "POST"));
    for (path, status) in [("other", 404), ("health", 200)] {
        assert_eq!(
            registry_tests::http::get(format!("{}/{path}", refresh.url)).await.unwrap().status(),
            status,
            "{path}"
        );
    }
    assert_eq!(signed(&refresh, "[").await.0, 400);
}

#[tokio::test]
async fn a_workflow_of_the_branch_refreshes_with_its_token() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    let commit = world.registry.git(&["rev-parse", "HEAD"]);
    let bearer = |change: &dyn Fn(&mut Value)| {
        let mut claims = world.github.oidc_claims("main", AUDIENCE);
        change(&mut claims);
        format!("Bearer {}", world.github.oidc_key().sign(&claims).unwrap())
    };
    let body = json!({"commit_hash": commit, "stacks": ["kiln", "absent"]}).to_string();
    let (status, report) = post(&refresh, &body, &[("authorization", &bearer(&|_| {}))]).await;
    assert_eq!((status, &report["outcome"]), (200, &json!("published")), "{report}");
    assert_eq!(report["stacks"], json!({"absent": "unchanged", "kiln": "changed"}));

    let forbidden = (403, json!({"status": "not permitted"}));
    for change in [
        &(|claims: &mut Value| claims["ref"] = json!("refs/heads/feature")) as &dyn Fn(&mut Value),
        &|claims| claims["repository_id"] = json!("7"),
        &|claims| claims["event_name"] = json!("pull_request_target"),
        &|claims| claims["event_name"] = json!("workflow_run"),
    ] {
        assert_eq!(post(&refresh, "{}", &[("authorization", &bearer(change))]).await, forbidden);
    }
    // Clocks may be apart by less than a minute.
    let now = world.github.oidc_claims("main", AUDIENCE)["iat"].as_i64().unwrap();
    for (skew, status) in [(30, 200), (-30, 200), (300, 401), (-300, 401)] {
        let skewed = bearer(&|claims| {
            claims["iat"] = json!(now + skew);
            claims["nbf"] = json!(now + skew);
            claims["exp"] = json!(now + skew.min(10) + if skew < 0 { 0 } else { 300 });
        });
        assert_eq!(post(&refresh, "{}", &[("authorization", &skewed)]).await.0, status, "{skew}");
    }
}

#[tokio::test]
async fn burst_of_triggers_ends_in_one_publication_and_few_reads() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    let commit = world.registry.git(&["rev-parse", "HEAD"]);
    let body = json!({ "commit_hash": commit }).to_string();
    world.github.take_requests();
    let answers = futures_util::future::join_all((0..24).map(|_| signed(&refresh, &body))).await;
    let published = answers.iter().filter(|(_, report)| report["outcome"] == "published").count();
    assert!(published >= 1 && answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let requests = world.github.take_requests();
    let git = requests.iter().filter(|request| *request == GIT).count();
    assert!(git <= 8, "24 triggers cost {git} requests: two for each of up to four heads");
    assert_eq!(world.registry.keys("releases/").await.len(), 1);
}

#[tokio::test]
async fn the_work_outlasts_the_end_of_the_process_being_asked_for() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    let commit = world.registry.git(&["rev-parse", "HEAD"]);
    world.github.faults().add("*/git-upload-pack", registry_tests::github::Fault::Slow { milliseconds: 300 }, 1);
    let webhook = world.webhook(&refresh);
    assert_eq!(world.github.deliver(&webhook, "push", &world.push(&commit)).await.unwrap().0, 202);
    refresh.stop().await;
    assert_eq!(world.registry.live().await["commit_hash"], commit.as_str());
}

#[tokio::test]
async fn index_of_a_git_url_is_that_of_its_folder() {
    let world = Dynamic::new().await;
    let folder = tempfile::tempdir().unwrap();
    let generate = async |registry: &str, file: &str| {
        let mut command = tokio::process::Command::new(registry_tests::registry::binary("index-generator"));
        command.args(["--offline", registry, file]).current_dir(&folder);
        let output = command.env("GITHUB_TOKEN", "ghp_of_a_test").output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, said) = generate(&format!("{}/example/registry", world.github.url()), "github.json").await;
    assert_eq!(status, Some(0), "{said}");
    generate(&world.registry.repository.path().display().to_string(), "folder.json").await;
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    assert_eq!(read("github.json"), read("folder.json"));
    let (status, said) = generate(&format!("{}/example/absent", world.github.url()), "none.json").await;
    assert_eq!(status, Some(2));
    assert!(said.contains("/example/absent was not found"), "{said}");
}

#[tokio::test]
async fn a_change_of_one_stack_fetches_that_stack_alone() {
    let world = Dynamic::new().await;
    world.registry.refresh().await.unwrap();
    world.github.take_requests();
    let commit = world.edit("small");
    let report = world.registry.refresh().await.unwrap();
    // The devfile, the document that names it, the release and the index.
    assert_eq!((&report["changed"], &report["writes"]["bucket"]), (&json!(["stacks/loom"]), &json!(4)));
    // The head, the host's capabilities, the folders, the files of one stack; the state of the commit.
    let status = format!("POST /repos/example/registry/statuses/{commit}");
    let discovery = "GET /example/registry/info/refs";
    assert_eq!(world.github.take_requests(), [GIT, discovery, GIT, GIT, &status]);
    world.registry.refresh().await.unwrap();
    assert_eq!(world.github.take_requests(), [GIT], "one request when nothing changed");
}

/// A function of Lambda is frozen once it has answered, so the work goes to another invocation of itself.
#[tokio::test]
async fn a_function_answers_a_webhook_at_once_and_invokes_itself() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refresh_emulated().await;
    let serve = world.registry.serve().await;
    let webhook = Webhook { url: format!("{}/webhooks/github", refresh.url), secret: SECRET.into() };
    let commit = world.registry.git(&["rev-parse", "HEAD"]);
    let (status, body) = world.github.deliver(&webhook, "push", &world.push(&commit)).await.unwrap();
    assert_eq!(status, 202, "{body}");
    serve.until_live(&commit).await;
    // As the schedule and people do.
    let invocations = format!("{}/2015-03-31/functions/refresh/invocations", refresh.url);
    let invoke = async |event: Value| {
        let sent = registry_tests::http::client().post(&invocations).body(event.to_string()).send().await.unwrap();
        serde_json::from_str::<Value>(&sent.text().await.unwrap()).unwrap()
    };
    let scheduled = invoke(json!({"source": "aws.events", "detail-type": "Scheduled Event"})).await;
    assert_eq!((&scheduled["outcome"], &scheduled["commit_hash"]), (&json!("unchanged"), &json!(commit)));
    let unknown = invoke(json!({"action": "deploy"})).await;
    assert!(unknown["errorMessage"].as_str().unwrap().contains("unknown variant `deploy`"), "{unknown}");
}

/// As the template has it: webhooks have a function of their own, which no limit of refreshes at a time refuses.
#[tokio::test]
async fn function_for_webhooks_hands_refreshes_to_the_function_that_is_named() {
    let world = Dynamic::new().await;
    let (seen, mut invoked) = tokio::sync::mpsc::unbounded_channel();
    let api = axum::Router::new().fallback(move |request: axum::extract::Request| {
        seen.send((request.uri().path().to_owned(), request.headers()["x-amz-invocation-type"].clone())).unwrap();
        std::future::ready(axum::http::StatusCode::ACCEPTED)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, api).await });
    let named = [("AWS_ENDPOINT_URL_LAMBDA", url.as_str()), ("REFRESH_FUNCTION", "staging-refresh")];
    let named = named.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let variables = world.registry.variables().into_iter().chain(named);
    let mut webhooks = Function::start(&binary("refresh"), variables).await.unwrap();

    let commit = world.registry.git(&["rev-parse", "HEAD"]);
    let body = world.push(&commit).to_string();
    let signature = signature(SECRET, body.as_bytes()).unwrap();
    let mut event =
        http_event("/webhooks/github", "", &[("x-hub-signature-256", &signature), ("x-github-event", "push")]);
    event["requestContext"]["http"]["method"] = json!("POST");
    event["body"] = json!(body);
    let answer = webhooks.invoke(event).await.unwrap().payload;
    assert_eq!(answer["statusCode"], 202, "{answer}");
    let (path, kind) = within_a_minute("the invocation", invoked.recv()).await.unwrap();
    assert_eq!((path.as_str(), kind.as_bytes()), ("/2015-03-31/functions/staging-refresh/invocations", &b"Event"[..]));
}
