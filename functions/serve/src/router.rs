//! From a request to its answer: which API it is for, and the headers that all answers have.

use std::sync::OnceLock;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CONTENT_LENGTH, HeaderValue, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use bytes::Bytes;
use devfile_registry::cache::Cache;
use devfile_registry::limits;

use crate::config::Config;
use crate::devfiles;
use crate::error::ApiError;
use crate::files;
use crate::http::body::{self, Caching, JSON, header};
use crate::http::path::{path_as_sent, segments};
use crate::http::{COMMIT, STALE};
use crate::oci::{self, Code, OciError};
use crate::openapi;
use crate::release::blobs::Blobs;
use crate::release::live::{Freshness, Live};
use crate::release::snapshot::Snapshot;
use crate::starters::Starters;
use crate::status::{self, Health};
use crate::view::catalog::{IndexKind, IndexSchema, Query};
use crate::viewer::{Ask, Viewer};
use crate::workers;

/// The methods of every route.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// Headers of answers that scripts of other origins may read, beside those that they always may.
const EXPOSED: &str = "etag, link, location, content-range, content-length, accept-ranges, content-disposition, \
                       docker-content-digest, devfile-registry-commit, devfile-registry-stale, retry-after, allow";

/// Everything that answers need.
#[derive(Debug)]
pub struct App {
    config: Config,
    live: Live,
    blobs: Blobs,
    starters: Starters,
    openapi: OnceLock<body::Body>,
    viewer: Viewer,
}

impl App {
    /// Loads the live release.
    pub async fn new(config: Config, cache: Cache) -> Self {
        let blobs = Blobs::new(cache.clone(), config.large_blobs);
        let starters = Starters::new(&config, cache.clone());
        let live = Live::load(cache, config.revalidate, blobs.damaged().clone()).await;
        let viewer = Viewer::new(&config.name, config.public_url.clone(), config.viewer);
        Self { config, live, blobs, starters, openapi: OnceLock::new(), viewer }
    }

    /// Answers a request; there is always an answer.
    pub(crate) async fn answer(&self, request: Request) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let mut snapshot = self.live.snapshot().await;
        let mut response = self.respond(&parts, snapshot.as_deref()).await;
        let is_unknown =
            |response: &Response<Body>| response.status() == StatusCode::NOT_FOUND && is_oci(path_as_sent(&parts));
        if is_unknown(&response)
            && let Some(known) = &snapshot
            && let Some(other) = self.live.other_than(known).await
        {
            // Another instance, with a newer release, may have told the client of what is not here.
            response = self.respond(&parts, Some(&other)).await;
            snapshot = Some(other);
        }
        if is_unknown(&response)
            && oci::names_digest(path_as_sent(&parts))
            && let Some(snapshot) = &snapshot
        {
            // The client may have begun its pull with an earlier release.
            response = match snapshot.read_recent(self.live.cache()).await {
                Ok(()) => self.respond(&parts, Some(snapshot)).await,
                Err(error) => OciError::from(error).answer(),
            };
        }
        let status = response.status();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(VARY).or_insert(HeaderValue::from_static("accept-encoding"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            // RFC 9110, section 15.5.6.
            headers.insert(ALLOW, HeaderValue::from_static(METHODS));
        }
        if let Some(snapshot) = &snapshot {
            headers.insert(COMMIT, header(snapshot.commit.as_str()));
            let freshness = self.live.freshness();
            if freshness.failure.is_some() {
                headers.insert(STALE, HeaderValue::from(freshness.checked.as_secs()));
            }
        }
        if parts.method == Method::HEAD { without_body(response) } else { response }
    }

    /// How fresh the answers are.
    pub(crate) fn freshness(&self) -> Freshness {
        self.live.freshness()
    }

    /// Time since the release that is served was generated.
    pub fn release_age(&self) -> Option<Duration> {
        let generated_at = self.live.current()?.about.generated_at.instant();
        // A clock that is behind the one of refresh makes no release younger than new.
        Some(Duration::try_from(generated_at.duration_until(jiff::Timestamp::now())).unwrap_or_default())
    }

    async fn respond(&self, parts: &Parts, snapshot: Option<&Snapshot>) -> Response<Body> {
        match self.route(parts, snapshot).await {
            Ok(response) => response,
            Err(error) if is_oci(path_as_sent(parts)) => OciError::of(error.status(), error.to_string()).answer(),
            Err(error) => error.answer(),
        }
    }

