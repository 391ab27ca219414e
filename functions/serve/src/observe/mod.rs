//! The log line and the metrics of each request. In AWS Lambda the metrics go into the log as
//! well, a line with each request; a server counts them and serves them at `METRICS_ADDR`.
//!
//! [`Observe`] is a tower layer: handlers know nothing of it, except for the declaration of its route that each answer
//! carries.

mod metrics;
mod observation;
mod usage;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode};
use devfile_registry::context::Context;
use devfile_registry::emf::{Line, Unit};
use devfile_registry::logging;
use devfile_registry::request::{Answered, RequestOrigin};
use lambda_http::RequestExt;
use tower::{Layer, Service};

use self::metrics::Metrics;
use self::observation::{Observation, class};
use self::usage::{Caller, Usage};
use crate::config::UsageEvents;
use crate::large_answers::Oversized;
use crate::route::Declaration;
use crate::router::Answers;
use crate::state::{App, COMMIT, STALE};

/// The route of a path that no route has.
const NO_ROUTE: &str = "other";

/// Answers requests, and reports each to the log and the metrics.
#[derive(Debug)]
pub struct Observer {
    observation: Observe,
    service: Observed<Answers>,
}

/// A layer that records the requests that go through it.
#[derive(Debug, Clone)]
struct Observe(Arc<Sinks>);

/// A service that is observed.
#[derive(Debug, Clone)]
struct Observed<S> {
    inner: S,
    sinks: Arc<Sinks>,
}

/// The receivers of reports.
#[derive(Debug)]
struct Sinks {
    app: Arc<App>,
    usage: UsageEvents,
    metrics: MetricsSink,
}

/// The receiver of metrics.
#[derive(Debug)]
enum MetricsSink {
    /// Into the log; it keeps the number of reported revalidations.
    Log { reported: AtomicU64 },
    /// Into memory.
    Memory(Box<Metrics>),
}

impl Observer {
    /// Answers from an app, and observes the answers.
    pub fn new(app: Arc<App>, usage: UsageEvents) -> Self {
        let metrics = if logging::is_lambda() {
            MetricsSink::Log { reported: AtomicU64::new(0) }
        } else {
            MetricsSink::Memory(Box::new(Metrics::new(Arc::clone(&app))))
        };
        let observation = Observe(Arc::new(Sinks { app: Arc::clone(&app), usage, metrics }));
        let service = observation.layer(Answers::new(app));
        Self { observation, service }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let Ok(response) = self.service.clone().call(request).await;
        response
    }

    /// The metrics as Prometheus reads them; nothing where they go into the log.
    pub fn metrics(&self) -> String {
        match &self.observation.0.metrics {
            MetricsSink::Log { .. } => String::new(),
            MetricsSink::Memory(metrics) => metrics.text(),
        }
    }
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { inner, sinks: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request> for Observed<S>
where
    S: Service<Request, Response = Response<Body>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = Instant::now();
        let sinks = Arc::clone(&self.sinks);
        let lambda = request.lambda_context_ref().map(|context| context.request_id.as_str());
        let origin = RequestOrigin::of(request.method(), request.headers(), lambda);
        let caller = match sinks.usage {
            UsageEvents::Counted => Caller::of(&request),
            UsageEvents::Off => None,
        };
        let method = request.method().clone();
        let context = Context::new(origin.trace());
        let answer = Arc::clone(&context).scope(self.inner.call(request));
        Box::pin(async move {
            let Ok(response) = answer.await;
            let status = response.status();
            let declaration = response.extensions().get::<Declaration>();
            let answered = Answered {
                route: declaration.map_or(NO_ROUTE, |declaration| declaration.path),
                status,
                bytes: response.body().size_hint().lower(),
                duration: started.elapsed(),
                cache: cache_result(&method, status, context.bucket_calls()),
                commit: response.headers().get(COMMIT).and_then(|commit| commit.to_str().ok()),
            };
            let usage = caller.zip(declaration).filter(|_| Usage::succeeded(status));
            let usage = usage.and_then(|(caller, declaration)| caller.usage(declaration));
            let stale = response.headers().contains_key(STALE);
            let oversized = response.extensions().get::<Oversized>().is_some();
            let observation = Observation { answered, stale, oversized, usage: usage.as_ref() };
            origin.log(&observation.answered);
            sinks.tell(&observation);
            Ok(response)
        })
    }
}

impl Sinks {
    fn tell(&self, observation: &Observation<'_>) {
        if let Some(usage) = observation.usage {
            usage.log();
        }
        match &self.metrics {
            MetricsSink::Log { reported } => self.line(observation, reported).write(),
            MetricsSink::Memory(metrics) => metrics.count(observation),
        }
    }

    /// The values that a request adds to the metrics.
    fn line(&self, observation: &Observation<'_>, reported: &AtomicU64) -> Line {
        let answered = &observation.answered;
        let dimensions = [("Route", answered.route), ("StatusClass", class(answered.status))];
        let mut line = Line::default().metrics(&dimensions, &[("Requests", Unit::Count, 1)]);
        if observation.stale {
            line = line.metrics(&[], &[("StaleAnswers", Unit::Count, 1)]);
        }
        if observation.oversized {
            line = line.metrics(&[], &[("OversizedAnswers", Unit::Count, 1)]);
        }
        if let Some(usage) = observation.usage {
            line = line.metrics(&[("Event", usage.event)], &[("UsageEvents", Unit::Count, 1)]);
        }
        let checks = self.app.freshness().checks;
        let new = checks.saturating_sub(reported.swap(checks, Ordering::Relaxed));
        if new > 0 {
            line = line.metrics(&[], &[("SnapshotRevalidations", Unit::Count, new)]);
            if let Some(age) = self.app.release_age() {
                line = line.metrics(&[], &[("ReleaseAge", Unit::Seconds, age.as_secs())]);
            }
        }
        line
    }
}

/// The source of the body: the client has it, memory had it, or the bucket was asked for it.
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
    fn cache_result_follows_from_status_and_calls() {
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
