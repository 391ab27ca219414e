//! Fetches from a server with every fault that there is.

use tokio::net::TcpSocket;

use super::server::{TestServer, ok};
use super::*;

/// A server with every fault. `/redirect/<URL>` redirects to the URL, `/stall` never ends.
async fn faulty() -> TestServer {
    TestServer::start(|path, head| reply(path, head).into_bytes()).await
}

/// Fetches with rules that allow this server alone.
async fn get_from(server: &TestServer, path: &str) -> Result<Bytes, FetchError> {
    let rules = Rules { loopback: Loopback::Only(server.address), ..Rules::default() };
    get(&Fetcher::new(rules), &server.url(path)).await
}

fn reply(path: &str, head: &str) -> String {
    let close = "connection: close\r\n";
    if let Some(target) = path.strip_prefix("/redirect/") {
        return format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\n{close}\r\n");
    }
    match path {
        "/ok" => format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\netag: \"one\"\r\n{close}\r\nhello"),
        "/head" => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{close}\r\n{head}", head.len()),
        "/etag" if head.contains("if-none-match: \"one\"\r\n") => format!("HTTP/1.1 304 Not Modified\r\n{close}\r\n"),
        "/etag" => format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{close}\r\n"),
        "/gone" => format!("HTTP/1.1 410 Gone\r\n{close}\r\n"),
        "/busy" => format!("HTTP/1.1 503 Service Unavailable\r\n{close}\r\n"),
        "/limited" => format!("HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\n{close}\r\n"),
        "/nowhere" => format!("HTTP/1.1 302 Found\r\n{close}\r\n"),
        "/round" => format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: /round\r\n{close}\r\n"),
        "/stall" => String::new(),
        "/half/stall" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe".to_owned(),
        "/long" => format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n{close}\r\n"),
        "/short" => format!("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n{close}\r\nhello"),
        "/unsaid" => format!("HTTP/1.1 200 OK\r\n{close}\r\n{}", "x".repeat(1000)),
        "/chunks" => format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{close}\r\n3e8\r\n{}\r\n0\r\n\r\n",
            "x".repeat(1000)
        ),
        "/noise" => "SSH-2.0-noise\r\n\r\n".to_owned(),
        _ => format!("HTTP/1.1 404 Not Found\r\n{close}\r\n"),
    }
}

async fn get(fetcher: &Fetcher, url: &str) -> Result<Bytes, FetchError> {
    let time = if url.ends_with("stall") { Duration::from_millis(700) } else { Duration::from_secs(60) };
    let request = Request { url, limit: 600, time, known: None };
    match fetcher.get(&request).await? {
        FetchAnswer::Found(body) => body.bytes().await,
        FetchAnswer::NotModified => panic!("nothing was known"),
    }
}

#[tokio::test]
async fn fetched_content_is_whole_and_its_request_names_no_user() {
    let server = faulty().await;
    assert_eq!(get_from(&server, "/ok").await.unwrap(), "hello");
    assert_eq!(get_from(&server, "/redirect//ok").await.unwrap(), "hello", "a relative redirect");
    let sent = String::from_utf8(get_from(&server, "/head").await.unwrap().to_vec()).unwrap().to_lowercase();
    let names: Vec<&str> = sent.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    for name in &names {
        assert!(["accept", "accept-encoding", "user-agent", "host"].contains(name), "{sent}");
    }
    assert!(sent.contains("accept-encoding: identity\r\n"), "{sent}");
}

#[tokio::test]
async fn a_known_state_is_not_sent_again() {
    let server = faulty().await;
    let fetcher = Fetcher::new(Rules { loopback: Loopback::Allowed, ..Rules::default() });
    let time = Duration::from_secs(5);
    let ok = server.url("/ok");
    let answer = fetcher.get(&Request { url: &ok, limit: 5, time, known: None }).await.unwrap();
    let FetchAnswer::Found(body) = answer else { panic!("nothing was known") };
    let etag = body.etag.clone().unwrap();
    let mut file = Vec::new();
    assert_eq!(body.write_to(&mut file).await, Ok(5));
    assert_eq!((etag.as_str(), file.as_slice()), ("\"one\"", &b"hello"[..]));
    let url = server.url("/etag");
    let answer = fetcher.get(&Request { url: &url, limit: 5, time, known: Some(&etag) }).await.unwrap();
    assert!(matches!(answer, FetchAnswer::NotModified));
    let answer = fetcher.get(&Request { url: &url, limit: 5, time, known: Some("\"two\"") }).await.unwrap();
    assert!(matches!(answer, FetchAnswer::Found(_)));
}

