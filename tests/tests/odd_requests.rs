//! Old and odd requests: each gets an answer, and none a server error.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use registry_tests::answer::Answer;
use registry_tests::bounded::property;
use registry_tests::raw;
use registry_tests::registry::{Serving, TestRegistry};

async fn example() -> (TestRegistry, Serving) {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.expect("it is published");
    let serve = registry.serve().await;
    (registry, serve)
}

async fn get(serve: &Serving, target: &str, headers: &str) -> Answer {
    raw::ask(&serve.url, format!("GET {target} HTTP/1.1\r\nhost: registry\r\n{headers}connection: close\r\n\r\n")).await
}

/// Whether answers to a path count the seconds since something, so that two of them may differ.
fn counts_seconds(path: &str) -> bool {
    matches!(path, "/status" | "/viewer/status")
}

#[tokio::test]
async fn odd_path_or_query_has_its_status() {
    let (_registry, serve) = example().await;
    let many = (0..400).map(|n| format!("tags=t{n}")).collect::<Vec<_>>().join("&");
    let long = "a".repeat(9_000);
    for (target, status) in [
        ("/v2index?name=%00", 200),
        ("/v2index?name=%ff", 200),
        ("/v2index?name=%zz", 200),
        ("/v2index?name=g%6F", 200),
        ("/v2index?&&==&;", 200),
        ("/v2index?tags[]=a&%00=%00", 200),
        (&format!("/v2index?{many}"), 200),
        (&format!("/v2index?name={long}"), 414),
        (&format!("/v2/devfile-catalog/kiln/tags/list?last={long}"), 414),
        (&format!("/{long}"), 414),
        (&format!("/v2/{long}"), 414),
        ("/devfiles/kil%6E", 200),
        ("/devfiles/kiln%2F1.1.0", 200),
        ("/devfiles/%00", 400),
        ("/devfiles/%ff", 400),
        ("/devfiles/%zz", 404),
        ("/devfiles//1.0.0", 400),
        ("//devfiles/kiln", 404),
        ("/devfiles/kiln//", 400),
        ("/devfiles/../devfiles/kiln", 404),
        ("/devfiles/kiln/%2e%2e/%2e%2e/index.json", 404),
        ("/devfiles/index.json", 404),
        ("/stacks/%2e%2e/index.json", 404),
        ("/stacks/kiln/..%2f..%2findex.json", 404),
        ("/stacks/..%5c..%5cetc", 404),
        ("/stacks/", 404),
        ("/v2//", 404),
        ("/v2/devfile-catalog/../devfile-catalog/kiln/tags/list", 404),
        ("//", 404),
        ("/health//", 404),
        ("/index/all//", 404),
        ("/devfiles/", 404),
        ("/devfiles/kiln%2F", 200),
        ("/stacks/kiln/stack.yaml/", 404),
        ("/INDEX", 404),
        ("http://other.example/health", 200),
        ("*", 404),
    ] {
        let answer = get(&serve, target, "").await;
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        if status != 200 {
            answer.json();
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{target}");
        }
    }
}

#[tokio::test]
async fn index_of_everything_is_an_array_for_any_origin() {
    let (_registry, serve) = example().await;
    for path in ["/index", "/index/all", "/v2index", "/v2index/all"] {
        let answer = get(&serve, path, "origin: https://che.example\r\n").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "*"), "{path}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert!(answer.json().as_array().is_some_and(|entries| !entries.is_empty()), "{path}");
    }
}

