//! GitHub, as far as a registry needs it: a server on the loopback that answers from a real Git repository.
//!
//! It keeps nothing that `git` can tell, so that a commit made beside it is there at once. It keeps the additions of GitHub to Git in
//! memory: commit statuses, Apps and their tokens, keys for OIDC tokens. [`Faults`] go wrong as networks and services do.
//!
//! - `rest`: the API; `git`: the source of its answers
//! - `download`: the Git protocol, and archives for starter projects
//! - `access`: permissions; `keys`, `oidc`: tokens; `webhook`: push events
//! - `proposal`: pull requests and merge requests that are opened, pushed and merged
//! - `control`: settings by tests and scripts, below `/_control/`

mod access;
mod control;
mod download;
mod faults;
mod git;
mod keys;
mod oidc;
mod proposal;
mod reply;
mod rest;
mod webhook;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::HttpBody;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use access::{APP_ID, Access, CLIENT_ID};
pub use faults::{Fault, Faults};
pub use git::Git;
pub use keys::SigningKey;
pub use webhook::{PullRequest, Webhook, push_event, signature};

use self::access::Grants;
use self::reply::Refusal;
use crate::feedback::Written;

/// Largest body of a request, in bytes. One that wants all objects of a large repository has 50 bytes for each.
const BODY: usize = 4 << 20;

/// A running stand-in. It ends when this is dropped.
#[derive(Debug)]
pub struct GitHub {
    url: String,
    shared: Arc<GitHubState>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct GitHubState {
    git: Git,
    owner: String,
    /// The names that the repository had, the present one last.
    names: Mutex<Vec<String>>,
    repository_id: u64,
    faults: Faults,
    oidc: SigningKey,
    app: SigningKey,
    grants: Mutex<Grants>,
    statuses: Mutex<Vec<Value>>,
    /// Comments on pull requests; the number of each is its place, from 1.
    comments: Mutex<Vec<Value>>,
    /// Statuses and comments by the APIs of other hosts, as which it serves as well.
    written: Written,
    requests: Mutex<Vec<String>>,
    sent_bytes: AtomicU64,
    /// The commit that so many next questions about references are answered with, as by a server that lags behind.
    late: Mutex<Option<(String, usize)>>,
    has_filters: AtomicBool,
}

/// A request, read to its end.
#[derive(Debug)]
struct Asked {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
}

impl GitHub {
    /// Serves the repository in a folder as `OWNER/NAME`. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start(folder: &Path, owner: &str, name: &str, listen: SocketAddr) -> Result<Self> {
        let shared = Arc::new(GitHubState {
            git: Git::new(folder),
            owner: owner.to_owned(),
            names: Mutex::new(vec![name.to_owned()]),
            repository_id: 4_242,
            faults: Faults::default(),
            oidc: SigningKey::generate("oidc-1")?,
            app: SigningKey::generate("app")?,
            grants: Mutex::default(),
            statuses: Mutex::default(),
            comments: Mutex::default(),
            written: Written::default(),
            requests: Mutex::default(),
            sent_bytes: AtomicU64::default(),
            late: Mutex::default(),
            has_filters: AtomicBool::new(true),
        });
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move {
            // Ends with the task, and only then.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, shared, server })
    }

    /// The stand-in on a free port, with the repository `example/registry`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_example(folder: &Path) -> Result<Self> {
        Self::start(folder, "example", "registry", SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The base URL: that of the API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The issuer of OIDC tokens.
    pub fn issuer(&self) -> String {
        oidc::issuer(&self.url)
    }

    /// The repository's id, as OIDC tokens and push events have it.
    pub fn repository_id(&self) -> u64 {
        self.shared.repository_id
    }

    /// Returns the faults to produce.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The requests so far, as `METHOD /path`, those to the control endpoint left out; the list starts anew.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.requests))
    }

    /// The bytes of the bodies of all answers so far; the count starts anew.
    pub fn take_sent_bytes(&self) -> u64 {
        self.shared.sent_bytes.swap(0, Ordering::Relaxed)
    }

    /// Commit statuses, the oldest first.
    pub fn statuses(&self) -> Vec<Value> {
        lock(&self.shared.statuses).clone()
    }

    /// Comments on pull requests, the oldest first.
    pub fn comments(&self) -> Vec<Value> {
        lock(&self.shared.comments).clone()
    }

    /// Statuses and comments by the APIs of other hosts.
    pub fn written(&self) -> &Written {
        &self.shared.written
    }

    /// Sets the permissions; at first everybody may read and every token may write.
    pub fn set_access(&self, access: Access) {
        lock(&self.shared.grants).access = access;
    }

    /// The private key of the App [`APP_ID`], which is installed on the repository.
    pub fn app_key_pem(&self) -> &str {
        self.shared.app.pem()
    }

    /// The tokens of the App's installation given so far are no longer good.
    pub fn revoke_installation_tokens(&self) {
        lock(&self.shared.grants).installation_tokens.clear();
    }

    /// Gives the repository another name. From the former one, GitHub redirects: reads with 301, writes with 307.
    pub fn rename(&self, name: &str) {
        lock(&self.shared.names).push(name.to_owned());
    }

    /// Sends whole packs from now on, as Git hosts do that have no filters.
    pub fn refuse_filters(&self) {
        self.shared.has_filters.store(false, Ordering::Relaxed);
    }

    /// Answers the next questions about references as a server does that has not seen the commits after `commit`.
    pub fn lag_behind(&self, commit: &str, questions: usize) {
        *lock(&self.shared.late) = Some((commit.to_owned(), questions));
    }

