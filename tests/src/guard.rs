//! A guard before a registry without authentication: it issues tokens, and admits requests that have one
//! (distribution specification of Docker, "Token Authentication", which OCI registries follow).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The name and password that the guard gives tokens to.
pub const KNOWN: (&str, &str) = ("kiln", "kiln-password");

/// The behaviour of a guard beside asking for tokens.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// Calls that a token is good for.
    pub calls: usize,
    /// Another address, `host:port`, where blobs are uploaded to and read from.
    pub blobs_at: Option<String>,
    /// Another address, `host:port`, that it names as the one that gives tokens.
    pub realm_at: Option<String>,
}

/// A guard. It ends when this is dropped.
#[derive(Debug)]
pub struct Guard {
    address: SocketAddr,
    shared: Arc<GuardState>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct GuardState {
    address: SocketAddr,
    target: String,
    manners: Manners,
    client: reqwest::Client,
    password: Mutex<String>,
    /// The repository that a token is for, and the calls that are left to it.
    tokens: Mutex<HashMap<String, (String, usize)>>,
    issued: AtomicUsize,
}

impl Guard {
    /// A guard before the registry at an address, `host:port`.
    pub async fn start(target: &str, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(GuardState {
            address,
            target: target.to_owned(),
            manners,
            client: crate::http::direct_client().clone(),
            password: Mutex::new(KNOWN.1.to_owned()),
            tokens: Mutex::default(),
            issued: AtomicUsize::new(0),
        });
        let router = Router::new().route("/token", get(give)).fallback(pass).with_state(Arc::clone(&shared));
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

    /// Ends all tokens, and gives new ones for another password alone.
    pub fn rotate(&self, password: &str) {
        *self.shared.password.lock().unwrap_or_else(PoisonError::into_inner) = password.to_owned();
        self.shared.tokens.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The number of tokens that it gave.
    pub fn issued(&self) -> usize {
        self.shared.issued.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Issues a token for `scope`, `repository:<name>:<actions>`, to permitted callers.
async fn give(State(shared): State<Arc<GuardState>>, request: Request<Body>) -> Response {
    let password = shared.password.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let known = format!("Basic {}", STANDARD.encode(format!("{}:{password}", KNOWN.0)));
    if request.headers().get(AUTHORIZATION).is_none_or(|shown| shown.as_bytes() != known.as_bytes()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let url = reqwest::Url::parse(&format!("http://{}{}", shared.address, request.uri())).ok();
    let scope = url.and_then(|url| Some(url.query_pairs().find(|(name, _)| name == "scope")?.1.into_owned()));
    let scope = scope.as_deref().and_then(|scope| scope.strip_prefix("repository:")?.rsplit_once(':'));
    let Some((repository, _)) = scope else { return StatusCode::BAD_REQUEST.into_response() };
    let token = format!("token-{}", shared.issued.fetch_add(1, Ordering::Relaxed));
    let good_for = (repository.to_owned(), shared.manners.calls);
    shared.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), good_for);
    let answer = json!({"token": token, "expires_in": 300}).to_string();
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}

async fn pass(State(shared): State<Arc<GuardState>>, request: Request<Body>) -> Response {
    // As some registries are.
    if *request.method() == Method::POST && !request.headers().contains_key(CONTENT_LENGTH) {
        return StatusCode::LENGTH_REQUIRED.into_response();
    }
    if !shared.lets_through(&request) {
        let realm = shared.manners.realm_at.clone().unwrap_or_else(|| shared.address.to_string());
        let challenge = format!("Bearer realm=\"http://{realm}/token\",service=\"guard\"");
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response();
    }
    let path = request.uri().path();
    if let Some(other_host) = &shared.manners.blobs_at
        && *request.method() == Method::GET
        && path.contains("/blobs/sha256:")
    {
        return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, format!("http://{other_host}{path}"))]).into_response();
    }
    let mut answer = forward(&shared.client, &shared.target, request).await;
    if let (Some(other_host), Some(place)) = (&shared.manners.blobs_at, answer.headers().get(LOCATION))
        && let Ok(place) = place.to_str()
        && place.contains("/blobs/uploads/")
        && let Ok(place) = HeaderValue::from_str(&place.replace(&shared.address.to_string(), other_host))
    {
        answer.headers_mut().insert(LOCATION, place);
    }
    answer
}

/// Passes a request on to a registry at an address, `host:port`, without its credentials.
pub(crate) async fn forward(client: &reqwest::Client, target: &str, request: Request<Body>) -> Response {
    let (mut head, body) = request.into_parts();
    head.headers.remove(AUTHORIZATION);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let sent = client.request(head.method, format!("http://{target}{path}")).headers(head.headers);
    let Ok(answer) = sent.body(body.to_bytes()).send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    axum::http::Response::from(answer).map(Body::new)
}

impl GuardState {
    /// Whether a request shows a token for its repository that is still good.
    fn lets_through(&self, request: &Request<Body>) -> bool {
        let shown = request.headers().get(AUTHORIZATION).and_then(|shown| shown.to_str().ok()?.strip_prefix("Bearer "));
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((repository, calls)) = shown.and_then(|token| tokens.get_mut(token)) else { return false };
        if *calls == 0 || !request.uri().path().starts_with(&format!("/v2/{repository}/")) {
            return false;
        }
        *calls -= 1;
        true
    }
}