#[tokio::test]
async fn trailing_slash_on_any_route_answers_like_the_path_without_it() {
    let (_registry, serve) = example().await;
    let tags = "/v2/devfile-catalog/kiln/tags/list";
    let manifest = "/v2/devfile-catalog/kiln/manifests/1.1.0";
    let digest = get(&serve, manifest, "").await.header("docker-content-digest").to_owned();
    for (path, query, status) in [
        ("/health", "", 200),
        ("/status", "", 200),
        ("/openapi.json", "", 200),
        ("/index.json", "", 200),
        ("/index", "", 200),
        ("/index", "?language=python", 200),
        ("/index/sample", "", 200),
        ("/index/nope", "", 404),
        ("/v2index", "?tags=x", 200),
        ("/v2index", "?arch=x", 400),
        ("/v2index/all", "", 200),
        ("/devfiles/kiln", "", 200),
        ("/devfiles/kiln/1.0.0", "", 200),
        ("/devfiles/nope", "", 404),
        ("/devfiles/loom/starter-projects/loom-starter", "", 202),
        ("/devfiles/loom/1.0.0/starter-projects/nope", "", 404),
        ("/v2", "", 200),
        ("/v2/_catalog", "", 200),
        (tags, "?n=1", 200),
        (manifest, "", 200),
        (&format!("/v2/devfile-catalog/kiln/blobs/{digest}"), "", 404),
        (&format!("/v2/devfile-catalog/kiln/referrers/{digest}"), "", 200),
        ("/viewer", "", 200),
        ("/viewer/status", "", 200),
        ("/viewer/devfiles", "", 302),
        ("/viewer/devfiles/devfile-registry/kiln", "?devfile-version=1.0.0", 200),
        ("/viewer/devfiles/devfile-registry/kiln/compare", "", 200),
        ("/sitemap.xml", "", 200),
        ("/robots.txt", "", 200),
        ("/favicon.ico", "", 200),
        ("/nothing", "", 404),
    ] {
        for method in ["GET", "HEAD"] {
            let without = serve.ask(method, &format!("{path}{query}"), &[]).await;
            let with = serve.ask(method, &format!("{path}/{query}"), &[]).await;
            assert_eq!((without.status, with.status), (status, status), "{method} {path}{query}");
            for name in ["content-type", "cache-control", "location", "link", "docker-content-digest"] {
                assert_eq!(with.header(name), without.header(name), "{method} {path}{query} {name}");
            }
            if !counts_seconds(path) {
                assert_eq!(with.body, without.body, "{method} {path}{query}");
                assert_eq!(with.header("etag"), without.header("etag"), "{method} {path}{query}");
            }
        }
    }
}

