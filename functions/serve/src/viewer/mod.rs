//! The registry viewer: pages for people, rendered from the snapshot for each request.
//!
//! [`routes`] declares each page; a stack has its page from the moment its release is live. The pages of a release share its
//! [`ViewerIndex`](crate::view::browse::viewer_index::ViewerIndex), and [`content`] caches everything that depends on a devfile's text alone. Pages work without
//! JavaScript, and nothing in them runs, loads or links unsafe content: texts are escaped by `maud`, links pass
//! [`link::safe_link`], and the policy in [`page`] forbids the rest.
//!
//! A request for a page becomes a `visit`: the registry, the release and the query. From there:
//!
//! - `list`, `status`, `compare` and `missing` are pages in the frame of `page`; that of a preview is `frame`.
//! - `detail` is the frame of the pages of a version: `overview`, `tabs`, `flattened` and `file_pages`. `shown` is the version.
//! - They are composed of `summary`, `tables`, `flow`, `install`, `readme`, `devfile`, `files` and `highlight`.
//! - `history` and `quarantine` are for owners and operators; `feed`, `badge`, `share` and `sitemap` for other sites and programs.
//! - `link`, `source`, `origin` and `icons` decide the targets of links and pictures; `assets` has style sheets and scripts.
//! - `budget` cuts texts and lists off, so that every page is bounded.

mod assets;
mod badge;
mod budget;
mod compare;
mod content;
mod detail;
mod devfile;
mod feed;
mod file_pages;
mod files;
mod flattened;
mod flow;
mod frame;
mod gallery;
mod highlight;
mod history;
mod icons;
mod install;
mod link;
mod list;
mod missing;
mod origin;
mod overview;
mod page;
mod quarantine;
mod readme;
mod share;
mod shown;
mod sitemap;
mod source;
mod status;
mod summary;
mod tables;
mod tabs;
mod visit;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod detail_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod share_tests;
#[cfg(test)]
mod tests;

pub(crate) use frame::Frame;
pub use gallery::Gallery;
pub(crate) use visit::Viewer;

use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;

use visit::{EntryQuery, Visit, page, page_with_files};

use crate::config::Mode;
use crate::http::body::{Body, Caching, redirect};
use crate::http::problem::Problem;
use crate::route::Route;
use crate::state::{App, LiveRelease};
use crate::status::Health;

/// The routes.
pub(crate) fn routes(viewer: &Arc<Viewer>) -> Vec<Route> {
    match viewer.mode {
        Mode::Pages => pages(viewer),
        Mode::Headless => headless(),
    }
}

