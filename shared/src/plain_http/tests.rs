//! Real sockets, and a clock that leaps to the next timer whenever all of them are silent.

use std::net::Ipv4Addr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;

const TIMEOUTS: Timeouts = Timeouts::DEFAULT;
const GRACE: Duration = Duration::from_secs(8);
const LARGE: usize = 32 << 20;

/// Time that passes until a connection that is overdue is closed: the rest of a sweep, and the client's own part.
const LATE: Duration = Duration::from_secs(4);

const HALF: &str = "GET / HTTP/1.1\r\nhost: a\r\nx: ";

/// A server whose answer depends on the path: `/wait` waits for `released`, `/large` is large, `/body` is as long as the request's
/// body, anything else is short.
struct Running {
    address: SocketAddr,
    /// Counts requests that have come to wait.
    waiting: Arc<Semaphore>,
    released: Arc<Semaphore>,
    /// Counts large answers that are no longer in memory.
    dropped: Arc<Semaphore>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Instant>,
}

struct Large(Vec<u8>, Arc<Semaphore>);

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        self.1.add_permits(1);
    }
}

async fn start(connections: usize) -> Running {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = Server { listener, timeouts: TIMEOUTS, connections };
    let address = server.address().unwrap();
    let [waiting, released, dropped] = [(); 3].map(|()| Arc::new(Semaphore::new(0)));
    let shared = (Arc::clone(&waiting), Arc::clone(&released), Arc::clone(&dropped));
    let answer = move |request: Request<RequestBody>| {
        let (waiting, released, large) = shared.clone();
        async move {
            let body = match request.uri().path() {
                "/wait" => {
                    waiting.add_permits(1);
                    released.acquire().await.unwrap().forget();
                    Bytes::from("waited")
                }
                "/large" => Bytes::from_owner(Large(vec![b'x'; LARGE], large)),
                "/body" => match request.into_body().collect().await {
                    Ok(body) => Bytes::from(body.to_bytes().len().to_string()),
                    Err(_) => Bytes::from("cut off"),
                },
                _ => Bytes::from("short"),
            };
            Response::new(Full::new(body))
        }
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let server = tokio::spawn(server.run(answer, stopped, GRACE));
    Running { address, waiting, released, dropped, stop, server }
}

impl Running {
    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// A connection whose request waits for `released`.
    async fn waiting(&self) -> TcpStream {
        let stream = self.send(&get("/wait")).await;
        self.waiting.acquire().await.unwrap().forget();
        stream
    }

    /// A connection whose first request has its answer.
    async fn idle(&self) -> TcpStream {
        let mut stream = self.send(&get("/")).await;
        assert!(answer(&mut stream).await.ends_with("short"));
        stream
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// The next answer, which has a short body.
async fn answer(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let ends: [&[u8]; 4] = [b"short", b"waited", b"off", b"000"];
    while !ends.iter().any(|end| received.ends_with(end)) {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).await.unwrap(), 1, "{:?}", String::from_utf8_lossy(&received));
        received.push(byte[0]);
    }
    String::from_utf8(received).unwrap()
}

/// Waits until the server has done all that it can: only then does the clock leap.
async fn quiet() {
    sleep(Duration::from_millis(1)).await;
}

/// All that is received until the server closes the connection, and when it did.
async fn until_closed(stream: &mut TcpStream) -> (String, Instant) {
    let mut received = Vec::new();
    let closed = timeout(TIMEOUTS.idle * 2, stream.read_to_end(&mut received)).await;
    let _reset = closed.expect("the server closes the connection");
    (String::from_utf8(received).unwrap(), Instant::now())
}

fn assert_took(start: Instant, end: Instant, timeout: Duration) {
    let took = end.duration_since(start);
    assert!((timeout..timeout + LATE).contains(&took), "{took:?} instead of {timeout:?}");
}

#[tokio::test(start_paused = true)]
async fn head_that_does_not_arrive_is_closed_after_the_head_timeout() {
    let server = start(10).await;
    for sent in ["", "GET", HALF] {
        let start = Instant::now();
        let mut stream = server.send(sent).await;
        let (received, end) = until_closed(&mut stream).await;
        assert_eq!(received, "");
        assert_took(start, end, TIMEOUTS.head);
    }
    let mut stream = server.idle().await;
    let start = Instant::now();
    stream.write_all(HALF.as_bytes()).await.unwrap();
    assert_took(start, until_closed(&mut stream).await.1, TIMEOUTS.head);
}

#[tokio::test(start_paused = true)]
async fn head_that_drips_is_closed_after_the_head_timeout() {
    let server = start(10).await;
    let mut stream = server.send(HALF).await;
    let start = Instant::now();
    let mut second = interval(Duration::from_secs(1));
    while stream.try_read(&mut [0]).is_err() && start.elapsed() < TIMEOUTS.head * 3 {
        second.tick().await;
        let _closed = stream.write_all(b"x").await;
    }
    assert_took(start, Instant::now(), TIMEOUTS.head);
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_closed_after_the_idle_timeout() {
    let server = start(10).await;
    let mut stream = server.idle().await;
    let start = Instant::now();
    let mut again = interval(TIMEOUTS.idle - LATE);
    again.tick().await;
    again.tick().await;
    stream.write_all(get("/").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.ends_with("short"), "kept for {:?}", start.elapsed());
    let start = Instant::now();
    assert_took(start, until_closed(&mut stream).await.1, TIMEOUTS.idle);
}

#[tokio::test(start_paused = true)]
async fn answer_that_nobody_reads_is_dropped_after_the_unread_timeout() {
    let server = start(10).await;
    let _stream = server.send(&get("/large")).await;
    let start = Instant::now();
    server.dropped.acquire().await.unwrap().forget();
    assert_took(start, Instant::now(), TIMEOUTS.unread);
}

#[tokio::test(start_paused = true)]
async fn slow_reader_has_the_whole_answer() {
    let server = start(10).await;
    let mut stream = server.send("GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let start = Instant::now();
    let mut pause = interval(TIMEOUTS.unread / 3);
    let (mut received, mut last) = (0, 1);
    while last > 0 {
        pause.tick().await;
        last = (&mut stream).take(4 << 20).read_to_end(&mut Vec::new()).await.unwrap();
        received += last;
    }
    assert!(received > LARGE && start.elapsed() > TIMEOUTS.unread * 2, "{received} in {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn client_that_still_sends_has_the_answer() {
    let server = start(10).await;
    let body = "x".repeat(8 << 20);
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut stream = server.send(&(head + &body)).await;
    let (received, _) = until_closed(&mut stream).await;
    assert!(received.starts_with("HTTP/1.1 200 ") && received.ends_with("short"), "{received}");
}

#[tokio::test(start_paused = true)]
async fn body_is_read_by_the_answer() {
    let server = start(10).await;
    let mut stream = server.send("POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n").await;
    stream.write_all(&[b'x'; 1000]).await.unwrap();
    assert!(answer(&mut stream).await.ends_with("1000"));
}

#[tokio::test(start_paused = true)]
async fn connection_beyond_the_limit_displaces_the_longest_waiting() {
    let server = start(3).await;
    let mut waits = server.waiting().await;
    let mut first = server.send(HALF).await;
    quiet().await;
    let mut second = server.send("POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n").await;
    quiet().await;
    let start = Instant::now();
    let mut third = server.idle().await;
    assert_eq!(until_closed(&mut first).await.0, "");
    quiet().await;
    let mut fourth = server.idle().await;
    assert_eq!(until_closed(&mut second).await.0, "");
    assert!(start.elapsed() < TIMEOUTS.head, "displaced, not overdue");
    for stream in [&mut third, &mut fourth] {
        stream.write_all(get("/").as_bytes()).await.unwrap();
        assert!(answer(stream).await.ends_with("short"), "younger connections stay");
    }
    server.released.add_permits(1);
    assert!(answer(&mut waits).await.ends_with("waited"), "a client that waits is not displaced");
}

#[tokio::test(start_paused = true)]
async fn connection_waits_while_all_others_are_answered() {
    let server = start(2).await;
    let mut busy = [server.waiting().await, server.waiting().await];
    let mut waiting = server.send(&get("/")).await;
    let early = timeout(TIMEOUTS.head * 2, waiting.read(&mut [0])).await;
    assert!(early.is_err(), "{early:?}");
    server.released.add_permits(2);
    assert!(answer(&mut waiting).await.ends_with("short"));
    for stream in &mut busy {
        assert!(answer(stream).await.ends_with("waited"));
    }
}

#[tokio::test(start_paused = true)]
async fn stop_closes_what_clients_hold_open_and_finishes_answers() {
    let server = start(10).await;
    let mut waits = server.waiting().await;
    let mut held = [
        server.send("").await,
        server.send(HALF).await,
        server.idle().await,
        server.send("POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nx").await,
        server.send(&get("/large")).await,
    ];
    let start = Instant::now();
    server.stop.send(()).unwrap();
    // The last one must not read.
    for stream in &mut held[..4] {
        assert!(until_closed(stream).await.1.duration_since(start) < TIMEOUTS.stop + LATE);
    }
    assert!(!server.server.is_finished());
    server.released.add_permits(1);
    assert!(answer(&mut waits).await.ends_with("waited"));
    server.server.await.unwrap();
    assert!(start.elapsed() < GRACE, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn stop_gives_up_answers_after_the_grace() {
    let server = start(10).await;
    let mut waits = server.waiting().await;
    let start = Instant::now();
    server.stop.send(()).unwrap();
    let end = server.server.await.unwrap();
    assert_eq!(end.duration_since(start), GRACE);
    assert_eq!(start.elapsed(), GRACE);
    assert_eq!(until_closed(&mut waits).await.0, "");
}
