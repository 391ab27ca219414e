//! `run`: everything in one process, on one address.

use std::process::Stdio;
use std::sync::Arc;

use registry_tests::bounded::within_a_minute;
use registry_tests::github::Fault;
use registry_tests::registry::{Serving, binary, copy};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::fixture::{World, refresh, until_ready};

#[tokio::test]
async fn first_start_publishes_while_requests_learn_that_nothing_is_there_yet() {
    let world = World::new().await;
    // Nothing is published before the host answers.
    let held = Arc::new(Semaphore::new(0));
    world.github.faults().add("*", Fault::Held(Arc::clone(&held)), usize::MAX);
    let registry = world.run().await;
    let (status, body) = registry.get("/health").await;
    assert!(status == 503 && body.contains("nothing is published yet"), "{status} {body}");
    assert_eq!(registry.json("/status").await["live"], json!(null));
    held.close();
    until_ready(&registry).await;
    for (path, part) in [
        ("/v2index/all", "\"kiln\""),
        ("/devfiles/loom", "name: loom"),
        ("/v2/devfile-catalog/kiln/manifests/1.1.0", "\"layers\""),
        ("/stacks/kiln/1.1.0/docker/Dockerfile", "FROM"),
        ("/viewer", "Kiln"),
    ] {
        let (status, body) = registry.get(path).await;
        assert!(status == 200 && body.contains(part), "{path}: {status} {body}");
    }
    world.verify().await;
}

/// The first line of the log of a program that has a text.
async fn first_line(mut command: Command, text: &str) -> String {
    let mut program = command.env("RUST_LOG", "info").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let found = within_a_minute(text, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the program runs");
            if line.contains(text) {
                break line;
            }
        }
    });
    found.await
}

#[tokio::test]
async fn serve_on_a_missing_folder_says_so_when_it_starts() {
    let world = World::new().await;
    let said = first_line(world.command(binary("serve")), "cannot find the folder of STORE").await;
    assert!(said.contains(&world.store().display().to_string()) && said.contains("WARN"), "{said}");
}

#[tokio::test]
async fn store_without_a_release_is_no_warning_when_a_registry_starts() {
    let world = World::new().await;
    let said = first_line(world.run_command(), "the store has no release yet").await;
    assert!(said.contains("INFO"), "{said}");
}

#[tokio::test]
async fn registry_without_a_repository_warns_of_it_and_its_schedule_succeeds() {
    let world = World::published().await;
    let mut command = world.run_command();
    command.env_remove("REGISTRY_REPO_URL").env("SCHEDULE_SECONDS", "1");
    let mut registry = Serving::start(command, "serving on ").await;
    let said = registry.logs("dynamic updates are off").await;
    assert!(said.contains("WARN"), "{said}");
    let first = registry.logs("\"message\":\"refresh\"").await;
    assert!(first.contains("\"outcome\":\"unchanged\"") && first.contains("INFO"), "{first}");
}

#[tokio::test]
async fn action_that_needs_no_repository_warns_of_none() {
    let world = World::published().await;
    let mut command = world.invocation(":", &json!({"action": "verify"}));
    let output = command.env_remove("REGISTRY_REPO_URL").env("RUST_LOG", "info").output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !log.contains("dynamic updates are off"), "{log}");
}

#[tokio::test]
async fn address_of_metrics_that_is_taken_is_named_before_anything_is_served() {
    let world = World::published().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for mut command in [world.run_command(), world.command(binary("serve")), world.command(binary("refresh"))] {
        let output = command.env("METRICS_ADDR", &address).env("RUST_LOG", "info").output().await.unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(log.contains(&format!("cannot listen on {address} (METRICS_ADDR): ")), "{log}");
        assert!(!output.status.success() && !log.contains(" on http://"), "{log}");
    }
}

#[tokio::test]
async fn change_is_served_when_its_refresh_is_answered() {
    let world = World::published().await;
    let mut registry = world.run().await;
    // The first publication would find the first edit.
    registry.logs("\"outcome\":\"unchanged\"").await;
    for number in 0..5 {
        let commit = world.edit(&format!("edit {number}"));
        let report = refresh(&registry).await;
        assert_eq!((&report["outcome"], &report["commit_hash"]), (&json!("published"), &json!(commit)));
        let devfile = registry.get("/devfiles/loom").await.1;
        assert!(devfile.ends_with(&format!("# edit {number}\n")), "{devfile}");
    }
    assert_eq!(refresh(&registry).await["outcome"], "unchanged");
}

#[tokio::test]
async fn pushed_change_is_live_by_its_webhook() {
    let world = World::published().await;
    let registry = world.run().await;
    until_ready(&registry).await;
    let commit = world.edit("a push");
    world.push(&registry, &commit).await;
    registry.until_live(&commit).await;
    assert!(registry.get("/devfiles/loom").await.1.ends_with("# a push\n"));
    let unsigned = registry_tests::http::client().post(format!("{}/refresh", registry.url)).send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    assert_eq!(registry.get("/refresh").await.0, 405);
    assert_eq!(registry.get("/webhooks/other").await.0, 404);
}

