//! HTTP requests: webhooks of Git hosts and `POST /refresh`, with their answers.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{Method, Response, StatusCode};
use devfile_registry::digest::CommitSha;
use devfile_registry::limits;
use devfile_registry::logging::foreign;
use devfile_registry::publish::{Budget, Outcome, Report};
use devfile_registry::source::Source;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::action::{Action, Continued, Hint};
use crate::app::{App, Refreshed};
use crate::auth::Denied;
use crate::auth::gate::Credential;
use crate::bodies::{HeldBody, Unread};
use crate::hosts::{self, Event, Host, MalformedEvent, Proposal, Push, RefUpdate};
use crate::previews::Full;
use crate::source::RegistryRepository;

/// Longest wait for a refresh, from the start of the request. The gateway ends requests after 30 s.
const WAIT: Duration = Duration::from_secs(25);

/// Time limit for the check of a token, including the keys and the monitored branch.
const CHECK_TIME: Duration = Duration::from_secs(10);

/// Time limit for a lookup of the repository number or the default branch before a webhook is
/// answered.
const NAME_TIME: Duration = Duration::from_millis(500);

/// The reason for ignoring every proposal.
const PREVIEWS_OFF: &str = "previews are off";

/// The reason for refusing a request.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("there is nothing at this path")]
    Path,
    #[error("send a POST request")]
    Method,
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("cannot read the body: {0}")]
    Body(String),
    #[error(transparent)]
    Event(#[from] MalformedEvent),
    #[error("the refresh could not be queued; retry")]
    NotQueued,
}

