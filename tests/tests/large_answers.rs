//! Answers through the Lambda runtime, which ends them at 6,291,556 bytes, in a registry of long texts; and requests that
//! only a gateway hands over.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use registry_tests::bounded::within_a_minute;
use registry_tests::lambda::{Function, http_event};
use registry_tests::large::extra_entries;
use registry_tests::registry::TestRegistry;
use serde_json::Value;

/// Largest answer of a function, in bytes (AWS Lambda quotas, "Invocation payload").
const LIMIT: usize = 6_291_556;

/// Size above which answers are compressed when the client accepts it, in bytes.
const COMPRESSED_ABOVE: usize = 1 << 20;

/// A registry whose indexes are longer than an answer may be.
async fn large() -> (TestRegistry, Function) {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let description = serde_json::to_string(&"Forges \"nails\" of good iron. ".repeat(4000)).unwrap();
    for number in 0..40 {
        let devfile = format!(
            "schemaVersion: 2.2.0\nmetadata:\n  name: anvil-{number}\n  version: 1.0.0\n  displayName: Anvil {number}\n  \
             description: {description}\n  language: java\n  projectType: smithy\n  tags: [Java, Iron]\n  architectures: [amd64]\n"
        );
        registry.write(&format!("stacks/anvil-{number}/devfile.yaml"), devfile);
    }
    let report = registry.refresh().await.unwrap();
    assert_eq!((&report["outcome"], &report["quarantined"]), (&"published".into(), &serde_json::json!([])));
    let serve = Function::of(&registry, "serve").await.unwrap();
    (registry, serve)
}

async fn ask(serve: &mut Function, path: &str, query: &str, headers: &[(&str, &str)]) -> Value {
    let answer = serve.invoke(http_event(path, query, headers)).await.expect("an answer").payload;
    let length = answer.to_string().len();
    assert!(length <= LIMIT, "{path}?{query} {headers:?}: {length} bytes");
    answer
}

fn body(answer: &Value) -> Vec<u8> {
    let text = answer["body"].as_str().unwrap_or_default();
    if answer["isBase64Encoded"] == true { STANDARD.decode(text).expect("Base64") } else { text.as_bytes().to_vec() }
}

fn decoded(answer: &Value) -> Vec<u8> {
    let sent = body(answer);
    let mut content = Vec::new();
    match answer["headers"]["content-encoding"].as_str() {
        None => return sent,
        Some("gzip") => drop(flate2::read::GzDecoder::new(sent.as_slice()).read_to_end(&mut content).expect("gzip")),
        Some(other) => panic!("{other} was not asked for"),
    }
    content
}

#[tokio::test]
async fn answers_above_the_limit_fit_or_are_named() {
    let (_registry, mut serve) = large().await;
    for (path, query) in [
        ("/v2index/all", ""),
        ("/index/all", ""),
        ("/index.json", ""),
        ("/v2index", "language=java"),
        ("/v2index/all", "arch=amd64&tags=Iron"),
    ] {
        let zipped = ask(&mut serve, path, query, &[("accept-encoding", "gzip")]).await;
        assert_eq!(zipped["statusCode"], 200, "{path}?{query}");
        let content = decoded(&zipped);
        serde_json::from_slice::<Value>(&content).unwrap();
        let plain = ask(&mut serve, path, query, &[]).await;
        if content.len() > COMPRESSED_ABOVE {
            assert_eq!(zipped["headers"]["content-encoding"], "gzip", "{path}?{query}");
            assert_eq!(zipped["headers"]["vary"], "accept-encoding");
            let tag = zipped["headers"]["etag"].as_str().unwrap();
            let again = [("accept-encoding", "gzip"), ("if-none-match", tag)];
            let again = ask(&mut serve, path, query, &again).await;
            assert_eq!((&again["statusCode"], &again["headers"]["etag"]), (&304.into(), &tag.into()), "{path}?{query}");
        }
        match (plain["statusCode"].as_u64(), path) {
            (Some(200), _) => assert!(body(&plain) == content, "{path}?{query}"),
            (Some(307), "/index.json") => {
                let url = plain["headers"]["location"].as_str().unwrap();
                let stored = registry_tests::http::get(url).await.unwrap().bytes().await.unwrap();
                assert!(stored == content, "{url}");
            }
            (Some(406), _) => {
                let named: Value = serde_json::from_slice(&body(&plain)).unwrap();
                let status = named["status"].as_str().unwrap();
                assert!(status.contains("6291556") && status.contains("Accept-Encoding: gzip"), "{status}");
                assert_eq!(plain["headers"]["cache-control"], "no-store");
            }
            other => panic!("{path}?{query}: {other:?}"),
        }
    }
    let all = ask(&mut serve, "/v2index/all", "", &[]).await;
    assert_eq!(all["statusCode"], 406, "the whole of it is larger than the limit");
    let log = serve.end().await.unwrap();
    assert!(log.iter().any(|line| line["OversizedAnswers"] == 1), "a metric counts it");
}

