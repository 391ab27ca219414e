//! Previews of pull requests, from the event of GitHub to the pages below `/previews/`.

use registry_tests::bounded::within_a_minute;
use registry_tests::github::{Access, PullRequest, Webhook};
use registry_tests::registry::Serving;
use serde_json::{Value, json};

use crate::fixture::Dynamic;

/// A registry with a published release, and previews of members and of labelled proposals.
struct World {
    dynamic: Dynamic,
    refresh: Serving,
    serve: Serving,
    webhook: Webhook,
    main: String,
}

impl World {
    async fn new(policy: &str) -> Self {
        let dynamic = Dynamic::new().await;
        let registry = dynamic.registry.with("PREVIEWS", policy).with("PUBLIC_URL", "https://registry.example.org");
        let dynamic = Dynamic { registry, ..dynamic };
        let main = dynamic.registry.git(&["rev-parse", "HEAD"]);
        dynamic.act(json!({"action": "refresh"})).await;
        let refresh = dynamic.registry.refreshing().await;
        let serve = dynamic.registry.serve().await;
        serve.until_live(&main).await;
        let webhook = dynamic.webhook(&refresh);
        Self { dynamic, refresh, serve, webhook, main }
    }

    /// Commits a change of a stack beside `main`, and goes back to `main`.
    fn propose(&self, text: &str) -> String {
        let registry = &self.dynamic.registry;
        registry.git(&["checkout", "--quiet", "-B", "change", &self.main]);
        let head = self.dynamic.edit(text);
        registry.git(&["checkout", "--quiet", "main"]);
        head
    }

    /// Delivers an event of a pull request with this head, and gives the status and the reason of the answer.
    async fn deliver(&self, about: PullRequest<'_>) -> (u16, Value) {
        self.dynamic.registry.git(&["update-ref", &format!("refs/pull/{}/head", about.number), about.head]);
        let event = self.dynamic.github.pull_request_event(&about);
        let (status, text) = self.dynamic.github.deliver(&self.webhook, "pull_request", &event).await.unwrap();
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Waits until `/status` lists exactly these heads.
    async fn until_listed(&self, heads: &[&str]) -> Value {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let previews = self.serve.json("/status").await["previews"].clone();
            let listed = previews.as_array().unwrap().iter().map(|preview| preview["commit_hash"].as_str().unwrap());
            if listed.eq(heads.iter().copied()) {
                return previews;
            }
            assert!(tokio::time::Instant::now() < deadline, "{heads:?} are not listed: {previews}");
        }
    }
}

fn opened(head: &str) -> PullRequest<'_> {
    PullRequest { number: 7, action: "opened", head, association: "MEMBER", labels: &[] }
}