impl App {
    /// Answers a request. Every request gets an answer.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let answer = match (path.as_str(), hosts::of_path(&path)) {
            ("/refresh", _) => self.refresh_request(request).await,
            ("/health", _) => Ok(message(StatusCode::OK, "the function is up and running")),
            (_, Some(host)) => self.webhook(host, request).await,
            (_, None) => Err(Refused::Path),
        };
        answer.unwrap_or_else(|refused| {
            tracing::info!(path = %foreign(&path), reason = %foreign(&refused.to_string()), "refused");
            refused.answer()
        })
    }

    /// Refreshes, and waits for the result until the gateway would give up.
    async fn refresh_request(&self, request: Request) -> Result<Response<Body>, Refused> {
        let until = Instant::now() + WAIT;
        must_be_post(&request)?;
        let headers = request.headers().clone();
        let credential = self.gate.credential(&headers, hosts::GITHUB.schemes)?;
        if let Credential::Token(token) = &credential {
            let late = |_| Denied::Undecided("it took too long to check the token".to_owned());
            tokio::time::timeout(CHECK_TIME, self.verify_token(token)).await.map_err(late)??;
        }
        let body = self.read(request, limits::REQUEST_BODY_BYTES).await?;
        if let Credential::Proof(proof) = &credential {
            self.gate.verify_proof(proof, &body).await?;
        }
        let hint = Hint::of_body(&body).map_err(Refused::Body)?;
        drop(body);
        let requested = hint.commit_hash.clone();
        let invocation = self.invocation(until, Budget::Request, None);
        let finished = match &self.handover {
            None => tokio::time::timeout_at(until, self.submit(requested)).await.map(|run| run.ok_or(())),
            Some(_) => tokio::time::timeout_at(until, self.refresh(requested.as_ref(), invocation)).await.map(Ok),
        };
        let action = Action::Refresh(hint.clone());
        match finished {
            Ok(Ok(refreshed)) => {
                if let Ok(report) = refreshed.as_ref() {
                    self.hand_over(report, &action).await;
                }
                Ok(result(&refreshed, &hint))
            }
            Ok(Err(())) => Ok(message(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the refresh failed unexpectedly; see the log, and retry",
            )),
            Err(_) => {
                if let (Some(handover), Some(invocation)) = (&self.handover, invocation) {
                    let next = action.continued(Continued::after(invocation));
                    handover.invoke(&next).await.map_err(|error| {
                        tracing::error!(%error, "cannot continue the refresh; the next trigger or the schedule completes it");
                        Refused::NotQueued
                    })?;
                }
                Ok(accepted("the refresh continues; /status of the registry shows its result"))
            }
        }
    }

    /// Answers a host immediately, and refreshes afterwards.
    async fn webhook(&self, host: &Host, request: Request) -> Result<Response<Body>, Refused> {
        must_be_post(&request)?;
        let headers = request.headers().clone();
        // Webhooks accept no token.
        let proof = self.gate.proof(&headers, host.schemes)?.ok_or(Denied::Unauthenticated("no signature"))?;
        let body = self.read(request, limits::WEBHOOK_BYTES).await?;
        self.gate.verify_proof(&proof, &body).await?;
        let event = host.event(text(&headers, host.event_header), &body)?;
        drop(body);
        let push = match event {
            Event::Ping => return Ok(message(StatusCode::OK, "pong")),
            Event::Other => {
                tracing::info!(event = %foreign(text(&headers, host.event_header)), "an event other than a push is ignored");
                return Ok(ignored("another event"));
            }
            Event::Proposal(proposal) => return self.proposal(&proposal).await,
            Event::Push(push) => push,
        };
        let commit = match self.relevant(&push).await {
            Ok(commit) => commit,
            Err(reason) => {
                let reference = push.updates.first().map(|update| update.reference.as_str()).unwrap_or_default();
                let (repository, reference) = (foreign(&push.repository.path), foreign(reference));
                tracing::info!(%repository, %reference, reason, "a push is ignored");
                return Ok(ignored(reason));
            }
        };
        tracing::info!(%commit, delivery = %foreign(text(&headers, host.delivery_header)), "push");
        match &self.handover {
            None => drop(self.submit(Some(commit))),
            Some(handover) => {
                let action = Action::Refresh(Hint { commit_hash: Some(commit), ..Hint::default() });
                handover.invoke(&action).await.map_err(|error| {
                    tracing::error!(%error, "cannot refresh after a push; the next trigger or the schedule publishes it");
                    Refused::NotQueued
                })?;
            }
        }
        Ok(accepted("the refresh is under way; /status of the registry shows its result"))
    }

    async fn read(&self, request: Request, limit: usize) -> Result<HeldBody<'_>, Refused> {
        let announced = text(request.headers(), CONTENT_LENGTH.as_str()).parse().unwrap_or(0);
        Ok(self.bodies.read(announced, limit, request.into_body()).await?)
    }

    async fn verify_token(&self, token: &str) -> Result<(), Denied> {
        // An unauthenticated request causes no call to GitHub.
        let caller = self.gate.verify_token(token).await?;
        let RegistryRepository::Git(hosted) = self.repository() else {
            return Err(Denied::Forbidden("no branch is monitored"));
        };
        let branch = hosted.branch().await.map_err(|error| Denied::Undecided(error.to_string()))?;
        let caller = caller.must_be_on(&branch)?;
        tracing::info!(
            repository = %foreign(&caller.repository),
            workflow = %foreign(&caller.workflow),
            event = %foreign(&caller.event),
            actor = %foreign(&caller.actor),
            "a workflow calls"
        );
        Ok(())
    }

    /// Answers a proposal event immediately, and builds or ends its preview afterwards.
    async fn proposal(&self, proposal: &Proposal) -> Result<Response<Body>, Refused> {
        let action = match self.wanted(proposal).await {
            Ok(action) => action,
            Err(reason) => {
                let repository = foreign(&proposal.repository.path);
                tracing::info!(%repository, number = proposal.number, action = ?proposal.action, reason, "a proposal is ignored");
                return Ok(ignored(reason));
            }
        };
        match (&self.handover, &self.previews) {
            (Some(handover), _) => handover.invoke(&action).await.map_err(|error| {
                tracing::error!(%error, "cannot update a preview; the next event of the proposal does");
                Refused::NotQueued
            })?,
            (None, Some(previews)) => previews.submit(action).map_err(|Full| Refused::NotQueued)?,
            (None, None) => return Ok(ignored(PREVIEWS_OFF)),
        }
        Ok(accepted("the preview is under way; /status of the registry lists it"))
    }

    /// Returns the action that a proposal event causes, or the reason for ignoring the event.
    async fn wanted(&self, proposal: &Proposal) -> Result<Action, &'static str> {
        let previews = self.previews.as_ref().ok_or(PREVIEWS_OFF)?;
        let RegistryRepository::Git(hosted) = self.repository() else {
            return Err("the registry repository is on no Git host");
        };
        let is_called = tokio::time::timeout(NAME_TIME, hosted.is_called(&proposal.repository));
        if !is_called.await.unwrap_or(false) {
            return Err("another repository");
        }
        if hosted.source.repository().branch().is_some_and(|branch| branch != proposal.base_branch) {
            return Err("another branch");
        }
        previews.wanted(proposal, hosted.source.url())
    }

    /// Returns the commit of a push to the monitored branch, or the reason for ignoring the push.
    async fn relevant(&self, push: &Push) -> Result<CommitSha, &'static str> {
        let mut updates = push.updates.iter();
        let update = if let RegistryRepository::Git(hosted) = self.repository() {
            // An unneeded refresh costs one poll of the branch, so an unanswered question counts as
            // yes.
            let is_called = hosted.is_called(&push.repository);
            if !tokio::time::timeout(NAME_TIME, is_called).await.unwrap_or(true) {
                return Err("another repository");
            }
            let known = hosted.source.repository().branch().or(push.default_branch.as_deref());
            // Bitbucket does not send the default branch.
            let found = match known {
                Some(_) => None,
                None => tokio::time::timeout(NAME_TIME, hosted.branch()).await.ok().and_then(Result::ok),
            };
            let monitored = known.or(found.as_deref());
            let is_monitored = |update: &&RefUpdate| monitored.is_none_or(|branch| update.branch() == Some(branch));
            updates.find(is_monitored)
        } else {
            updates.next()
        };
        update.ok_or("another branch")?.after.clone().ok_or("the branch was deleted")
    }
}

