//! Log lines, metrics, traces and usage of both functions, and the secrets that they keep out of them.

use registry_tests::lambda::{Function, XRAY, http_event};
use registry_tests::registry::TestRegistry;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const REQUEST: &str = r#""message":"request""#;

#[tokio::test]
async fn every_request_is_a_line_and_a_number() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let registry = registry.with("USAGE_EVENTS", "true").with("METRICS_ADDR", "127.0.0.1:0");
    let commit = registry.refresh().await.unwrap()["commit_hash"].as_str().unwrap().to_owned();
    let mut serve = registry.serve().await;
    let said: Value = serde_json::from_str(&serve.logs("metrics at ").await).unwrap();
    let metrics = said["message"].as_str().unwrap().strip_prefix("metrics at ").unwrap().to_owned();

    let headers = [("traceparent", TRACE), ("x-request-id", "edge-7"), ("client", "odo"), ("user", "u-1")];
    let headers = [&headers[..], &[("locale", "de-AT"), ("authorization", "Bearer s3cret")]].concat();
    let answer = serve.ask("GET", "/devfiles/kiln?maxSchemaVersion=2.2", &headers).await;
    assert_eq!(answer.status, 200);
    let text = serve.logs(REQUEST).await;
    assert!(!text.contains("s3cret") && !text.contains("127.0.0.1") && !text.contains("maxSchema"), "{text}");
    let line: Value = serde_json::from_str(&text).unwrap();
    for (name, value) in [
        ("level", json!("INFO")),
        ("request_id", json!("edge-7")),
        ("method", json!("GET")),
        ("route", json!("/devfiles/{name}")),
        ("status", json!(200)),
        ("bytes", json!(answer.body.len())),
        ("cache", json!("hit")),
        ("commit", json!(commit)),
        ("trace_id", json!(TRACE_ID)),
    ] {
        assert_eq!(line[name], value, "{name} in {text}");
    }
    assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{text}");
    let usage: Value = serde_json::from_str(&serve.logs(r#""message":"usage""#).await).unwrap();
    for (name, value) in
        [("event", "view devfile"), ("subject", "kiln"), ("client", "odo"), ("user", "u-1"), ("region", "AT")]
    {
        assert_eq!(usage[name], value, "{usage}");
    }

    let etag = answer.header("etag").to_owned();
    serve.ask("GET", "/devfiles/kiln", &[("if-none-match", &etag), ("client", "registry-viewer")]).await;
    let line: Value = serde_json::from_str(&serve.logs(REQUEST).await).unwrap();
    assert_eq!((&line["status"], &line["cache"], &line["bytes"]), (&json!(304), &json!("not-modified"), &json!(0)));
    serve.ask("GET", "/nobody%22knows/this", &[("traceparent", "00-x")]).await;
    let text = serve.logs(REQUEST).await;
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["route"], &line["status"]), (&json!("other"), &json!(404)));
    assert!(line.get("trace_id").is_none() && line.get("cache").is_none() && !text.contains("nobody"), "{text}");

    let answer = registry_tests::http::get(metrics).await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = answer.text().await.unwrap();
    for line in [
        r#"devfile_registry_requests_total{route="/devfiles/{name}",status_class="2xx"} 1"#,
        r#"devfile_registry_requests_total{route="/devfiles/{name}",status_class="3xx"} 1"#,
        r#"devfile_registry_requests_total{route="other",status_class="4xx"} 1"#,
        r#"devfile_registry_request_duration_seconds_count{route="other"} 1"#,
        r#"devfile_registry_usage_events_total{event="view devfile"} 1"#,
        "devfile_registry_stale_answers_total 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert!(text.contains("devfile_registry_release_age_seconds ") && text.contains("snapshot_revalidations_total "));
}

#[tokio::test]
async fn malformed_levels_are_named_and_the_log_has_its_own() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let mut serve = registry.serve_with(&[("RUST_LOG", "serve=loud")]).await;
    assert!(serve.logs("RUST_LOG is malformed").await.contains("the level is INFO"));
}

#[tokio::test]
async fn a_trace_goes_on_to_the_bucket() {
    let bucket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", bucket.local_addr().unwrap());
    let (heads, mut received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = bucket.accept().await {
            let mut head = vec![0; 1 << 14];
            let length = connection.read(&mut head).await.unwrap();
            let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            connection.write_all(refusal.as_bytes()).await.unwrap();
            // The test may have ended.
            let _ = heads.send(String::from_utf8_lossy(&head[..length]).into_owned());
        }
    });
    let registry = TestRegistry::of(&TestRegistry::example()).await.with("AWS_ENDPOINT_URL_S3", &url);
    let serve = registry.serve().await;
    let at_start = received.recv().await.unwrap();
    assert!(at_start.contains("GET ") && !at_start.contains("traceparent"), "{at_start}");
    serve.ask("GET", "/index", &[("traceparent", TRACE)]).await;
    let head = received.recv().await.unwrap();
    let passed_on =
        head.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap_or_else(|| panic!("{head}"));
    assert!(passed_on.starts_with(&format!("00-{TRACE_ID}-")) && passed_on.ends_with("-01"), "{passed_on}");
    assert_ne!(passed_on, TRACE, "the call is a span of its own");
}

