//! The log line and the metrics of each request and each refresh. In AWS Lambda the metrics go into
//! the log; a server counts them and serves them at `METRICS_ADDR`.

use std::fmt;
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::Response;
use devfile_registry::context::Context;
use devfile_registry::emf::{Line, Unit};
use devfile_registry::logging;
use devfile_registry::publish::{Outcome, Report};
use devfile_registry::request::{Answered, RequestOrigin, milliseconds};
use devfile_registry::telemetry::Span;
use lambda_http::RequestExt;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Most changed paths in the log; the report has all.
const SHOWN: usize = 10;

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// The counters of a process.
#[derive(Debug)]
struct Metrics {
    registry: Registry,
    refreshes: Family<OfOutcome, Counter>,
    duration: Histogram,
    artifacts: Counter,
    bytes: Counter,
    age: Gauge<f64, AtomicU64>,
    lag: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

/// The countable results of a refresh.
#[must_use = "count it in the metrics"]
#[derive(Debug)]
pub struct Done {
    outcome: &'static str,
    duration: Duration,
    artifacts: u64,
    bytes: u64,
    /// Time since the live release was generated.
    age: Option<Duration>,
}

/// Answers a request in the trace that it names, and logs it.
pub async fn request<F>(request: Request, answer: impl FnOnce(Request) -> F) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    let started = Instant::now();
    let lambda = request.lambda_context_ref().map(|context| context.request_id.as_str());
    let origin = RequestOrigin::of(request.method(), request.headers(), lambda);
    let route = match request.uri().path() {
        "/refresh" => "/refresh",
        "/webhooks/github" => "/webhooks/github",
        "/health" => "/health",
        _ => "other",
    };
    let response = Context::new(origin.trace()).scope(answer(request)).await;
    origin.log(&Answered {
        route,
        status: response.status(),
        bytes: response.body().size_hint().lower(),
        duration: started.elapsed(),
        cache: None,
        commit: None,
    });
    response
}

/// Refreshes, and reports the result to the log and the span of the action.
pub async fn refresh<E: std::error::Error>(
    span: &Span,
    work: impl Future<Output = Result<Report, E>>,
) -> (Result<Report, E>, Done) {
    let started = Instant::now();
    let context = Context::within_current();
    let result = Arc::clone(&context).scope(work).await;
    let duration = started.elapsed();
    log(&result, &context, duration);
    let outcome = outcome(result.as_ref().ok());
    span.set("devfile_registry.outcome", outcome);
    if result.is_err() {
        span.fail(outcome);
    }
    let done = Done {
        outcome,
        duration,
        artifacts: context.artifacts_pushed(),
        bytes: context.bytes_pushed(),
        age: result.as_ref().ok().and_then(release_age),
    };
    (result, done)
}

/// Returns the metrics in the text format of Prometheus.
pub fn metrics() -> String {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &METRICS.registry) {
        Ok(()) => text,
        Err(fmt::Error) => unreachable!("a string takes all text"),
    }
}

fn log<E: std::error::Error>(result: &Result<Report, E>, context: &Context, duration: Duration) {
    let duration_ms = milliseconds(duration);
    let (artifacts, bytes) = (context.artifacts_pushed(), context.bytes_pushed());
    let trace_id = context.trace().map(|trace| tracing::field::display(trace.trace_id()));
    match result {
        Ok(report) => {
            for problem in report.quarantined.iter().flat_map(|quarantined| &quarantined.problems) {
                tracing::warn!(%problem, "quarantined");
            }
            for problem in &report.upstream {
                tracing::warn!(%problem, "upstream content is unavailable");
            }
            let timings = &report.timings_ms;
            let parts: Vec<&str> =
                report.changed.iter().chain(&report.removed).take(SHOWN).map(String::as_str).collect();
            tracing::info!(
                outcome = outcome(Some(report)),
                commit = %report.commit_hash,
                previous = report.previous.as_ref().map(tracing::field::display),
                changed = report.changed.len(),
                removed = report.removed.len(),
                parts = parts.join(", "),
                quarantined = report.quarantined.len(),
                repaired = report.repaired.len(),
                pruned = report.pruned,
                uncompared = report.uncompared,
                pushed = report.progress.map(|progress| progress.artifacts),
                to_push = report.progress.map(|progress| progress.total),
                pinned = report.pinned,
                artifacts,
                bytes,
                duration_ms,
                poll_ms = milliseconds(timings.poll),
                fetch_ms = milliseconds(timings.fetch),
                build_ms = milliseconds(timings.build),
                upload_ms = milliseconds(timings.upload),
                commit_ms = milliseconds(timings.commit),
                trace_id,
                "refresh"
            );
        }
        Err(error) => {
            let outcome = outcome(None);
            tracing::error!(outcome, %error, artifacts, bytes, duration_ms, trace_id, "refresh");
        }
    }
}

