//! A release whose every text attacks the page, and the answers of the viewer alone, for tests.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use axum::http::header::HeaderMap;
use axum::routing::Router;
use bytes::Bytes;
use devfile_registry::cache::{Bucket, Cache, blob_key};
use devfile_registry::digest::Digest;
use devfile_registry::environment::Environment;
use devfile_registry::index::{Entry, EntryType};
use devfile_registry::settings::CACHE_BUCKET;
use serde_json::json;
use tower::ServiceExt;

use super::{Viewer, routes};
use crate::config::Config;
use crate::http::path::without_slash;
pub(super) use crate::release::fixture::{FILES, KILN, snapshot, snapshot_of, snapshot_with};
use crate::release::snapshot::{Shared, Snapshot};
use crate::state::{App, LiveRelease};
pub(super) use crate::view::browse::fixture::entries;

/// A text that breaks out of an element, an attribute or a script where it is not escaped.
pub(super) const ATTACK: &str = "\"'><script>alert(1)<img src=x onerror=alert(1)>&lt;";

/// A release whose every text is [`ATTACK`], or an address of a forbidden scheme.
pub(super) fn hostile() -> Snapshot {
    let script = "javascript:alert(1)";
    let text = |name: &str| format!("{name}{ATTACK}");
    let entry = json!({
        "name": text("name"), "displayName": text("display"), "description": text("description"), "type": "stack",
        "tags": [text("tag"), "b"], "architectures": [text("arch")], "icon": script, "projectType": text("type"),
        "language": text("language"), "provider": text("provider"), "supportUrl": script,
        "attributes": {text("key"): text("value")}, "globalMemoryLimit": text("memory"), "links": {text("link"): script},
        "git": {"remotes": {text("remote"): script, "b": "data:text/html,x"}, "revision": text("revision")},
        "versions": [
            {"version": text("2"), "schemaVersion": text("schema"), "default": true, "description": text("version"),
             "tags": [text("vtag")], "links": {"self": text("self"), text("vlink"): script},
             "git": {"remotes": {text("remote"): script}, "subDir": text("dir")},
             "starterProjects": [text("starter")], "resources": [text("resource")]},
            {"version": text("1"), "schemaVersion": text("schema")}
        ]
    });
    let mut entry: Entry = serde_json::from_value(entry).unwrap();
    entry.entry_type = EntryType::Stack;
    let quoted = serde_json::to_string(ATTACK).unwrap();
    let devfile = KILN
        .replace("kiln-starter\n", &format!("{quoted}\n"))
        .replace("Three pages and a template", &quoted)
        .replace("https://github.com/example/kiln-starter.git", "'javascript:alert(1)'")
        .replace("name: runtime", &format!("name: {quoted}"))
        .replace("component: runtime", &format!("component: {quoted}"))
        .replace("id: build\n", &format!("id: {quoted}\n"))
        .replace("python bake.py pages site", &quoted)
        .replace("docker.io/library/python:3.13-slim", &quoted)
        .replace("kubernetes/deploy.yaml", "javascript:alert(1)")
        .replace("name: http\n", &format!("name: {quoted}\n"));
    let (name, new, old) = (text("name"), text("2"), text("1"));
    let plain = format!("# {ATTACK}\n{ATTACK}: &a {ATTACK}\n\t{ATTACK}\n");
    snapshot_of(vec![entry], &[(&name, &new, &devfile), (&name, &old, &plain)], script)
}

/// The answer of the viewer's own routes to a path with its query, as the router passes it on; `None` when no route has the path.
pub(super) async fn ask(
    viewer: &Arc<Viewer>,
    snapshot: &Shared,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    ask_with(viewer, snapshot, &FILES, path, headers).await
}

/// The same where the bucket has these files.
pub(super) async fn ask_with(
    viewer: &Arc<Viewer>,
    snapshot: &Shared,
    files: &[(&str, &str)],
    path: &str,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    let config =
        Config::read(Environment::new(|name| (name == CACHE_BUCKET.name).then(|| "nowhere".to_owned()))).unwrap();
    let cache = Cache::in_memory();
    for (_, text) in files {
        cache.put(&blob_key(Digest::of(text.as_bytes())), Bytes::from((*text).to_owned())).await.unwrap();
    }
    let app = Arc::new(App::new(config, cache).await);
    let unrouted = || async { Response::builder().extension(Unrouted).body(Body::empty()).unwrap() };
    let router = routes(viewer).into_iter().fold(Router::new(), |router, route| route.add_to(router));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut request = Request::builder().uri(format!("{}?{query}", without_slash(path))).body(Body::empty()).unwrap();
    *request.headers_mut() = headers.clone();
    request.extensions_mut().insert(LiveRelease(Some(Arc::clone(snapshot))));
    let Ok(response) = router.fallback(unrouted).with_state(app).oneshot(request).await;
    response.extensions().get::<Unrouted>().is_none().then_some(response)
}

/// Marks the answer to a path that no route has.
#[derive(Debug, Clone, Copy)]
struct Unrouted;
