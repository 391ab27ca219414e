//! The way of a change on GitHub and on GitLab, by the control endpoint of the stand-in as `scripts/dev` offers it: a proposal, its
//! preview, and the merge.

use registry_tests::bounded::within_a_minute;
use registry_tests::feedback::TOKEN;
use registry_tests::registry::TestRegistry;
use serde_json::{Value, json};

use crate::fixture::{Dynamic, SECRET};

const PUBLIC_URL: &str = "https://registry.example.org";

/// Calls the control endpoint.
async fn control(world: &Dynamic, call: &str, body: Option<Value>) -> Value {
    let url = format!("{}/_control/{call}", world.github.url());
    let client = registry_tests::http::client();
    let request = match body {
        Some(body) => client.post(url).body(body.to_string()),
        None => client.get(url),
    };
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

/// Opens a proposal, opens the link of its status, merges it, and sees it live and the preview gone.
async fn walk(host: &str, settings: impl FnOnce(TestRegistry) -> TestRegistry, first: &str) {
    let world = Dynamic::new().await;
    let registry = settings(world.registry).with("PREVIEWS", "labelled").with("PUBLIC_URL", PUBLIC_URL);
    let world = Dynamic { registry, ..world };
    world.act(json!({"action": "refresh"})).await;
    let refresh = world.registry.refreshing().await;
    let serve = world.registry.serve().await;
    world.registry.git(&["checkout", "--quiet", "-b", "glaze"]);
    let head = world.edit("a new glaze");
    world.registry.git(&["checkout", "--quiet", "main"]);
    let change = |action: &str| {
        let url = format!("{}/webhooks/{host}", refresh.url);
        json!({"number": 7, "branch": "glaze", "action": action, "url": url, "secret": SECRET})
    };

    let answer = control(&world, "proposal", Some(change(first))).await;
    assert_eq!(answer["status"], 202, "{answer}");
    let mut statuses = Value::Null;
    within_a_minute("the status links the preview", async {
        while !statuses.to_string().contains("devfile-registry/preview") {
            statuses = control(&world, "statuses", None).await;
        }
    })
    .await;
    let status = statuses.as_array().unwrap().last().unwrap();
    assert_eq!(status["state"], "success");
    let link = status["target_url"].as_str().unwrap();
    let path = link.strip_prefix(PUBLIC_URL).unwrap();
    let (code, page) = serve.get(path).await;
    assert_eq!(code, 200);
    assert!(page.contains("data-preview=\"7\"") && page.contains(&head[..7]), "{page}");
    let mut comments = Value::Null;
    within_a_minute("the comment links the preview", async {
        while !comments.to_string().contains(link) {
            comments = control(&world, "comments", None).await;
        }
    })
    .await;
    assert_eq!(comments.as_array().unwrap().len(), 1);
    assert!(!serve.get("/devfiles/loom").await.1.contains("a new glaze"));

    let answer = control(&world, "proposal", Some(change("merged"))).await;
    assert_eq!(answer["status"], 202, "{answer}");
    serve.until_live(&head).await;
    assert!(serve.get("/devfiles/loom").await.1.ends_with("# a new glaze\n"));
    within_a_minute("the preview is gone", async { while serve.get(path).await.0 != 404 {} }).await;
}

#[tokio::test]
async fn proposal_on_github_is_previewed_merged_and_live() {
    walk("github", |registry| registry, "opened").await;
}

#[tokio::test]
async fn proposal_on_gitlab_is_previewed_merged_and_live() {
    walk("gitlab", |registry| registry.with("STATUS_TOKEN", &format!("gitlab:{TOKEN}")), "labelled").await;
}
