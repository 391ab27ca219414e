//! The commit statuses of Git hosts other than GitHub, on the loopback: GitLab, Gitea, Forgejo and both Bitbuckets at once, told apart
//! by their paths. [`Faults`] go wrong as networks and services do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::github::Faults;

/// The token that may write.
pub const TOKEN: &str = "a-token-that-writes";

/// A token that is known and may not write.
pub const READ_ONLY: &str = "a-token-that-reads";

/// A running host. It ends when this is dropped.
#[derive(Debug)]
pub struct StatusHost {
    url: String,
    shared: Arc<StatusesState>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct StatusesState {
    faults: Faults,
    statuses: Mutex<Vec<(String, Value)>>,
    requests: Mutex<Vec<String>>,
    /// A part of paths, and the text that takes its place in redirects.
    moved: Mutex<Option<(String, String)>>,
}

impl StatusHost {
    /// Starts a host on a free port.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> Result<Self> {
        let shared = Arc::new(StatusesState::default());
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // Ends with the task, and only then.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, shared, server })
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The faults to come.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The statuses that were taken, with the paths of their calls, the oldest first.
    pub fn statuses(&self) -> Vec<(String, Value)> {
        lock(&self.shared.statuses).clone()
    }

    /// The requests so far, as `METHOD /path`.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }

    /// Redirects calls with `from` in their paths, with 307, to where `to` takes its place. `to` may begin with another host.
    pub fn redirect(&self, from: &str, to: &str) {
        *lock(&self.shared.moved) = Some((from.to_owned(), to.to_owned()));
    }
}

impl Drop for StatusHost {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(shared): State<Arc<StatusesState>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    lock(&shared.requests).push(format!("{method} {path}"));
    // A fault is one of the answer: the status may have been taken nevertheless.
    let answer = take(&shared, &method, &path, &headers, &body);
    match shared.faults.take(&path) {
        Some(fault) => fault.apply(answer).await,
        None => answer,
    }
}

fn take(shared: &StatusesState, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    let refuse =
        |status: StatusCode, message: &str| (status, json!({ "message": message }).to_string()).into_response();
    if let Some((from, to)) = &*lock(&shared.moved)
        && let Some((before, after)) = path.split_once(from.as_str())
    {
        let location = if to.contains("://") { format!("{to}{after}") } else { format!("{before}{to}{after}") };
        return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response();
    }
    let is_gitea = path.starts_with("/api/v1/repos/");
    let is_gitlab = path.starts_with("/api/v4/projects/");
    let is_bitbucket = path.starts_with("/2.0/repositories/") || path.starts_with("/rest/build-status/1.0/commits/");
    if *method != Method::POST || !(is_gitea || is_gitlab || is_bitbucket) {
        return refuse(StatusCode::NOT_FOUND, "404 Not Found");
    }
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match authorization.strip_prefix(if is_gitea { "token " } else { "Bearer " }) {
        Some(TOKEN) => {}
        Some(READ_ONLY) => return refuse(StatusCode::FORBIDDEN, "insufficient_scope"),
        _ => return refuse(StatusCode::UNAUTHORIZED, "401 Unauthorized"),
    }
    let Ok(status) = serde_json::from_slice::<Value>(body) else {
        return refuse(StatusCode::BAD_REQUEST, "the body is not JSON");
    };
    let states: &[&str] = match (is_gitea, is_gitlab) {
        (true, _) => &["pending", "success", "error", "failure", "warning"],
        (_, true) => &["pending", "running", "success", "failed", "canceled", "skipped"],
        _ => &["SUCCESSFUL", "FAILED", "INPROGRESS", "STOPPED"],
    };
    if !status["state"].as_str().is_some_and(|state| states.contains(&state)) {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "state does not have a valid value");
    }
    if is_bitbucket && !(status["url"].is_string() && status["key"].is_string()) {
        return refuse(StatusCode::BAD_REQUEST, "key and url are required");
    }
    let mut statuses = lock(&shared.statuses);
    let last = statuses.iter().rev().find(|(known, _)| known == path);
    if is_gitlab && last.is_some_and(|(_, last)| last["state"] == status["state"]) {
        return refuse(StatusCode::BAD_REQUEST, "Cannot transition status via :enqueue from :pending");
    }
    statuses.push((path.to_owned(), status.clone()));
    let code = if is_bitbucket { StatusCode::OK } else { StatusCode::CREATED };
    (code, status.to_string()).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