#[tokio::test]
async fn every_fault_has_its_name() {
    let server = faulty().await;
    for (path, reason) in [
        ("/missing", Reason::NotFound),
        ("/gone", Reason::NotFound),
        ("/busy", Reason::Status(503)),
        ("/limited", Reason::Wait(429, Duration::from_secs(7))),
        ("/nowhere", Reason::Status(302)),
        ("/round", Reason::Redirects(limits::REDIRECTS)),
        ("/stall", Reason::Slow),
        ("/half/stall", Reason::Slow),
        ("/redirect//stall", Reason::Slow),
        ("/long", Reason::TooLarge(600)),
        ("/unsaid", Reason::TooLarge(600)),
        ("/chunks", Reason::TooLarge(600)),
    ] {
        assert_eq!(get_from(&server, path).await.unwrap_err().reason, reason, "{path}");
    }
    for path in ["/short", "/noise"] {
        let reason = get_from(&server, path).await.unwrap_err().reason;
        assert!(matches!(reason, Reason::Broken(_)), "{path}: {reason:?}");
    }
    // It keeps its port to itself, and takes no connection.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = socket.local_addr().unwrap();
    let fetcher = Fetcher::new(Rules { loopback: Loopback::Allowed, ..Rules::default() });
    let error = get(&fetcher, &format!("http://{nobody}/?token=secret")).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Refused(_)), "{error:?}");
    assert!(error.to_string().starts_with("127.0.0.1: no connection: "), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn redirect_to_a_private_address_is_refused() {
    let server = faulty().await;
    let other = faulty().await;
    for target in [
        &other.url("/ok"),
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data/iam/",
        "http://169.254.169.254/latest/meta-data/iam/",
        "https://[fd00:ec2::254]/",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "http://example.org/",
        "file:///etc/passwd",
        "https://me:secret@example.org/",
    ] {
        let error = get_from(&server, &format!("/redirect/{target}")).await.unwrap_err();
        assert!(matches!(error.reason, Reason::NotAllowed(_)), "{target}: {error}");
    }
    let error = get_from(&server, "/redirect/https://10.0.0.1/").await.unwrap_err().to_string();
    assert_eq!(error, "10.0.0.1 (redirected from 127.0.0.1): not allowed: its address is not on the public internet");
}

/// The name `localhost` passes as a name, and is refused once it is resolved.
#[tokio::test]
async fn name_that_resolves_to_this_machine_is_refused() {
    let server = faulty().await;
    let url = format!("https://localhost:{}/ok", server.address.port());
    let error = get(&Fetcher::new(Rules::default()), &url).await.unwrap_err();
    assert!(matches!(error.reason, Reason::NotAllowed(_)), "{error:?}");
    let error = get(&Fetcher::new(Rules::default()), "https://nobody.invalid/").await.unwrap_err();
    assert_eq!(error.reason, Reason::Unresolved);
    let fetcher = Fetcher::new(Rules { loopback: Loopback::Allowed, ..Rules::default() });
    let url = format!("http://localhost:{}/ok", server.address.port());
    assert_eq!(get(&fetcher, &url).await.unwrap(), "hello");
}

#[tokio::test]
async fn authorization_stays_with_the_origin_of_the_url() {
    let shown =
        |_: &str, head: &str| ok(if head.contains("authorization: Basic eA==") { &b"shown"[..] } else { b"none" }, "");
    let other = TestServer::start(shown).await;
    let location = other.url("/x");
    let server = TestServer::start(move |path, head| match path {
        "/there" => {
            format!("HTTP/1.1 307 T\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into()
        }
        "/here" => b"HTTP/1.1 307 T\r\nlocation: /x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
        _ => shown(path, head),
    })
    .await;
    let fetcher = Fetcher::new(Rules { loopback: Loopback::Allowed, ..Rules::default() });
    let authorization = HeaderValue::from_static("Basic eA==");
    for (path, expected) in [("/x", "shown"), ("/here", "shown"), ("/there", "none")] {
        let url = server.url(path);
        let request = Request { url: &url, limit: 100, time: Duration::from_secs(30), known: None };
        let message = Message { authorization: Some(&authorization), ..Message::default() };
        let FetchAnswer::Found(body) = fetcher.ask(&request, message).await.unwrap() else { panic!("{path}") };
        assert_eq!(body.bytes().await.unwrap(), expected, "{path}");
    }
}
