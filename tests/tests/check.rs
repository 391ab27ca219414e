//! `index-generator` as people run it, and the action that checks pull requests.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use devfile_registry::digest::Digest;
use registry_tests::git::git;
use registry_tests::registry::{TestRegistry, binary, copy};
use registry_tests::tools::tool;
use tokio::net::TcpListener;
use tokio::process::Command;

const BAD: &str = "schemaVersion: 2.2.2
metadata:
  name: loom
  displayName: Loom
  version: 1.0.0
  language: Python
  projectType: flask
  provider: Clay Guild
  supportUrl: https://example.org/help
  architectures: [amd64]
components:
  - name: runtime
    container: {imgae: x}
commands:
  - id: run
    exec: {component: runtme, commandLine: x}
  - id: run
    exec: {component: runtime, commandLine: x}
";

struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

async fn run(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(binary("index-generator"));
    command.args(["--offline"]).args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.expect("index-generator starts");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The example registry, with a devfile in it that has three mistakes.
fn with_mistakes() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&TestRegistry::example(), folder.path());
    std::fs::write(folder.path().join("stacks/loom/devfile.yaml"), BAD).unwrap();
    folder
}

#[tokio::test]
async fn three_mistakes_are_shown_with_carets() {
    let folder = with_mistakes();
    let ran = run(folder.path(), &["--check", "."]).await;
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    for part in [
        "error[schema/unknownField]",
        "  --> stacks/loom/devfile.yaml:13:17",
        "13 |     container: {imgae: x}",
        "   |                 ^^^^^",
        "error[command/reference]",
        "16 |     exec: {component: runtme, commandLine: x}",
        "   |                       ^^^^^^",
        "hint: did you mean `runtime`?",
        "error[command/duplicate]",
        "3 errors",
    ] {
        assert!(ran.stdout.contains(part), "{part}\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\x1b'), "no colours without a terminal");
}

#[tokio::test]
async fn report_in_every_format_has_the_same_errors() {
    let folder = with_mistakes();
    let above = folder.path().parent().unwrap();
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    let ran = run(above, &["--check", name, "--format", "github"]).await;
    let errors: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("::error ")).collect();
    assert_eq!((ran.status, errors.len()), (1, 3), "{}", ran.stdout);
    assert!(errors[0].contains(&format!("file={name}/stacks/loom/devfile.yaml,line=13")), "{}", errors[0]);
    let ran = run(folder.path(), &["--check", ".", "--format", "json"]).await;
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.status, &report["errors"]), (1, &serde_json::json!(3)));
    let ran = run(folder.path(), &["--check", ".", "--format", "sarif"]).await;
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.status, report["version"].as_str()), (1, Some("2.1.0")));
}

#[tokio::test]
async fn the_exit_status_tells_clean_from_wrong_and_from_not_tried() {
    let folder = tempfile::tempdir().unwrap();
    copy(&TestRegistry::example(), folder.path());
    assert_eq!(run(folder.path(), &["--check", "."]).await.status, 0);
    let ran = run(folder.path(), &["--check", "nowhere"]).await;
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);
    let ran = run(folder.path(), &["--check", ".", "--format", "xml"]).await;
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("use human, json, github or sarif"), "{}", ran.stderr);
    let ran = run(folder.path(), &["--check", ".", "--changed-since", "nothing"]).await;
    assert_eq!(ran.status, 2, "not a repository: {}", ran.stdout);
}

#[tokio::test]
async fn only_changed_stacks_are_reported() {
    let folder = with_mistakes();
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "One"]);
    let changed = |revision: &'static str| {
        let folder = folder.path();
        async move { run(folder, &["--check", ".", "--changed-since", revision]).await }
    };
    let ran = changed("HEAD").await;
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "no problems\n"));
    std::fs::write(folder.path().join("stacks/loom/notes.txt"), "new").unwrap();
    assert_eq!(changed("HEAD").await.status, 1, "a file beside the devfile");
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "Two"]);
    assert_eq!(changed("HEAD").await.status, 0);
    assert_eq!(changed("HEAD~1").await.status, 1);
    assert_eq!(changed("--help").await.status, 2);
}

