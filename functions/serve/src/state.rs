//! The state that the APIs share: the configuration, the live release and the blobs.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::HeaderName;
use axum::http::request::Parts;
use devfile_registry::cache::Cache;
use devfile_registry::logging;

use crate::config::Config;
use crate::http::problem::Problem;
use crate::release::blobs::Blobs;
use crate::release::last_refresh::LastRefreshes;
use crate::release::live::{Freshness, Live};
use crate::release::previews::Previews;
use crate::release::snapshot::Shared;

/// The commit that an answer is from.
pub(crate) const COMMIT: HeaderName = HeaderName::from_static("devfile-registry-commit");

/// Set when the source of an answer could not be asked whether there is something newer; the seconds since it last could.
pub(crate) const STALE: HeaderName = HeaderName::from_static("devfile-registry-stale");

/// Everything that answers need.
#[derive(Debug)]
pub struct App {
    pub(crate) config: Config,
    pub(crate) live: Live,
    pub(crate) blobs: Blobs,
    pub(crate) last_refreshes: LastRefreshes,
    pub(crate) previews: Previews,
    /// Answers leave by the Lambda runtime, which limits them.
    pub(crate) is_lambda: bool,
}

impl App {
    /// Loads the live release of the bucket that is configured.
    pub async fn open(config: Config) -> Self {
        let cache = config.bucket.open().await;
        Self::new(config, cache).await
    }

    /// Loads the live release.
    pub async fn new(config: Config, cache: Cache) -> Self {
        let blobs = Blobs::new(cache.clone(), config.large_blobs);
        let live = Live::load(cache, config.revalidate, blobs.damaged().clone()).await;
        let last_refreshes = LastRefreshes::new(config.revalidate);
        let previews = Previews::new(config.revalidate);
        Self { config, live, blobs, last_refreshes, previews, is_lambda: logging::is_lambda() }
    }

    /// The same registry with the release of a preview, which stays as it is. Blobs are shared: their digests name them.
    pub(crate) fn of_preview(&self, snapshot: Shared) -> Self {
        let (config, blobs) = (self.config.clone(), self.blobs.clone());
        let live = Live::fixed(self.live.cache().clone(), snapshot);
        let (last_refreshes, previews) = (LastRefreshes::new(config.revalidate), Previews::new(config.revalidate));
        Self { config, live, blobs, last_refreshes, previews, is_lambda: self.is_lambda }
    }

    /// Makes the release that the bucket has at this moment the snapshot of all answers, however new the current snapshot is.
    pub async fn revalidate(&self) {
        self.live.revalidate().await;
    }

    /// Returns the freshness of the answers.
    pub(crate) fn freshness(&self) -> Freshness {
        self.live.freshness()
    }

    /// Time since the release that is served was generated.
    pub fn release_age(&self) -> Option<Duration> {
        let generated_at = self.live.current()?.about.generated_at.instant();
        // A clock that is behind the one of refresh makes no release younger than new.
        Some(Duration::try_from(generated_at.duration_until(jiff::Timestamp::now())).unwrap_or_default())
    }

    /// Why there is no release to answer from.
    pub(crate) fn why_no_release(&self) -> &'static str {
        if self.live.is_empty() {
            "nothing is published yet; run refresh to publish the registry repository"
        } else {
            "the store does not answer and no release is loaded; try again in a moment"
        }
    }
}

/// The release that answers a request, if there is one. The router adds it to each request.
#[derive(Debug, Clone)]
pub(crate) struct LiveRelease(pub(crate) Option<Shared>);

/// The release that answers a request.
#[derive(Debug)]
pub(crate) struct Released(pub(crate) Shared);

impl FromRequestParts<Arc<App>> for LiveRelease {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self(None)))
    }
}

impl FromRequestParts<Arc<App>> for Released {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let Ok(LiveRelease(live)) = LiveRelease::from_request_parts(parts, app).await;
        live.map(Self).ok_or_else(|| Problem::unavailable(app.why_no_release()))
    }
}
