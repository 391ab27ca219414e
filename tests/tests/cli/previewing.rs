//! `preview`: the folder is served, and followed.

use std::time::Duration;

use registry_tests::bounded::within_a_minute;
use registry_tests::browser::Browser;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::program::{Preview, edit, example};

const DEVFILE: &str = "stacks/kiln/1.1.0/devfile.yaml";
const DESCRIPTION: &str = "Bakes pages from Markdown and serves them";

#[tokio::test]
async fn preview_answers_as_a_registry_and_names_its_clients() {
    let folder = example();
    let mut preview = Preview::start(folder.path(), &["--port", "0"]).await;
    let index: serde_json::Value = serde_json::from_str(&preview.get("/v2index/all").await.1).unwrap();
    let names: Vec<_> = index.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["kiln", "loom", "pot"]);
    for (path, part) in [
        ("/devfiles/kiln", "name: kiln"),
        ("/v2/devfile-catalog/kiln/manifests/1.1.0", "\"layers\""),
        ("/stacks/kiln/1.1.0/docker/Dockerfile", "FROM"),
        ("/viewer", "Kiln"),
        ("/status", "\"commit_hash\""),
        ("/openapi.json", "/v2index"),
    ] {
        let (status, body) = preview.get(path).await;
        assert!(status == 200 && body.contains(part), "{path}: {status} {body}");
    }
    preview.prints("warning").await;
    let printed = preview.printed();
    for part in ["odo preference add registry preview http://127.0.0.1:", "registry list http://", "curl http://"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

#[tokio::test]
async fn change_on_disk_is_served_and_a_mistake_is_named_until_it_is_corrected() {
    let folder = example();
    let mut preview = Preview::start(folder.path(), &["--port", "0"]).await;
    preview.prints("warning").await;

    edit(folder.path(), DEVFILE, DESCRIPTION, "Bakes tiles");
    preview.prints("changed stacks/kiln/1.1.0").await;
    assert!(preview.get("/devfiles/kiln").await.1.contains("Bakes tiles"));

    edit(folder.path(), DEVFILE, "component: runtime", "component: runtme");
    preview.prints("error[command/reference]").await;
    preview.prints("did you mean `runtime`?").await;
    let (status, served) = preview.get("/devfiles/kiln").await;
    assert!(status == 200 && served.contains("component: runtime"), "the last good state stays: {served}");
    // A publication of the state before the mistake may have been under way when it was printed.
    let named = async { while !preview.get("/viewer/status").await.1.contains("runtme") {} };
    within_a_minute("the viewer names the mistake", named).await;
    let quarantined = "; quarantined stacks/kiln/1.1.0";
    if !preview.printed().contains(quarantined) {
        preview.prints(quarantined).await;
    }

    edit(folder.path(), DEVFILE, "component: runtme", "component: runtime");
    edit(folder.path(), DEVFILE, "Bakes tiles", "Bakes bricks");
    preview.prints("published").await;
    while !preview.get("/devfiles/kiln").await.1.contains("Bakes bricks") {
        preview.prints("published").await;
    }
    assert!(!preview.get("/viewer/status").await.1.contains("runtme"));
}

#[tokio::test]
async fn folder_with_no_stack_yet_is_told_how_to_begin() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("stacks")).unwrap();
    let mut preview = Preview::start(folder.path(), &["--port", "0"]).await;
    preview.prints("there is no stack yet; `devfile-registry new stack` creates one").await;
}

#[tokio::test]
async fn stack_that_comes_and_goes_is_listed_while_it_is_there() {
    let folder = example();
    let mut preview = Preview::start(folder.path(), &["--port", "0"]).await;
    let (new, elsewhere) = (folder.path().join("stacks/spindle"), tempfile::tempdir().unwrap().keep());
    let devfile = std::fs::read_to_string(folder.path().join("stacks/loom/devfile.yaml")).unwrap();
    let devfile = devfile.replace("name: loom\n", "name: spindle\n");
    std::fs::write(elsewhere.join("devfile.yaml"), devfile.split("starterProjects:").next().unwrap()).unwrap();
    std::fs::rename(elsewhere, &new).unwrap();
    preview.prints("changed stacks/spindle").await;
    assert_eq!(preview.get("/devfiles/spindle").await.0, 200);
    std::fs::remove_dir_all(&new).unwrap();
    preview.prints("removed stacks/spindle").await;
    assert_eq!(preview.get("/devfiles/spindle").await.0, 404);
}

#[tokio::test]
async fn taken_port_is_named_and_the_next_free_one_is_used() {
    let folder = example();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let preview = Preview::start(folder.path(), &["--port", &port]).await;
    assert!(preview.printed().contains(&format!("port {port} is taken; using port ")), "{}", preview.printed());
    assert_eq!(preview.get("/health").await.0, 200);
}

