//! A faulty way to a real server: passes requests on until it is told to do something else.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::github::{Fault, Faults};

/// A proxy in front of a server. It ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<ProxyState>,
    server: JoinHandle<()>,
}

/// A number of writes, for several proxies together, after which nothing gets through any more.
#[derive(Debug, Clone)]
pub struct Fuse(Arc<(AtomicI64, Notify)>);

#[derive(Debug)]
struct ProxyState {
    target: String,
    client: reqwest::Client,
    faults: Faults,
    fuse: Fuse,
    rate: Mutex<Option<Rate>>,
    requests: Mutex<Vec<String>>,
    headers: Mutex<Vec<HeaderMap>>,
}

/// A rate limit: so many requests a second, and as many at once after a pause.
#[derive(Debug)]
struct Rate {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Rate {
    /// Whether one more request is within the limit.
    fn takes(&mut self) -> bool {
        let now = Instant::now();
        let refilled = self.left + (now - self.at).as_secs_f64() * self.per_second;
        (self.left, self.at) = (refilled.min(self.per_second), now);
        let takes = self.left >= 1.0;
        self.left -= if takes { 1.0 } else { 0.0 };
        takes
    }
}

impl Default for Fuse {
    fn default() -> Self {
        Self(Arc::new((AtomicI64::new(i64::MAX), Notify::new())))
    }
}

impl Fuse {
    /// So many writes get through from now on.
    pub fn set(&self, writes: Option<u32>) {
        self.0.0.store(writes.map_or(i64::MAX, i64::from), Ordering::SeqCst);
    }

    /// Waits until a write did not get through.
    pub async fn blown(&self) {
        self.0.1.notified().await;
    }

    /// Lets a write through, or none any more: then it never ends.
    pub async fn pass(&self) {
        if !self.burn() {
            std::future::pending::<()>().await;
        }
    }

    fn burn(&self) -> bool {
        let left = self.0.0.fetch_sub(1, Ordering::SeqCst) > 0;
        if !left {
            self.0.1.notify_one();
        }
        left
    }
}

impl Proxy {
    /// A proxy on a free port in front of the server at an address, `host:port`.
    pub async fn start(target: &str, fuse: Fuse) -> Self {
        let shared = Arc::new(ProxyState {
            target: format!("http://{}", target.trim_start_matches("http://")),
            client: crate::http::direct_client().clone(),
            faults: Faults::default(),
            fuse,
            rate: Mutex::default(),
            requests: Mutex::default(),
            headers: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // Ends with the task, and only then.
            let _ = axum::serve(listener, router).await;
        });
        Self { address, shared, server }
    }

    /// Returns the address on which it listens, `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns the faults to produce, by `METHOD /path`. Refused requests, and those delayed for ever, do not reach the server.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// So many requests a second get through from now on; beyond that the answer is 429 with `Retry-After`.
    pub fn limit_rate(&self, per_second: Option<u32>) {
        let rate =
            per_second.map(f64::from).map(|per_second| Rate { per_second, left: per_second, at: Instant::now() });
        *self.shared.rate.lock().unwrap_or_else(PoisonError::into_inner) = rate;
    }

    /// The requests so far, as `METHOD /path`; the list starts anew.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A header of each request so far that has it; the list starts anew.
    pub fn take_headers(&self, name: &str) -> Vec<String> {
        let headers = std::mem::take(&mut *self.shared.headers.lock().unwrap_or_else(PoisonError::into_inner));
        let values = headers.iter().filter_map(|headers| headers.get(name));
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    /// Nobody listens any more.
    pub fn stop(&self) {
        self.server.abort();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(State(shared): State<Arc<ProxyState>>, request: Request<Body>) -> Response {
    let rate = shared.rate.lock().unwrap_or_else(PoisonError::into_inner).as_mut().is_none_or(Rate::takes);
    if !rate {
        let limited = Fault::RateLimit { status: 429, retry_after: Some(1), reset: None };
        return limited.apply(Response::default()).await;
    }
    let what = format!("{} {}", request.method(), request.uri().path());
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(what.clone());
    shared.headers.lock().unwrap_or_else(PoisonError::into_inner).push(request.headers().clone());
    // Beginning an upload changes nothing yet.
    let writes = matches!(*request.method(), Method::PUT | Method::DELETE | Method::PATCH);
    if writes && !shared.fuse.burn() {
        return Fault::Status { status: 503 }.apply(Response::default()).await;
    }
    match shared.faults.take(&what) {
        Some(
            fault @ (Fault::Status { .. } | Fault::RateLimit { .. } | Fault::Hang | Fault::Page | Fault::Answer { .. }),
        ) => fault.apply(Response::default()).await,
        Some(fault) => fault.apply(forward(&shared, request).await).await,
        None => forward(&shared, request).await,
    }
}

async fn forward(shared: &ProxyState, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let Ok(body) = body.collect().await else { return status(StatusCode::BAD_REQUEST) };
    // The host stays that of the proxy: it is signed, and uploads are continued through the proxy.
    let sent = shared
        .client
        .request(head.method.clone(), format!("{}{path}", shared.target))
        .headers(head.headers)
        .body(body.to_bytes())
        .send()
        .await;
    let Ok(answer) = sent else { return status(StatusCode::BAD_GATEWAY) };
    let (code, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(HeaderName::from_static("transfer-encoding"));
    let Ok(content) = answer.bytes().await else { return status(StatusCode::BAD_GATEWAY) };
    let content = if head.method == Method::HEAD { Bytes::new() } else { content };
    let mut response = Response::new(Body::from(content));
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    response
}

fn status(code: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = code;
    response
}
