//! Public pages say that something fails. They never repeat the words, names and addresses of the servers behind.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use registry_tests::github::Fault;
use registry_tests::proxy::{Fuse, Proxy};
use registry_tests::registry::{Serving, TestRegistry};

/// Parts of errors that are nobody's business outside.
const SECRETS: [&str; 8] = [
    "123456789012",
    "arn:aws",
    "AccessDenied",
    "clay-role",
    "CLAYREQUEST",
    "identity-based",
    "internal.example",
    "GetObject",
];

/// Every public path that shows the state of the registry, and some others.
const PATHS: [&str; 7] = [
    "/status",
    "/viewer/status",
    "/health",
    "/viewer",
    "/v2index",
    "/index.json",
    "/stacks/kiln/1.1.0/docker/Dockerfile",
];

/// An error as S3 words it, with all that it may name.
fn denied(bucket: &str, address: &str) -> Bytes {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AccessDenied</Code><Message>User: \
         arn:aws:sts::123456789012:assumed-role/clay-role/clay is not authorized to perform: s3:GetObject on resource: \
         \"arn:aws:s3:::{bucket}/index.json\" because no identity-based policy allows it, see https://iam.internal.example/\
         </Message><BucketName>{bucket}</BucketName><Endpoint>http://{address}/{bucket}</Endpoint>\
         <RequestId>CLAYREQUEST</RequestId><HostId>clay.internal.example</HostId></Error>"
    )
    .into()
}

/// Holds every public answer, headers included, to the secrets.
async fn assert_silent(serve: &Serving, secrets: &[&str]) {
    for path in PATHS {
        for method in ["GET", "HEAD"] {
            let answer = serve.ask(method, path, &[("accept-encoding", "identity")]).await;
            let text = format!("{:?}\n{}", answer.headers, String::from_utf8_lossy(&answer.body));
            for secret in SECRETS.iter().chain(secrets) {
                assert!(!text.contains(secret), "{method} {path} tells {secret}:\n{text}");
            }
        }
    }
}

/// A registry whose bucket is behind a proxy.
async fn behind_proxy() -> (TestRegistry, Proxy) {
    let proxy = Proxy::start(&std::env::var("TEST_S3_ENDPOINT").unwrap(), Fuse::default()).await;
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let registry = registry.with("AWS_ENDPOINT_URL_S3", &format!("http://{}", proxy.address()));
    registry.refresh().await.unwrap();
    (registry, proxy)
}

/// The status, once serve has found that it cannot read a newer release.
async fn stale(serve: &Serving) -> serde_json::Value {
    serve.until_status(|status| status["snapshot"]["stale"] == true).await
}

#[tokio::test]
async fn bucket_that_answers_with_its_names_tells_strangers_nothing() {
    let (registry, proxy) = behind_proxy().await;
    let error = denied(&registry.name, &proxy.address());
    let secrets = [registry.name.as_str(), &proxy.address()];
    let reason = "the store cannot be read";
    for status in [StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST, StatusCode::OK] {
        let mut serve = registry.serve().await;
        assert_silent(&serve, &secrets).await;
        let fault = Fault::Answer { status, body: error.clone() };
        proxy.faults().add("GET *", fault, usize::MAX);
        assert_eq!(stale(&serve).await["snapshot"]["failure"], reason, "{status}");
        assert_silent(&serve, &secrets).await;
        // The operator finds the bucket and the cause in the log.
        serve.logs(&format!("the cache bucket {}", registry.name)).await;
        // One that starts meanwhile has no release at all.
        let empty = registry.serve().await;
        assert_eq!(empty.get("/health").await.0, 503);
        assert_eq!(empty.json("/status").await["snapshot"]["failure"], reason, "{status}");
        assert_silent(&empty, &secrets).await;
        proxy.faults().clear();
    }
}

#[tokio::test]
async fn damaged_index_tells_strangers_nothing() {
    let (registry, proxy) = behind_proxy().await;
    let secrets = [registry.name.as_str(), &proxy.address()];
    let mut serve = registry.serve().await;
    registry.put("index.json", denied(&registry.name, &proxy.address())).await;
    assert_eq!(stale(&serve).await["snapshot"]["failure"], "the live release cannot be read");
    assert_silent(&serve, &secrets).await;
    serve.logs("index.json in the store cannot be used").await;
    assert_silent(&registry.serve().await, &secrets).await;
}

#[tokio::test]
async fn refresh_that_fails_tells_strangers_nothing() {
    let oci = Proxy::start(&std::env::var("TEST_OCI_REGISTRY").unwrap(), Fuse::default()).await;
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let location = format!("{}/{}", oci.address(), registry.name);
    let registry = registry.with("OCI_REGISTRY", &location);
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    serve.shows_text("/viewer/status", "Live and healthy").await;
    registry.write("stacks/loom/devfile.yaml", "schemaVersion: 2.2.2\nmetadata:\n  name: loom\n  version: 0.4.0\n");
    let denied = r#"{"errors":[{"code":"DENIED","message":"AccessDenied: clay-role may not push to arn:aws:ecr:::repository/clay at https://oci.internal.example"}]}"#;
    let fault = Fault::Answer { status: StatusCode::FORBIDDEN, body: denied.into() };
    oci.faults().add("*", fault, usize::MAX);
    let error = registry.refresh().await.unwrap_err();
    assert!(error.contains(&oci.address()), "{error}");
    let last = serve.last_refresh().await;
    assert_eq!(
        (&last["outcome"], &last["failure"]),
        (&serde_json::Value::Null, &"the OCI registry failed".into()),
        "{last}"
    );
    assert_silent(&serve, &[&oci.address(), &registry.name]).await;
    let page = serve.shows_text("/viewer/status", "the last refresh failed").await;
    assert!(page.contains("the OCI registry failed"), "{page}");
    assert!(!page.contains("healthy"), "{page}");
    // The page has words of its own for any content of the bucket under that name.
    let text = registry.object("last-refresh.json").await;
    let text = String::from_utf8(text.to_vec()).unwrap();
    registry.put("last-refresh.json", text.replace("the OCI registry failed", "AccessDenied by arn:aws:ecr")).await;
    assert_silent(&serve, &[]).await;
    assert_eq!(serve.last_refresh().await["failure"], "the refresh failed");
}

#[tokio::test]
async fn host_that_leads_inside_is_not_named() {
    let inside = || async {
        (StatusCode::FOUND, [(LOCATION, "http://vault.internal.example/clay-role?key=AccessDenied")]).into_response()
    };
    let app = Router::new().route("/icon", get(inside)).fallback(inside);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let registry = TestRegistry::of(&TestRegistry::example()).await.with("FETCH", "true");
    let registry = registry.with("FETCH_HOSTS", "localhost");
    let sample = format!(
        "samples:\n  - name: vase\n    icon: http://localhost:{port}/icon\n    git: {{remotes: {{origin: http://localhost:{port}/clay/vase.git}}}}\n"
    );
    registry.write("extraDevfileEntries.yaml", sample);
    std::fs::remove_dir_all(registry.repository.path().join("samples")).unwrap();
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let page = serve.get("/viewer/status").await.1;
    assert!(page.contains("its devfile could not be fetched: localhost: not allowed"), "{page}");
    assert!(page.contains("the icon cannot be shown: localhost: not allowed"), "{page}");
    assert_silent(&serve, &[]).await;
    server.abort();
}