/// The drop-in form of the reference's command.
#[tokio::test]
async fn an_index_is_written_when_all_is_well_or_by_force() {
    let folder = with_mistakes();
    let ran = run(folder.path(), &[".", "index.json"]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("error[command/duplicate]") && !folder.path().join("index.json").exists());
    let ran = run(folder.path(), &["--force", ".", "index.json"]).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("index.json")).unwrap()).unwrap();
    assert!(index.as_array().unwrap().iter().all(|entry| entry["name"] != "loom"));
    assert_eq!(run(folder.path(), &["."]).await.status, 2);
    assert_eq!(run(folder.path(), &["--help"]).await.status, 0);
}

/// The script of the action, as GitHub runs it for a pull request.
async fn act(folder: &Path, event: &serde_json::Value, variables: &[(&str, &str)]) -> Ran {
    let file = folder.join(".git/event.json");
    std::fs::write(&file, event.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/actions/check/check.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).kill_on_drop(true).stdin(Stdio::null());
    command
        .env("GITHUB_WORKSPACE", folder)
        .env("GITHUB_EVENT_PATH", file)
        .env("DEVFILE_REGISTRY", binary("devfile-registry"));
    // Icons of the example are on a host that there is not; none but the own machine may be asked.
    command.env("FETCH_HOSTS", "localhost").envs(variables.iter().copied());
    let output = command.output().await.expect("python3 starts");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn head(folder: &Path) -> String {
    let output = std::process::Command::new("git").arg("-C").arg(folder).args(["rev-parse", "HEAD"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_action_annotates_what_a_pull_request_changes() {
    let folder = tempfile::tempdir().unwrap();
    let registry = folder.path().join("registry");
    std::fs::create_dir(&registry).unwrap();
    copy(&TestRegistry::example(), &registry);
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "Base"]);
    let base = head(folder.path());
    let event = serde_json::json!({"pull_request": {"base": {"sha": base}}});
    let settings = [("CHECK_REGISTRY", "registry")];
    let ran = act(folder.path(), &event, &settings).await;
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);

    std::fs::write(registry.join("stacks/loom/devfile.yaml"), BAD).unwrap();
    git(folder.path(), &["commit", "-qam", "Change"]);
    let ran = act(folder.path(), &event, &settings).await;
    let errors: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("::error ")).collect();
    assert_eq!((ran.status, errors.len()), (1, 3), "{}", ran.stdout);
    assert!(errors[0].contains("file=registry/stacks/loom/devfile.yaml,line=13"), "{}", errors[0]);

    // A shallow checkout fetches the base.
    let shallow = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    git(folder.path(), &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    git(shallow.path(), &["clone", "-q", "--depth=1", &url, "."]);
    let ran = act(shallow.path(), &event, &settings).await;
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("::error ")).count(), 3, "{}", ran.stderr);

    let unknown = serde_json::json!({"pull_request": {"base": {"sha": "0123456789012345678901234567890123456789"}}});
    let ran = act(folder.path(), &unknown, &settings).await;
    assert_eq!(ran.status, 2);
    assert!(ran.stdout.starts_with("::error::The stacks were not checked: "), "{}", ran.stdout);
    // Without a pull request, everything is checked.
    let ran = act(folder.path(), &serde_json::json!({}), &settings).await;
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("::error ")).count(), 3);
    let ran = act(folder.path(), &event, &[("CHECK_REGISTRY", "nowhere")]).await;
    assert_eq!(ran.status, 2);
}

/// Comments of a pull request, as GitHub keeps them.
#[derive(Default)]
struct Comments {
    all: Vec<serde_json::Value>,
    calls: Vec<String>,
    may_write: bool,
}