#[tokio::test]
async fn pull_request_of_a_member_is_seen_below_its_path_and_ends_with_it() {
    let world = World::new("members").await;
    let live = world.dynamic.registry.live().await;
    let head = world.propose("a new glaze");
    assert_eq!(world.deliver(opened(&head)).await.0, 202);
    let listed = world.until_listed(&[&head]).await;
    assert_eq!((&listed[0]["path"], &listed[0]["base_commit"]), (&json!("/previews/7"), &json!(world.main)));
    assert_eq!(world.dynamic.registry.live().await, live, "nothing of it is live");

    let devfile = world.serve.ask("GET", "/previews/7/devfiles/loom", &[]).await;
    assert!(String::from_utf8_lossy(&devfile.body).ends_with("# a new glaze\n"));
    assert_eq!(devfile.header("x-robots-tag"), "noindex, nofollow");
    assert_eq!(devfile.header("cache-control"), "public, max-age=5");
    assert_eq!(devfile.header("devfile-registry-commit"), head);
    assert!(!world.serve.get("/devfiles/loom").await.1.contains("a new glaze"));
    for path in ["/index", "/v2index/all", "/v2index?search=loom", "/stacks/loom/devfile.yaml", "/viewer"] {
        let answer = world.serve.ask("GET", &format!("/previews/7{path}"), &[]).await;
        assert_eq!((answer.status, answer.header("x-robots-tag")), (200, "noindex, nofollow"), "{path}");
        assert!(!answer.header("cache-control").contains("max-age=6"), "{path}");
    }
    assert_eq!(world.serve.ask("GET", "/previews/7", &[]).await.header("location"), "/previews/7/viewer");

    let page = world.serve.get("/previews/7/viewer").await.1;
    for part in
        ["data-preview=\"7\"", "potter", &head[..7], &world.main[..7], "stacks/loom", "href=\"/previews/7/viewer"]
    {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(
        !page.contains("href=\"/viewer") && !page.contains("src=\"/viewer"),
        "every link stays below the path: {page}"
    );
    let operators = world.serve.get("/viewer/status").await.1;
    assert!(operators.contains("href=\"/previews/7/viewer\""), "{operators}");
    assert!(!world.serve.get("/viewer").await.1.contains("previews/7"));

    // The status and the comment that the author sees.
    within_a_minute("the pull request has a comment", async {
        while world.dynamic.github.comments().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let status = world.dynamic.github.statuses().into_iter().find(|status| status["sha"] == head.as_str()).unwrap();
    assert_eq!((&status["state"], &status["context"]), (&json!("success"), &json!("devfile-registry/preview")));
    assert_eq!(status["target_url"], "https://registry.example.org/previews/7/viewer");
    let comment = world.dynamic.github.comments()[0].clone();
    let text = comment["body"].as_str().unwrap();
    assert!(text.contains("https://registry.example.org/previews/7/viewer") && text.contains("`loom`"), "{text}");

    // A push changes the preview and the comment.
    let second = world.propose("another glaze");
    let pushed = PullRequest { action: "synchronize", ..opened(&second) };
    assert_eq!(world.deliver(pushed).await.0, 202);
    world.until_listed(&[&second]).await;
    assert!(world.serve.get("/previews/7/devfiles/loom").await.1.ends_with("# another glaze\n"));
    within_a_minute("the comment names the new head", async {
        while !world.dynamic.github.comments()[0]["body"].as_str().unwrap().contains(&second[..7]) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(world.dynamic.github.comments().len(), 1, "one comment, updated in place");

    assert_eq!(world.deliver(PullRequest { action: "closed", ..pushed }).await.0, 202);
    world.until_listed(&[]).await;
    for path in ["/previews/7/viewer", "/previews/7/devfiles/loom", "/previews/7"] {
        let gone = world.serve.ask("GET", path, &[]).await;
        assert_eq!((gone.status, gone.header("cache-control")), (404, "no-store"), "{path}");
    }
}

#[tokio::test]
async fn late_and_repeated_events_neither_roll_a_preview_back_nor_open_it_again() {
    let mut world = World::new("members").await;
    let github = &world.dynamic.github;
    let first = world.propose("a first glaze");
    let late = github.pull_request_event(&opened(&first));
    assert_eq!(world.deliver(opened(&first)).await.0, 202);
    world.until_listed(&[&first]).await;
    // The second head follows the first.
    world.dynamic.registry.git(&["checkout", "--quiet", &first]);
    let second = world.dynamic.edit("a second glaze");
    world.dynamic.registry.git(&["checkout", "--quiet", "main"]);
    let pushed = PullRequest { action: "synchronize", ..opened(&second) };
    assert_eq!(world.deliver(pushed).await.0, 202);
    world.until_listed(&[&second]).await;
    let repeat = async |refresh: &mut Serving| {
        assert_eq!(github.deliver(&world.webhook, "pull_request", &late).await.unwrap().0, 202);
        refresh.logs("an event of a proposal came too late for a preview").await;
    };
    repeat(&mut world.refresh).await;
    world.until_listed(&[&second]).await;
    assert_eq!(world.dynamic.github.comments().len(), 1);

    let again = github.pull_request_event(&pushed);
    assert_eq!(world.deliver(PullRequest { action: "closed", ..pushed }).await.0, 202);
    world.until_listed(&[]).await;
    assert_eq!(github.deliver(&world.webhook, "pull_request", &again).await.unwrap().0, 202);
    world.refresh.logs("an event of a proposal came too late for a preview").await;
    world.until_listed(&[]).await;
}

#[tokio::test]
async fn stranger_gets_nothing_until_a_maintainer_labels_the_head() {
    let mut world = World::new("labelled").await;
    let stranger = |head, action, labels| PullRequest { number: 8, action, head, association: "NONE", labels };
    let first = world.propose("from afar");
    let before = world.dynamic.registry.keys("").await;
    let (status, answer) = world.deliver(stranger(&first, "opened", &[])).await;
    assert_eq!((status, &answer["status"]), (200, &json!("ignored")), "{answer}");
    assert_eq!(world.dynamic.registry.keys("").await, before);
    assert!(world.dynamic.github.statuses().iter().all(|status| status["sha"] != first.as_str()));

    assert_eq!(world.deliver(stranger(&first, "labeled", &["preview"])).await.0, 202);
    world.until_listed(&[&first]).await;
    // A push after the label needs the label again.
    let second = world.propose("from afar, and hostile");
    for event in [stranger(&second, "synchronize", &["preview"]), stranger(&second, "labeled", &["preview", "docs"])] {
        let (status, answer) = world.deliver(event).await;
        assert_eq!((status, &answer["status"]), (200, &json!("ignored")), "{answer}");
    }
    world.until_listed(&[&first]).await;
    assert_eq!(world.deliver(stranger(&second, "labeled", &["preview"])).await.0, 202);
    world.until_listed(&[&second]).await;
    // Without the label, the preview ends.
    assert_eq!(world.deliver(stranger(&second, "unlabeled", &[])).await.0, 202);
    world.until_listed(&[]).await;
    world.refresh.logs("the proposal of a preview is closed").await;
}

#[tokio::test]
async fn previews_that_are_off_answer_no_proposal() {
    let world = World::new("off").await;
    let head = world.propose("unseen");
    let (status, answer) = world.deliver(opened(&head)).await;
    assert_eq!((status, answer), (200, json!({"status": "ignored", "reason": "previews are off"})));
    let error = world.dynamic.registry.invoke(&json!({"action": "preview", "number": 7, "commit_hash": head})).await;
    assert!(error.unwrap_err().contains("previews are off"));
    assert_eq!(world.serve.get("/previews/7/viewer").await.0, 404);
}

#[tokio::test]
async fn proposal_to_another_branch_or_repository_gets_no_preview() {
    let world = World::new("members").await;
    let head = world.propose("other");
    let mut event = world.dynamic.github.pull_request_event(&opened(&head));
    event["pull_request"]["base"]["ref"] = json!("next");
    let act = json!({"action": "preview", "number": 7, "commit_hash": head, "base_branch": "next"});
    assert_eq!(world.dynamic.act(act).await["outcome"], "ignored");
    event["repository"]["full_name"] = json!("mallory/registry");
    event["repository"]["id"] = json!(7);
    let (status, text) = world.dynamic.github.deliver(&world.webhook, "pull_request", &event).await.unwrap();
    assert_eq!(status, 200);
    assert!(text.contains("another repository"), "{text}");
    world.until_listed(&[]).await;
}

#[tokio::test]
async fn preview_is_built_although_the_token_may_write_nothing_at_the_pull_request() {
    let mut world = World::new("members").await;
    world.dynamic.github.set_access(Access::ReadOnly);
    let head = world.propose("in silence");
    assert_eq!(world.deliver(opened(&head)).await.0, 202);
    world.until_listed(&[&head]).await;
    world.refresh.logs("comments on proposals are off: the credentials lack the permission").await;
    assert!(world.dynamic.github.comments().is_empty());
}

#[tokio::test]
async fn broken_devfile_of_a_pull_request_is_named_with_file_and_line() {
    let world = World::new("members").await;
    let registry = &world.dynamic.registry;
    registry.git(&["checkout", "--quiet", "-B", "change", &world.main]);
    let head = world.dynamic.break_stack();
    registry.git(&["checkout", "--quiet", "main"]);
    let report = world.dynamic.act(json!({"action": "preview", "number": 7, "commit_hash": head})).await;
    assert_eq!(report["outcome"], "built");
    assert_eq!(report["quarantined"][0]["problems"][0]["path"], "stacks/loom/devfile.yaml");
    let status = world.dynamic.github.statuses().pop().unwrap();
    assert_eq!((&status["sha"], &status["state"]), (&json!(head), &json!("failure")));
    let comment = world.dynamic.github.comments()[0]["body"].as_str().unwrap().to_owned();
    assert!(comment.contains("stacks/loom/devfile.yaml:"), "{comment}");
    world.until_listed(&[&head]).await;
    let page = world.serve.get("/previews/7/viewer/status").await.1;
    assert!(page.contains("stacks/loom/devfile.yaml") && page.contains("Not live"), "{page}");
}

#[tokio::test]
async fn previews_of_two_proposals_never_answer_for_each_other() {
    let world = World::new("members").await;
    let heads = [world.propose("of the first"), world.propose("of the second")];
    for (number, head) in (1..).zip(&heads) {
        world.dynamic.act(json!({"action": "preview", "number": number, "commit_hash": head})).await;
    }
    world.until_listed(&[&heads[0], &heads[1]]).await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let answer = world.serve.ask("GET", path, headers).await;
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned(), answer.header("etag").to_owned())
    };
    let (_, live, live_tag) = ask("/devfiles/loom", &[]).await;
    let (_, first, first_tag) = ask("/previews/1/devfiles/loom", &[]).await;
    let (_, second, _) = ask("/previews/2/devfiles/loom", &[]).await;
    assert!(first.ends_with("# of the first\n") && second.ends_with("# of the second\n"), "{first}\n{second}");
    assert_eq!(ask("/devfiles/loom", &[]).await.1, live);
    // A copy that a client keeps of one is not taken for another.
    for (path, tag) in [("/devfiles/loom", &first_tag), ("/previews/2/devfiles/loom", &first_tag)] {
        assert_eq!(ask(path, &[("if-none-match", tag)]).await.0, 200, "{path}");
    }
    assert_eq!(ask("/previews/1/devfiles/loom", &[("if-none-match", &live_tag)]).await.0, 200);
}

#[tokio::test]
async fn hostile_paths_of_a_preview_lead_nowhere_else() {
    let world = World::new("members").await;
    let head = world.propose("x");
    world.dynamic.act(json!({"action": "preview", "number": 7, "commit_hash": head})).await;
    world.until_listed(&[&head]).await;
    for path in [
        "/previews/07/viewer",
        "/previews/8/viewer",
        "/previews/-7/viewer",
        "/previews/18446744073709551616/viewer",
        "/previews/7/previews/7/viewer",
        "/previews/7//viewer",
        "/previews/7/status",
        "/previews/7/index.json",
        "/previews/7/v2/_catalog",
        "/previews/7/openapi.json",
        "/previews/7/robots.txt",
        "/previews/7/viewer/embed/devfile-registry/loom",
        "/previews/7/viewer/feed.atom",
        "/previews/7/devfiles/loom/starter-projects/loom-starter",
        "/previews",
    ] {
        let answer = world.serve.ask("GET", path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        if path != "/previews" {
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        }
    }
    assert_eq!(world.serve.ask("POST", "/previews/7/viewer", &[]).await.status, 405);
}
