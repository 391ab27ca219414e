//! The bucket against a server with prepared answers.

use aws_sdk_s3::config::{Config, Credentials, Region, StalledStreamProtectionConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::INDEX_KEY;
use super::*;

fn config(listener: &TcpListener) -> Builder {
    Config::builder()
        .endpoint_url(format!("http://{}", listener.local_addr().unwrap()))
        .force_path_style(true)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
}

/// Reads a request, and returns its first line.
async fn request(client: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        assert_ne!(client.read_buf(&mut read).await.unwrap(), 0, "the request ends early");
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .to_ascii_lowercase()
            .split_once("content-length: ")
            .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
        if body.len() >= length {
            return head.lines().next().unwrap().to_owned();
        }
    }
}

/// A writer's bucket whose server gives these answers, one a request. The task ends with the requests when all were given.
async fn answering(answers: Vec<String>) -> (S3Bucket, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cache = S3Bucket::new(config(&listener), "b", RetryPolicy::Writer);
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut client, _) = listener.accept().await.unwrap();
            requests.push(request(&mut client).await);
            client.write_all(answer.as_bytes()).await.unwrap();
        }
        requests
    });
    (cache, server)
}

fn written(etag: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\netag: {etag}\r\ncontent-length: 0\r\n\r\n")
}

fn error(status: &str, code: &str) -> String {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as told</Message></Error>");
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn state() -> Expect {
    Expect::State(ETag::new("\"a\""))
}

#[tokio::test]
async fn body_that_does_not_end_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // The client's own protection would come first.
    let unprotected = config(&listener).stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let client = Client::from_conf(unprotected.build());
    let (sent, all_sent) = oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        request(&mut client).await;
        client.write_all(b"HTTP/1.1 200 OK\r\netag: \"a\"\r\ncontent-length: 1000000\r\n\r\nx").await.unwrap();
        sent.send(()).unwrap();
        // Until the reader hangs up.
        let _ended = client.read(&mut [0; 1]).await;
    });
    let time = Duration::from_secs(60);
    let cache = S3Bucket { client, bucket: "b".into(), attempt: time, time };
    let pass_time = async {
        all_sent.await.unwrap();
        // A clock that is paused goes on to the next timer as soon as all tasks wait.
        tokio::time::pause();
    };
    let (fetched, ()) = tokio::join!(cache.fetch(INDEX_KEY, None, 1 << 20), pass_time);
    let error = fetched.unwrap_err();
    assert!(error.to_string().contains("no whole answer within 60000 ms"), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn object_that_vanished_before_a_conditional_write_is_a_lost_race() {
    let (cache, server) = answering(vec![error("404 Not Found", "NoSuchKey")]).await;
    let result = cache.put_if(INDEX_KEY, Bytes::from_static(b"{}"), state()).await;
    assert_eq!(result.unwrap(), Written::Lost);
    assert_eq!(server.await.unwrap().len(), 1);
}

#[tokio::test]
async fn missing_bucket_is_an_error_and_no_lost_race() {
    for (expect, code) in [(state(), "NoSuchBucket"), (Expect::Absent, "NoSuchKey"), (Expect::Anything, "NoSuchKey")] {
        let (cache, server) = answering(vec![error("404 Not Found", code)]).await;
        let result = cache.put_if(INDEX_KEY, Bytes::from_static(b"{}"), expect).await;
        assert!(result.unwrap_err().to_string().contains(code));
        server.await.unwrap();
    }
}

#[tokio::test]
async fn write_that_meets_another_is_tried_again() {
    for code in ["ConditionalRequestConflict", "OperationAborted"] {
        let (cache, server) = answering(vec![error("409 Conflict", code), written("\"b\"")]).await;
        let result = cache.put_if(INDEX_KEY, Bytes::from_static(b"{}"), state()).await;
        assert_eq!(result.unwrap(), Written::Done(ETag::new("\"b\"")), "{code}");
        assert_eq!(server.await.unwrap(), ["PUT /b/index.json?x-id=PutObject HTTP/1.1"; 2]);
    }
}

#[tokio::test]
async fn object_in_another_state_is_a_lost_race_at_once() {
    let (cache, server) = answering(vec![error("412 Precondition Failed", "PreconditionFailed")]).await;
    let result = cache.put_if(INDEX_KEY, Bytes::from_static(b"{}"), state()).await;
    assert_eq!(result.unwrap(), Written::Lost);
    assert_eq!(server.await.unwrap().len(), 1);
}

/// The SDK backs off between the attempts.
#[tokio::test]
async fn server_that_asks_for_fewer_requests_is_asked_again() {
    let slow = || error("503 Slow Down", "SlowDown");
    let (cache, server) = answering(vec![slow(), slow(), written("\"b\"")]).await;
    cache.put("blobs/sha256/x", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(server.await.unwrap().len(), 3);
}

/// A page of a listing, which goes on after a token.
fn page(keys: &[&str], next: Option<&str>) -> String {
    let contents: String = keys
        .iter()
        .map(|key| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>3</Size></Contents>"
            )
        })
        .collect();
    let next = next.map_or(String::new(), |next| format!("<NextContinuationToken>{next}</NextContinuationToken>"));
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>{}</IsTruncated>{next}{contents}</ListBucketResult>",
        !next.is_empty()
    );
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn listing_has_the_objects_of_all_pages() {
    let pages = vec![page(&["releases/a", "releases/b"], Some("2")), page(&["releases/c"], None)];
    let (cache, server) = answering(pages).await;
    let listed = cache.list("releases/").await.unwrap();
    let modified = "2026-01-01T00:00:00Z".parse().unwrap();
    let objects = ["releases/a", "releases/b", "releases/c"].map(|key| (key.to_owned(), Stat { size: 3, modified }));
    assert_eq!(listed, BTreeMap::from(objects));
    assert!(server.await.unwrap()[1].contains("continuation-token=2"));
}
