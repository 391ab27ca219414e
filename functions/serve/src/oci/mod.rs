//! The pull half of the OCI distribution API (distribution specification 1.1) under `/v2/`, from the snapshot and the bucket.

mod error;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, LINK, VARY};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use devfile_registry::artifact::{CATALOG, MANIFEST_MEDIA_TYPE};
use devfile_registry::digest::Digest;
use serde_json::{Value, json};

pub(crate) use self::error::{Code, OciError};

use self::error::of_registry;
use crate::http::body::{Body as Document, Caching, JSON, header, is_known, is_refused};
use crate::http::content::{Content, Delivery, offer_ranges};
use crate::http::path::segments;
use crate::http::problem::Problem;
use crate::http::query::pairs;
use crate::release::blobs::Blobs;
use crate::release::live::MissingContent;
use crate::release::snapshot::Snapshot;
use crate::route::{
    Answer, Description, Event, OciAnswers, Operation, Route, name_schema, parameter, query_parameter, range_parameter,
    schema_of,
};
use crate::state::{App, COMMIT, LiveRelease};

/// The group of these routes.
pub(crate) const TAG: (&str, &str) =
    ("oci", "Artifacts of stacks, by the pull half of the OCI distribution specification 1.1");

/// Media type of an OCI image index, which the answer about referrers is.
const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// The content that a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// Whether this is a registry.
    Version,
    /// The repositories.
    Repositories,
    /// The tags of a stack.
    Tags(String),
    /// A manifest of a stack by its tag or digest.
    Manifest(String, String),
    /// A blob of a stack by its digest.
    Blob(String, String),
    /// The referrers of a manifest of a stack.
    Referrers(String, String),
    /// A path of a stack that the API does not have.
    Unknown(String),
    /// A repository of another kind.
    OtherRepository,
}

impl Target {
    /// Whether it is named by its digest.
    fn is_by_digest(&self) -> bool {
        matches!(self, Self::Manifest(_, name) | Self::Blob(_, name) | Self::Referrers(_, name) if name.starts_with("sha256:"))
    }
}

/// The routes.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::api(
            "/v2/",
            operation("ociVersion", "The version check of the OCI distribution API", || {
                let answers = document("There is", json!({"type": "object"})).done();
                Description { parameters: vec![], answers }
            }),
            |state: State<Arc<App>>, live: LiveRelease, request: Request| {
                respond(state, live, Target::Version, request)
            },
        ),
        Route::api(
            "/v2/_catalog",
            operation("repositories", "Repositories, one for each stack", || describe_page("repositories", &[])),
            |state: State<Arc<App>>, live: LiveRelease, request: Request| {
                respond(state, live, Target::Repositories, request)
            },
        ),
        Route::api(
            "/v2/devfile-catalog/{stack}/tags/list",
            operation("tags", "Tags of a repository: the versions of the stack", || {
                describe_page("tags", &[stack_parameter()])
            }),
            |state: State<Arc<App>>, live: LiveRelease, Path(stack): Path<String>, request: Request| {
                respond(state, live, Target::Tags(stack), request)
            },
        ),
        Route::api(
            "/v2/devfile-catalog/{stack}/manifests/{reference}",
            operation(
                "manifest",
                "A manifest, for requests without `Accept` or with one that admits its type",
                describe_manifest,
            ),
            |state: State<Arc<App>>,
             live: LiveRelease,
             Path((stack, name)): Path<(String, String)>,
             request: Request| { respond(state, live, Target::Manifest(stack, name), request) },
        ),
        Route::api(
            "/v2/devfile-catalog/{stack}/blobs/{digest}",
            operation("blob", "A blob; one of more than 4 MiB may be a redirect to the store", describe_blob),
            |state: State<Arc<App>>,
             live: LiveRelease,
             Path((stack, digest)): Path<(String, String)>,
             request: Request| { respond(state, live, Target::Blob(stack, digest), request) },
        )
        .counted(Event::Download),
        Route::api(
            "/v2/devfile-catalog/{stack}/referrers/{digest}",
            operation("referrers", "References to a manifest", describe_referrers),
            |state: State<Arc<App>>,
             live: LiveRelease,
             Path((stack, digest)): Path<(String, String)>,
             request: Request| { respond(state, live, Target::Referrers(stack, digest), request) },
        ),
    ]
}

/// Whether a decoded path is one of this API.
pub(crate) fn owns(path: &str) -> bool {
    path.starts_with("/v2/") || path == "/v2"
}

