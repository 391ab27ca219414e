//! The example registry at a Git host, and a directory for all that is stored.

use std::path::{Path, PathBuf};
use std::process::Output;

use registry_tests::bounded::within_a_minute;
use registry_tests::git::git;
use registry_tests::github::{GitHub, Webhook, signature};
use registry_tests::registry::{Serving, TestRegistry, binary, copy};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const SECRET: &str = "a webhook secret of the tests";

/// The file that edits change.
const DEVFILE: &str = "stacks/loom/devfile.yaml";

/// A registry with a directory in place of servers.
pub(crate) struct World {
    repository: TempDir,
    stored: TempDir,
    pub(crate) github: GitHub,
}

impl World {
    /// Nothing is published yet.
    pub(crate) async fn new() -> Self {
        let (repository, stored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        copy(&TestRegistry::example(), repository.path());
        git(repository.path(), &["init", "--quiet", "--initial-branch=main"]);
        let github = GitHub::start_example(repository.path()).await.unwrap();
        let world = Self { repository, stored, github };
        world.commit();
        world
    }

    /// The head is published.
    pub(crate) async fn published() -> Self {
        let world = Self::new().await;
        world.invoke(&json!({"action": "refresh"})).await.unwrap();
        world
    }

    /// The directory of the registry.
    pub(crate) fn store(&self) -> PathBuf {
        self.stored.path().join("store")
    }

    /// The folder that the directory is in.
    pub(crate) fn stored(&self) -> &Path {
        self.stored.path()
    }

    /// The folder of the registry repository.
    pub(crate) fn repository(&self) -> &Path {
        self.repository.path()
    }

    /// A program with the settings of the registry.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.kill_on_drop(true).envs([
            ("STORE", self.store().display().to_string()),
            ("REGISTRY_REPO_URL", format!("{}/example/registry", self.github.url())),
            ("GITHUB_API_URL", self.github.url().to_owned()),
            ("WEBHOOK_SECRET", SECRET.to_owned()),
            // Nothing but an announcement makes serve read the directory again.
            ("REVALIDATE_SECONDS", "3600".to_owned()),
            ("FETCH", "false".to_owned()),
            ("FETCH_HOSTS", "localhost".to_owned()),
            ("FETCH_ALLOW_LOOPBACK", "true".to_owned()),
            ("LISTEN_ADDR", "127.0.0.1:0".to_owned()),
        ]);
        command
    }

    /// The command `devfile-registry run`.
    pub(crate) fn run_command(&self) -> Command {
        let mut command = self.command(binary("devfile-registry"));
        command.arg("run");
        command
    }

    /// Starts `devfile-registry run`.
    pub(crate) async fn run(&self) -> Serving {
        Serving::start(self.run_command(), "serving on ").await
    }

    /// Starts `serve` as a process of its own.
    pub(crate) async fn serve(&self) -> Serving {
        Serving::start(self.command(binary("serve")), "serving on ").await
    }

    /// The command that invokes `refresh` with an event, by way of a shell that does something first.
    pub(crate) fn invocation(&self, first: &str, event: &Value) -> Command {
        let mut command = self.command("sh");
        command.args(["-c", &format!("{first}; exec \"$0\" \"$@\"")]).arg(binary("refresh"));
        command.args(["invoke", &event.to_string()]).env("RUST_LOG", "off");
        command
    }

    /// Invokes `refresh` with an event and returns its answer, or its error message.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, String> {
        answer(&self.invocation(":", event).output().await.unwrap())
    }

    /// Checks every digest in the directory.
    pub(crate) async fn verify(&self) {
        let verification = self.invoke(&json!({"action": "verify"})).await.unwrap();
        assert_eq!(verification["problems"], json!([]));
    }

    /// Appends to the devfile of a stack and commits.
    pub(crate) fn edit(&self, text: &str) -> String {
        let path = self.repository().join(DEVFILE);
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{before}# {text}\n")).unwrap();
        self.commit()
    }

    fn commit(&self) -> String {
        git(self.repository(), &["add", "--all"]);
        git(self.repository(), &["commit", "--quiet", "--message", "A change"]);
        git(self.repository(), &["rev-parse", "HEAD"])
    }

    /// Delivers the push of a commit.
    pub(crate) async fn push(&self, registry: &Serving, commit: &str) {
        let webhook = Webhook { url: format!("{}/webhooks/github", registry.url), secret: SECRET.to_owned() };
        let push = self.github.push_event("main", None, Some(commit));
        let (status, body) = self.github.deliver(&webhook, "push", &push).await.unwrap();
        assert_eq!(status, 202, "{body}");
    }
}

/// The answer of an invocation, or its error message.
pub(crate) fn answer(output: &Output) -> Result<Value, String> {
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// Sends a signed `POST /refresh`.
pub(crate) async fn refresh(registry: &Serving) -> Value {
    let signature = signature(SECRET, b"{}").unwrap();
    let request = registry_tests::http::client().post(format!("{}/refresh", registry.url)).body("{}");
    let answer = request.header("x-hub-signature-256", signature).send().await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Waits until a registry has a release to answer from.
pub(crate) async fn until_ready(registry: &Serving) {
    within_a_minute("a release is served", async { while registry.get("/health").await.0 != 200 {} }).await;
}
