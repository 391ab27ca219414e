//! The APIs of Git hosts other than GitHub for commit statuses and comments, on the loopback: GitLab, Gitea, Forgejo and both
//! Bitbuckets at once, told apart by their paths. [`Faults`] go wrong as networks and services do.

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
pub struct FeedbackHost {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    faults: Faults,
    written: Written,
    requests: Mutex<Vec<String>>,
    /// A part of paths, and the text that takes its place in redirects.
    moved: Mutex<Option<(String, String)>>,
}

/// The statuses and comments that were taken.
#[derive(Debug, Default)]
pub struct Written {
    statuses: Mutex<Vec<(String, Value)>>,
    /// The number of each is its place, from 1. A removed one has no text.
    comments: Mutex<Vec<(String, Option<String>)>>,
}

/// A host by its paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gitea,
    GitLab,
    Bitbucket,
}

impl FeedbackHost {
    /// Starts a host on a free port.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> Result<Self> {
        let shared = Arc::new(Shared::default());
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

    /// The statuses and comments that were taken.
    pub fn written(&self) -> &Written {
        &self.shared.written
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

impl Drop for FeedbackHost {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    lock(&shared.requests).push(format!("{method} {path}"));
    // A fault is one of the answer: the call may have taken effect nevertheless.
    let answer = moved(&shared, &path).unwrap_or_else(|| {
        let taken = shared.written.take(&method, &path, &headers, &body);
        taken.unwrap_or_else(|| refuse(StatusCode::NOT_FOUND, "404 Not Found"))
    });
    match shared.faults.take(&path) {
        Some(fault) => fault.apply(answer).await,
        None => answer,
    }
}

fn moved(shared: &Shared, path: &str) -> Option<Response> {
    let moved = lock(&shared.moved);
    let (from, to) = moved.as_ref()?;
    let (before, after) = path.split_once(from.as_str())?;
    let location = if to.contains("://") { format!("{to}{after}") } else { format!("{before}{to}{after}") };
    Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response())
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, json!({ "message": message }).to_string()).into_response()
}

impl Written {
    /// The statuses with the paths of their calls, the oldest first.
    pub fn statuses(&self) -> Vec<(String, Value)> {
        lock(&self.statuses).clone()
    }

    /// The texts of comments that are there, with the paths of the calls that wrote them first, the oldest first.
    pub fn comments(&self) -> Vec<(String, String)> {
        let comments = lock(&self.comments).clone();
        comments.into_iter().filter_map(|(path, text)| Some((path, text?))).collect()
    }

    /// Removes all comments, as people may.
    pub fn remove_comments(&self) {
        lock(&self.comments).iter_mut().for_each(|(_, text)| *text = None);
    }

    /// Takes a call; `None` when it is none of these APIs.
    pub fn take(&self, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Option<Response> {
        let kind = match path {
            _ if path.starts_with("/api/v1/repos/") => Kind::Gitea,
            _ if path.starts_with("/api/v4/projects/") => Kind::GitLab,
            _ if path.starts_with("/2.0/repositories/") => Kind::Bitbucket,
            _ if path.starts_with("/rest/build-status/1.0/commits/") => Kind::Bitbucket,
            _ => return None,
        };
        let authorization =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match authorization.strip_prefix(if kind == Kind::Gitea { "token " } else { "Bearer " }) {
            Some(TOKEN) => {}
            Some(READ_ONLY) => return Some(refuse(StatusCode::FORBIDDEN, "insufficient_scope")),
            _ => return Some(refuse(StatusCode::UNAUTHORIZED, "401 Unauthorized")),
        }
        let Ok(sent) = serde_json::from_slice::<Value>(body) else {
            return Some(refuse(StatusCode::BAD_REQUEST, "the body is not JSON"));
        };
        let names: Vec<&str> = path.split('/').collect();
        let text = if kind == Kind::Bitbucket { &sent["content"]["raw"] } else { &sent["body"] };
        Some(match (method.as_str(), &names[..]) {
            ("POST", [.., "issues" | "merge_requests" | "pullrequests", _, "comments" | "notes"]) => {
                self.comment(path, None, text)
            }
            ("PUT", [.., "merge_requests" | "pullrequests", _, "notes" | "comments", id])
            | ("PATCH", [.., "issues", "comments", id]) => self.comment(path, Some(id), text),
            ("POST", [.., "statuses" | "commits", _]) => self.status(kind, path, &sent),
            _ => refuse(StatusCode::NOT_FOUND, "404 Not Found"),
        })
    }

    fn comment(&self, path: &str, id: Option<&str>, text: &Value) -> Response {
        let Some(text) = text.as_str().filter(|text| !text.is_empty()) else {
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, "body is missing");
        };
        let mut comments = lock(&self.comments);
        let (id, status) = match id {
            None => {
                comments.push((path.to_owned(), Some(text.to_owned())));
                (comments.len(), StatusCode::CREATED)
            }
            Some(id) => {
                let id: usize = id.parse().unwrap_or_default();
                match id.checked_sub(1).and_then(|place| comments.get_mut(place)) {
                    Some((_, known @ Some(_))) => *known = Some(text.to_owned()),
                    _ => return refuse(StatusCode::NOT_FOUND, "404 Not Found"),
                }
                (id, StatusCode::OK)
            }
        };
        (status, json!({ "id": id, "body": text }).to_string()).into_response()
    }

    fn status(&self, kind: Kind, path: &str, status: &Value) -> Response {
        let states: &[&str] = match kind {
            Kind::Gitea => &["pending", "success", "error", "failure", "warning"],
            Kind::GitLab => &["pending", "running", "success", "failed", "canceled", "skipped"],
            Kind::Bitbucket => &["SUCCESSFUL", "FAILED", "INPROGRESS", "STOPPED"],
        };
        if !status["state"].as_str().is_some_and(|state| states.contains(&state)) {
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, "state does not have a valid value");
        }
        if kind == Kind::Bitbucket && !(status["url"].is_string() && status["key"].is_string()) {
            return refuse(StatusCode::BAD_REQUEST, "key and url are required");
        }
        let mut statuses = lock(&self.statuses);
        let last = statuses.iter().rev().find(|(known, last)| known == path && last["name"] == status["name"]);
        if kind == Kind::GitLab && last.is_some_and(|(_, last)| last["state"] == status["state"]) {
            return refuse(StatusCode::BAD_REQUEST, "Cannot transition status via :enqueue from :pending");
        }
        statuses.push((path.to_owned(), status.clone()));
        let code = if kind == Kind::Bitbucket { StatusCode::OK } else { StatusCode::CREATED };
        (code, status.to_string()).into_response()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
