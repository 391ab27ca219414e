//! One connection that is kept, as clients keep theirs; none is opened in place of one that breaks without an error.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longest that an answer may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct TimedAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The time at which it was asked for.
    pub(super) begin: Instant,
    pub(super) took: Duration,
}

impl TimedAnswer {
    /// Returns the value of a header; empty when it is missing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A connection, opened by the first request and by the first one after an error.
#[derive(Debug)]
pub(super) struct Connection {
    address: String,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

impl Connection {
    /// A connection to an address, `host:port`.
    pub(super) fn to(address: &str) -> Self {
        Self { address: address.to_owned(), sender: None }
    }

    /// Answers a GET.
    ///
    /// # Errors
    /// The connection breaks, or the answer is not complete in time.
    pub(super) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<TimedAnswer> {
        let mut sender = match self.sender.take() {
            Some(sender) => sender,
            None => open(&self.address).await?,
        };
        let answer = tokio::time::timeout(TIMEOUT, exchange(&mut sender, &self.address, path, headers));
        let answer = answer.await.with_context(|| format!("{path}: not within {TIMEOUT:?}"))?;
        let answer = answer.with_context(|| path.to_owned())?;
        self.sender = Some(sender);
        Ok(answer)
    }
}

async fn open(address: &str) -> Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Requests report its errors.
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(
    sender: &mut SendRequest<Empty<Bytes>>,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<TimedAnswer> {
    let mut request = Request::get(path).header(HOST, host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let begin = Instant::now();
    sender.ready().await?;
    let answer = sender.send_request(request.body(Empty::new())?).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(TimedAnswer { status: head.status, headers: head.headers, body, begin, took: begin.elapsed() })
}
