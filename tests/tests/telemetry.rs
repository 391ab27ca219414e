//! Spans that both functions export to a collector of OpenTelemetry; a collector in trouble stops neither.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use registry_tests::collector::{Collector, Mood, Span};
use registry_tests::github::signature;
use registry_tests::lambda::{Function, http_event};
use registry_tests::proxy::{Fuse, Proxy};
use registry_tests::registry::TestRegistry;
use serde_json::json;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const SECRET: &str = "a webhook secret of the tests";

/// The time that a call to a collector that hangs takes.
const CALL: Duration = Duration::from_secs(10);

/// The `traceparent` of a caller.
fn caller(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{CALLER}-{flags}")
}

/// An example registry that exports to a collector, by its batches.
async fn exporting(endpoint: &str, delay: &str) -> TestRegistry {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.with("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).with("OTEL_BSP_SCHEDULE_DELAY", delay)
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// Returns the names of calls to the bucket or the OCI registry.
fn calls<'s>(spans: &'s [Span], server: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.kind == SpanKind::Client && span.name.starts_with(server)).collect()
}

/// Whether a span is somewhere below another.
fn is_below(spans: &[Span], span: &Span, above: &Span) -> bool {
    let parent = spans.iter().find(|parent| parent.id == span.parent);
    parent.is_some_and(|parent| parent.id == above.id || is_below(spans, parent, above))
}

