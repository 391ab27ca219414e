//! The answers of a preview: those of `serve`, with two differences. Browsers keep no page without asking again, and pages of the
//! viewer have a script that reloads them when a new release changes their content.
//!
//! The script hears of releases from server-sent events (HTML standard, section 9.2), reads its page again and compares.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use devfile_registry::cache::Cache;
use devfile_registry::limits::PAGE_BYTES;
use devfile_registry::plain_http::RequestBody;
use futures_util::stream::{self, StreamExt};
use serve::{App, Config, Observer, UsageEvents};
use tokio::sync::watch;
use tokio::time::timeout;

/// The path of the events, one for each release.
const EVENTS: &str = "/_preview/events";

/// The path of the script.
const SCRIPT: &str = "/_preview/reload.js";

/// The script in a page.
const TAG: &str = "<script src=\"/_preview/reload.js\" defer></script>";

/// The longest silence of the events, so that the server sees which pages are gone.
const SILENCE: Duration = Duration::from_secs(15);

/// Answers requests from the releases of a bucket.
#[derive(Debug)]
pub(super) struct Pages {
    app: Arc<App>,
    observer: Observer,
    news: watch::Sender<News>,
}

/// The events of open pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// So many releases went live.
    Releases(u64),
    /// The preview ends.
    End,
}

impl Pages {
    /// Loads the live release of a bucket.
    pub(super) async fn new(config: Config, bucket: Cache) -> Self {
        let app = Arc::new(App::new(config, bucket).await);
        let observer = Observer::new(Arc::clone(&app), UsageEvents::Off);
        Self { app, observer, news: watch::Sender::new(News::Releases(0)) }
    }

    /// Answers from the release that is live now, and notifies the pages that are open.
    pub(super) async fn release_changed(&self) {
        self.app.revalidate().await;
        self.news.send_modify(|news| {
            if let News::Releases(number) = news {
                *number += 1;
            }
        });
    }

    /// Ends the events: an open page must not hold the end of the process.
    pub(super) fn end(&self) {
        self.news.send_replace(News::End);
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        match path.as_str() {
            EVENTS if method == Method::GET => return self.events(),
            SCRIPT if method == Method::GET => return script(),
            _ => {}
        }
        let mut request = request.map(Body::new);
        if path.starts_with("/viewer") {
            // The script goes into the text.
            request.headers_mut().remove(ACCEPT_ENCODING);
        }
        let mut response = self.observer.answer(request).await;
        revalidated(response.headers_mut());
        let is_page = |value: &HeaderValue| value.as_bytes().starts_with(b"text/html");
        if method == Method::GET && response.headers().get(CONTENT_TYPE).is_some_and(is_page) {
            return with_script(response).await;
        }
        response
    }

    fn events(&self) -> Response<Body> {
        let news = self.news.subscribe();
        // Browsers wait for some bytes before they take the stream for open.
        let opened = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b": a preview\n\n"))]);
        let events = stream::unfold(news, |mut news| async move {
            let waited = timeout(SILENCE, news.changed()).await;
            let seen = *news.borrow_and_update();
            let event: &[u8] = match (waited, seen) {
                (Ok(Err(_)), _) | (_, News::End) => return None,
                (Ok(Ok(())), News::Releases(_)) => b"event: release\ndata:\n\n",
                (Err(_), News::Releases(_)) => b":\n\n",
            };
            Some((Ok(Bytes::from_static(event)), news))
        });
        let events = opened.chain(events);
        let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
        (headers, Body::from_stream(events)).into_response()
    }
}

fn script() -> Response<Body> {
    let headers = [(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "no-cache")];
    (headers, include_str!("reload.js")).into_response()
}

/// Lets clients keep an answer that can change only until they ask again.
fn revalidated(headers: &mut HeaderMap) {
    if let Some(caching) = headers.get_mut(CACHE_CONTROL)
        && !caching.as_bytes().ends_with(b"immutable")
    {
        *caching = HeaderValue::from_static("no-cache");
    }
}

/// Puts the script into a page.
async fn with_script(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let Ok(page) = to_bytes(body, PAGE_BYTES).await else { return StatusCode::BAD_GATEWAY.into_response() };
    parts.headers.remove(CONTENT_LENGTH);
    let text = String::from_utf8_lossy(&page);
    let body = match text.split_once("</head>") {
        Some((head, rest)) => Body::from(format!("{head}{TAG}</head>{rest}")),
        None => Body::from(page),
    };
    Response::from_parts(parts, body)
}
