//! A registry that follows a repository on GitHub.

use registry_tests::bounded::within_a_minute;
use registry_tests::github::{GitHub, Webhook, push_event, signature};
use registry_tests::proxy::{Fuse, Proxy};
use registry_tests::registry::{Serving, TestRegistry};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "a webhook secret of the tests";
pub(crate) const AUDIENCE: &str = "https://registry.example.com";

/// The example registry in a Git repository, GitHub over it, and proxies before both stores.
pub(crate) struct Dynamic {
    pub(crate) registry: TestRegistry,
    pub(crate) github: GitHub,
    pub(crate) s3: Proxy,
    pub(crate) oci: Proxy,
    pub(crate) fuse: Fuse,
}

impl Dynamic {
    pub(crate) async fn new() -> Self {
        let registry = TestRegistry::of(&TestRegistry::example()).await;
        registry.commit();
        let github = GitHub::start_example(registry.repository.path()).await.unwrap();
        let server = |variable: &str| std::env::var(variable).unwrap();
        let fuse = Fuse::default();
        let s3 = Proxy::start(&server("TEST_S3_ENDPOINT"), fuse.clone()).await;
        let oci = Proxy::start(&server("TEST_OCI_REGISTRY"), fuse.clone()).await;
        let name = registry.name.clone();
        let registry = registry
            .with("REGISTRY_REPO_URL", &format!("{}/example/registry", github.url()))
            .with("GITHUB_API_URL", github.url())
            .with("GITHUB_TOKEN", "ghp_of_a_test")
            .with("WEBHOOK_SECRET", SECRET)
            .with("OIDC_ISSUER", &github.issuer())
            .with("OIDC_AUDIENCE", AUDIENCE)
            .with("OIDC_REPOSITORY_ID", &github.repository_id().to_string())
            .with("AWS_ENDPOINT_URL_S3", &format!("http://{}", s3.address()))
            .with("OCI_REGISTRY", &format!("{}/{name}", oci.address()));
        Self { registry, github, s3, oci, fuse }
    }

    /// Appends to the devfile of a stack and commits.
    pub(crate) fn edit(&self, text: &str) -> String {
        let path = "stacks/loom/devfile.yaml";
        let before = std::fs::read_to_string(self.registry.repository.path().join(path)).unwrap();
        self.registry.write(path, format!("{before}# {text}\n"));
        self.registry.commit()
    }

    pub(crate) fn break_stack(&self) -> String {
        self.registry.write("stacks/loom/devfile.yaml", "schemaVersion: 2.2.2\nmetadata: [\n");
        self.registry.commit()
    }

    pub(crate) async fn act(&self, event: Value) -> Value {
        self.registry.invoke(&event).await.unwrap()
    }

    pub(crate) fn webhook(&self, refresh: &Serving) -> Webhook {
        Webhook { url: format!("{}/webhooks/github", refresh.url), secret: SECRET.into() }
    }

    /// Waits until refresh knows the number of the repository at GitHub, for which a webhook waits half a second at most. Without it the
    /// push is taken for one of this repository, and the branch was deleted.
    pub(crate) async fn until_repository_is_known(&self, webhook: &Webhook) {
        let push = push_event("mallory/registry", 7, "main", Some(&"0".repeat(40)), None);
        let answer = async || self.github.deliver(webhook, "push", &push).await.unwrap().1;
        let known = async { while !answer().await.contains("another repository") {} };
        within_a_minute("refresh knows its repository", known).await;
    }

    pub(crate) fn push(&self, commit: &str) -> Value {
        self.github.push_event("main", None, Some(commit))
    }
}

/// Sends `POST /refresh` with a body and credentials.
pub(crate) async fn post(refresh: &Serving, body: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = registry_tests::http::client().post(format!("{}/refresh", refresh.url)).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(json!(text)))
}

pub(crate) async fn signed(refresh: &Serving, body: &str) -> (u16, Value) {
    post(refresh, body, &[("x-hub-signature-256", &signature(SECRET, body.as_bytes()).unwrap())]).await
}