#[tokio::test]
async fn in_lambda_metrics_are_in_the_log() {
    let registry = TestRegistry::of(&TestRegistry::example()).await.with("METRICS_ADDR", "127.0.0.1:0");
    let mut refresh = Function::of(&registry, "refresh").await.unwrap();
    let report = refresh.invoke(json!({"action": "refresh"})).await.unwrap().payload;
    assert_eq!(report["outcome"], "published", "{report}");
    assert_eq!(refresh.invoke(json!({"action": "reconcile"})).await.unwrap().payload["outcome"], "unchanged");
    let log = refresh.end().await.unwrap();
    let metrics: Vec<&Value> = log.iter().filter(|line| line.get("_aws").is_some()).collect();
    let [first, second] = metrics[..] else { panic!("{metrics:?}") };
    assert_eq!(first["_aws"]["CloudWatchMetrics"][0]["Namespace"], "DevfileRegistry");
    for (name, value) in [("Outcome", json!("published")), ("RefreshOutcome", json!(1)), ("ReleaseAge", json!(0))] {
        assert_eq!(first[name], value, "{first}");
    }
    assert_eq!(first["FunctionName"], "refresh", "metrics of two deployments of an account stay apart");
    assert_eq!((&first["ArtifactsPushed"], &first["ReleaseLag"]), (&json!(3), &json!(0)), "{first}");
    assert!(first["BytesPushed"].as_u64().is_some_and(|bytes| bytes > 3000), "{first}");
    assert_eq!((&second["Outcome"], &second["ArtifactsPushed"]), (&json!("unchanged"), &json!(0)), "{second}");

    let mut serve = Function::of(&registry, "serve").await.unwrap();
    let answer = serve.invoke(http_event("/v2index", "language=python", &[])).await.unwrap().payload;
    assert_eq!(answer["statusCode"], 200);
    let log = serve.end().await.unwrap();
    let startup = log.iter().find(|line| line["message"] == "startup").unwrap();
    assert_eq!(startup["release"], true, "the release is loaded before the first request");
    let request = log.iter().find(|line| line["message"] == "request").unwrap();
    assert_eq!((&request["xray"], &request["route"]), (&json!(XRAY), &json!("/v2index")));
    assert_eq!(request["request_id"], "8476a536-e9f4-11e8-9739-2dfe598c3fcd");
    let [metrics] = log.iter().filter(|line| line.get("_aws").is_some()).collect::<Vec<_>>()[..] else {
        panic!("{log:?}")
    };
    for (name, value) in [("Route", json!("/v2index")), ("StatusClass", json!("2xx")), ("Requests", json!(1))] {
        assert_eq!(metrics[name], value, "{metrics}");
    }
    assert!(metrics["SnapshotRevalidations"].as_u64().is_some_and(|looks| looks > 0), "{metrics}");
    assert!(metrics["ReleaseAge"].is_u64() && metrics.get("StaleAnswers").is_none(), "{metrics}");
}

/// No failure and no amount of logging shows a secret.
#[tokio::test]
async fn no_log_holds_a_secret() {
    let secrets = [
        ("WEBHOOK_SECRET", "webhook-secret-5f1c9a"),
        ("GITHUB_TOKEN", "ghp_token5f1c9a"),
        ("OCI_PASSWORD", "oci-password-5f1c9a"),
        ("AWS_SECRET_ACCESS_KEY", "aws-secret-5f1c9a"),
        ("AWS_SESSION_TOKEN", "aws-session-5f1c9a"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=otlp-header-5f1c9a"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://somebody:otlp-password-5f1c9a@127.0.0.1:1"),
    ];
    let gone = "http://127.0.0.1:1";
    for faults in [
        vec![],
        vec![("AWS_ENDPOINT_URL_S3", gone)],
        vec![("OCI_REGISTRY", "127.0.0.1:1/nobody")],
        vec![("REGISTRY_REPO_URL", "https://github.com/example/registry"), ("GITHUB_API_URL", gone)],
        vec![("REGISTRY_REPO_URL", "https://github.com/example/registry"), ("OIDC_AUDIENCE", "half")],
    ] {
        let mut registry = TestRegistry::of(&TestRegistry::example()).await.with("OCI_USERNAME", "somebody");
        // Unless the bucket should fail it serves its content, so that the other servers are called.
        let bucket_fails = faults.iter().all(|(name, _)| *name == "AWS_ENDPOINT_URL_S3");
        let set = secrets.iter().filter(|(name, _)| bucket_fails || !name.starts_with("AWS_"));
        for (name, value) in set.chain(&faults) {
            registry = registry.with(name, value);
        }
        let output =
            registry.invocation(&json!({"action": "refresh"})).env("RUST_LOG", "debug").output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && !said.is_empty(), "{faults:?}: {said}");
        for (name, secret) in secrets {
            assert!(!said.contains(secret), "{name} is in the log of {faults:?}");
        }
    }
}
