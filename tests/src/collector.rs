//! A collector of spans on the loopback: takes the spans of OpenTelemetry's protocol over HTTP, and lists them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Outcome;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest that a test waits for spans.
const PATIENCE: Duration = Duration::from_secs(60);

/// A collector. It ends when this is dropped.
#[derive(Debug)]
pub struct Collector {
    /// The value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: String,
    shared: Arc<CollectorState>,
    server: JoinHandle<()>,
}

/// The answers of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes it.
    Well,
    /// It refuses it.
    Refusing,
    /// It never answers.
    Hanging,
}

/// A span as the collector sees it.
#[derive(Debug, Clone)]
pub struct Span {
    /// Attributes of the process that sent it.
    pub resource: BTreeMap<String, String>,
    /// Its name.
    pub name: String,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// Its trace, in hexadecimal digits.
    pub trace: String,
    /// Its own id, in hexadecimal digits.
    pub id: String,
    /// The id of the span above it; empty when there is none.
    pub parent: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// Whether it says that it failed.
    pub failed: bool,
}

#[derive(Debug)]
struct CollectorState {
    mood: Mood,
    calls: AtomicU64,
    headers: Mutex<HeaderMap>,
    spans: watch::Sender<Vec<Span>>,
}

impl Collector {
    /// Starts a collector on a free port.
    pub async fn start(mood: Mood) -> Self {
        let shared = CollectorState {
            mood,
            calls: AtomicU64::new(0),
            headers: Mutex::default(),
            spans: watch::Sender::default(),
        };
        let shared = Arc::new(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // Ends with the task, and only then.
            let _ended = axum::serve(listener, router).await;
        });
        Self { endpoint, shared, server }
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.shared.spans.borrow().clone()
    }

    /// Waits until the spans so far are as a test wants them.
    pub async fn until(&self, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut spans = self.shared.spans.subscribe();
        let waited = tokio::time::timeout(PATIENCE, spans.wait_for(|spans| enough(spans))).await;
        match waited {
            Ok(spans) => spans.expect("the collector is there").clone(),
            Err(_) => panic!("the spans do not come; there are {:#?}", self.spans()),
        }
    }

    /// Returns the number of calls.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// A header of the last call.
    pub fn header(&self, name: &str) -> Option<String> {
        let headers = self.shared.headers.lock().unwrap_or_else(PoisonError::into_inner);
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(
    State(shared): State<Arc<CollectorState>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    shared.calls.fetch_add(1, Ordering::SeqCst);
    *shared.headers.lock().unwrap_or_else(PoisonError::into_inner) = headers;
    match shared.mood {
        Mood::Well => {}
        Mood::Refusing => return (StatusCode::BAD_REQUEST, "not today"),
        Mood::Hanging => std::future::pending().await,
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return (StatusCode::BAD_REQUEST, "not OTLP") };
    shared.spans.send_modify(|spans| spans.extend(read(request)));
    (StatusCode::OK, "")
}

fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for part in request.resource_spans {
        let resource = texts(part.resource.map(|resource| resource.attributes).unwrap_or_default());
        for span in part.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                resource: resource.clone(),
                kind: span.kind(),
                failed: span.status.is_some_and(|status| status.code() == Outcome::Error),
                name: span.name,
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
                attributes: texts(span.attributes),
            });
        }
    }
    spans
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: KeyValue| {
        let value = match attribute.value?.value? {
            any_value::Value::StringValue(text) => text,
            any_value::Value::IntValue(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        Some((attribute.key, value))
    };
    attributes.into_iter().filter_map(text).collect()
}