#[tokio::test]
async fn schedule_publishes_a_change_without_a_webhook_and_repairs_the_store() {
    let world = World::published().await;
    let mut command = world.run_command();
    command.env("SCHEDULE_SECONDS", "1");
    let mut registry = Serving::start(command, "serving on ").await;
    until_ready(&registry).await;
    let commit = world.edit("without a word");
    registry.until_live(&commit).await;
    // At once, also while a refresh writes there.
    std::fs::rename(world.store().join("oci/devfile-catalog/loom"), world.stored().join("gone")).unwrap();
    while registry.logs("\"repaired\":").await.contains("\"repaired\":0") {}
    registry.stop().await;
    world.verify().await;
}

#[tokio::test]
async fn registry_on_a_terminal_follows_the_branch_when_nobody_reads_its_output() {
    let world = World::new().await;
    // Time for the reader to go before the first publication is reported.
    world.github.faults().add("*", Fault::Slow { milliseconds: 1500 }, 1);
    // It gives standard error a terminal.
    let mut command = world.command("script");
    let pipeline = format!("'{}' run | head -n 1", binary("devfile-registry").display());
    command.args(["--quiet", "--command", &pipeline, "/dev/null"]);
    command.env("SCHEDULE_SECONDS", "1").env_remove("RUST_LOG").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().expect("script of util-linux starts");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let url = within_a_minute("its first line", async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it names its URL");
            if let Some((_, rest)) = line.split_once("registry on ") {
                return rest.split(';').next().unwrap().to_owned();
            }
        }
    });
    let url = url.await;
    let live = async || {
        let status = reqwest::get(format!("{url}/status")).await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&status).unwrap()["live"]["commit_hash"].clone()
    };
    within_a_minute("a first release", async { while live().await.is_null() {} }).await;
    let commit = world.edit("after the reader has gone");
    within_a_minute("the edit is live", async { while live().await != commit.as_str() {} }).await;
}

#[tokio::test]
async fn killed_registry_has_everything_when_it_starts_again() {
    let world = World::published().await;
    let registry = world.run().await;
    let commit = world.edit("before the kill");
    world.push(&registry, &commit).await;
    registry.until_live(&commit).await;
    let (index, devfile) = (registry.get("/v2index/all").await, registry.get("/devfiles/loom").await);
    registry.kill().await;
    // Nobody else is needed.
    world.github.faults().add("*", Fault::Status { status: 500 }, usize::MAX);
    let registry = world.run().await;
    assert_eq!(registry.get("/health").await.0, 200, "it is ready at once");
    assert_eq!(registry.get("/v2index/all").await, index);
    assert_eq!(registry.get("/devfiles/loom").await, devfile);
    world.verify().await;
}

#[tokio::test]
async fn registry_that_is_killed_while_it_publishes_has_a_whole_release() {
    let world = World::published().await;
    for number in 0..3 {
        let registry = world.run().await;
        until_ready(&registry).await;
        let commit = world.edit(&format!("killed {number}"));
        world.push(&registry, &commit).await;
        registry.kill().await;
        world.verify().await;
        let registry = world.run().await;
        assert_eq!(registry.get("/health").await.0, 200);
        registry.until_live(&commit).await;
        registry.stop().await;
        world.verify().await;
    }
}

#[tokio::test]
async fn copy_of_the_directory_is_a_backup() {
    let world = World::published().await;
    let registry = world.run().await;
    let index = registry.get("/v2index/all").await;
    registry.stop().await;
    let backup = world.stored().join("backup");
    std::fs::create_dir(&backup).unwrap();
    copy(&world.store(), &backup);
    std::fs::remove_dir_all(world.store()).unwrap();
    copy(&backup, &world.store());
    world.verify().await;
    world.github.faults().add("*", Fault::Status { status: 500 }, usize::MAX);
    let registry = world.run().await;
    assert_eq!(registry.get("/v2index/all").await, index);
    // The half of it is enough for the other half.
    std::fs::remove_dir_all(world.store().join("bucket")).unwrap();
    let report = world.invoke(&json!({"action": "restore"})).await.unwrap();
    assert_eq!(report["outcome"], "published");
    world.verify().await;
    assert_eq!(world.serve().await.get("/v2index/all").await, index);
}

#[tokio::test]
async fn metrics_of_both_functions_are_on_one_page() {
    let world = World::published().await;
    let mut command = world.run_command();
    command.env("METRICS_ADDR", "127.0.0.1:0");
    let mut registry = Serving::start(command, "serving on ").await;
    let line = registry.logs("metrics at ").await;
    let url = line.split_once("metrics at ").unwrap().1.split('"').next().unwrap();
    refresh(&registry).await;
    registry.get("/v2index").await;
    let text = registry_tests::http::get(url).await.unwrap().text().await.unwrap();
    for metric in ["devfile_registry_requests_total", "devfile_registry_refreshes_total"] {
        assert!(text.contains(metric), "{metric}: {text}");
    }
    assert_eq!(text.matches("# TYPE devfile_registry_release_age_seconds ").count(), 1, "{text}");
    assert_eq!(text.matches("# EOF").count(), 1, "{text}");
}
