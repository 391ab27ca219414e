//! Statuses and headers of single answers that clients and caches act on.

use registry_tests::registry::{Serving, TestRegistry};

async fn example() -> (TestRegistry, Serving) {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.expect("it is published");
    let serve = registry.serve().await;
    (registry, serve)
}

async fn empty() -> (TestRegistry, Serving) {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let serve = registry.serve().await;
    (registry, serve)
}

const FILE: &str = "/stacks/kiln/1.1.0/docker/Dockerfile";

#[tokio::test]
async fn range_unit_in_any_case_is_honoured() {
    let (_registry, serve) = example().await;
    for unit in ["bytes", "Bytes", "BYTES"] {
        let answer = serve.ask("GET", FILE, &[("range", &format!("{unit}=0-3"))]).await;
        assert_eq!((answer.status, answer.body.len()), (206, 4), "{unit}");
    }
    assert_eq!(serve.ask("GET", FILE, &[("range", "items=0-3")]).await.status, 416);
}

#[tokio::test]
async fn file_of_a_stack_offers_ranges() {
    let (_registry, serve) = example().await;
    let whole = serve.ask("GET", FILE, &[]).await;
    let etag = whole.header("etag").to_owned();
    for (method, headers, status) in [
        ("GET", &[][..], 200),
        ("HEAD", &[], 200),
        ("GET", &[("range", "bytes=0-3")], 206),
        ("GET", &[("if-none-match", etag.as_str())], 304),
    ] {
        let answer = serve.ask(method, FILE, headers).await;
        assert_eq!((answer.status, answer.header("accept-ranges")), (status, "bytes"), "{method} {headers:?}");
    }
}

#[tokio::test]
async fn encoded_query_of_the_oci_api_is_decoded() {
    let (_registry, serve) = example().await;
    let plain = serve.ask("GET", "/v2/_catalog?n=1", &[]).await;
    assert_eq!(plain.json()["repositories"].as_array().map(Vec::len), Some(1));
    for query in ["n=%31", "%6E=1", "n=1&last=", "last&n=1"] {
        let answer = serve.ask("GET", &format!("/v2/_catalog?{query}"), &[]).await;
        assert_eq!((answer.status, answer.json()), (200, plain.json()), "{query}");
        assert_eq!(answer.header("link"), plain.header("link"), "{query}");
    }
    let tags = "/v2/devfile-catalog/kiln/tags/list";
    let after = serve.ask("GET", &format!("{tags}?last=1.0.0"), &[]).await;
    assert_eq!(serve.ask("GET", &format!("{tags}?%6Cast=1%2E0%2e0"), &[]).await.json(), after.json());
    let referrers = "/v2/devfile-catalog/kiln/referrers/".to_owned() + &format!("sha256:{}", "0".repeat(64));
    let filtered = serve.ask("GET", &format!("{referrers}?%61rtifactType=x"), &[]).await;
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
}

#[tokio::test]
async fn encoded_path_answers_like_the_plain_one_to_every_method() {
    let (_registry, serve) = example().await;
    for (encoded, plain) in [
        ("/%762/x", "/v2/x"),
        ("/v%32/_catalog", "/v2/_catalog"),
        ("/v2%2Fdevfile-catalog/nope/tags/list", "/v2/devfile-catalog/nope/tags/list"),
        ("/%69ndex", "/index"),
        ("/viewe%72", "/viewer"),
        ("/%6eothing", "/nothing"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let (one, other) = (serve.ask(method, encoded, &[]).await, serve.ask(method, plain, &[]).await);
            assert_eq!(one.status, other.status, "{method} {encoded}");
            assert_eq!(String::from_utf8_lossy(&one.body), String::from_utf8_lossy(&other.body), "{method} {encoded}");
            assert_eq!(one.header("content-type"), other.header("content-type"), "{method} {encoded}");
        }
    }
    let long = "a".repeat(9_000);
    let answer = serve.ask("GET", &format!("/%762/{long}"), &[]).await;
    assert_eq!((answer.status, answer.json()["errors"][0]["code"].as_str()), (414, Some("UNSUPPORTED")));
}

#[tokio::test]
async fn registry_without_a_release_says_when_to_ask_again() {
    let (_registry, serve) = empty().await;
    for path in
        ["/index", "/health", "/devfiles/kiln", "/v2/", "/v2/_catalog", "/v2/devfile-catalog/kiln/tags/list", "/viewer"]
    {
        let answer = serve.ask("GET", path, &[]).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "5"), "{path}");
    }
}

#[tokio::test]
async fn condition_that_anything_meets_changes_no_error() {
    let any = &[("if-none-match", "*")][..];
    let (_registry, serve) = empty().await;
    for path in ["/viewer", "/viewer/devfiles/x/kiln", "/index", "/v2/"] {
        assert_eq!(serve.ask("GET", path, any).await.status, 503, "{path}");
    }
    let (_registry, serve) = example().await;
    for path in ["/viewer/nothing", "/viewer/devfiles/devfile-registry/nope", "/devfiles/nope", "/v2/nope", "/nothing"]
    {
        assert_eq!(serve.ask("GET", path, any).await.status, 404, "{path}");
    }
    for path in ["/viewer", "/index", "/devfiles/kiln", FILE] {
        assert_eq!(serve.ask("GET", path, any).await.status, 304, "{path}");
    }
}

#[tokio::test]
async fn unchanged_answer_names_the_tag_that_the_client_sent() {
    let (_registry, serve) = example().await;
    let tag = async |coding| serve.ask("GET", "/index", &[("accept-encoding", coding)]).await.header("etag").to_owned();
    let [identity, gzip, brotli] = [tag("identity").await, tag("gzip").await, tag("br").await];
    assert!(identity != gzip && gzip != brotli);
    for (sent, coding, named) in [
        (identity.as_str(), "gzip", &identity),
        (&identity, "br, gzip", &identity),
        (&gzip, "gzip", &gzip),
        (&format!("W/{brotli}"), "br", &brotli),
        ("*", "gzip", &gzip),
    ] {
        let headers = [("accept-encoding", coding), ("if-none-match", sent)];
        let answer = serve.ask("GET", "/index", &headers).await;
        assert_eq!((answer.status, answer.header("etag")), (304, named.as_str()), "{sent} {coding}");
    }
}