#[tokio::test]
async fn malformed_http_request_has_its_status() {
    let (_registry, serve) = example().await;
    let headers: String = (0..500).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(500_000));
    for (request, statuses) in [
        ("GET /health HTTP/1.0\r\n\r\n".to_owned(), &[200][..]),
        ("GET /health\r\n\r\n".to_owned(), &[400]),
        ("GET /a b HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), &[400]),
        ("GET /\u{0} HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), &[400]),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000)), &[414]),
        (format!("GET /health HTTP/1.1\r\nhost: x\r\n{headers}\r\n"), &[431]),
        (format!("GET /health HTTP/1.1\r\nhost: x\r\n{large}\r\n"), &[431]),
        ("BREW /pot HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), &[405]),
        ("PUT /index HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc".to_owned(), &[405]),
    ] {
        let answer = raw::ask(&serve.url, &request).await;
        let start: String = request.chars().take(40).collect();
        assert!(statuses.contains(&answer.status), "{start:?}: {} {answer:?}", answer.status);
    }
    assert_eq!(get(&serve, "/health", "").await.status, 200, "it goes on");
}

/// Every route, and unknown paths, with every method: CORS, `nosniff`, `Vary` and the methods are on all answers.
#[tokio::test]
async fn every_answer_has_the_common_headers() {
    let (_registry, serve) = example().await;
    for path in [
        "/",
        "/health",
        "/status",
        "/openapi.json",
        "/index",
        "/index/sample",
        "/v2index/all",
        "/v2index?name=kiln",
        "/v2index?arch=x",
        "/index.json",
        "/devfiles/kiln",
        "/devfiles/kiln/1.0.0",
        "/devfiles/nope",
        "/devfiles/%00",
        "/stacks/kiln/1.1.0/docker/Dockerfile",
        "/stacks/nope",
        "/v2/",
        "/v2/_catalog",
        "/v2/devfile-catalog/kiln/tags/list",
        "/v2/devfile-catalog/kiln/manifests/1.1.0",
        "/v2/nope",
        "/nothing/here",
    ] {
        let answer = serve.ask("GET", path, &[]).await;
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"] {
            let other = serve.ask(method, path, &[("origin", "https://console.example")]).await;
            assert_eq!(other.header("access-control-allow-origin"), "*", "{method} {path}");
            assert_eq!(other.header("x-content-type-options"), "nosniff", "{method} {path}");
            assert!(other.header("vary").contains("accept"), "{method} {path}");
            match method {
                "GET" if counts_seconds(path) => assert_eq!(other.status, answer.status, "{path}"),
                "GET" => assert_eq!(other.body, answer.body, "{path}"),
                "HEAD" => {
                    assert_eq!((other.status, other.body.len()), (answer.status, 0), "{path}");
                    let names = ["content-length", "content-type", "etag", "cache-control", "location"];
                    for name in names.into_iter().filter(|name| *name != "content-length" || !counts_seconds(path)) {
                        assert_eq!(other.header(name), answer.header(name), "HEAD {path} {name}");
                    }
                }
                "OPTIONS" => {
                    assert_eq!(other.status, 204, "{path}");
                    assert_eq!(other.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
                    assert!(other.header("access-control-allow-headers").contains('*'));
                }
                _ if path.starts_with("/v2/") => assert_eq!(other.status, 404, "{method} {path}"),
                _ => assert_eq!((other.status, other.header("allow")), (405, "GET, HEAD, OPTIONS"), "{method} {path}"),
            }
        }
    }
}

#[tokio::test]
async fn any_path_and_query_is_answered() {
    let (_registry, serve) = example().await;
    let known = prop::sample::select(vec![
        "index",
        "v2index",
        "all",
        "devfiles",
        "kiln",
        "1.1.0",
        "latest",
        "stacks",
        "v2",
        "devfile-catalog",
        "manifests",
        "blobs",
        "tags",
        "list",
        "_catalog",
        "referrers",
        "sha256:0",
        "..",
        ".",
        "",
        "health",
        "status",
        "viewer",
    ]);
    let odd = "[!-~]{0,6}|(%[0-9a-fA-F]{2}){1,3}|%|%2[fF]%2[eE]".prop_map(|text| text.replace([' ', '?', '#'], ""));
    let segment = prop_oneof![3 => known.prop_map(str::to_owned), 1 => odd];
    let name = prop::sample::select(vec![
        "name",
        "tags",
        "arch",
        "icon",
        "minVersion",
        "deprecated",
        "n",
        "last",
        "x",
        "maxLastModified",
    ]);
    let pair =
        (name, "[!-~]{0,8}|(%[0-9a-f]{2}){0,4}").prop_map(|(name, value)| format!("{name}={}", value.replace('#', "")));
    let target = (prop::collection::vec(segment, 0..6), prop::collection::vec(pair, 0..4))
        .prop_map(|(path, query)| format!("/{}?{}", path.join("/"), query.join("&")));
    let method = prop::sample::select(vec!["GET", "HEAD", "OPTIONS", "POST"]);

    let handle = tokio::runtime::Handle::current();
    let url = serve.url.clone();
    let run = move || {
        let mut runner = TestRunner::new(property(300, file!()));
        runner.run(&(method, target), |(method, target)| {
            let request = format!("{method} {target} HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\r\n");
            let answer = handle.block_on(raw::ask(&url, request));
            prop_assert!((200..500).contains(&answer.status), "{} {} {:?}", method, target, answer);
            prop_assert!(answer.status == 400 || answer.header("access-control-allow-origin") == "*");
            Ok(())
        })
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
}
