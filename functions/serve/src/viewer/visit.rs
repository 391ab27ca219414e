//! A request for a page: the registry, the release and the query that the page is rendered from.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{Path, Request, State};
use axum::http::header::HeaderMap;
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use devfile_registry::index::{Entry, EntryType};
use devfile_registry::open_in::OpenIn;
use devfile_registry::public_url::PublicUrl;
use devfile_registry::release::StoredFile;
use serde::de::DeserializeOwned;

use super::budget::PAGE_DIFF_TIME;
use super::content::Rendered;
use super::files::FileTexts;
use super::frame::Frame;
use super::link::{self, slug};
use super::page::{Page, RegistryInfo};
use super::shown::Shown;
use super::{missing, origin};
use crate::config::{Mode, Readers};
use crate::http::body::Caching;
use crate::http::problem::Problem;
use crate::http::query::pairs;
use crate::release::snapshot::Snapshot;
use crate::route::Route;
use crate::state::{App, LiveRelease};
use crate::workers::{self, Admitted};

/// The configuration of the viewer, and the devfiles that it has parsed.
#[derive(Debug)]
pub(crate) struct Viewer {
    name: String,
    slug: String,
    public_url: Option<PublicUrl>,
    pub(super) mode: Mode,
    pub(super) rendered: Rendered,
    /// Environments that open a devfile by a link.
    pub(super) open_in: OpenIn,
    /// The readers of its pages.
    pub(super) readers: Readers,
    /// The frame of all pages, when they are those of a preview.
    pub(super) frame: Option<Frame>,
    /// Longest that the comparisons of a page may take together.
    pub(super) diff_time: Duration,
}

/// A request for a page of a release.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit<'a> {
    /// The viewer that is asked.
    pub(super) viewer: &'a Viewer,
    /// The registry as pages name it.
    pub(super) registry: RegistryInfo<'a>,
    /// The release.
    pub(super) snapshot: &'a Snapshot,
    /// The query, as it came.
    pub(super) query: &'a str,
    /// The headers.
    pub(super) headers: &'a HeaderMap,
    /// The entry that the path names, once it was [asked for](Self::entry).
    entry: &'a OnceCell<Entry>,
}

impl Viewer {
    /// The viewer of a registry with this name. Without a URL, each request names the one under which it reached the registry.
    pub(crate) fn new(name: &str, public_url: Option<PublicUrl>, mode: Mode) -> Self {
        Self {
            name: name.to_owned(),
            slug: slug(name),
            public_url,
            mode,
            rendered: Rendered::new(),
            open_in: OpenIn::default(),
            readers: Readers::Everyone,
            frame: None,
            diff_time: PAGE_DIFF_TIME,
        }
    }

    /// The same for the pages of a preview.
    pub(crate) fn framed(self, frame: Frame) -> Self {
        Self { frame: Some(frame), ..self }
    }

    /// The same, with links to development environments.
    pub(crate) fn opening_in(self, open_in: OpenIn) -> Self {
        Self { open_in, ..self }
    }

    /// The same, for some readers.
    pub(crate) fn for_readers(self, readers: Readers) -> Self {
        Self { readers, ..self }
    }

    /// The configured URL of the registry.
    pub(super) fn own_url(&self) -> Option<String> {
        self.public_url.as_ref().map(ToString::to_string)
    }

