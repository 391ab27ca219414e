//! The stand-in itself.

use registry_tests::github::{Webhook, signature};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fixture::Fixture;

async fn get(fixture: &Fixture, path: &str) -> u16 {
    registry_tests::http::get(format!("{}{path}", fixture.github.url())).await.unwrap().status().as_u16()
}

async fn control(fixture: &Fixture, call: &str, body: Value) -> Value {
    let url = format!("{}/_control/{call}", fixture.github.url());
    let answer = registry_tests::http::client().post(url).body(body.to_string()).send().await.unwrap();
    serde_json::from_slice(&answer.error_for_status().unwrap().bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn faults_and_tokens_are_set_from_outside() {
    let fixture = Fixture::new().await;
    control(&fixture, "faults", json!({ "path": "/repos/*", "kind": "status", "status": 502 })).await;
    assert_eq!(get(&fixture, "/repos/example/registry").await, 502);
    assert_eq!(get(&fixture, "/repos/example/registry").await, 200);
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

#[tokio::test]
async fn bytes_of_answers_are_counted_anew_after_each_question() {
    let fixture = Fixture::new().await;
    let references = format!("{}/example/registry/info/refs?service=git-upload-pack", fixture.github.url());
    for _ in 0..2 {
        let body = registry_tests::http::get(&references).await.unwrap().bytes().await.unwrap();
        assert!(!body.is_empty());
        assert_eq!(fixture.github.take_sent_bytes(), body.len() as u64);
    }
    assert_eq!(fixture.github.take_sent_bytes(), 0);
}
