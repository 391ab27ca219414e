//! Requests as they are written, for those that no HTTP client would send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answer::Answer;
use crate::bounded::within_a_minute;

/// Sends a request to a server and reads until it closes the connection, so the request must ask for that.
pub async fn ask(url: &str, request: impl AsRef<[u8]>) -> Answer {
    let address = url.strip_prefix("http://").expect("the URL of a server that speaks plain HTTP");
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    // A server may answer and close before it has read all of a request that is too large.
    let _ = stream.write_all(request.as_ref()).await;
    let mut received = Vec::new();
    let _ = within_a_minute("the server answers and closes", stream.read_to_end(&mut received)).await;
    parse(&received)
}

fn parse(received: &[u8]) -> Answer {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("this is no answer: {:?}", String::from_utf8_lossy(received));
    });
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: received[end + 4..].to_vec().into() }
}
