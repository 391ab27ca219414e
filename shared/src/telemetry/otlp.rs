//! Spans exported by OpenTelemetry's protocol over HTTP.
//!
//! The SDK reads the standard variables of OpenTelemetry: `OTEL_EXPORTER_OTLP_ENDPOINT` and its kin, `OTEL_TRACES_SAMPLER`,
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_*`. A thread of its own gathers spans and sends them in batches; the calls to the collector
//! run on the runtime of the process, with the HTTP client that the rest of it has.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use opentelemetry::trace::{SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue, TraceFlags};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

use super::attribute::{Kind, Value};
use crate::environment::is_lambda;
use crate::error::chain;
use crate::trace::TraceParent;

/// The variables that name a collector; without one nothing is exported.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The variables with the time for one call to the collector, in milliseconds.
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];

/// Time for a call unless a variable says another (the protocol's default).
const CALL: Duration = Duration::from_secs(10);

/// Longest that an answer of a function waits for its spans. A collector beside the function takes a few milliseconds.
const FLUSH: Duration = Duration::from_millis(500);

/// Longest that the end of a process waits for its spans.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// Longest answer of a collector that is read, in bytes. It says how many spans were refused, and why.
const ANSWER_BYTES: usize = 64 << 10;

static TRACER: OnceLock<(SdkTracerProvider, SdkTracer)> = OnceLock::new();

/// The record of a span, if there is a collector.
#[derive(Debug)]
pub(super) struct Recording(Option<Context>);

/// The export of a process's spans.
#[derive(Debug)]
pub(super) struct Exporter;

/// The way to the collector. It logs when calls begin to fail, and not each failure.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

impl Exporter {
    pub(super) fn start(service: &'static str) -> Self {
        let named = ENDPOINTS.iter().find_map(|name| Some((*name, variable(name)?)));
        match named.map(|(name, endpoint)| provider(service, name, &endpoint)) {
            None => {}
            Some(Ok(provider)) => {
                let tracer = provider.tracer("devfile-registry");
                TRACER.get_or_init(|| (provider, tracer));
            }
            Some(Err(error)) => tracing::warn!(%error, "spans are not exported"),
        }
        Self
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some((provider, _)) = TRACER.get() {
            // The log has the warning about a collector that does not answer, and there is nothing else that can go wrong.
            let _ended = provider.shutdown_with_timeout(LAST_FLUSH);
        }
    }
}

pub(super) async fn flush() {
    let Some((provider, _)) = TRACER.get() else { return };
    // It waits for the thread that exports. Each call has less time than this, so no threads pile up.
    let flushed = tokio::task::spawn_blocking(|| provider.force_flush());
    let _in_time = tokio::time::timeout(FLUSH, flushed).await;
}

impl Recording {
    pub(super) fn begin(kind: Kind, name: &'static str, parent: Option<TraceParent>) -> (Option<TraceParent>, Self) {
        let Some((_, tracer)) = TRACER.get() else { return (None, Self(None)) };
        let parent = parent.map_or_else(Context::new, |parent| {
            let (trace, span, flags) = parent.parts();
            let remote = SpanContext::new(trace.into(), span.into(), TraceFlags::new(flags), true, TraceState::NONE);
            Context::new().with_remote_span_context(remote)
        });
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        };
        let span = SpanBuilder::from_name(name).with_kind(kind).start_with_context(tracer, &parent);
        let context = parent.with_span(span);
        (position(context.span().span_context()), Self(Some(context)))
    }

    pub(super) fn rename(&self, name: fmt::Arguments<'_>) {
        if let Some(context) = self.recorded() {
            context.span().update_name(name.to_string());
        }
    }

    pub(super) fn set(&self, attribute: &'static str, value: Value<'_>) {
        let Some(context) = self.recorded() else { return };
        context.span().set_attribute(match value {
            Value::Text(text) => KeyValue::new(attribute, text.to_owned()),
            Value::Number(number) => KeyValue::new(attribute, i64::try_from(number).unwrap_or(i64::MAX)),
        });
    }

    pub(super) fn fail(&self) {
        if let Some(context) = self.recorded() {
            context.span().set_status(Status::error(""));
        }
    }

    pub(super) fn end(&self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }

    fn recorded(&self) -> Option<&Context> {
        self.0.as_ref().filter(|context| context.span().is_recording())
    }
}

/// Returns the position of a span, once the SDK has decided on it; none when the process is at its end.
fn position(context: &SpanContext) -> Option<TraceParent> {
    let (trace, span) = (context.trace_id().to_bytes(), context.span_id().to_bytes());
    TraceParent::of_parts(u128::from_be_bytes(trace), u64::from_be_bytes(span), context.trace_flags().to_u8())
}

fn provider(service: &'static str, variable_name: &str, endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    // The SDK finds it again, but its error would repeat a malformed value, which may have a password in it.
    let known = url::Url::parse(endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    anyhow::ensure!(known, "{variable_name} is not a URL of http or https");
    let configured = TIMEOUTS.iter().find_map(|name| variable(name)?.parse().ok()).map(Duration::from_millis);
    let time = configured.unwrap_or(CALL);
    let (time, retries) = if is_lambda() {
        // Spans that one answer did not wait for, the next need not wait for either.
        (time.min(FLUSH), RetryPolicy::disabled())
    } else {
        (time, RetryPolicy::recommended())
    };
    let client = reqwest::Client::builder()
        .timeout(time)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("devfile-registry/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let collector = Collector { client, runtime: Handle::try_current()?, failing: AtomicBool::new(false) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(collector)
        .with_timeout(time)
        .with_retry_policy(retries)
        .build()?;
    let own = [
        KeyValue::new("service.name", service),
        KeyValue::new("service.namespace", "devfile-registry"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let mut resource = Resource::builder_empty().with_attributes(own);
    // The environment takes precedence.
    resource = resource.with_detector(Box::new(EnvResourceDetector::new()));
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name(name);
    }
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

/// A variable that has a value.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The thread that waits for this belongs to no runtime.
        let call = self.runtime.spawn(call(self.client.clone(), request));
        let answer = call.await.map_err(HttpError::from).and_then(|answer| answer);
        let trouble = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(chain(&**error)),
        };
        match trouble {
            None => self.failing.store(false, Ordering::Relaxed),
            Some(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(error, "the collector of spans does not take them; they are lost until it does");
            }
            Some(error) => tracing::debug!(error, "spans are lost"),
        }
        answer
    }
}

/// One call to the collector. Its URL and headers may have secrets in them, and are not part of an error.
async fn call(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let request = reqwest::Request::try_from(request).map_err(reqwest::Error::without_url)?;
    let answer = client.execute(request).await.map_err(reqwest::Error::without_url)?;
    let (head, body) = Response::<reqwest::Body>::from(answer).into_parts();
    Ok(Response::from_parts(head, Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes()))
}
