//! Icons and devfiles of samples, from a server on the own machine through a refresh to the answers.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use devfile_registry::digest::Digest;
use registry_tests::github::GitHub;
use registry_tests::registry::TestRegistry;

const SVG: &str = "<svg xmlns='http://www.w3.org/2000/svg'/>";
const DEVFILE: &str = "schemaVersion: 2.2.0\nmetadata: {name: vase}\n";

/// A server of an icon.
async fn icons() -> String {
    let app = Router::new()
        .route("/icon", get(|| async { ([(header::CONTENT_TYPE, "text/plain")], SVG) }))
        .fallback(|| async { StatusCode::NOT_FOUND });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

#[tokio::test]
async fn upstream_content_is_published_and_stays_when_it_is_no_longer_fetched() {
    let host_url = icons().await;
    let vase = TestRegistry::of(&TestRegistry::example()).await;
    vase.write(".devfile.yaml", DEVFILE);
    vase.commit();
    vase.git(&["tag", "v1"]);
    let host = GitHub::start_example(vase.repository.path()).await.unwrap();
    let git_host = host.url().to_owned();
    let registry = TestRegistry::of(&TestRegistry::example()).await.with("FETCH", "true");
    std::fs::remove_dir_all(registry.repository.path().join("samples")).unwrap();
    let entries = |broken: &str| {
        format!(
            "samples:\n  - name: vase\n    displayName: Vase\n    icon: {host_url}/icon\n    git: {{remotes: {{origin: \
             {git_host}/example/registry.git}}, revision: v1}}\n  - name: bowl\n    icon: {host_url}/{broken}\n    git: {{remotes: \
             {{origin: {git_host}/clay/bowl}}}}\n"
        )
    };
    registry.write("extraDevfileEntries.yaml", entries("none"));
    let report = registry.refresh().await.unwrap();
    assert_eq!((&report["outcome"], &report["quarantined"]), (&"published".into(), &serde_json::json!([])));
    let icon = format!("blobs/sha256/{}", Digest::of(SVG.as_bytes()).hex());
    assert!(registry.keys("blobs/").await.contains(&icon));
    let serve = registry.serve().await;
    assert_eq!(serve.get("/devfiles/vase").await, (200, DEVFILE.to_owned()));

    let closed = registry.with("FETCH", "false");
    closed.write("extraDevfileEntries.yaml", entries("other"));
    let report = closed.refresh().await.unwrap();
    assert_eq!(report["outcome"], "published");
    serve.until_serves(&closed).await;
    assert_eq!(serve.get("/devfiles/vase").await, (200, DEVFILE.to_owned()));

    let strict = closed.with("FETCH", "true").with("STRICT_ICONS", "true");
    strict.write("extraDevfileEntries.yaml", format!("{}# again\n", entries("other")));
    let report = strict.refresh().await.unwrap();
    let quarantined: Vec<&str> =
        report["quarantined"].as_array().unwrap().iter().filter_map(|part| part["name"].as_str()).collect();
    assert!(quarantined.contains(&"bowl") && !quarantined.contains(&"vase"), "{report}");
}
