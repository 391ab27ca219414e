//! Spans: requests, actions and their calls, with their duration and result.
//!
//! With the feature `otel`, and a collector that the environment names, they are exported by OpenTelemetry's protocol (OTLP over
//! HTTP). Otherwise a span is a position in its caller's trace, which calls pass on, and no more. No other module knows the
//! difference.

mod attribute;
#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod otlp;

use std::fmt;

#[cfg(not(feature = "otel"))]
use self::off as exporter;
#[cfg(feature = "otel")]
use self::otlp as exporter;
use crate::trace::TraceParent;

pub use self::attribute::{Kind, Value};

/// A part of the work. It ends when this is dropped, unless it [ended](Span::end) before.
#[derive(Debug)]
pub struct Span {
    position: Option<TraceParent>,
    recording: exporter::Recording,
}

/// Keeps the export going; the drop exports the spans that still wait, within a time.
#[must_use = "spans that still wait are lost with it"]
#[derive(Debug)]
pub(crate) struct Export {
    _exporter: exporter::Exporter,
}

/// Starts the export of a service's spans, if the environment names a collector.
pub(crate) fn start(service: &'static str) -> Export {
    Export { _exporter: exporter::Exporter::start(service) }
}

/// Exports the spans that ended, for a process that may be frozen afterwards. It takes a limited time, and fails nothing.
pub async fn flush() {
    exporter::flush().await;
}

impl Span {
    /// Begins a span below its cause, of which it takes over whether it is exported.
    pub fn begin(kind: Kind, name: &'static str, parent: Option<TraceParent>) -> Self {
        let (recorded, recording) = exporter::Recording::begin(kind, name, parent);
        Self { position: recorded.or_else(|| parent.map(TraceParent::child)), recording }
    }

    /// Returns its position in a trace, which calls on its behalf pass on.
    pub fn position(&self) -> Option<TraceParent> {
        self.position
    }

    /// Gives it a name that says more than the one it began with.
    pub fn rename(&self, name: fmt::Arguments<'_>) {
        self.recording.rename(name);
    }

    /// Sets an attribute, of OpenTelemetry's semantic conventions if they have it.
    pub fn set<'v>(&self, attribute: &'static str, value: impl Into<Value<'v>>) {
        self.recording.set(attribute, value.into());
    }

    /// Marks it as failed, by a kind of error as in `error.type`.
    pub fn fail<'v>(&self, kind: impl Into<Value<'v>>) {
        self.recording.set("error.type", kind.into());
        self.recording.fail();
    }

    /// Ends it now.
    pub fn end(&self) {
        self.recording.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the feature is on or off.
    #[test]
    fn without_a_collector_a_span_is_a_position() {
        let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().unwrap();
        let span = Span::begin(Kind::Client, "a call", Some(parent));
        let position = span.position().unwrap();
        assert_eq!(position.trace_id(), parent.trace_id());
        assert_ne!(position, parent);
        assert!(position.to_string().ends_with("-00"), "an absent flag stays absent");
        assert!(Span::begin(Kind::Client, "a call", None).position().is_none(), "nobody asked for a trace");
    }
}
