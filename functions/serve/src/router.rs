//! From a request to its answer: the routes of all APIs behind one spelling of paths, and the headers that all answers have.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CONTENT_LENGTH, HeaderValue, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::Router;
use devfile_registry::limits::{PATH_BYTES, QUERY_BYTES};
use tower::Service;

use crate::http::body::header;
use crate::http::path::{decode, rewrite, segments, without_slash};
use crate::http::problem::Problem;
use crate::large_answers::fit;
use crate::oci::{self, Code, OciError};
use crate::openapi::{self, Interface};
use crate::route::Route;
use crate::starters::{self, Starters};
use crate::state::{App, COMMIT, LiveRelease, STALE};
use crate::viewer::{self, Viewer};
use crate::{devfiles, files, index, previews, status};

/// The methods of every route.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// Headers of answers that scripts of other origins may read, beside those that they always may.
const EXPOSED: &str = "etag, link, location, content-range, content-length, accept-ranges, content-disposition, \
                       docker-content-digest, devfile-registry-commit, devfile-registry-stale, retry-after, allow";

/// Answers requests; there is always an answer.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    app: Arc<App>,
    router: Router,
}

impl Answers {
    /// Puts the routes of all APIs together.
    pub(crate) fn new(app: Arc<App>) -> Self {
        let config = &app.config;
        let starters = Starters::new(config.fetches.clone(), config.large_blobs, app.live.cache().clone());
        let viewer = Viewer::new(&config.name, config.public_url.clone(), config.viewer)
            .opening_in(config.open_in.clone())
            .for_readers(config.readers);
        let routes = routes(starters, viewer);
        let router = routes.into_iter().fold(Router::new(), |router, route| route.add_to(router));
        let router = router.fallback(unrouted).with_state(Arc::clone(&app));
        Self { app, router }
    }
}

impl Service<Request> for Answers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { app, router } = self.clone();
        Box::pin(async move { Ok(answer(&app, router, request).await) })
    }
}

/// All routes, in the order in which they are described.
fn routes(starters: Starters, viewer: Viewer) -> Vec<Route> {
    let interface = Arc::new(Interface::default());
    let all = [
        index::routes(),
        starters::routes(Arc::new(starters)),
        devfiles::routes(),
        files::routes(),
        oci::routes(),
        status::routes(),
        openapi::routes(Arc::clone(&interface)),
        viewer::routes(&Arc::new(viewer)),
        previews::routes(&Arc::new(previews::Loaded::new())),
    ];
    let routes: Vec<Route> = all.into_iter().flatten().collect();
    interface.describe(&routes);
    routes
}

async fn answer(app: &App, mut router: Router, request: Request) -> Response<Body> {
    let LiveRelease(live) = LiveRelease(app.live.snapshot().await);
    // No request has a body that is read.
    let (mut parts, _) = request.into_parts();
    let method = parts.method.clone();
    let asked = app.is_lambda.then(|| parts.headers.clone());
    let mut response = match admit(&mut parts) {
        Some(response) => response,
        None => {
            parts.extensions.insert(LiveRelease(live.clone()));
            let Ok(response) = router.call(Request::from_parts(parts, Body::empty())).await;
            match asked {
                Some(asked) => fit(app, &asked, response).await,
                None => response,
            }
        }
    };
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
    if let Some(snapshot) = &live {
        headers.entry(COMMIT).or_insert_with(|| header(snapshot.commit.as_str()));
        let freshness = app.live.freshness();
        if freshness.failure.is_some() {
            headers.insert(STALE, HeaderValue::from(freshness.checked.as_secs()));
        }
    }
    let response = if method == Method::HEAD { without_body(response) } else { response };
    without_length(response)
}

/// Gives the request the normalized path that the routes know. Requests that no route should see are answered at once.
fn admit(parts: &mut Parts) -> Option<Response<Body>> {
    let sent = parts.uri.path();
    let decoded = decode(sent);
    let is_oci = oci::owns(decoded.as_deref().unwrap_or(sent));
    let refuse = |problem: Problem| {
        if is_oci { OciError::from(problem).into_response() } else { problem.into_response() }
    };
    if sent.len() > PATH_BYTES {
        let message = format!("the path is longer than {PATH_BYTES} bytes");
        return Some(refuse(Problem::new(StatusCode::URI_TOO_LONG, message)));
    }
    if parts.uri.query().is_some_and(|query| query.len() > QUERY_BYTES) {
        let message = format!("the query is longer than {QUERY_BYTES} bytes");
        return Some(refuse(Problem::new(StatusCode::URI_TOO_LONG, message)));
    }
    match parts.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Some(preflight()),
        // As the reference: to clients that push, nothing here can be written to.
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE if is_oci => {
            return Some(OciError::unknown(Code::Unsupported, "this registry is read-only").into_response());
        }
        // The reference's words, which clients compare.
        _ => return Some(refuse(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Only GET requests are supported."))),
    }
    let Some(decoded) = decoded else { return Some(refuse(Problem::bad_path())) };
    // A file's path with a slash at the end names a folder, which has no answer in the reference either.
    let path = if decoded.starts_with("/stacks/") { &decoded } else { without_slash(&decoded) };
    // The router takes an empty segment for a name.
    let is_nameless = path.starts_with("/devfiles/") && segments(path).skip(1).take(2).any(str::is_empty);
    if is_nameless {
        return Some(refuse(Problem::bad_path()));
    }
    if let Some(uri) = rewrite(&parts.uri, path) {
        parts.uri = uri;
    }
    None
}

/// Answers a path that no route has.
async fn unrouted(state: State<Arc<App>>, live: LiveRelease, request: Request) -> Response<Body> {
    let path = decode(request.uri().path()).unwrap_or_default().into_owned();
    if oci::owns(&path) {
        return oci::answer_unrouted(state, live, &path, request).await;
    }
    let problem = match live {
        LiveRelease(None) => Problem::unavailable(state.why_no_release()),
        LiveRelease(Some(_)) => Problem::not_found("there is nothing at this path"),
    };
    problem.into_response()
}

/// The answer to a browser's preflight request (Fetch standard, "CORS-preflight fetch").
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
    if let Some(length) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}

/// The same answer without a length, where its status says that no body follows: axum's router gives it one.
fn without_length(mut response: Response<Body>) -> Response<Body> {
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

/// The declarations of all routes.
#[cfg(test)]
pub(crate) async fn declarations() -> Vec<crate::route::Declaration> {
    use crate::config::{LargeBlobs, Mode};
    use devfile_registry::cache::{Cache, RetryPolicy};

    let cache = Cache::from_env("nowhere", RetryPolicy::Reader).await;
    let starters = Starters::new(devfile_registry::fetch::Rules::default(), LargeBlobs::Sent, cache);
    let routes = routes(starters, Viewer::new("Clay Works", None, Mode::Pages));
    routes.into_iter().map(|route| route.declaration).collect()
}