/// Answers a path of this API that no route has.
pub(crate) async fn answer_unrouted(
    state: State<Arc<App>>,
    live: LiveRelease,
    path: &str,
    request: Request,
) -> Response<Body> {
    let mut segments = segments(path).skip(1);
    let target = match (segments.next(), segments.next()) {
        (Some(CATALOG), Some(stack)) => Target::Unknown(stack.to_owned()),
        _ => Target::OtherRepository,
    };
    respond(state, live, target, request).await
}

fn operation(id: &'static str, summary: &'static str, describe: fn() -> Description) -> Operation {
    Operation { id, tag: TAG.0, summary, describe }
}

fn document(about: &'static str, schema: Value) -> OciAnswers {
    OciAnswers::of(Answer::content(200, about, JSON, schema))
}

fn describe_page(member: &str, of_path: &[Value]) -> Description {
    let list = json!({"type": "array", "items": {"type": "string"}});
    let names =
        json!({"type": "object", "required": [member], "properties": {"name": {"type": "string"}, member: list}});
    let mut answers = document("Names, sorted", names);
    answers.paged();
    answers.bad_request();
    let of_query = vec![
        query_parameter("n", "Most names in the answer.", json!({"type": "integer", "minimum": 0})),
        query_parameter("last", "The name after which the answer begins.", json!({"type": "string"})),
    ];
    Description { parameters: [of_path.to_vec(), of_query].concat(), answers: answers.not_found().done() }
}

fn describe_manifest() -> Description {
    let tag = json!({"type": "string", "pattern": "^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$"});
    let reference = parameter("reference", "A tag or a digest.", json!({"anyOf": [tag, digest_schema()]}));
    let manifest = Answer::content(200, "The manifest", MANIFEST_MEDIA_TYPE, schema_of("Manifest"));
    let answers = OciAnswers::of(manifest).not_found().bad_digest().digest().done();
    Description { parameters: vec![stack_parameter(), reference], answers }
}

fn describe_blob() -> Description {
    let bytes = json!({"description": "The bytes of the blob"});
    let blob = Answer::content(200, "The blob", "application/octet-stream", bytes);
    let digest = parameter("digest", "Digest of the blob.", digest_schema());
    let answers = OciAnswers::of(blob).not_found().bad_digest().digest().ranges().done();
    Description { parameters: vec![stack_parameter(), digest, range_parameter()], answers }
}

fn describe_referrers() -> Description {
    let referrers =
        Answer::content(200, "Nothing refers to artifacts here", INDEX_MEDIA_TYPE, json!({"type": "object"}));
    let of_type = query_parameter("artifactType", "Keeps referrers of this type.", json!({"type": "string"}));
    let digest = parameter("digest", "Digest of a manifest.", digest_schema());
    let answers = OciAnswers::of(referrers).not_found().bad_digest().done();
    Description { parameters: vec![stack_parameter(), digest, of_type], answers }
}

fn stack_parameter() -> Value {
    parameter("stack", "Folder of a stack.", name_schema())
}

fn digest_schema() -> Value {
    json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})
}

/// Answers from the release that the request holds, else from a newer one, else from recent ones.
async fn respond(
    State(app): State<Arc<App>>,
    LiveRelease(live): LiveRelease,
    target: Target,
    request: Request,
) -> Response<Body> {
    let Some(mut snapshot) = live else {
        return OciError::from(Problem::unavailable(app.why_no_release())).into_response();
    };
    let (request, _) = request.into_parts();
    let mut response = answer(&snapshot, &app.blobs, &target, &request).await;
    let mut confirmed = true;
    if response.status() == StatusCode::NOT_FOUND {
        // Another instance, with a newer release, may have served this digest.
        let missing = if target.is_by_digest() { MissingContent::Digest } else { MissingContent::Name };
        let other = app.live.other_than(&snapshot, missing).await;
        confirmed = other.is_ok();
        if let Ok(Some(other)) = other {
            snapshot = other;
            response = answer(&snapshot, &app.blobs, &target, &request).await;
        }
    }
    if response.status() == StatusCode::NOT_FOUND && target.is_by_digest() {
        // The client may have begun its pull with an earlier release.
        response = match snapshot.read_recent(app.live.cache()).await {
            Ok(()) => answer(&snapshot, &app.blobs, &target, &request).await,
            Err(error) => OciError::from(error).into_response(),
        };
    }
    if response.status() == StatusCode::NOT_FOUND && !confirmed {
        response.headers_mut().insert(CACHE_CONTROL, Caching::Never.header());
    }
    response.headers_mut().insert(COMMIT, header(snapshot.commit.as_str()));
    response
}