    async fn route(&self, parts: &Parts, snapshot: Option<&Snapshot>) -> Result<Response<Body>, ApiError> {
        let (path, query) = (path_as_sent(parts), parts.uri.query().unwrap_or_default());
        if path.len() > limits::PATH_BYTES {
            return Err(ApiError::PathTooLong);
        }
        if query.len() > limits::QUERY_BYTES {
            return Err(ApiError::QueryTooLong);
        }
        if parts.method == Method::OPTIONS {
            return Ok(preflight());
        }
        match parts.method {
            Method::GET | Method::HEAD => {}
            // As the reference: to clients that push, nothing here can be written to.
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE if is_oci(path) => {
                return Ok(OciError::unknown(Code::Unsupported, "this registry is read-only").answer());
            }
            _ => return Err(ApiError::Method),
        }
        let path = decode(path)?;
        let segments: Vec<&str> = segments(&path).collect();
        let headers = &parts.headers;
        match segments.as_slice() {
            [""] => return Ok(front(headers)),
            ["health"] => return self.health(snapshot),
            ["openapi.json"] => {
                let document = || body::Body::new(JSON, openapi::document().to_string().into());
                return Ok(self.openapi.get_or_init(document).answer(headers, Caching::Minute));
            }
            ["status"] => {
                let last = status::last_refresh(self.live.cache()).await;
                let health = Health { freshness: &self.live.freshness(), last_refresh: last.as_ref() };
                let damaged = self.blobs.damaged().list();
                let document = status::document(snapshot, health, &damaged, &self.config.name);
                return Ok(json(document.to_string(), StatusCode::OK));
            }
            _ => {}
        }
        if Viewer::owns(&segments) {
            let ask = Ask { path: &segments, query, headers };
            let held = snapshot.ok_or_else(|| self.why_no_release());
            let last = match segments.as_slice() {
                ["viewer", "status"] => status::last_refresh(self.live.cache()).await,
                _ => None,
            };
            let health = Health { freshness: &self.live.freshness(), last_refresh: last.as_ref() };
            let page = self.viewer.answer(ask, held, health, &self.blobs).await?;
            return page.ok_or_else(nothing);
        }
        let snapshot = snapshot.ok_or_else(|| self.no_release())?;
        match segments.as_slice() {
            ["v2", rest @ ..] => {
                Ok(oci::answer(snapshot, &self.blobs, rest, parts).await.unwrap_or_else(OciError::answer))
            }
            // Not the segments: a file's path with a slash at the end names a folder, which has no answer in the reference either.
            ["stacks", ..] => files::answer(snapshot, &self.blobs, path.get(1..).unwrap_or_default(), parts).await,
            ["index.json"] => Ok(snapshot.index_json.answer(headers, Caching::Minute)),
            ["index"] => index(snapshot, IndexSchema::V1, IndexKind::Stack, query, headers).await,
            ["v2index"] => index(snapshot, IndexSchema::V2, IndexKind::Stack, query, headers).await,
            [schema @ ("index" | "v2index"), kind] => {
                let kind = IndexKind::from_path(kind).ok_or_else(|| {
                    ApiError::NotFound(format!("`{kind}` is not a type of entries; use stack, sample or all"))
                })?;
                let schema = if *schema == "index" { IndexSchema::V1 } else { IndexSchema::V2 };
                index(snapshot, schema, kind, query, headers).await
            }
            ["devfiles", "", ..] | ["devfiles", _, "", ..] => Err(ApiError::BadPath),
            ["devfiles", name, "starter-projects", project] => {
                self.starters.answer(snapshot, &self.blobs, [name, devfiles::DEFAULT, project], parts).await
            }
            ["devfiles", name, version, "starter-projects", project] => {
                self.starters.answer(snapshot, &self.blobs, [name, version, project], parts).await
            }
            ["devfiles", name] => devfiles::answer(snapshot, name, devfiles::DEFAULT, query, headers),
            ["devfiles", name, version] => devfiles::answer(snapshot, name, version, query, headers),
            _ => Err(nothing()),
        }
    }

    fn health(&self, snapshot: Option<&Snapshot>) -> Result<Response<Body>, ApiError> {
        snapshot.ok_or_else(|| self.no_release())?;
        Ok(json(r#"{"message":"the server is up and running"}"#.to_owned(), StatusCode::OK))
    }

    fn no_release(&self) -> ApiError {
        ApiError::NoRelease(self.why_no_release())
    }

    fn why_no_release(&self) -> &'static str {
        if self.live.is_empty() {
            "nothing is published yet; run refresh to publish the registry repository"
        } else {
            "the cache bucket does not answer and no release is loaded; try again in a moment"
        }
    }
}

fn nothing() -> ApiError {
    ApiError::NotFound("there is nothing at this path".into())
}

/// Decodes a path. What decodes to something that is not text, or holds a NUL, is nobody's path.
fn decode(path: &str) -> Result<String, ApiError> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| ApiError::BadPath)?;
    if decoded.contains('\0') { Err(ApiError::BadPath) } else { Ok(decoded.into_owned()) }
}

async fn index(
    snapshot: &Snapshot,
    schema: IndexSchema,
    kind: IndexKind,
    query: &str,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let query = Query::parse(schema, query)?;
    if query.is_empty() {
        return Ok(snapshot.unfiltered(schema, kind).answer(headers, Caching::Minute));
    }
    let select = || {
        let selection = snapshot.catalog.select(schema, kind, &query);
        let etag = selection.etag();
        let known = body::is_known(headers, &[&etag]);
        let content = if known { Bytes::new() } else { selection.body() };
        (etag, known, content)
    };
    let (etag, known, content) = if snapshot.catalog.effort(schema, &query) <= limits::INLINE_BYTES {
        select()
    } else {
        workers::run(select).await?
    };
    let mut response = Response::new(Body::from(content));
    *response.status_mut() = if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let answer = response.headers_mut();
    answer.insert(axum::http::header::ETAG, header(&etag));
    answer.insert(axum::http::header::CACHE_CONTROL, Caching::Minute.header());
    if !known {
        answer.insert(axum::http::header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    }
    Ok(response)
}

fn json(document: String, status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response.headers_mut().insert(axum::http::header::CACHE_CONTROL, Caching::Never.header());
    response
}

/// The front page: browsers are sent to the viewer, all others to the index.
fn front(headers: &HeaderMap) -> Response<Body> {
    let mut response = body::redirect(if wants_html(headers) { "/viewer" } else { "/index" });
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    response
}

/// Whether a browser asks, told as the reference does: by the exact letters of the media type.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")))
}

/// The answer to a browser that asks what other origins may do (Fetch standard, "CORS-preflight fetch").
fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// The same answer to HEAD: its headers, the length included, and no body.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if !matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        && let Some(length) = body.size_hint().exact()
    {
        parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}

fn is_oci(path: &str) -> bool {
    path.starts_with("/v2/") || path == "/v2"
}
