//! The stand-in itself, where the source does not ask all that it answers.

use std::os::unix::fs::symlink;

use registry_tests::github::{Webhook, signature};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fixture::Fixture;

async fn get(fixture: &Fixture, path: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{}{path}", fixture.github.url())).await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

async fn control(fixture: &Fixture, call: &str, body: Value) -> Value {
    let url = format!("{}/_control/{call}", fixture.github.url());
    let answer = reqwest::Client::new().post(url).body(body.to_string()).send().await.unwrap();
    serde_json::from_slice(&answer.error_for_status().unwrap().bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn contents_are_files_folders_and_links() {
    let fixture = Fixture::new().await;
    symlink("../README.md", fixture.path().join("stacks/read-me")).unwrap();
    symlink("nowhere", fixture.path().join("stacks/lost")).unwrap();
    fixture.write("stacks/large", &"x".repeat((1 << 20) + 1));
    fixture.commit("2025-02-01T10:00:00Z");
    let contents = "/repos/example/registry/contents";
    let (_, file) = get(&fixture, &format!("{contents}/README.md?ref=main")).await;
    assert_eq!((&file["type"], &file["content"]), (&json!("file"), &json!("cmVhZCBtZQ==\n")));
    let (_, followed) = get(&fixture, &format!("{contents}/stacks/read-me")).await;
    assert_eq!((&followed["type"], &followed["sha"]), (&json!("file"), &file["sha"]));
    let (_, lost) = get(&fixture, &format!("{contents}/stacks/lost")).await;
    assert_eq!((&lost["type"], &lost["target"]), (&json!("symlink"), &json!("nowhere")));
    let (_, large) = get(&fixture, &format!("{contents}/stacks/large")).await;
    assert_eq!((&large["encoding"], &large["content"]), (&json!("none"), &json!("")));
    let (_, folder) = get(&fixture, &format!("{contents}/stacks/go")).await;
    let paths: Vec<_> = folder.as_array().unwrap().iter().map(|entry| &entry["path"]).collect();
    assert_eq!(paths, ["stacks/go/1.0.0", "stacks/go/stack.yaml"]);
    assert_eq!(get(&fixture, &format!("{contents}/gone")).await.0, 404);
}

#[tokio::test]
async fn comparisons_page_commits_and_name_files_once() {
    let fixture = Fixture::new().await;
    let first = fixture.head();
    for number in 0..5 {
        fixture.write("stacks/node/devfile.yaml", &format!("{number}"));
        fixture.commit("2025-02-01T10:00:00Z");
    }
    let compare = format!("/repos/example/registry/compare/{first}...main");
    let (_, all) = get(&fixture, &compare).await;
    assert_eq!((&all["status"], &all["ahead_by"]), (&json!("ahead"), &json!(5)));
    assert_eq!(all["commits"].as_array().unwrap().len(), 5);
    assert_eq!(all["files"].as_array().unwrap().len(), 1);
    let (_, second) = get(&fixture, &format!("{compare}?per_page=2&page=2")).await;
    assert_eq!(second["commits"], json!([all["commits"][2], all["commits"][3]]));
    assert_eq!(second.get("files"), None);
}

#[tokio::test]
async fn faults_and_tokens_can_be_had_from_outside() {
    let fixture = Fixture::new().await;
    let reference = "/repos/example/registry/git/ref/heads/main";
    control(&fixture, "faults", json!({ "path": "*/git/ref/*", "kind": "status", "status": 502 })).await;
    assert_eq!(get(&fixture, reference).await.0, 502);
    assert_eq!(get(&fixture, reference).await.0, 200);
    let token = json!({ "branch": "main", "audience": "us", "claims": { "actor": "owner" } });
    let token = control(&fixture, "oidc-token", token).await;
    assert_eq!(token["value"].as_str().unwrap().split('.').count(), 3);
}

#[tokio::test]
async fn push_events_are_delivered_signed() {
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/github", listener.local_addr().unwrap());
    let receive = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        while !request.ends_with("}}") {
            let mut part = [0; 1024];
            let read = connection.read(&mut part).await.unwrap();
            assert!(read > 0, "{request}");
            request.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
        connection.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        request
    };
    let webhook = Webhook { url, secret: "a secret of some length".into() };
    let head = fixture.head();
    let event = fixture.github.push_event("main", None, Some(head.as_str()));
    let (answer, request) = tokio::join!(fixture.github.deliver(&webhook, "push", &event), receive);
    assert_eq!(answer.unwrap(), (202, "ok".to_owned()));
    let (headers, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(headers.contains("x-github-event: push"), "{headers}");
    let signature = signature(&webhook.secret, body.as_bytes()).unwrap();
    assert!(headers.contains(&format!("x-hub-signature-256: {signature}")), "{headers}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["after"], head.as_str());
}
