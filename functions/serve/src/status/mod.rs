//! The service itself: `/` leads to the viewer or the index, `/health` and `/status` report the live release and its freshness.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use axum::http::{Response, StatusCode};
use devfile_registry::digest::Digest;
use devfile_registry::preview::Preview;
use devfile_registry::publish::LastRefresh;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::http::body::{Caching, JSON, redirect};
use crate::http::problem::Problem;
use crate::release::live::Freshness;
use crate::release::snapshot::Snapshot;
use crate::route::{Answer, Description, Operation, RestAnswers, Route};
use crate::state::{App, LiveRelease, Released};

/// The group of these routes.
pub(crate) const TAG: (&str, &str) = ("service", "The service itself");

/// The routes.
pub(crate) fn routes() -> Vec<Route> {
    let operation = |id, summary, describe| Operation { id, tag: TAG.0, summary, describe };
    vec![
        Route::api(
            "/",
            operation("root", "Leads to the index, browsers to the viewer", || {
                let found = Answer::plain(302, "To `/index`, or for browsers to `/viewer`")
                    .with("Location", "#/components/headers/Location");
                Description { parameters: vec![], answers: RestAnswers::always(found).done() }
            }),
            |headers: HeaderMap| async move { front(&headers) },
        ),
        Route::api(
            "/health",
            operation("health", "Whether there is a release to answer from", || {
                let message = json!({"message": {"type": "string"}});
                let schema = json!({"type": "object", "required": ["message"], "properties": message});
                let good = Answer::content(200, "A release is served", JSON, schema);
                Description { parameters: vec![], answers: RestAnswers::of(good).done() }
            }),
            |_: Released| async {
                Ok::<_, Problem>(json_answer(r#"{"message":"the server is up and running"}"#.to_owned()))
            },
        ),
        Route::api(
            "/status",
            operation("status", "The served release and its freshness", || {
                let good = Answer::content(200, "The served release", JSON, schema());
                Description { parameters: vec![], answers: RestAnswers::always(good).done() }
            }),
            |State(app): State<Arc<App>>, LiveRelease(snapshot): LiveRelease| async move {
                let last = app.last_refreshes.last(app.live.cache()).await;
                let previews = app.previews.living(app.live.cache()).await;
                let health =
                    Health { freshness: &app.live.freshness(), last_refresh: last.as_ref(), previews: &previews };
                let damaged = app.blobs.damaged().list();
                json_answer(document(snapshot.as_deref(), health, &damaged, &app.config.name).to_string())
            },
        ),
    ]
}

/// The front page: browsers are sent to the viewer, all others to the index.
fn front(headers: &HeaderMap) -> Response<Body> {
    let mut response = redirect(if wants_html(headers) { "/viewer" } else { "/index" });
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    response
}

/// Whether a browser asks, decided as the reference does: by the exact letters of the media type.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")))
}

fn json_answer(document: String) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response.headers_mut().insert(CACHE_CONTROL, Caching::Never.header());
    response
}

/// The signs of health, beside the release that is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Health<'a> {
    /// The freshness of the snapshot.
    pub(crate) freshness: &'a Freshness,
    /// The outcome of the last refresh; none when it is unknown.
    pub(crate) last_refresh: Option<&'a LastRefresh>,
    /// The previews of proposals.
    pub(crate) previews: &'a [Arc<Preview>],
}

/// Returns the document of `/status`.
fn document(
    snapshot: Option<&Snapshot>,
    Health { freshness, last_refresh, previews }: Health<'_>,
    damaged: &[Digest],
    name: &str,
) -> Value {
    let age =
        |snapshot: &Snapshot| (Timestamp::now().as_second() - snapshot.about.generated_at.instant().as_second()).max(0);
    json!({
        "name": name,
        "software": concat!("devfile-registry/", env!("CARGO_PKG_VERSION")),
        "live": snapshot.map(|snapshot| &snapshot.about),
        "age_seconds": snapshot.map(age),
        "last_refresh": last_refresh,
        "previews": previews.iter().map(|preview| listed(preview)).collect::<Vec<_>>(),
        "snapshot": {
            "checked_seconds_ago": freshness.checked.as_secs(),
            "stale": freshness.failure.is_some(),
            "failure": freshness.failure,
            "damaged_blobs": damaged,
        },
    })
}

