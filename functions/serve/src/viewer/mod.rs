//! The registry viewer: pages for people, rendered from the snapshot for each request.
//!
//! Routes are data: a stack has its page from the moment its release is live. What the pages of a release share is worked
//! out once in its [`Shelf`]; what follows from a devfile's text alone is kept in [`Contents`]. Pages work without
//! JavaScript, and nothing in them runs, loads or points to what is not safe: texts are escaped by `maud`, links pass
//! [`link::outside`], and the policy in [`page`] forbids the rest.

mod assets;
mod compare;
mod content;
mod detail;
mod devfile;
mod flow;
mod gallery;
mod highlight;
mod icons;
mod install;
mod link;
mod list;
mod missing;
mod origin;
mod page;
mod room;
mod shown;
mod sitemap;
mod status;
mod tables;

#[cfg(test)]
mod bounds;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use gallery::Gallery;

use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use devfile_registry::index::EntryType;
use devfile_registry::public_url::PublicUrl;

use content::Contents;
use link::slug;
use page::{Page, Registry};
use shown::Shown;

use crate::config::Mode;
use crate::http::body::{Body, Caching, redirect};
use crate::http::path::{decode, segments};
use crate::http::problem::Problem;
use crate::http::query::pairs;
use crate::release::blobs::Blobs;
use crate::release::snapshot::Snapshot;
use crate::route::Route;
use crate::state::{App, Held};
use crate::status::Health;
use crate::workers::{self, Busy};

/// What a client asks the viewer for.
#[derive(Debug, Clone, Copy)]
struct Ask<'a> {
    /// The path, decoded and in parts.
    path: &'a [&'a str],
    /// The query, as it came.
    query: &'a str,
    /// The headers.
    headers: &'a HeaderMap,
}

/// Answers with pages.
#[derive(Debug)]
pub(crate) struct Viewer {
    name: String,
    slug: String,
    public_url: Option<PublicUrl>,
    mode: Mode,
    contents: Contents,
}

/// The routes. Which page a path below `/viewer` is, [`Viewer::page`] says.
pub(crate) fn routes(viewer: &Arc<Viewer>) -> Vec<Route> {
    let page = |path| {
        let viewer = Arc::clone(viewer);
        Route::page(path, move |state: State<Arc<App>>, held: Held, request: Request| async move {
            respond(&viewer, state, held, request).await
        })
    };
    vec![
        page("/viewer"),
        page("/viewer/{path}").with_rest(),
        page("/sitemap.xml"),
        page("/robots.txt"),
        page("/favicon.ico"),
        page("/favicon.svg"),
    ]
}

async fn respond(
    viewer: &Viewer,
    State(app): State<Arc<App>>,
    Held(held): Held,
    request: Request,
) -> Result<Response<HttpBody>, Problem> {
    let path = decode(request.uri().path()).ok_or_else(Problem::bad_path)?;
    let path: Vec<&str> = segments(&path).collect();
    let ask = Ask { path: &path, query: request.uri().query().unwrap_or_default(), headers: request.headers() };
    let last = match path.as_slice() {
        ["viewer", "status"] => app.last_refreshes.last(app.live.cache()).await,
        _ => None,
    };
    let health = Health { freshness: &app.live.freshness(), last_refresh: last.as_ref() };
    let snapshot = held.as_deref().ok_or_else(|| app.why_no_release());
    let page = viewer.answer(ask, snapshot, health, &app.blobs).await?;
    page.ok_or_else(|| Problem::not_found("there is nothing at this path"))
}

/// What the reference answers when there is no viewer.
const HEADLESS: &str = "registry viewer is not available in headless mode";

impl Viewer {
    /// The viewer of the registry with a name. Without a URL, every request tells under which one it reached the registry.
    pub(crate) fn new(name: &str, public_url: Option<PublicUrl>, mode: Mode) -> Self {
        Self { name: name.to_owned(), slug: slug(name), public_url, mode, contents: Contents::new() }
    }