impl Refused {
    /// A rejected caller learns only the status.
    fn answer(&self) -> Response<Body> {
        let text = self.to_string();
        let (status, text) = match self {
            Self::Path => (StatusCode::NOT_FOUND, text.as_str()),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, text.as_str()),
            Self::Unread(Unread::TooLarge(_)) => (StatusCode::PAYLOAD_TOO_LARGE, text.as_str()),
            Self::Unread(Unread::CutOff) => (StatusCode::REQUEST_TIMEOUT, text.as_str()),
            Self::Unread(Unread::Busy) => (StatusCode::SERVICE_UNAVAILABLE, text.as_str()),
            Self::Denied(Denied::Unauthenticated(_)) => (StatusCode::UNAUTHORIZED, "not authenticated"),
            Self::Denied(Denied::Forbidden(_)) => (StatusCode::FORBIDDEN, "not permitted"),
            Self::Denied(Denied::Undecided(_)) => (StatusCode::SERVICE_UNAVAILABLE, "try again in a minute"),
            Self::Body(_) | Self::Event(_) => (StatusCode::BAD_REQUEST, text.as_str()),
            Self::NotQueued => (StatusCode::SERVICE_UNAVAILABLE, text.as_str()),
        };
        let mut response = message(status, text);
        let headers = response.headers_mut();
        match status {
            // RFC 9110, section 15.5.2. The header reveals no more than
            // `docs/operators/follow-a-repository.md`.
            StatusCode::UNAUTHORIZED => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            StatusCode::METHOD_NOT_ALLOWED => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
            StatusCode::SERVICE_UNAVAILABLE => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("60"))),
            _ => {}
        }
        response
    }
}

fn must_be_post(request: &Request) -> Result<(), Refused> {
    if request.method() == Method::POST { Ok(()) } else { Err(Refused::Method) }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Returns the report of a finished refresh, with the stacks that the caller named.
fn result(refreshed: &Refreshed, hint: &Hint) -> Response<Body> {
    #[derive(Serialize)]
    struct Requested<'a> {
        #[serde(flatten)]
        report: &'a Report,
        #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
        stacks: std::collections::BTreeMap<String, &'static str>,
    }
    match refreshed.as_ref() {
        // Another invocation continues, and `/status` reports its progress.
        Ok(report) if report.outcome == Outcome::Continuing => document(StatusCode::ACCEPTED, report),
        Ok(report) => document(StatusCode::OK, &Requested { report, stacks: hint.stacks(report) }),
        // The caller is authenticated, and needs the reason to fix the cause.
        Err(error) => document(StatusCode::BAD_GATEWAY, &json!({"status": error.public(), "error": error.to_string()})),
    }
}

fn accepted(text: &str) -> Response<Body> {
    document(StatusCode::ACCEPTED, &json!({"status": text, "see": "/status"}))
}

fn ignored(reason: &str) -> Response<Body> {
    document(StatusCode::OK, &json!({"status": "ignored", "reason": reason}))
}

fn message(status: StatusCode, text: &str) -> Response<Body> {
    document(status, &json!({"status": text}))
}

fn document(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::to_string(document).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