/// Returns the value of the metric label `outcome`.
fn outcome(report: Option<&Report>) -> &'static str {
    match report.map(|report| report.outcome) {
        Some(Outcome::Published) => "published",
        Some(Outcome::Continuing) => "continuing",
        Some(Outcome::Unchanged) => "unchanged",
        Some(Outcome::Superseded) => "superseded",
        Some(Outcome::Rejected) => "rejected",
        None => "failed",
    }
}

/// Returns the age of the live release; `None` when there is no release.
fn release_age(report: &Report) -> Option<Duration> {
    match (report.outcome, &report.previous_generated_at) {
        (Outcome::Published, _) => Some(Duration::ZERO),
        (_, None) => None,
        (_, Some(generated_at)) => {
            let age = generated_at.instant().duration_until(jiff::Timestamp::now());
            // A clock that runs behind counts as an age of zero.
            Some(Duration::try_from(age).unwrap_or_default())
        }
    }
}

impl Done {
    /// Adds a refresh to the metrics. `lag` is how long the live release has lagged behind the
    /// branch.
    pub fn count(&self, lag: Duration) {
        if logging::is_lambda() {
            self.line(lag).write();
        } else {
            METRICS.count(self, lag);
        }
    }

    /// Returns the metrics of a refresh for the log.
    fn line(&self, lag: Duration) -> Line {
        let line =
            Line::default().metrics(&[("Outcome", self.outcome)], &[("RefreshOutcome", Unit::Count, 1)]).metrics(
                &[],
                &[
                    ("RefreshDuration", Unit::Milliseconds, self.duration.as_millis() as u64),
                    ("ArtifactsPushed", Unit::Count, self.artifacts),
                    ("BytesPushed", Unit::Bytes, self.bytes),
                    ("ReleaseLag", Unit::Seconds, lag.as_secs()),
                ],
            );
        match self.age {
            None => line,
            Some(age) => line.metrics(&[], &[("ReleaseAge", Unit::Seconds, age.as_secs())]),
        }
    }
}

impl Metrics {
    fn new() -> Self {
        let refreshes = Family::default();
        // From the duration of a poll without news to the time limit of a function.
        let duration = Histogram::new(exponential_buckets(0.02, 2.0, 14));
        let (artifacts, bytes) = (Counter::default(), Counter::default());
        let (age, lag) = (Gauge::default(), Gauge::default());
        let mut registry = Registry::with_prefix("devfile_registry");
        registry.register("refreshes", "Refreshes by outcome", refreshes.clone());
        registry.register("refresh_duration_seconds", "Time of a refresh", duration.clone());
        registry.register("artifacts_pushed", "Manifests that the OCI registry took", artifacts.clone());
        registry.register("pushed_bytes", "Bytes that the OCI registry and the bucket took", bytes.clone());
        registry.register("release_age_seconds", "Age of the live release at the last refresh", age.clone());
        let help = "Time for which the live release has not been known to be that of the head";
        registry.register("release_lag_seconds", help, lag.clone());
        Self { registry, refreshes, duration, artifacts, bytes, age, lag }
    }

    fn count(&self, done: &Done, lag: Duration) {
        self.refreshes.get_or_create(&OfOutcome { outcome: done.outcome }).inc();
        self.duration.observe(done.duration.as_secs_f64());
        self.artifacts.inc_by(done.artifacts);
        self.bytes.inc_by(done.bytes);
        self.lag.set(lag.as_secs_f64());
        if let Some(age) = done.age {
            self.age.set(age.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_metrics_that_alarms_name() {
        let age = Some(Duration::from_secs(90));
        let done = Done { outcome: "failed", duration: Duration::from_millis(1500), artifacts: 2, bytes: 3, age };
        let line = done.line(Duration::from_secs(700)).at(std::time::SystemTime::UNIX_EPOCH);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], serde_json::json!([["Outcome"]]));
        for (name, value) in [
            ("Outcome", serde_json::json!("failed")),
            ("RefreshOutcome", 1.into()),
            ("RefreshDuration", 1500.into()),
            ("ArtifactsPushed", 2.into()),
            ("BytesPushed", 3.into()),
            ("ReleaseLag", 700.into()),
            ("ReleaseAge", 90.into()),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
    }
}