    /// Answers a GET or HEAD of a path that one of the [routes] has; `None` when there is nothing at it. Without a
    /// release, `snapshot` says why.
    ///
    /// # Errors
    /// Too many other requests wait for pages.
    async fn answer(
        &self,
        Ask { path, query, headers }: Ask<'_>,
        snapshot: Result<&Snapshot, &'static str>,
        health: Health<'_>,
        blobs: &Blobs,
    ) -> Result<Option<Response<HttpBody>>, Busy> {
        let reached = if self.public_url.is_none() { origin::of(headers) } else { None };
        let origin = self.public_url.as_ref().or(reached.as_ref());
        let caching = if self.public_url.is_some() { Caching::Page } else { Caching::Private };
        let registry = Registry { name: &self.name, slug: &self.slug, origin, caching };
        match (path, self.mode) {
            (["viewer", ..], Mode::Headless) => {
                return Ok(Some(plain(HEADLESS, StatusCode::BAD_REQUEST, Caching::Never)));
            }
            (["robots.txt"], Mode::Headless) => {
                return Ok(Some(plain(sitemap::NO_ROBOTS, StatusCode::OK, Caching::Minute)));
            }
            (["robots.txt"], Mode::Pages) => {
                return Ok(Some(plain(&sitemap::robots(registry), StatusCode::OK, registry.caching)));
            }
            (["favicon.ico" | "favicon.svg"], Mode::Pages) => {
                return Ok(Some(assets::MARK.answer(headers, Caching::Minute)));
            }
            (["viewer", "assets", name], Mode::Pages) if assets::find(name).is_some() => {
                return Ok(assets::find(name).map(|asset| asset.answer(headers, Caching::Immutable)));
            }
            (["viewer", ..] | ["sitemap.xml"], Mode::Pages) => {}
            _ => return Ok(None),
        }
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(reason) => {
                let page = missing::release(reason);
                return Ok(Some(page.answer(registry, headers, StatusCode::SERVICE_UNAVAILABLE, Caching::Never)));
            }
        };
        if let ["viewer", "icons", name] = path {
            match icons::answer(name, snapshot, blobs, headers).await {
                Ok(Some(icon)) => return Ok(Some(icon)),
                Ok(None) => {}
                Err(error) => return Ok(Some(Problem::from(error).into_response())),
            }
        }
        let render = || match path {
            ["sitemap.xml"] => {
                let document = sitemap::sitemap(snapshot, registry)?;
                Some(Body::once("application/xml", document.into()).answer_now(headers, registry.caching))
            }
            _ => Some(self.page(Ask { path: &path[1..], query, headers }, snapshot, health, registry)),
        };
        workers::run(render).await
    }

    fn page(
        &self,
        Ask { path, query, headers }: Ask<'_>,
        snapshot: &Snapshot,
        health: Health<'_>,
        registry: Registry<'_>,
    ) -> Response<HttpBody> {
        let found = |page: Page| page.answer(registry, headers, StatusCode::OK, registry.caching);
        // What is not there now may be there when somebody looks again.
        let lost = |page: Page| page.answer(registry, headers, StatusCode::NOT_FOUND, Caching::Never);
        match path {
            [] => found(list::render(snapshot, registry, query)),
            ["status"] => {
                let page = status::render(snapshot, registry, health, jiff::Timestamp::now());
                page.answer(registry, headers, StatusCode::OK, Caching::Never)
            }
            // The first viewer had one name here, as in `Community+nodejs`.
            ["devfiles"] | ["devfiles", _] => redirect("/viewer"),
            ["devfiles", asked, name, rest @ ..] => {
                if !self.is_this(asked) {
                    return lost(missing::registry(snapshot, registry, asked, name));
                }
                let asked = EntryQuery::parse(query);
                let Some(place) = snapshot.shelf.place(name, asked.only) else {
                    return lost(missing::entry(snapshot, registry, name));
                };
                let entry = &snapshot.catalog.entries()[place];
                let shown = |wanted: &str| Shown::find(snapshot, entry, wanted);
                let no_version = |version: &str| lost(missing::version(snapshot, registry, name, version));
                match rest {
                    [] => {
                        let Some(shown) = shown(&asked.version) else { return no_version(&asked.version) };
                        let content = shown.text().map(|text| self.contents.of(text));
                        found(detail::render(snapshot, registry, shown, content.as_deref()))
                    }
                    ["compare"] => {
                        let Some(to) = shown(&asked.to) else { return no_version(&asked.to) };
                        let Some(from) = shown(&asked.from) else { return no_version(&asked.from) };
                        found(compare::render(snapshot, registry, from, to))
                    }
                    _ => lost(missing::path()),
                }
            }
            _ => lost(missing::path()),
        }
    }

    /// Whether a registry in a path is this one: its name in any case, or as existing viewers write it.
    fn is_this(&self, asked: &str) -> bool {
        slug(asked) == self.slug
    }
}

/// The query of an entry's pages.
#[derive(Debug, Default)]
struct EntryQuery {
    version: String,
    from: String,
    to: String,
    only: Option<EntryType>,
}

impl EntryQuery {
    fn parse(raw: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in pairs(raw) {
            match name.as_ref() {
                "devfile-version" => query.version = value.into_owned(),
                "from" => query.from = value.into_owned(),
                "to" => query.to = value.into_owned(),
                "type" => {
                    query.only =
                        [EntryType::Stack, EntryType::Sample].into_iter().find(|only| link::type_name(*only) == value);
                }
                _ => {}
            }
        }
        query
    }
}

fn plain(text: &str, status: StatusCode, caching: Caching) -> Response<HttpBody> {
    let mut response = Response::new(HttpBody::from(text.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, caching.header());
    response
}