fn pages(viewer: &Arc<Viewer>) -> Vec<Route> {
    let (robots, asset, icon, status) = (viewer.clone(), viewer.clone(), viewer.clone(), viewer.clone());
    let to_list = || async { redirect("/viewer") };
    let mark = |headers: HeaderMap| async move { assets::MARK.answer(&headers, Caching::Minute) };
    vec![
        page(viewer, "/viewer", |visit, ()| {
            let now = jiff::Timestamp::now();
            visit.found(&list::render(visit.snapshot, visit.registry, visit.query, now))
        }),
        Route::page(
            "/viewer/status",
            move |State(app): State<Arc<App>>, live: LiveRelease, request: Request| async move {
                answer_status(&status, &app, &live, &request.into_parts().0).await
            },
        ),
        // The first viewer had one name here, as in `Community+nodejs`.
        Route::page("/viewer/devfiles", to_list),
        page(viewer, "/viewer/devfiles/{registry}", answer_old_link),
        page_with_files(viewer, "/viewer/devfiles/{registry}/{name}", overview::wanted, overview::answer),
        page(viewer, "/viewer/devfiles/{registry}/{name}/commands", tabs::commands),
        page(viewer, "/viewer/devfiles/{registry}/{name}/components", tabs::components),
        page(viewer, "/viewer/devfiles/{registry}/{name}/devfile", tabs::devfile),
        page(viewer, "/viewer/devfiles/{registry}/{name}/flattened", flattened::answer),
        page(viewer, "/viewer/devfiles/{registry}/{name}/files", file_pages::answer_list),
        page_with_files(
            viewer,
            "/viewer/devfiles/{registry}/{name}/files/{path}",
            file_pages::wanted,
            file_pages::answer,
        )
        .with_rest(),
        page(viewer, "/viewer/devfiles/{registry}/{name}/versions", tabs::versions),
        page_with_files(viewer, "/viewer/devfiles/{registry}/{name}/compare", compare::wanted, compare::answer),
        page(viewer, page::FEED_PATH, feed::answer),
        page(viewer, "/viewer/devfiles/{registry}/{name}/feed.atom", feed::answer_entry),
        page(viewer, "/viewer/devfiles/{registry}/{name}/badges/{badge}", badge::answer),
        page(viewer, "/viewer/embed/{registry}/{name}", share::answer_embed),
        Route::page(
            "/viewer/assets/{name}",
            move |State(app): State<Arc<App>>, live: LiveRelease, Path(name): Path<String>, request: Request| async move {
                match assets::find(&name) {
                    Some(found) => Ok(found.answer(request.headers(), Caching::Immutable)),
                    None => asset.render(&app, &live, &request.into_parts().0, lost).await,
                }
            },
        ),
        Route::page(
            "/viewer/icons/{digest}",
            move |State(app): State<Arc<App>>, live: LiveRelease, Path(digest): Path<String>, request: Request| async move {
                let (parts, _) = request.into_parts();
                if let LiveRelease(Some(snapshot)) = &live
                    && let Some(found) = icons::answer(&digest, snapshot, &app.blobs, &parts.headers).await?
                {
                    return Ok(found);
                }
                icon.render(&app, &live, &parts, lost).await
            },
        ),
        page(viewer, "/viewer/{path}", |visit, _: String| lost(visit)).with_rest(),
        page(viewer, "/sitemap.xml", |visit, ()| match sitemap::sitemap(visit.snapshot, visit.registry) {
            Some(document) => {
                Body::once("application/xml", document.into()).answer_now(visit.headers, visit.registry.caching)
            }
            None => Problem::not_found("there is nothing at this path").into_response(),
        }),
        Route::page("/robots.txt", move |headers: HeaderMap| async move {
            robots.reached(&headers, |registry| plain(&sitemap::robots(registry), StatusCode::OK, registry.caching))
        }),
        Route::page("/favicon.ico", mark),
        Route::page("/favicon.svg", mark),
    ]
}

/// Answers a link of the first viewer, which had the registry and the entry in one name, as in `Community+nodejs`. Its registry may
/// have had another name than this one.
fn answer_old_link(visit: Visit<'_>, name: String) -> Response<HttpBody> {
    let name = name.rsplit_once('+').map(|(_, name)| name.trim());
    let position = name.and_then(|name| visit.snapshot.viewer_index.position(name, None));
    let query = EntryQuery::parse(visit.query);
    redirect(&position.map_or_else(
        || "/viewer".to_owned(),
        |position| {
            let entry = visit.snapshot.catalog.head(position);
            list::path_of(&entry, &visit.snapshot.viewer_index, visit.registry).version(&query.version)
        },
    ))
}

/// The routes without a viewer, with the answers of the reference.
fn headless() -> Vec<Route> {
    let refuse = || async {
        let message = "registry viewer is not available in headless mode";
        plain(message, StatusCode::BAD_REQUEST, Caching::Never)
    };
    vec![
        Route::page("/viewer", refuse),
        Route::page("/viewer/{path}", refuse).with_rest(),
        Route::page("/robots.txt", || async { plain(sitemap::NO_ROBOTS, StatusCode::OK, Caching::Minute) }),
    ]
}

async fn answer_status(
    viewer: &Viewer,
    app: &App,
    live: &LiveRelease,
    request: &Parts,
) -> Result<Response<HttpBody>, Problem> {
    if let Some(frame) = &viewer.frame {
        let now = jiff::Timestamp::now();
        let render = |visit: Visit<'_>| visit.current(&status::render_preview(visit.snapshot, frame, now));
        return viewer.render(app, live, request, render).await;
    }
    let last = app.last_refreshes.last(app.live.cache()).await;
    let freshness = app.live.freshness();
    let previews = app.previews.living(app.live.cache()).await;
    let health = Health { freshness: &freshness, last_refresh: last.as_ref(), previews: &previews };
    let now = jiff::Timestamp::now();
    let render = |visit: Visit<'_>| visit.current(&status::render(visit.snapshot, visit.registry, health, now));
    viewer.render(app, live, request, render).await
}

/// Answers a path below `/viewer` that leads nowhere.
fn lost(visit: Visit<'_>) -> Response<HttpBody> {
    visit.missing(&missing::path())
}

fn plain(text: &str, status: StatusCode, caching: Caching) -> Response<HttpBody> {
    let mut response = Response::new(HttpBody::from(text.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, caching.header());
    response
}