#[tokio::test]
async fn open_page_hears_of_releases_and_does_not_hold_the_end() {
    let folder = example();
    let mut preview = Preview::start(folder.path(), &["--port", "0"]).await;
    preview.prints("warning").await;
    let page = preview.get("/viewer").await.1;
    assert_eq!(page.matches("/_preview/reload.js").count(), 1, "{page}");
    assert!(preview.get("/_preview/reload.js").await.1.contains("EventSource"));
    let page = registry_tests::http::get(format!("{}/viewer", preview.url)).await.unwrap();
    assert_eq!(page.headers()["cache-control"], "no-cache");
    let mut events = registry_tests::http::get(format!("{}/_preview/events", preview.url)).await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert!(events.chunk().await.unwrap().unwrap().starts_with(b":"));
    edit(folder.path(), DEVFILE, DESCRIPTION, "Bakes tiles");
    let event = timeout(Duration::from_secs(60), events.chunk()).await.unwrap().unwrap().unwrap();
    assert_eq!(event, "event: release\ndata:\n\n");
    assert!(preview.get("/devfiles/kiln").await.1.contains("Bakes tiles"), "the event comes after the release");
    let status = preview.interrupt().await;
    assert!(status.success(), "{status}");
    assert!(!matches!(events.chunk().await, Ok(Some(_))), "the events end with the preview");
}

#[tokio::test]
async fn open_page_shows_each_change_and_stays_when_its_content_is_the_same() {
    let folder = example();
    let mut preview = Preview::start(folder.path(), &["--port", "0"]).await;
    preview.prints("warning").await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/viewer/devfiles/devfile-registry/kiln", preview.url)).await;
    // A reload would begin to count anew.
    browser.until("document.documentElement.dataset.compared === '1'").await;
    edit(folder.path(), "stacks/loom/devfile.yaml", "commandLine: ./loom", "commandLine: ./loom -v");
    browser.until("document.documentElement.dataset.compared === '2'").await;
    edit(folder.path(), DEVFILE, DESCRIPTION, "Bakes tiles");
    browser.until("document.body.innerText.includes('Bakes tiles')").await;

    browser.open(&format!("{}/viewer/status", preview.url)).await;
    browser.until("document.documentElement.dataset.compared === '1'").await;
    edit(folder.path(), DEVFILE, "component: runtime", "component: runtme");
    browser.until("document.body.innerText.includes('runtme')").await;
    browser.until("document.documentElement.dataset.compared === '1'").await;
    edit(folder.path(), DEVFILE, "component: runtme", "component: runtime");
    browser.until("!document.body.innerText.includes('runtme')").await;
}

#[tokio::test]
async fn diagnostics_are_on_the_page_of_their_stack_until_the_file_is_repaired() {
    let folder = example();
    let mut preview = Preview::start(folder.path(), &["--port", "0"]).await;
    preview.prints("warning").await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/viewer/devfiles/devfile-registry/kiln", preview.url)).await;
    // The page has its own content to compare with.
    let ready = "document.documentElement.dataset.compared === '1'";
    browser.until(ready).await;
    let edit_and_see = async |from: &str, to: &str, seen: &str| {
        edit(folder.path(), DEVFILE, from, to);
        browser.until(seen).await;
        browser.until(ready).await;
    };
    edit_and_see(DESCRIPTION, "Bakes tiles", "document.body.innerText.includes('Bakes tiles')").await;

    let architectures = "  architectures:\n    - amd64\n    - arm64\n";
    let warned = "!!document.querySelector('#warnings')?.innerText.includes('no architectures are given')";
    edit_and_see(architectures, "", warned).await;
    let shown = browser.text("#warnings").await;
    assert!(shown.contains("stacks/kiln/stack.yaml:1:1 "), "{shown}");
    assert!(!shown.contains("loom"), "the warnings of another stack are on its own pages: {shown}");

    let quarantined = "!!document.querySelector('#quarantined')?.innerText.includes('runtme')";
    edit_and_see("component: runtime", "component: runtme", quarantined).await;

    edit(folder.path(), DEVFILE, "component: runtme", "component: runtime");
    edit(folder.path(), DEVFILE, "  tags:\n", &format!("{architectures}  tags:\n"));
    browser.until(&format!("!document.querySelector('#quarantined') && !({warned})")).await;
    assert!(browser.text(".about").await.contains("Bakes tiles"));
}

#[tokio::test]
async fn preview_without_fetch_asks_no_other_host() {
    let folder = example();
    let preview = Preview::start(folder.path(), &["--port", "0"]).await;
    let (status, body) = preview.get("/devfiles/kiln/starter-projects/kiln-starter").await;
    assert!(status >= 400 && body.contains("start it with --fetch"), "{status} {body}");
    let (status, _) = preview.get("/devfiles/kiln/starter-projects/kiln-pages").await;
    assert_eq!(status, 202, "a zip of the folder needs no other host");
}

#[tokio::test]
async fn folder_without_stacks_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ran = crate::program::run(folder.path(), &["preview", "--port", "0"]).await;
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    assert!(ran.stderr.starts_with("devfile-registry: cannot read .: it has no folder stacks; "), "{}", ran.stderr);
}