/// A stand-in for the part of GitHub's API that has comments.
async fn github(comments: &Arc<Mutex<Comments>>) -> String {
    let comments = Arc::clone(comments);
    let answer = move |request: Request| {
        let comments = Arc::clone(&comments);
        async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            let mut comments = comments.lock().unwrap();
            comments.calls.push(format!("{} {}", parts.method, parts.uri.path()));
            if parts.method != Method::GET && !comments.may_write {
                return (StatusCode::FORBIDDEN, "{}".to_owned());
            }
            if parts.method == Method::GET {
                return (StatusCode::OK, serde_json::Value::Array(comments.all.clone()).to_string());
            }
            let mut one: serde_json::Value = serde_json::from_slice(&body).unwrap();
            one["user"] = serde_json::json!({"login": "github-actions[bot]"});
            if parts.method == Method::PATCH {
                let id: usize = parts.uri.path().rsplit('/').next().unwrap().parse().unwrap();
                one["id"] = id.into();
                comments.all[id] = one;
            } else {
                one["id"] = comments.all.len().into();
                comments.all.push(one);
            }
            (StatusCode::OK, "{}".to_owned())
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    url
}

#[tokio::test]
async fn action_keeps_one_comment_and_writes_none_where_it_may_not() {
    let folder = tempfile::tempdir().unwrap();
    copy(&TestRegistry::example(), folder.path());
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "Base"]);
    let event = serde_json::json!({"pull_request": {"number": 7, "base": {"sha": head(folder.path())}}});
    let stranger = serde_json::json!({"id": 0, "user": {"login": "eve"}, "body": "<!-- devfile-registry diff -->"});
    let comments = Arc::new(Mutex::new(Comments { all: vec![stranger.clone()], ..Comments::default() }));
    let api = github(&comments).await;
    let summary = folder.path().join(".git/summary");
    let settings = [
        ("CHECK_COMMENT", "true"),
        ("CHECK_TOKEN", "token"),
        ("GITHUB_API_URL", api.as_str()),
        ("GITHUB_REPOSITORY", "acme/registry"),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
    ];
    let devfile = folder.path().join("stacks/loom/devfile.yaml");
    let text = std::fs::read_to_string(&devfile).unwrap();
    std::fs::write(&devfile, format!("{text}# one\n")).unwrap();
    let ran = act(folder.path(), &event, &settings).await;
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("::notice::The token may not comment"), "{}", ran.stdout);
    assert!(std::fs::read_to_string(&summary).unwrap().contains("stack `loom`"));

    comments.lock().unwrap().may_write = true;
    act(folder.path(), &event, &settings).await;
    std::fs::remove_dir_all(folder.path().join("stacks/kiln")).unwrap();
    comments.lock().unwrap().calls.clear();
    let ran = act(folder.path(), &event, &settings).await;
    let comments = comments.lock().unwrap();
    assert_eq!(
        comments.calls,
        ["GET /repos/acme/registry/issues/7/comments", "PATCH /repos/acme/registry/issues/comments/1"],
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!((comments.all.len(), &comments.all[0]), (2, &stranger));
    assert!(comments.all[1]["body"].as_str().unwrap().contains("removed stack `kiln`"), "{}", comments.all[1]);
}

/// The workflow that the page shows, with a repository and commits in place of the gaps.
fn documented_workflow() -> String {
    let page = std::fs::read_to_string(above("docs/stack-authors/validation.md")).unwrap();
    let (_, section) = page.split_once("## In pull requests").expect("the page has a workflow");
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    let workflow = lines.map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(workflow.matches("<commit>").count(), 2, "{workflow}");
    workflow.replace("<commit>", COMMIT).replace("<owner>/<this repository>", "example/devfiles")
}

const COMMIT: &str = "0123456789012345678901234567890123456789";

/// A path of this repository.
fn above(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A release with the archive for this machine, on a server of its own. The program in it runs the one that was built.
async fn released() -> String {
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", binary("devfile-registry").display());
    let mut header = tar::Header::new_gnu();
    header.set_size(script.len() as u64);
    header.set_mode(0o755);
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    archive.append_data(&mut header, "devfile-registry", script.as_bytes()).unwrap();
    let content = archive.into_inner().unwrap().finish().unwrap();
    let machine = if std::env::consts::ARCH == "aarch64" { "arm64" } else { std::env::consts::ARCH };
    let name = format!("devfile-registry-{}-{machine}.tar.gz", std::env::consts::OS);
    let sums = format!("{}  {name}\n", Digest::of(&content).hex());
    let answers = Router::new()
        .route("/SHA256SUMS", get(async move || sums))
        .route(&format!("/{name}"), get(async move || content));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, answers).await.unwrap() });
    url
}