async fn answer(snapshot: &Snapshot, blobs: &Blobs, target: &Target, request: &Parts) -> Response<Body> {
    find(snapshot, blobs, target, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn find(
    snapshot: &Snapshot,
    blobs: &Blobs,
    target: &Target,
    request: &Parts,
) -> Result<Response<Body>, OciError> {
    let unknown = || OciError::unknown(Code::NameUnknown, "there is no such repository");
    match target {
        Target::Version | Target::Repositories => {}
        Target::OtherRepository => return Err(unknown()),
        Target::Tags(stack)
        | Target::Manifest(stack, _)
        | Target::Blob(stack, _)
        | Target::Referrers(stack, _)
        | Target::Unknown(stack) => drop(snapshot.has_repository(stack).then_some(()).ok_or_else(unknown)?),
    }
    match target {
        Target::Version => Ok(listing(&json!({}), JSON, request)),
        Target::Repositories => {
            let names = snapshot.repositories().map(|stack| format!("{CATALOG}/{stack}")).collect();
            page("/v2/_catalog", request, names, |names| json!({"repositories": names}))
        }
        Target::Tags(stack) => {
            // Content of earlier releases has digests, but no tags.
            let repository = snapshot.repository(stack).ok_or_else(unknown)?;
            let tags = repository.tags.keys().cloned().collect();
            let name = format!("{CATALOG}/{stack}");
            page(&format!("/v2/{name}/tags/list"), request, tags, |tags| json!({"name": name, "tags": tags}))
        }
        Target::Manifest(stack, reference) => {
            let found = manifest(snapshot, [stack, reference], request);
            let mut answer = found.unwrap_or_else(IntoResponse::into_response);
            answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
            Ok(answer)
        }
        Target::Blob(stack, digest) => blob(snapshot, blobs, [stack, digest], request).await,
        Target::Referrers(_, digest) => referrers(digest, request),
        Target::Unknown(_) | Target::OtherRepository => {
            Err(OciError::unknown(Code::Unsupported, "there is nothing at this path"))
        }
    }
}

/// The referrers of a manifest: this registry has none.
fn referrers(digest: &str, request: &Parts) -> Result<Response<Body>, OciError> {
    parse_digest(digest)?;
    let empty = json!({"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": []});
    let mut response = listing(&empty, INDEX_MEDIA_TYPE, request);
    if pairs(request.uri.query().unwrap_or_default()).any(|(name, _)| name == "artifactType") {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}

fn parse_digest(text: &str) -> Result<Digest, OciError> {
    text.parse().map_err(|_| OciError::bad(Code::DigestInvalid, "the digest is not sha256: and 64 digits"))
}

/// A page of sorted names after `last`, at most `n` of them, with a link to the next page (RFC 8288).
fn page(
    path: &str,
    request: &Parts,
    names: Vec<String>,
    document: impl Fn(&[String]) -> Value,
) -> Result<Response<Body>, OciError> {
    let mut count = names.len();
    let mut start = 0;
    for (name, value) in pairs(request.uri.query().unwrap_or_default()) {
        match name.as_ref() {
            "n" => {
                let invalid = || OciError::bad(Code::PaginationNumberInvalid, "n is not a number");
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                // A number of any length: more than there are is all of them.
                count = digits.then(|| value.parse().unwrap_or(usize::MAX)).ok_or_else(invalid)?;
            }
            "last" => start = names.partition_point(|name| name.as_str() <= value.as_ref()),
            _ => {}
        }
    }
    let end = start.saturating_add(count).min(names.len());
    let listed = &names[start..end];
    let mut response = listing(&document(listed), JSON, request);
    if let Some(last) = listed.last()
        && end < names.len()
    {
        let last = percent_encoding::utf8_percent_encode(last, percent_encoding::NON_ALPHANUMERIC);
        response.headers_mut().insert(LINK, header(&format!("<{path}?n={count}&last={last}>; rel=\"next\"")));
    }
    Ok(response)
}

fn listing(document: &Value, media_type: &'static str, request: &Parts) -> Response<Body> {
    let body = Document::once(media_type, document.to_string().into());
    of_registry(body.answer(&request.headers, Caching::Minute))
}

fn manifest(snapshot: &Snapshot, [stack, reference]: [&str; 2], request: &Parts) -> Result<Response<Body>, OciError> {
    let unknown = || OciError::unknown(Code::ManifestUnknown, "there is no such manifest");
    let (digest, caching) = if reference.contains(':') {
        (parse_digest(reference)?, Caching::Immutable)
    } else {
        let tagged = snapshot.repository(stack).and_then(|repository| repository.tags.get(reference));
        (*tagged.ok_or_else(unknown)?, Caching::Minute)
    };
    let manifest = snapshot.manifest(stack, &digest).ok_or_else(unknown)?;
    if !admits_manifests(&request.headers) {
        let message = format!("Accept does not admit manifests; send Accept: {MANIFEST_MEDIA_TYPE}");
        return Err(OciError::unknown(Code::ManifestUnknown, message));
    }
    let content = Content { digest, size: manifest.len() as u64, media_type: MANIFEST_MEDIA_TYPE, caching };
    // The reference takes the digest without quotation marks, too.
    let response = if is_known(&request.headers, &[&digest.to_string()]) {
        content.not_modified()
    } else {
        content.whole(manifest.clone(), request)
    };
    Ok(of_registry(response))
}

/// Whether `Accept` admits manifests (RFC 9110, section 12.5.1): it names their type or `*/*`, or is missing. `application/*` does
/// not admit them, as in the reference's recorded answers.
fn admits_manifests(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(',')).filter(|range| !range.trim().is_empty()).peekable();
    if ranges.peek().is_none() {
        return true;
    }
    let (mut by_name, mut by_any) = (None, None);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let admitted = !is_refused(parts);
        if media_type.eq_ignore_ascii_case(MANIFEST_MEDIA_TYPE) {
            by_name = Some(admitted);
        } else if media_type == "*/*" {
            by_any = Some(admitted);
        }
    }
    by_name.or(by_any).unwrap_or(false)
}

async fn blob(
    snapshot: &Snapshot,
    blobs: &Blobs,
    [stack, digest]: [&str; 2],
    request: &Parts,
) -> Result<Response<Body>, OciError> {
    let digest = parse_digest(digest)?;
    let unknown = || OciError::unknown(Code::BlobUnknown, "there is no such blob");
    let size = snapshot.blob_size(stack, &digest).ok_or_else(unknown)?;
    let content = Content { digest, size, media_type: "application/octet-stream", caching: Caching::Immutable };
    let response = match content.without_bytes(request) {
        Some(response) => response,
        None => {
            let delivery = match snapshot.content(&digest) {
                Some(bytes) => Delivery::Bytes(bytes.clone()),
                None => blobs.deliver(&content, &request.headers).await?,
            };
            content.delivered(delivery, &request.headers)?
        }
    };
    Ok(offer_ranges(of_registry(response)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_that_admits_manifests_is_met() {
        let admits = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            admits_manifests(&headers)
        };
        assert!(
            admits(&[]) && admits(&[""]) && admits(&["*/*"]) && admits(&["*/*;q=0.1"]) && admits(&["text/html, */*"])
        );
        assert!(admits(&[MANIFEST_MEDIA_TYPE]) && admits(&["application/vnd.OCI.image.manifest.v1+json ; q=0.5"]));
        assert!(admits(&[INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE]) && admits(&["application/json", "*/*"]));
        assert!(
            !admits(&["application/*"]) && !admits(&["application/json"]) && !admits(&[INDEX_MEDIA_TYPE, "text/html"])
        );
        assert!(!admits(&["*/*;q=0"]) && !admits(&["application/vnd.oci.image.manifest.v1+json;q=0, */*"]));
        assert!(admits(&["application/vnd.oci.image.manifest.v1+json, */*;q=0.0"]));
    }

    #[test]
    fn page_of_a_list_links_the_next() {
        let ask = |query: &str| {
            let names = ["a", "b+", "c"].map(str::to_owned).to_vec();
            let (request, ()) = axum::http::Request::get(format!("/?{query}")).body(()).unwrap().into_parts();
            page("/v2/_catalog", &request, names, |names| json!(names))
        };
        assert_eq!(ask("n=2").unwrap().headers()[LINK], "</v2/_catalog?n=2&last=b%2B>; rel=\"next\"");
        for last in ["n=2&last=b%2B", "n=0", "n=3", "n=99999999999999999999999", "last=zzz", ""] {
            assert!(ask(last).unwrap().headers().get(LINK).is_none(), "{last}");
        }
        for bad in ["n=x", "n=", "n", "n=-1", "n=%2B1", "n=1.5"] {
            assert_eq!(ask(bad).unwrap_err().code, Code::PaginationNumberInvalid, "{bad}");
        }
    }
}
