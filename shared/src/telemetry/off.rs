//! Nothing is exported, and nothing of OpenTelemetry is part of the program.

use std::fmt;

use super::attribute::{Kind, Value};
use crate::trace::TraceParent;

/// The record of a span: nothing.
#[derive(Debug)]
pub(super) struct Recording;

/// Exports nothing.
#[derive(Debug)]
pub(super) struct Exporter;

impl Exporter {
    pub(super) fn start(_: &'static str) -> Self {
        Self
    }
}

pub(super) async fn flush() {}

impl Recording {
    pub(super) fn begin(_: Kind, _: &'static str, _: Option<TraceParent>) -> (Option<TraceParent>, Self) {
        (None, Self)
    }

    pub(super) fn rename(&self, _: fmt::Arguments<'_>) {}

    pub(super) fn set(&self, _: &'static str, _: Value<'_>) {}

    pub(super) fn fail(&self) {}

    pub(super) fn end(&self) {}
}
