//! What is told of each request, and to whom: a line in the log, and metrics. In AWS Lambda the metrics go into the log as
//! well, a line with each request; elsewhere they are counted and shown to whoever asks at `METRICS_ADDR`.
//!
//! It is a layer around [`App`]: what answers requests knows nothing of it.

mod metrics;
mod route;
mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode};
use devfile_registry::context::Context;
use devfile_registry::emf::{Line, Unit};
use devfile_registry::logging;
use devfile_registry::request::{Answered, Origin};
use lambda_http::RequestExt;

use self::metrics::{Metrics, class};
use self::route::Route;
use self::usage::Usage;
use crate::config::UsageEvents;
use crate::http::path::path_as_sent;
use crate::http::{COMMIT, STALE};
use crate::router::App;

/// Answers requests, and tells of them.
#[derive(Debug)]
pub struct Observer {
    app: Arc<App>,
    usage: UsageEvents,
    metrics: Sink,
}

/// Where metrics go.
#[derive(Debug)]
enum Sink {
    /// Into the log; how many looks at the bucket have been told of is kept.
    Log { told: AtomicU64 },
    /// Into memory.
    Memory(Box<Metrics>),
}

/// What there is to tell of a request.
#[derive(Debug)]
pub(crate) struct Observation<'a> {
    answered: Answered<'a>,
    stale: bool,
    usage: Option<&'a Usage>,
}

impl Observer {
    /// Observes an app.
    pub fn new(app: Arc<App>, usage: UsageEvents) -> Self {
        let metrics = if logging::is_lambda() {
            Sink::Log { told: AtomicU64::new(0) }
        } else {
            Sink::Memory(Box::new(Metrics::new(Arc::clone(&app))))
        };
        Self { app, usage, metrics }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let started = Instant::now();
        let lambda = request.lambda_context_ref().map(|context| context.request_id.as_str());
        let origin = Origin::of(request.method(), request.headers(), lambda);
        let (parts, body) = request.into_parts();
        let route = Route::of(path_as_sent(&parts));
        let usage = match self.usage {
            UsageEvents::Counted => Usage::of(&parts.method, route, path_as_sent(&parts), &parts.headers),
            UsageEvents::Off => None,
        };
        let method = parts.method.clone();
        let context = Context::new(origin.trace());
        let response = Arc::clone(&context).scope(self.app.answer(Request::from_parts(parts, body))).await;

        let status = response.status();
        let answered = Answered {
            route: route.pattern(),
            status,
            bytes: response.body().size_hint().lower(),
            duration: started.elapsed(),
            cache: cache_result(&method, status, context.bucket_calls()),
            commit: response.headers().get(COMMIT).and_then(|commit| commit.to_str().ok()),
        };
        let usage = usage.as_ref().filter(|_| Usage::succeeded(status));
        let observation = Observation { answered, stale: response.headers().contains_key(STALE), usage };
        origin.log(&observation.answered);
        if let Some(usage) = usage {
            usage.log();
        }
        match &self.metrics {
            Sink::Log { told } => self.line(&observation, told).write(),
            Sink::Memory(metrics) => metrics.count(&observation),
        }
        response
    }

    /// The metrics as Prometheus reads them; nothing where they go into the log.
    pub fn metrics(&self) -> String {
        match &self.metrics {
            Sink::Log { .. } => String::new(),
            Sink::Memory(metrics) => metrics.text(),
        }
    }

    /// What a request adds to the metrics.
    fn line(&self, observation: &Observation<'_>, told: &AtomicU64) -> Line {
        let answered = &observation.answered;
        let dimensions = [("Route", answered.route), ("StatusClass", class(answered.status))];
        let mut line = Line::default().metrics(&dimensions, &[("Requests", Unit::Count, 1)]);
        if observation.stale {
            line = line.metrics(&[], &[("StaleAnswers", Unit::Count, 1)]);
        }
        if let Some(usage) = observation.usage {
            line = line.metrics(&[("Event", usage.event)], &[("UsageEvents", Unit::Count, 1)]);
        }
        let looks = self.app.freshness().looks;
        let new = looks.saturating_sub(told.swap(looks, Ordering::Relaxed));
        if new > 0 {
            line = line.metrics(&[], &[("SnapshotRevalidations", Unit::Count, new)]);
            if let Some(age) = self.app.release_age() {
                line = line.metrics(&[], &[("ReleaseAge", Unit::Seconds, age.as_secs())]);
            }
        }
        line
    }
}

/// Where the body came from: the client has it, memory had it, or the bucket was asked for it.
fn cache_result(method: &Method, status: StatusCode, bucket_calls: u64) -> Option<&'static str> {
    match status {
        StatusCode::NOT_MODIFIED => Some("not-modified"),
        _ if bucket_calls > 0 => Some("miss"),
        _ if status.is_success() && method != Method::OPTIONS => Some("hit"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_results() {
        for (status, calls, result) in [
            (StatusCode::OK, 0, Some("hit")),
            (StatusCode::OK, 1, Some("miss")),
            (StatusCode::BAD_GATEWAY, 2, Some("miss")),
            (StatusCode::NOT_MODIFIED, 0, Some("not-modified")),
            (StatusCode::NOT_FOUND, 0, None),
            (StatusCode::FOUND, 0, None),
        ] {
            assert_eq!(cache_result(&Method::GET, status, calls), result, "{status} {calls}");
        }
    }
}