/// A preview as `/status` lists it.
fn listed(preview: &Preview) -> Value {
    json!({
        "number": preview.number,
        "path": preview.path(),
        "commit_hash": preview.commit_hash,
        "base_commit": preview.base_commit,
        "release": preview.release,
        "title": preview.title,
        "author": preview.author,
        "url": preview.url,
        "opened_at": preview.opened_at,
        "updated_at": preview.updated_at,
        "expires_at": preview.expires_at,
        "changed": preview.changes.changed.len(),
        "removed": preview.changes.removed.len(),
        "quarantined": preview.quarantined,
    })
}

/// The schema of [`document`].
fn schema() -> Value {
    let text = json!({"type": "string"});
    let count = json!({"type": "integer", "minimum": 0});
    let live = json!({
        "type": ["object", "null"],
        "description": "The live release; null while there is none",
        "required": ["commit_hash", "source", "release", "generated_at", "stacks", "samples", "versions", "quarantined", "pending", "warnings"],
        "properties": {
            "commit_hash": {"$ref": "#/components/schemas/CommitSha"},
            "source": text,
            "release": {"$ref": "#/components/schemas/Digest"},
            "generated_at": {"$ref": "#/components/schemas/Timestamp"},
            "stacks": count, "samples": count, "versions": count, "warnings": count,
            "pending": {
                "type": "object",
                "description": "Stacks and entries that a later refresh tries again, each with the reasons",
                "additionalProperties": {"type": "array", "items": {"enum": ["unreachable", "undated", "branch"]}},
            },
            "quarantined_since": {
                "type": "object",
                "description": "Since when parts are quarantined, by their paths in the repository",
                "additionalProperties": {"$ref": "#/components/schemas/Timestamp"},
            },
            "quarantined": {"type": "array", "items": {
                "type": "object",
                "description": "A part of the repository that stays as it was published last",
                "required": ["part", "problems"],
                "properties": {"part": text, "problems": {"type": "array", "items": {
                    "type": "object",
                    "required": ["path", "severity", "rule", "message"],
                    "properties": {"path": text, "severity": text, "rule": text, "message": text, "hint": text, "line": count, "column": count},
                }}},
            }},
        },
    });
    json!({
        "type": "object",
        "required": ["name", "software", "live", "age_seconds", "last_refresh", "previews", "snapshot"],
        "properties": {
            "name": text,
            "software": text,
            "live": live,
            "age_seconds": {"type": ["integer", "null"], "minimum": 0, "description": "Time since the release was made live"},
            "last_refresh": {"type": ["object", "null"], "description": "How the last refresh ended"},
            "previews": {"type": "array", "description": "The previews of proposals", "items": {
                "type": "object",
                "required": ["number", "path", "commit_hash", "base_commit", "release", "title", "author", "url", "opened_at", "updated_at", "expires_at", "changed", "removed", "quarantined"],
                "properties": {
                    "number": count, "changed": count, "removed": count, "quarantined": count,
                    "path": text, "title": text, "author": text, "url": text,
                    "commit_hash": {"$ref": "#/components/schemas/CommitSha"},
                    "base_commit": {"$ref": "#/components/schemas/CommitSha"},
                    "release": {"$ref": "#/components/schemas/Digest"},
                    "opened_at": {"$ref": "#/components/schemas/Timestamp"},
                    "updated_at": {"$ref": "#/components/schemas/Timestamp"},
                    "expires_at": {"$ref": "#/components/schemas/Timestamp"},
                },
            }},
            "snapshot": {
                "type": "object",
                "required": ["checked_seconds_ago", "stale", "failure", "damaged_blobs"],
                "properties": {
                    "checked_seconds_ago": count,
                    "stale": {"type": "boolean"},
                    "failure": {"type": ["string", "null"]},
                    "damaged_blobs": {
                        "type": "array",
                        "description": "Blobs that were found with other bytes since the release was loaded; the schedule repairs them",
                        "items": {"$ref": "#/components/schemas/Digest"},
                    },
                },
            },
        },
    })
}
