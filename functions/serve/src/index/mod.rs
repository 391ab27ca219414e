//! `/index`, `/v2index` and `/index.json`: the index of the live release, filtered or whole.

use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use devfile_registry::cache::INDEX_KEY;
use devfile_registry::limits::INLINE_BYTES;
use serde_json::{Value, json};

use crate::http::body::{Caching, JSON, header, is_known};
use crate::http::problem::Problem;
use crate::large_answers::Stored;
use crate::release::snapshot::Snapshot;
use crate::route::{Answer, Description, Event, Operation, RestAnswers, Route, parameter, schema_of};
use crate::state::Released;
use crate::view::catalog::{IndexKind, IndexSchema, Query, openapi_parameters};
use crate::workers;

/// The group of these routes.
pub(crate) const TAG: (&str, &str) = ("index", "Stacks and samples with their versions");

/// The routes.
pub(crate) fn routes() -> Vec<Route> {
    let operation = |id, summary, describe| Operation { id, tag: TAG.0, summary, describe };
    vec![
        Route::api(
            "/index",
            operation("stacks", "Stacks, each with the fields of its default version", || {
                describe(IndexSchema::V1, &[])
            }),
            |released: Released, request: Request| stacks(released, IndexSchema::V1, request),
        )
        .counted(Event::List),
        Route::api(
            "/index/{type}",
            operation("entries", "Entries, each with the fields of its default version", || {
                describe(IndexSchema::V1, &[kind_parameter()])
            }),
            |released: Released, kind: Path<String>, request: Request| {
                of_kind(released, IndexSchema::V1, kind, request)
            },
        )
        .counted(Event::List),
        Route::api(
            "/v2index",
            operation("stacksWithVersions", "Stacks with their versions", || describe(IndexSchema::V2, &[])),
            |released: Released, request: Request| stacks(released, IndexSchema::V2, request),
        )
        .counted(Event::List),
        Route::api(
            "/v2index/{type}",
            operation("entriesWithVersions", "Entries with their versions", || {
                describe(IndexSchema::V2, &[kind_parameter()])
            }),
            |released: Released, kind: Path<String>, request: Request| {
                of_kind(released, IndexSchema::V2, kind, request)
            },
        )
        .counted(Event::List),
        Route::api(
            "/index.json",
            operation("liveIndex", "The index with the release that it is of", || {
                let live = Answer::content(200, "The index of the live release", JSON, schema_of("LiveIndex"));
                let mut answers = RestAnswers::of(live);
                answers.unbounded();
                answers.stored();
                Description { parameters: vec![], answers: answers.conditional() }
            }),
            |Released(snapshot): Released, headers: HeaderMap| async move {
                let mut response = snapshot.index_json.answer(&headers, Caching::Minute);
                response.extensions_mut().insert(Stored(INDEX_KEY.to_owned()));
                response
            },
        ),
    ]
}

fn describe(schema: IndexSchema, of_path: &[Value]) -> Description {
    let good = Answer::content(200, "The entries", JSON, schema_of("Index"));
    let mut answers = RestAnswers::of(good);
    answers.bad_parameters();
    answers.unbounded();
    if !of_path.is_empty() {
        answers.not_found();
    }
    Description { parameters: [openapi_parameters(schema), of_path.to_vec()].concat(), answers: answers.conditional() }
}

fn kind_parameter() -> Value {
    let names: Vec<&str> = IndexKind::NAMES.iter().map(|(name, _)| *name).collect();
    parameter("type", "The kind of entries in the answer.", json!({"type": "string", "enum": names}))
}

async fn stacks(
    Released(snapshot): Released,
    schema: IndexSchema,
    request: Request,
) -> Result<Response<Body>, Problem> {
    index(&snapshot, schema, IndexKind::Stack, &request.into_parts().0).await
}

async fn of_kind(
    Released(snapshot): Released,
    schema: IndexSchema,
    Path(kind): Path<String>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let known = IndexKind::from_path(&kind);
    let kind = known
        .ok_or_else(|| Problem::not_found(format!("`{kind}` is not a type of entries; use stack, sample or all")))?;
    index(&snapshot, schema, kind, &request.into_parts().0).await
}

async fn index(
    snapshot: &Snapshot,
    schema: IndexSchema,
    kind: IndexKind,
    request: &Parts,
) -> Result<Response<Body>, Problem> {
    let query = Query::parse(schema, request.uri.query().unwrap_or_default())?;
    let headers = &request.headers;
    if query.is_empty() {
        return Ok(snapshot.unfiltered(schema, kind).answer(headers, Caching::Minute));
    }
    let select = || {
        let selection = snapshot.catalog.select(schema, kind, &query);
        let etag = selection.etag();
        let known = is_known(headers, &[&etag]);
        let content = if known { Bytes::new() } else { selection.body() };
        (etag, known, content)
    };
    let (etag, known, content) =
        if snapshot.catalog.effort(schema, &query) <= INLINE_BYTES { select() } else { workers::run(select).await? };
    let mut response = Response::new(Body::from(content));
    *response.status_mut() = if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let answer = response.headers_mut();
    answer.insert(ETAG, header(&etag));
    answer.insert(CACHE_CONTROL, Caching::Minute.header());
    if !known {
        answer.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    }
    Ok(response)
}
