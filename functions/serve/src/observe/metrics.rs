//! The metrics, in the text format of Prometheus (OpenMetrics 1.0).

use std::sync::Arc;

use devfile_registry::logging;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::observation::{Observation, class};
use crate::state::App;

/// The counters of a process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Family<OfRoute, Histogram>,
    bytes: Counter,
    stale: Counter,
    usage: Family<OfEvent, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    status_class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEvent {
    event: &'static str,
}

/// The state of the registry at the time of a request for the metrics.
#[derive(Debug)]
struct State(Arc<App>);

impl Metrics {
    /// The metrics of an app, all at zero.
    pub(crate) fn new(app: Arc<App>) -> Self {
        let requests = Family::default();
        let durations = Family::new_with_constructor(durations as fn() -> Histogram);
        let (bytes, stale, usage) = (Counter::default(), Counter::default(), Family::default());
        let mut registry = Registry::with_prefix("devfile_registry");
        registry.register("requests", "Answers by route and class of status", requests.clone());
        registry.register("request_duration_seconds", "Time until an answer was ready", durations.clone());
        registry.register("response_body_bytes", "Bytes in the bodies of answers", bytes.clone());
        registry.register("stale_answers", "Answers while the last read of the bucket failed", stale.clone());
        registry.register("usage_events", "Usage events, if they are counted", usage.clone());
        registry.register_collector(Box::new(State(app)));
        Self { registry, requests, durations, bytes, stale, usage }
    }

    /// Counts a request.
    pub(super) fn count(&self, observation: &Observation<'_>) {
        let answered = &observation.answered;
        let (route, status_class) = (answered.route, class(answered.status));
        self.requests.get_or_create(&Request { route, status_class }).inc();
        self.durations.get_or_create(&OfRoute { route }).observe(answered.duration.as_secs_f64());
        self.bytes.inc_by(answered.bytes);
        self.stale.inc_by(u64::from(observation.stale));
        if let Some(usage) = observation.usage {
            self.usage.get_or_create(&OfEvent { event: usage.event }).inc();
        }
    }

    /// The metrics as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(std::fmt::Error) => unreachable!("a string takes all text"),
        }
    }
}

/// From a quarter of a millisecond, which most answers do not take, to 33 seconds: the longest answer waits 25 s for a starter project.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 18))
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let freshness = self.0.freshness();
        let lost = ConstCounter::new(logging::lost_lines());
        let help = "Log lines that nobody read in time";
        lost.encode(encoder.encode_descriptor("log_lines_lost", help, None, lost.metric_type())?)?;
        let checks = ConstCounter::new(freshness.checks);
        let help = "Looks at index.json in the bucket";
        checks.encode(encoder.encode_descriptor("snapshot_revalidations", help, None, checks.metric_type())?)?;
        let checked = ConstGauge::new(freshness.checked.as_secs_f64());
        let help = "Time since the bucket last confirmed the snapshot";
        checked.encode(encoder.encode_descriptor("snapshot_checked_seconds", help, None, checked.metric_type())?)?;
        if let Some(age) = self.0.release_age() {
            let age = ConstGauge::new(age.as_secs_f64());
            let help = "Time since the live release was generated";
            age.encode(encoder.encode_descriptor("release_age_seconds", help, None, age.metric_type())?)?;
        }
        Ok(())
    }
}