#[tokio::test]
async fn health_is_answered_while_clients_ask_for_brotli_right_after_start() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.write("extraDevfileEntries.yaml", extra_entries(100, 20));
    registry.refresh().await.unwrap();
    let serve = registry.with("REVALIDATE_SECONDS", "3600").serve().await;
    let brotli = [("accept-encoding", "br")];
    let clients = join_all((0..4).map(|_| serve.ask("GET", "/v2index/all", &brotli)));
    let health = async {
        for _ in 0..10 {
            assert_eq!(serve.ask("GET", "/health", &[]).await.status, 200);
        }
    };
    let answered = within_a_minute("all are answered", async { tokio::join!(clients, health) });
    let (clients, ()) = answered.await;
    assert!(clients.iter().all(|answer| answer.status == 200));
    within_a_minute("brotli is ready", async {
        while serve.ask("HEAD", "/v2index/all", &brotli).await.header("content-encoding") != "br" {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn odd_events_of_a_gateway_are_answered() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let mut serve = Function::of(&registry, "serve").await.unwrap();
    for (path, query, headers, status) in [
        ("/v2index", "name=<a>", &[][..], 200),
        ("/v2index", "name=\"a\"", &[], 200),
        ("/v2index", "name=a b", &[], 200),
        ("/v2index", "name=a%20b#c", &[], 200),
        ("/v2index", "name=\u{e9}|{}^`\\", &[], 200),
        ("/viewer", "", &[("x-forwarded-proto", "https,http")], 200),
        ("/viewer", "", &[("x-forwarded-proto", "\u{1}")], 200),
        ("/health", "", &[("bad name", "x")], 200),
        ("/health", "", &[("host", "a b/<>")], 200),
        ("", "", &[], 302),
        ("health", "", &[], 200),
        ("//health", "", &[], 404),
        ("/devfiles/a b<\"?#", "", &[], 404),
    ] {
        let answer = ask(&mut serve, path, query, headers).await;
        assert_eq!(answer["statusCode"], status, "{path}?{query} {headers:?}: {answer}");
    }
}

/// HTTP APIs deliver `rawPath` decoded, function URLs as the client sent it.
#[tokio::test]
async fn path_of_an_http_api_is_not_decoded_twice() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let mut serve = Function::of(&registry, "serve").await.unwrap();
    assert_eq!(ask(&mut serve, "/devfiles/loom", "", &[]).await["statusCode"], 200);
    // The client sent `/devfiles/l%256fom`, or a percent sign that stands for itself.
    assert_eq!(ask(&mut serve, "/devfiles/l%6fom", "", &[]).await["statusCode"], 404);
    assert_eq!(ask(&mut serve, "/devfiles/%ff", "", &[]).await["statusCode"], 404);
    let mut event = http_event("/devfiles/l%6fom", "", &[]);
    event["requestContext"]["domainName"] = "abc.lambda-url.eu-north-1.on.aws".into();
    assert_eq!(serve.invoke(event).await.unwrap().payload["statusCode"], 200);
}