#[tokio::test]
async fn a_refresh_and_its_calls_are_in_the_callers_trace() {
    let collector = Collector::start(Mood::Well).await;
    let s3 = Proxy::start(&std::env::var("TEST_S3_ENDPOINT").unwrap(), Fuse::default()).await;
    let registry = exporting(&collector.endpoint, "50").await;
    let oci = Proxy::start(&std::env::var("TEST_OCI_REGISTRY").unwrap(), Fuse::default()).await;
    let namespace = format!("{}/{}", oci.address(), registry.name);
    let registry = registry
        .with("AWS_ENDPOINT_URL_S3", &format!("http://{}", s3.address()))
        .with("OCI_REGISTRY", &namespace)
        .with("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=kiln")
        .with("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        .with("WEBHOOK_SECRET", SECRET);
    let refresh = registry.refreshing().await;
    let signed = signature(SECRET, b"").unwrap();
    let headers = [("traceparent", &*caller(TRACE, "01")), ("x-hub-signature-256", &signed)];
    let answer = refresh.ask("POST", "/refresh", &headers).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // The end of the process waits two seconds at most for its spans, so few may be left.
    collector.until(|spans| ["POST /refresh", "refresh"].iter().all(|name| !named(spans, name).is_empty())).await;
    refresh.stop().await;

    let spans = collector.spans();
    let [request] = named(&spans, "POST /refresh")[..] else { panic!("{spans:#?}") };
    assert_eq!((request.kind, &*request.trace, &*request.parent), (SpanKind::Server, TRACE, CALLER));
    for (attribute, value) in
        [("http.request.method", "POST"), ("http.route", "/refresh"), ("http.response.status_code", "200")]
    {
        assert_eq!(request.attributes[attribute], value);
    }
    for (attribute, value) in [
        ("service.name", "refresh"),
        ("service.namespace", "devfile-registry"),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(request.resource[attribute], value);
    }
    assert_eq!(collector.header("x-tenant").as_deref(), Some("kiln"));
    let [action] = named(&spans, "refresh")[..] else { panic!("{spans:#?}") };
    assert_eq!((action.kind, &action.parent), (SpanKind::Internal, &request.id));
    assert_eq!(action.attributes["devfile_registry.outcome"], "published");

    let (to_bucket, to_registry) = (calls(&spans, "S3."), calls(&spans, "OCI: "));
    for call in to_bucket.iter().chain(&to_registry) {
        assert!(call.trace == TRACE && is_below(&spans, call, action), "{call:#?}");
        assert!(!call.failed, "{call:#?}");
    }
    let operations: BTreeSet<&str> = to_bucket.iter().chain(&to_registry).map(|call| &*call.name).collect();
    for operation in ["S3.GetObject", "S3.PutObject", "OCI: take the blob", "OCI: take the manifest"] {
        assert!(operations.contains(operation), "{operations:?}");
    }
    for (server, calls) in [(s3, to_bucket), (oci, to_registry)] {
        let passed_on: BTreeSet<String> = server.take_headers("traceparent").into_iter().collect();
        let exported = calls.iter().map(|call| format!("00-{TRACE}-{}-01", call.id)).collect();
        assert_eq!(passed_on, exported, "servers get the spans that the collector knows");
    }
}

#[tokio::test]
async fn trace_that_the_caller_does_not_sample_is_not_exported() {
    let collector = Collector::start(Mood::Well).await;
    let s3 = Proxy::start(&std::env::var("TEST_S3_ENDPOINT").unwrap(), Fuse::default()).await;
    let registry = exporting(&collector.endpoint, "50").await;
    registry.refresh().await.unwrap();
    let registry = registry.with("AWS_ENDPOINT_URL_S3", &format!("http://{}", s3.address()));
    let serve = registry.serve().await;
    let left_out = TRACE.replace('4', "5");
    s3.take_headers("traceparent");
    for (trace, flags) in [(&*left_out, "00"), (TRACE, "01")] {
        let headers = [("traceparent", &*caller(trace, flags))];
        assert_eq!(serve.ask("GET", "/devfiles/kiln?secret=hush", &headers).await.status, 200);
    }
    serve.ask("GET", "/nobody%22knows/this", &[]).await;
    let is_read = |span: &Span| span.trace == TRACE && span.name == "S3.GetObject";
    collector.until(|spans| spans.iter().any(is_read) && !named(spans, "GET other").is_empty()).await;
    serve.stop().await;

    let spans = collector.spans();
    let [request] = named(&spans, "GET /devfiles/{name}")[..] else { panic!("{spans:#?}") };
    assert_eq!((&*request.trace, &*request.parent, request.failed), (TRACE, CALLER, false));
    assert_eq!(request.resource["service.name"], "serve");
    let read = spans.iter().find(|span| is_read(span)).unwrap();
    assert_eq!(read.parent, request.id);
    assert!(spans.iter().all(|span| span.trace != left_out), "{spans:#?}");
    let passed_on = s3.take_headers("traceparent");
    assert!(passed_on.contains(&format!("00-{TRACE}-{}-01", read.id)), "{passed_on:?}");
    let still_known = passed_on.iter().any(|trace| trace.contains(&left_out) && trace.ends_with("-00"));
    assert!(still_known, "an unsampled trace is still passed on: {passed_on:?}");
    let [other] = named(&spans, "GET other")[..] else { panic!("{spans:#?}") };
    assert!(other.parent.is_empty() && other.trace != TRACE, "a request of no trace begins one: {other:#?}");
    let exported = format!("{spans:?}");
    assert!(!exported.contains("hush") && !exported.contains("nobody"), "{exported}");
}

#[tokio::test]
async fn a_function_exports_before_it_answers() {
    let collector = Collector::start(Mood::Well).await;
    let registry = exporting(&collector.endpoint, "3600000").await;
    let mut refresh = Function::of(&registry, "refresh").await.unwrap();
    let report = refresh.invoke(json!({"action": "refresh"})).await.unwrap().payload;
    assert_eq!(report["outcome"], "published", "{report}");
    // The answer waits half a second at most for its spans.
    let spans = collector.until(|spans| !named(spans, "refresh").is_empty()).await;
    let [action] = named(&spans, "refresh")[..] else { panic!("{spans:#?}") };
    let below = spans.iter().filter(|span| is_below(&spans, span, action)).count();
    assert!(action.parent.is_empty() && below > 5, "{spans:#?}");

    let mut serve = Function::of(&registry, "serve").await.unwrap();
    let trace = caller(TRACE, "01");
    for count in 1..=2 {
        let answer = serve.invoke(http_event("/v2index", "", &[("traceparent", &trace)])).await.unwrap().payload;
        assert_eq!(answer["statusCode"], 200);
        let spans = collector.until(|spans| named(spans, "GET /v2index").len() >= count).await;
        assert_eq!(named(&spans, "GET /v2index").len(), count, "{spans:#?}");
    }
}

/// Down, refusing, hanging or misnamed: every answer is as ever, and the log has one warning.
#[tokio::test]
async fn a_collector_in_trouble_delays_and_fails_nothing() {
    let (refusing, hanging) = (Collector::start(Mood::Refusing).await, Collector::start(Mood::Hanging).await);
    let plain = TestRegistry::of(&TestRegistry::example()).await;
    plain.refresh().await.unwrap();
    let mut registry = plain;
    for endpoint in ["http://127.0.0.1:1", &refusing.endpoint, &hanging.endpoint, "hush@collector:4318"] {
        registry = registry.with("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).with("OTEL_BSP_SCHEDULE_DELAY", "50");
        let mut function = Function::of(&registry, "serve").await.unwrap();
        for _ in 0..3 {
            let begin = Instant::now();
            let answer = function.invoke(http_event("/v2index", "", &[])).await.unwrap().payload;
            assert_eq!(answer["statusCode"], 200, "{endpoint}");
            assert!(begin.elapsed() < CALL, "{endpoint}: {:?}", begin.elapsed());
        }
        let log = function.end().await.unwrap();
        let warnings: Vec<String> =
            log.iter().filter(|line| line["level"] == "WARN").map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1, "{endpoint}: {log:#?}");
        assert!(warnings[0].contains("spans") && !warnings[0].contains("hush"), "{warnings:?}");

        let serve = registry.serve().await;
        for _ in 0..3 {
            assert_eq!(serve.get("/v2index").await.0, 200, "{endpoint}");
        }
        let begin = Instant::now();
        serve.stop().await;
        assert!(begin.elapsed() < CALL, "{endpoint}: the process ends in {:?}", begin.elapsed());
    }
    assert!(refusing.calls() > 3 && hanging.calls() > 3, "{} {}", refusing.calls(), hanging.calls());
}