    /// The key that signs OIDC tokens.
    pub fn oidc_key(&self) -> &SigningKey {
        &self.shared.oidc
    }

    /// The claims of a token that a workflow on `push` to a branch gets from GitHub Actions.
    pub fn oidc_claims(&self, branch: &str, audience: &str) -> Value {
        oidc::claims(&self.shared, &self.url, branch, audience)
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl GitHubState {
    fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name())
    }

    /// The present name of the repository.
    fn name(&self) -> String {
        lock(&self.names).last().cloned().unwrap_or_default()
    }

    /// The commit that a lagging server answers with, once for each question.
    fn late(&self) -> Option<String> {
        let mut late = lock(&self.late);
        let (commit, left) = late.as_mut()?;
        *left = left.checked_sub(1)?;
        Some(commit.clone())
    }

    /// The redirect from a former name of the repository.
    fn moved(&self, asked: &Asked, present: &str) -> Option<Response> {
        let former = lock(&self.names).iter().rev().skip(1).find_map(|former| {
            let own = |name: &str| format!("/{}/{name}", self.owner);
            let at = asked.path.find(&own(former))?;
            let rest = &asked.path[at + own(former).len()..];
            let is_whole = rest.is_empty() || rest.starts_with('/') || rest.starts_with(".git");
            is_whole.then(|| format!("{}{}{rest}", &asked.path[..at], own(present)))
        })?;
        let query: Vec<String> = asked.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let is_read = asked.method == Method::GET || asked.path.ends_with("/git-upload-pack");
        let status = if is_read { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT };
        let mut answer = reply::message(status, "Moved Permanently");
        let location = format!("{}{former}{query}", asked.base_url());
        answer.headers_mut().insert(header::LOCATION, HeaderValue::from_str(&location).ok()?);
        Some(answer)
    }

    fn statuses_of(&self, commit: &str) -> Value {
        lock(&self.statuses).iter().rev().filter(|status| status["sha"] == commit).cloned().collect()
    }

    fn add_status(&self, mut status: Value) -> Value {
        let mut statuses = lock(&self.statuses);
        status["id"] = (statuses.len() + 1).into();
        statuses.push(status.clone());
        status
    }
}

impl Asked {
    async fn read(request: Request<axum::body::Body>) -> Result<Self, Refusal> {
        let (head, body) = request.into_parts();
        let too_large = |_| Refusal(axum::http::StatusCode::PAYLOAD_TOO_LARGE, "Payload too large".to_owned());
        let body = Limited::new(body, BODY).collect().await.map_err(too_large)?.to_bytes();
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Ok(Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: query.map(|(name, value)| (decode(name), decode(value))).collect(),
            headers: head.headers,
            body,
        })
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the URL at which the caller found this server.
    fn base_url(&self) -> String {
        format!("http://{}", self.header(header::HOST))
    }
}

async fn answer(State(shared): State<Arc<GitHubState>>, request: Request<axum::body::Body>) -> Response {
    let asked = match Asked::read(request).await {
        Ok(asked) => asked,
        Err(Refusal(status, message)) => return reply::message(status, &message),
    };
    let is_control = asked.path.starts_with("/_control/");
    if !is_control {
        lock(&shared.requests).push(format!("{} {}", asked.method, asked.path));
    }
    let mut answer = match route(&shared, &asked).await {
        Ok(answer) => answer,
        Err(Refusal(status, message)) => reply::message(status, &message),
    };
    shared.sent_bytes.fetch_add(answer.body().size_hint().lower(), Ordering::Relaxed);
    for (name, value) in [("x-ratelimit-limit", 5000), ("x-ratelimit-remaining", 4999)] {
        answer.headers_mut().insert(name, HeaderValue::from(value));
    }
    match shared.faults.take(&asked.path) {
        Some(fault) if !is_control => fault.apply(answer).await,
        _ => answer,
    }
}

async fn route(shared: &GitHubState, asked: &Asked) -> Result<Response, Refusal> {
    if let Some(answer) = shared.written.take(&asked.method, &asked.path, &asked.headers, &asked.body) {
        return Ok(answer);
    }
    // An Enterprise server has the same API below /api.
    let path = asked.path.strip_prefix("/api/v3").or(asked.path.strip_prefix("/api")).unwrap_or(&asked.path);
    let names: Vec<String> =
        path.split('/').skip(1).map(|name| percent_decode_str(name).decode_utf8_lossy().into_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let present = shared.name();
    let ours = |owner: &str, name: &str| owner == shared.owner && name == present;
    if let Some(moved) = shared.moved(asked, &present) {
        return Ok(moved);
    }
    match names[..] {
        ["_control", ref rest @ ..] => control::answer(shared, asked, rest).await,
        ["_codeload", owner, name, "zip", commit] if ours(owner, name) => download::zip(shared, commit).await,
        [owner, name, ref rest @ ..] if ours(owner, name.strip_suffix(".git").unwrap_or(name)) => {
            download::answer(shared, asked, rest).await
        }
        [".well-known", "openid-configuration"] | ["_services", "token", ".well-known", "openid-configuration"] => {
            Ok(oidc::discovery(asked))
        }
        [".well-known", "jwks"] => Ok(reply::json(axum::http::StatusCode::OK, &json!({ "keys": [shared.oidc.jwk()] }))),
        ["app", "installations", id, "access_tokens"] => shared.give_token(asked, id),
        ["repos", owner, name, "installation"] if ours(owner, name) => shared.installation(asked),
        ["repos", owner, name, ref rest @ ..] if ours(owner, name) => {
            shared.may_read(asked)?;
            rest::answer(shared, asked, rest).await
        }
        _ => Err(Refusal::not_found()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
