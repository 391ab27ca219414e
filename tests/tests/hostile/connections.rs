//! Connections and requests of plain HTTP.

use std::time::Duration;

use registry_tests::github::signature;
use registry_tests::raw;
use registry_tests::registry::{Serving, TestRegistry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

const SECRET: &str = "a webhook secret of the tests";

/// Longest that an honest client waits for `/health` on a busy machine that runs tests.
const PROMPT: Duration = Duration::from_secs(5);

/// Longest that a server keeps a connection whose request does not end.
const HEAD_BOUND: Duration = Duration::from_secs(20);

/// Longest that a process takes to end after SIGTERM.
const STOP_BOUND: Duration = Duration::from_secs(10);

const HALF_A_HEAD: &[u8] = b"GET /health HTTP/1.1\r\nhost: registry\r\nx-half: ";

/// A published registry with a webhook secret.
async fn example() -> TestRegistry {
    let registry = TestRegistry::of(&TestRegistry::example()).await.with("WEBHOOK_SECRET", SECRET);
    registry.refresh().await.unwrap();
    registry
}

async fn both(registry: &TestRegistry) -> [Serving; 2] {
    [registry.serve().await, registry.refreshing().await]
}

async fn connect(server: &Serving) -> TcpStream {
    let connected = TcpStream::connect(server.url.strip_prefix("http://").unwrap());
    timeout(PROMPT, connected).await.expect("the server takes connections").unwrap()
}

async fn send(server: &Serving, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(server).await;
    stream.write_all(bytes).await.unwrap();
    stream
}

/// All that a server sends until it closes a connection.
async fn until_closed(stream: &mut TcpStream, bound: Duration) -> String {
    let mut received = Vec::new();
    let closed = timeout(bound, stream.read_to_end(&mut received)).await;
    // A connection that is reset is closed as well.
    let _ = closed.unwrap_or_else(|_| panic!("open after {bound:?}: {:?}", String::from_utf8_lossy(&received)));
    String::from_utf8_lossy(&received).into_owned()
}

async fn health(server: &Serving) -> Duration {
    let start = Instant::now();
    let request = "GET /health HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\r\n";
    let answer = timeout(PROMPT, raw::ask(&server.url, request)).await.expect("/health answers promptly");
    assert_eq!(answer.status, 200, "{answer:?}");
    start.elapsed()
}

/// The head of a POST to refresh that announces a body.
fn head(path: &str, headers: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: registry\r\n{headers}content-length: {length}\r\n\r\n")
}

#[tokio::test]
async fn health_answers_while_600_heads_are_half_sent() {
    let registry = example().await;
    for mut server in both(&registry).await {
        let mut held = Vec::new();
        for _ in 0..600 {
            held.push(send(&server, HALF_A_HEAD).await);
        }
        let took = health(&server).await;
        println!("/health answered in {took:?}");
        server.logs("connection limit").await;
        let closed = held.iter_mut().map(|stream| Box::pin(until_closed(stream, PROMPT)));
        futures_util::future::select_all(closed).await;
    }
}

#[tokio::test]
async fn health_answers_while_half_sent_heads_take_all_file_descriptors() {
    let registry = example().await;
    for mut server in both(&registry).await {
        let id = server.process_id().to_string();
        let limited = Command::new("prlimit").args(["--pid", &id, "--nofile=256:256"]).status().await.unwrap();
        assert!(limited.success());
        let mut held = Vec::new();
        for _ in 0..400 {
            held.push(send(&server, HALF_A_HEAD).await);
        }
        let took = health(&server).await;
        println!("/health answered in {took:?}");
        server.logs("connection limit").await;
    }
}

#[tokio::test]
async fn head_that_never_ends_is_closed() {
    let registry = example().await;
    for server in both(&registry).await {
        let mut silent = connect(&server).await;
        let mut half = send(&server, HALF_A_HEAD).await;
        let second = send(&server, &[b"GET /health HTTP/1.1\r\nhost: registry\r\n\r\n", HALF_A_HEAD].concat()).await;
        assert_eq!(until_closed(&mut silent, HEAD_BOUND).await, "");
        assert_eq!(until_closed(&mut half, HEAD_BOUND).await, "");
        assert!(second.try_read(&mut [0; 12]).is_ok_and(|read| read == 12), "the whole request before has its answer");
    }
}

#[tokio::test]
async fn request_without_one_valid_host_is_400() {
    let registry = example().await;
    for server in both(&registry).await {
        for (start, hosts, status) in [
            ("GET /health HTTP/1.1", "host: registry\r\n", 200),
            ("GET /health HTTP/1.1", "Host: [::1]:8080\r\n", 200),
            ("GET /health HTTP/1.1", "host:\r\n", 200),
            ("GET /health HTTP/1.0", "", 200),
            ("GET http://other.example/health HTTP/1.1", "host: other.example\r\n", 200),
            ("GET /health HTTP/1.1", "", 400),
            ("GET http://other.example/health HTTP/1.1", "", 400),
            ("GET /health HTTP/1.1", "host: a.example\r\nhost: b.example\r\n", 400),
            ("GET /health HTTP/1.1", "host: a.example\r\nhost: a.example\r\n", 400),
            ("GET /health HTTP/1.0", "host: a.example\r\nhost: a.example\r\n", 400),
            ("GET /health HTTP/1.1", "host: a.example/health\r\n", 400),
            ("GET /health HTTP/1.1", "host: user@a.example\r\n", 400),
            ("GET /health HTTP/1.1", "host: a.example, b.example\r\n", 400),
            ("GET /health HTTP/1.1", "host: \u{e9}\r\n", 400),
        ] {
            let answer = raw::ask(&server.url, format!("{start}\r\n{hosts}connection: close\r\n\r\n")).await;
            assert_eq!(answer.status, status, "{start} {hosts:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn other_protocols_than_http_1_are_refused() {
    let registry = example().await;
    for server in both(&registry).await {
        let mut preface = send(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
        let answer = until_closed(&mut preface, PROMPT).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer:?}");
        for upgrade in ["h2c", "websocket"] {
            let upgrade = format!(
                "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close, upgrade, http2-settings\r\nupgrade: {upgrade}\r\n\
                 http2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
            );
            let answer = raw::ask(&server.url, upgrade).await;
            assert_eq!((answer.status, answer.header("upgrade")), (200, ""), "the upgrade is ignored: {answer:?}");
        }
        let tunnel = "CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\nconnection: close\r\n\r\n";
        let tunnel = raw::ask(&server.url, tunnel).await;
        assert!((400..500).contains(&tunnel.status), "{tunnel:?}");
    }
}

#[tokio::test]
async fn sigterm_ends_the_process_whatever_clients_hold_open() {
    let registry = example().await;
    for server in both(&registry).await {
        let signed = format!("x-hub-signature-256: sha256={}\r\n", "0".repeat(64));
        let mut idle = send(&server, b"GET /health HTTP/1.1\r\nhost: registry\r\n\r\n").await;
        let mut answer = [0; 12];
        timeout(PROMPT, idle.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let _held = [
            idle,
            connect(&server).await,
            send(&server, HALF_A_HEAD).await,
            send(&server, (head("/webhooks/github", &signed, 1000) + "{").as_bytes()).await,
        ];
        let url = server.url.clone();
        timeout(STOP_BOUND, server.stop()).await.unwrap_or_else(|_| panic!("{url} runs {STOP_BOUND:?} after SIGTERM"));
    }
}

#[tokio::test]
async fn malformed_credentials_are_401_before_the_body_is_sent() {
    let registry = example().await;
    let refresh = registry.refreshing().await;
    let hex = "0".repeat(64);
    let good = format!("x-hub-signature-256: sha256={hex}\r\n");
    let signature = |value: &str| format!("x-hub-signature-256: {value}\r\n");
    for headers in [
        String::new(),
        signature(""),
        signature(&hex),
        signature("sha256="),
        signature(&format!("sha256={}", &hex[1..])),
        signature(&format!("sha256={hex}0")),
        signature(&format!("sha256={}g", &hex[1..])),
        signature(&format!("sha1={hex}")),
        signature("sha256=\u{e9}"),
        good.repeat(2),
        format!("{good}authorization: Bearer e30.e30.e30\r\n"),
        "authorization: Bearer x\r\n".into(),
        "authorization: Basic eDp5\r\n".into(),
    ] {
        for path in ["/refresh", "/webhooks/github"] {
            let mut stream = send(&refresh, head(path, &headers, 900_000).as_bytes()).await;
            let answer = until_closed(&mut stream, PROMPT).await;
            assert!(answer.starts_with("HTTP/1.1 401 "), "{path} {headers:?}: {answer}");
            assert!(answer.to_ascii_lowercase().contains("\r\nwww-authenticate: bearer\r\n"), "{path}: {answer}");
            assert!(answer.ends_with(r#"{"status":"not authenticated"}"#), "{answer}");
        }
    }
}

/// Sends 300 requests with bodies of 900 kB at once; how the server answers each, and the memory that it took, in bytes.
async fn flood(refresh: &Serving, headers: &str, sent: usize) -> (Vec<String>, u64) {
    let peak = refresh.peak_memory();
    let before = peak.so_far();
    let request = [head("/webhooks/github", headers, 900_000).as_bytes(), &vec![b'x'; sent]].concat();
    let request: &'static [u8] = request.leak();
    let mut clients = JoinSet::new();
    for _ in 0..300 {
        let mut stream = connect(refresh).await;
        clients.spawn(async move {
            // The server may answer and close before it has read all.
            let _ = stream.write_all(request).await;
            until_closed(&mut stream, Duration::from_secs(60)).await
        });
    }
    health(refresh).await;
    (clients.join_all().await, peak.so_far() - before)
}

#[tokio::test]
async fn bodies_with_malformed_signatures_take_no_memory() {
    let registry = example().await;
    let refresh = registry.refreshing().await;
    let (answers, memory) = flood(&refresh, "x-hub-signature-256: sha256=0\r\n", 900_000).await;
    println!("{} kB for 300 bodies", memory >> 10);
    assert!(memory < 32 << 20, "{memory}");
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 401 ")), "{answers:?}");
}

#[tokio::test]
async fn bodies_that_never_end_take_bounded_memory_and_time() {
    let registry = example().await;
    let refresh = registry.refreshing().await;
    let wrong = signature("another secret of the tests", b"").unwrap();
    let (answers, memory) = flood(&refresh, &format!("x-hub-signature-256: {wrong}\r\n"), 899_999).await;
    println!("{} kB for 300 bodies", memory >> 10);
    assert!(memory < 96 << 20, "{memory}");
    for answer in &answers {
        let busy = answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: ");
        assert!(busy || answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    }
    assert!(answers.iter().any(|answer| answer.starts_with("HTTP/1.1 503 ")));
}