    /// The registry as a request reaches it. Nobody else gets a page that repeats a host of the client's choice.
    pub(super) fn reached<T>(&self, headers: &HeaderMap, render: impl FnOnce(RegistryInfo<'_>) -> T) -> T {
        let reached = if self.public_url.is_none() { origin::of(headers) } else { None };
        let origin = self.public_url.as_ref().or(reached.as_ref());
        let caching = if self.public_url.is_some() { Caching::Page } else { Caching::Private };
        render(RegistryInfo { name: &self.name, slug: &self.slug, origin, caching, frame: self.frame.as_ref() })
    }

    /// Renders a page beside the threads that serve connections. Without a release, the answer is a page that says so.
    ///
    /// # Errors
    /// Too many other requests wait for pages.
    pub(super) async fn render(
        &self,
        app: &App,
        live: &LiveRelease,
        request: &Parts,
        render: impl FnOnce(Visit<'_>) -> Response<HttpBody>,
    ) -> Result<Response<HttpBody>, Problem> {
        self.render_admitted(&workers::admit()?, app, live, request, render).await
    }

    async fn render_admitted(
        &self,
        admitted: &Admitted<'_>,
        app: &App,
        LiveRelease(live): &LiveRelease,
        request: &Parts,
        render: impl FnOnce(Visit<'_>) -> Response<HttpBody>,
    ) -> Result<Response<HttpBody>, Problem> {
        let (headers, query) = (&request.headers, request.uri.query().unwrap_or_default());
        let render = || {
            self.reached(headers, |registry| match live.as_deref() {
                Some(snapshot) => {
                    let entry = OnceCell::new();
                    render(Visit { viewer: self, registry, snapshot, query, headers, entry: &entry })
                }
                None => {
                    let page = missing::release(app.why_no_release());
                    page.answer(registry, headers, StatusCode::SERVICE_UNAVAILABLE, Caching::Never)
                }
            })
        };
        Ok(admitted.run(render).await?)
    }
}

/// The route of a page that shows files of the release. `wanted` names them, `render` gets them with the rest. The request is admitted
/// before the files are read, and the memory of all such requests is bounded.
pub(super) fn page_with_files<P>(
    viewer: &Arc<Viewer>,
    path: &'static str,
    wanted: fn(&Snapshot, &EntryQuery, &P) -> Vec<StoredFile>,
    render: fn(Visit<'_>, P, &FileTexts) -> Response<HttpBody>,
) -> Route
where
    P: DeserializeOwned + Send + Sync + 'static,
{
    let viewer = Arc::clone(viewer);
    Route::page(
        path,
        move |State(app): State<Arc<App>>, live: LiveRelease, Path(names): Path<P>, request: Request| async move {
            let (request, _) = request.into_parts();
            let admitted = workers::admit()?;
            let (texts, _reserved) = match &live {
                LiveRelease(Some(snapshot)) => {
                    let query = EntryQuery::parse(request.uri.query().unwrap_or_default());
                    let files = admitted.run(|| wanted(snapshot, &query, &names)).await?;
                    let reserved = admitted.reserve(files.iter().map(|file| file.size).sum()).await?;
                    (FileTexts::read(snapshot, &app.blobs, files).await, Some(reserved))
                }
                LiveRelease(None) => (FileTexts::default(), None),
            };
            let render = |visit: Visit<'_>| render(visit, names, &texts);
            viewer.render_admitted(&admitted, &app, &live, &request, render).await
        },
    )
}

/// The route of a page, which `render` makes of the release and of the names in the path.
pub(super) fn page<P>(viewer: &Arc<Viewer>, path: &'static str, render: fn(Visit<'_>, P) -> Response<HttpBody>) -> Route
where
    P: DeserializeOwned + Send + 'static,
{
    let viewer = Arc::clone(viewer);
    Route::page(
        path,
        move |State(app): State<Arc<App>>, live: LiveRelease, Path(names): Path<P>, request: Request| async move {
            viewer.render(&app, &live, &request.into_parts().0, |visit| render(visit, names)).await
        },
    )
}

impl<'a> Visit<'a> {
    /// The answer with a page that was found.
    pub(super) fn found(self, page: &Page) -> Response<HttpBody> {
        page.answer(self.registry, self.headers, StatusCode::OK, self.registry.caching)
    }

    /// The answer with a page that is never the same twice.
    pub(super) fn current(self, page: &Page) -> Response<HttpBody> {
        page.answer(self.registry, self.headers, StatusCode::OK, Caching::Never)
    }

    /// The answer with a page about a missing thing. A later release may have it.
    pub(super) fn missing(self, page: &Page) -> Response<HttpBody> {
        page.answer(self.registry, self.headers, StatusCode::NOT_FOUND, Caching::Never)
    }

    /// The entry that the path names, below the name of a registry. The next call returns the same one.
    ///
    /// # Errors
    /// The answer, when the registry is not this one or has no such entry.
    pub(super) fn entry(
        self,
        registry: &str,
        name: &str,
        only: Option<EntryType>,
    ) -> Result<&'a Entry, Box<Response<HttpBody>>> {
        // Its name in any case, or as existing viewers write it.
        if slug(registry) != self.registry.slug {
            return Err(Box::new(self.missing(&missing::registry(self.snapshot, self.registry, registry, name))));
        }
        match self.snapshot.entry(name, only) {
            Some(entry) => Ok(self.entry.get_or_init(|| entry)),
            None => Err(Box::new(self.missing(&missing::entry(self.snapshot, self.registry, name)))),
        }
    }

    /// The version of an entry that a text names.
    ///
    /// # Errors
    /// The answer, when the entry has no such version.
    pub(super) fn version(self, entry: &'a Entry, version: &str) -> Result<Shown<'a>, Box<Response<HttpBody>>> {
        Shown::find(self.snapshot, entry, version).ok_or_else(|| {
            Box::new(self.missing(&missing::version(self.snapshot, self.registry, &entry.name, version)))
        })
    }
}

/// The query of an entry's pages.
#[derive(Debug, Default)]
pub(super) struct EntryQuery {
    /// The version that is shown.
    pub(super) version: String,
    /// The older version of a comparison.
    pub(super) from: String,
    /// The newer version of a comparison.
    pub(super) to: String,
    /// The type of the entry, where a stack and a sample share a name.
    pub(super) only: Option<EntryType>,
}

impl EntryQuery {
    /// Reads the query; parameters of other names are ignored.
    pub(super) fn parse(raw: &str) -> Self {
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