/// The annotations of a run, as lines.
struct Job {
    succeeded: bool,
    annotations: Vec<String>,
    text: String,
}

/// Runs the documented workflow for a pull request, by act on this machine.
async fn run_workflow(checkout: &Path, workflow: &str, base: &str) -> Job {
    let (action, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = ".github/actions/check";
    std::fs::create_dir_all(action.path().join(folder)).unwrap();
    copy(&above(folder), &action.path().join(folder));
    // The page's workflow takes the release from GitHub.
    let workflow = format!("{}\n        with: {{release-url: \"{}\"}}\n", workflow.trim_end(), released().await);

    std::fs::create_dir_all(checkout.join(".github/workflows")).unwrap();
    std::fs::write(checkout.join(".github/workflows/check.yaml"), workflow).unwrap();
    let event = home.path().join("event.json");
    let repository = serde_json::json!({"name": "registry", "full_name": "example/registry", "default_branch": "main"});
    let pull = serde_json::json!({"number": 7, "base": {"sha": base, "ref": "main"}, "head": {"ref": "change"}});
    std::fs::write(&event, serde_json::json!({"pull_request": pull, "repository": repository}).to_string()).unwrap();
    let mut command = Command::new(tool("act"));
    command.args(["pull_request", "--json", "--no-cache-server", "--action-offline-mode"]);
    command.args(["--platform", "ubuntu-24.04=-self-hosted"]).arg("--eventpath").arg(&event);
    let local = format!("example/devfiles@{COMMIT}={}", action.path().display());
    command.arg("--local-repository").arg(local);
    // Icons of the example are on a host that there is not; none but the own machine may be asked.
    command.args(["--env", "FETCH_HOSTS=localhost"]);
    command.env("HOME", home.path()).env_remove("XDG_CACHE_HOME").current_dir(checkout);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("act starts");
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let commands =
        lines.filter(|line| ["error", "warning", "notice"].contains(&line["command"].as_str().unwrap_or("")));
    let annotations = commands.map(|line| line["raw"].as_str().unwrap().trim_end().to_owned()).collect();
    Job { succeeded: output.status.success(), annotations, text }
}

/// The example registry in a repository, its first commit, and a change upon it.
fn pull_request(devfile: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    copy(&TestRegistry::example(), folder.path());
    git(folder.path(), &["init", "-q", "-b", "main"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "Base"]);
    let base = head(folder.path());
    std::fs::write(folder.path().join("stacks/loom/devfile.yaml"), devfile).unwrap();
    git(folder.path(), &["commit", "-qam", "Change"]);
    (folder, base)
}

#[tokio::test]
async fn documented_workflow_annotates_the_lines_of_a_pull_request() {
    let (folder, base) = pull_request(BAD);
    let job = run_workflow(folder.path(), &documented_workflow(), &base).await;
    assert!(!job.succeeded, "{}", job.text);
    let errors: Vec<&String> = job.annotations.iter().filter(|line| line.starts_with("::error ")).collect();
    assert_eq!(errors.len(), 3, "{}", job.text);
    assert!(errors[0].contains("file=stacks/loom/devfile.yaml,line=13,col=17"), "{errors:?}");
}

#[tokio::test]
async fn hostile_content_of_a_pull_request_gives_no_commands_of_the_runner() {
    let evil = "%0A::error::x\\n::add-mask::y\\r::stop-commands::z\\e[31m##[error]w";
    let devfile = BAD.replace("{imgae: x}", &format!("{{image: x, \"{evil}\": 1}}"));
    let (folder, base) = pull_request(&devfile);
    let job = run_workflow(folder.path(), &documented_workflow(), &base).await;
    let hostile: Vec<&String> = job.annotations.iter().filter(|line| line.contains("add-mask")).collect();
    assert_eq!(hostile.len(), 1, "{}", job.text);
    assert!(hostile[0].starts_with("::error file=stacks/loom/devfile.yaml,line=13,"), "{hostile:?}");
    assert!(hostile[0].contains("%250A::error::x") && !hostile[0].contains("##["), "{hostile:?}");
    assert!(!hostile[0].contains('\x1b'), "{hostile:?}");
    assert!(!job.text.contains("\"command\":\"add-mask\""), "{}", job.text);
}
