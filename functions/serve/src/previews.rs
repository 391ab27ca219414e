//! `/previews/{number}/...`: the registry as it would be with a proposal, answered by the routes of the registry itself.
//!
//! Each preview has routes of its own, whose state is its release and nothing of the live one, so no answer can mix the two. Its
//! answers are marked: links stay below the path of the preview, search engines do not list it, and caches keep it for seconds.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, LOCATION};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::Router;
use devfile_registry::cache::PREVIEWS;
use devfile_registry::digest::Digest;
use devfile_registry::limits::LOADED_PREVIEWS;
use devfile_registry::preview::Preview;
use moka::future::Cache as Memory;
use moka::policy::EvictionPolicy;
use tokio::sync::Semaphore;
use tower::Service;

use crate::http::body::{Caching, header, redirect};
use crate::http::path::{decode, rewrite};
use crate::http::problem::Problem;
use crate::release::previews;
use crate::release::snapshot::Shared;
use crate::route::Route;
use crate::state::{App, COMMIT, LiveRelease};
use crate::viewer::{self, Frame, Viewer};
use crate::{devfiles, files, index};

/// Time after its last request at which a preview leaves the memory.
const IDLE: Duration = Duration::from_secs(600);

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// The previews in memory, loaded when they are asked for.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// By number, release and time of the last push: times are whole seconds, and two pushes may be within one.
    previews: Memory<(u64, Digest, String), Arc<Registry>>,
    /// One is loaded at a time.
    loading: Semaphore,
}

/// The registry of a preview.
#[derive(Debug)]
struct Registry {
    snapshot: Shared,
    router: Router,
}

impl Loaded {
    /// Loads nothing yet.
    pub(crate) fn new() -> Self {
        let previews = Memory::builder().max_capacity(LOADED_PREVIEWS as u64).time_to_idle(IDLE);
        Self { previews: previews.eviction_policy(EvictionPolicy::lru()).build(), loading: Semaphore::new(1) }
    }

    /// The registry of a preview. Requests that come at once share one loading.
    async fn get(&self, app: &App, preview: &Arc<Preview>) -> Result<Arc<Registry>, Problem> {
        let unavailable = || Problem::unavailable("the preview cannot be loaded; try again in a moment");
        let load = async {
            let _one = self.loading.acquire().await.map_err(|_| unavailable())?;
            let live = app.live.current();
            let snapshot = previews::load(app.live.cache(), preview, live.as_ref()).await.map_err(|failure| {
                tracing::warn!(number = preview.number, %failure, "cannot load a preview");
                unavailable()
            })?;
            Ok(Arc::new(Registry::new(app, preview, snapshot)))
        };
        let key = (preview.number, preview.release, preview.updated_at.to_string());
        let loaded = self.previews.try_get_with(key, load).await.map_err(|problem: Arc<Problem>| (*problem).clone());
        self.previews.run_pending_tasks().await;
        loaded
    }
}

impl Registry {
    fn new(app: &App, preview: &Arc<Preview>, snapshot: Shared) -> Self {
        let config = &app.config;
        let frame = Frame::new(Arc::clone(preview));
        let viewer = Viewer::new(&config.name, config.public_url.clone(), config.viewer).framed(frame);
        let all = [index::routes(), devfiles::routes(), files::routes(), viewer::routes(&Arc::new(viewer))];
        let router = all.into_iter().flatten().fold(Router::new(), |router, route| route.add_to(router));
        let unrouted = || async { missing("there is nothing at this path").into_response() };
        let router = router.fallback(unrouted).with_state(Arc::new(app.of_preview(Arc::clone(&snapshot))));
        Self { snapshot, router }
    }
}

/// The routes.
pub(crate) fn routes(loaded: &Arc<Loaded>) -> Vec<Route> {
    let handler = |loaded: Arc<Loaded>| {
        move |State(app): State<Arc<App>>, request: Request| async move { answer(&app, &loaded, request).await }
    };
    vec![
        Route::page("/previews/{number}", handler(Arc::clone(loaded))),
        Route::page("/previews/{number}/{path}", handler(Arc::clone(loaded))).with_rest(),
    ]
}

async fn answer(app: &App, loaded: &Loaded, request: Request) -> Response<Body> {
    let path = decode(request.uri().path()).unwrap_or_default().into_owned();
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(PREVIEWS)).unwrap_or_default();
    let (number, inner) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let living = app.previews.living(app.live.cache()).await;
    let Some(preview) = living.iter().find(|preview| preview.number.to_string() == number) else {
        return marked(missing("there is no such preview, or it has ended").into_response());
    };
    if matches!(inner, "" | "/") {
        return marked(redirect(&format!("{}/viewer", preview.path())));
    }
    if !Frame::shows(inner) {
        return marked(missing("a preview has nothing at this path").into_response());
    }
    let registry = match loaded.get(app, preview).await {
        Ok(registry) => registry,
        Err(problem) => return marked(problem.into_response()),
    };
    let (parts, _) = request.into_parts();
    // Nothing of the outer request but this: its extensions are those of the live registry's routes.
    let mut inside = Request::new(Body::empty());
    *inside.method_mut() = parts.method;
    *inside.uri_mut() = rewrite(&parts.uri, inner).unwrap_or(parts.uri);
    *inside.headers_mut() = parts.headers;
    inside.extensions_mut().insert(LiveRelease(Some(Arc::clone(&registry.snapshot))));
    let Ok(mut response) = registry.router.clone().call(inside).await;
    let headers = response.headers_mut();
    headers.insert(COMMIT, header(registry.snapshot.commit.as_str()));
    let to_inside = headers.get(LOCATION).and_then(|to| to.to_str().ok()).filter(|to| Frame::shows(to));
    if let Some(to) = to_inside.map(|to| format!("{}{to}", preview.path())) {
        headers.insert(LOCATION, header(&to));
    }
    marked(response)
}

fn missing(message: &'static str) -> Problem {
    Problem::not_found(message)
}

/// The answer as it leaves: for no search engine, and for caches only as long as a preview stays as it is.
fn marked(mut response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(ROBOTS, HeaderValue::from_static("noindex, nofollow"));
    let is_shared = headers.get(CACHE_CONTROL).is_some_and(|caching| caching.as_bytes().starts_with(b"public"));
    let is_lasting = matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED);
    let caching = match headers.get(CACHE_CONTROL) {
        Some(_) if is_lasting && is_shared => Caching::Missing.header(),
        // A page that is for its client alone, or for this moment.
        Some(caching) if is_lasting => caching.clone(),
        _ => Caching::Never.header(),
    };
    headers.insert(CACHE_CONTROL, caching);
    response
}
