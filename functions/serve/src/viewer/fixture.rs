//! A small release to render in tests, and one whose every text attacks the page.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use axum::http::header::HeaderMap;
use axum::routing::Router;
use bytes::Bytes;
use devfile_registry::cache::{Bucket, Cache, ETag, blob_key};
use devfile_registry::diagnostic::Diagnostic;
use devfile_registry::digest::Digest;
use devfile_registry::environment::Environment;
use devfile_registry::index::{Entry, EntryType};
use devfile_registry::release::{
    About, Built, Changes, Content, Facts, LiveIndex, Pending, Plan, PublishedVersion, SampleDevfile, StoredFile,
};
use devfile_registry::repository::{Part, Quarantined};
use devfile_registry::settings::CACHE_BUCKET;
use devfile_registry::source::Listing;
use serde_json::json;
use tower::ServiceExt;

use super::{Viewer, routes};
use crate::config::Config;
use crate::http::path::without_slash;
use crate::release::snapshot::{Shared, Snapshot};
use crate::state::{App, Held};
use crate::view::icons::Icons;

/// Three stacks and two samples; one sample has the name of a stack.
pub(crate) fn entries() -> Vec<Entry> {
    let index = json!([
        {
            "name": "kiln", "displayName": "Kiln", "description": "Bakes pages from Markdown & serves them",
            "type": "stack", "tags": ["Python", "Markdown"], "architectures": ["amd64", "arm64"],
            "icon": "https://icons.example/kiln.svg", "projectType": "Kiln", "language": "Python",
            "provider": "Potters", "supportUrl": "https://example.com/kiln/help",
            "versions": [
                {"version": "1.1.0", "schemaVersion": "2.2.2", "default": true, "description": "Bakes pages",
                 "links": {"self": "devfile-catalog/kiln:1.1.0"}, "commandGroups": {"build": true, "run": true},
                 "starterProjects": ["kiln-starter"], "lastModified": "2025-09-12T14:05:00+02:00"},
                {"version": "1.0.0", "schemaVersion": "2.2.0", "links": {"self": "devfile-catalog/kiln:1.0.0"},
                 "lastModified": "2025-03-04T09:30:00Z"}
            ],
            "lastModified": "2025-09-12T14:05:00+02:00"
        },
        {
            "name": "loom", "displayName": "Loom", "description": "Weaves cloth", "type": "stack", "tags": ["Cloth"],
            "language": "Rust", "projectType": "Loom", "provider": "Weavers",
            "versions": [{"version": "0.3.0", "schemaVersion": "2.3.0", "default": true,
                          "links": {"self": "devfile-catalog/loom:0.3.0"}, "lastModified": "2025-06-01T08:00:00Z"}],
            "lastModified": "2025-06-01T08:00:00Z"
        },
        {
            "name": "forge", "displayName": "Forge", "description": "An old way to make nails", "type": "stack",
            "tags": ["Iron", "Deprecated"], "language": "C", "projectType": "Forge",
            "versions": [{"version": "0.1.0", "schemaVersion": "2.1.0", "default": true,
                          "lastModified": "2024-01-01T00:00:00Z"}],
            "lastModified": "2024-01-01T00:00:00Z"
        },
        {
            "name": "pot", "displayName": "Pot", "description": "A shop, made with Kiln", "type": "sample",
            "tags": ["Python", "Shop"], "language": "Python", "projectType": "Kiln", "provider": "Potters",
            "versions": [{"version": "1.0.0", "schemaVersion": "2.2.0", "default": true,
                          "git": {"remotes": {"origin": "https://github.com/example/pot.git"}, "revision": "v1"},
                          "lastModified": "2025-10-02T16:45:00Z"}],
            "lastModified": "2025-10-02T16:45:00Z"
        },
        {
            "name": "loom", "displayName": "Loom shop", "description": "A shop for cloth", "type": "sample",
            "tags": ["Cloth"], "language": "Rust", "projectType": "Loom",
            "git": {"remotes": {"origin": "https://github.com/example/loom.git"}},
            "lastModified": "2025-05-01T00:00:00Z"
        }
    ]);
    serde_json::from_value(index).unwrap()
}

/// The devfile of `kiln` 1.1.0, with something of everything.
pub(crate) const KILN: &str = include_str!("../../../../tests/fixtures/registry/stacks/kiln/1.1.0/devfile.yaml");

const KILN_OLD: &str = include_str!("../../../../tests/fixtures/registry/stacks/kiln/1.0.0/devfile.yaml");

/// Files beside the devfiles of the example, by their paths in the registry repository.
pub(crate) const FILES: [(&str, &str); 8] = [
    ("stacks/kiln/1.1.0/devfile.yaml", KILN),
    ("stacks/kiln/1.0.0/devfile.yaml", KILN_OLD),
    (
        "stacks/kiln/1.1.0/README.md",
        "# Bake\n\nSee [the image](docker/Dockerfile) and ![kiln](logo.svg).\n\n<script>alert(1)</script>\n",
    ),
    ("stacks/kiln/1.1.0/docker/Dockerfile", "FROM scratch\n# new\nCOPY pages /pages\n"),
    ("stacks/kiln/1.0.0/docker/Dockerfile", "FROM scratch\nCOPY pages /pages\n"),
    ("stacks/kiln/1.1.0/logo.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
    ("stacks/kiln/1.1.0/pages.zip", "PK\u{0}"),
    ("stacks/loom/readme.md", "Weaves *cloth*.\n"),
];

/// A snapshot of a release with these entries and devfiles of stacks.
pub(crate) fn snapshot_of(entries: Vec<Entry>, devfiles: &[(&str, &str, &str)], source: &str) -> Snapshot {
    let version = |(name, version, devfile): &(&str, &str, &str)| PublishedVersion {
        name: (*name).to_owned(),
        stack: (*name).to_owned(),
        version: (*version).to_owned(),
        folder: if *name == "loom" { "stacks/loom".to_owned() } else { format!("stacks/{name}/{version}") },
        facts: Facts::default(),
        manifest: Digest::of(devfile.as_bytes()),
        layers: Vec::new(),
        devfile: (*devfile).to_owned(),
        fetched_from: None,
        fetched_at: None,
        offline: None,
    };
    let pot = SampleDevfile {
        name: "pot".into(),
        version: "1.0.0".into(),
        devfile: KILN.into(),
        fetched_from: None,
        fetched_at: None,
    };
    let content = Content {
        stacks: entries,
        versions: devfiles.iter().map(version).collect(),
        samples: vec![pot],
        files: FILES
            .map(|(path, text)| {
                (path.to_owned(), StoredFile { digest: Digest::of(text.as_bytes()), size: text.len() as u64 })
            })
            .into(),
        ..Content::default()
    };
    let about = About {
        commit_hash: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        source: source.to_owned(),
        offline: None,
        quarantined: vec![Quarantined {
            part: Part::Version { stack: "anvil".into(), version: "2.0.0".into() },
            problems: vec![Diagnostic::error("stacks/anvil/2.0.0/devfile.yaml", "yaml/syntax", "a <key> is open", "")],
        }],
        warnings: vec![Diagnostic::warning("stacks/loom/devfile.yaml", "icon/absent", "there is no icon", "add one")],
        dependencies: BTreeMap::new(),
        pending: Pending::default(),
    };
    let built = Built::new(&Plan::everything(Listing::default()), None, about, content, BTreeMap::new());
    let index = LiveIndex::of(&built, "2025-11-01T10:00:00Z".parse().unwrap(), &Changes::default(), None);
    let bytes = index.to_bytes();
    let release = Arc::unwrap_or_clone(built.release);
    Snapshot::new(ETag::new("\"1\""), index, bytes, release, Icons::new())
}

/// The example release.
pub(crate) fn snapshot() -> Snapshot {
    let loom = "schemaVersion: 2.3.0\nmetadata:\n  name: loom\n";
    snapshot_of(
        entries(),
        &[("kiln", "1.1.0", KILN), ("kiln", "1.0.0", KILN_OLD), ("loom", "0.3.0", loom)],
        "https://github.com/example/registry",
    )
}

/// What breaks out of an element, an attribute or a script where something is not escaped.
pub(crate) const ATTACK: &str = "\"'><script>alert(1)<img src=x onerror=alert(1)>&lt;";

/// A release whose every text is [`ATTACK`], or an address of a forbidden scheme.
pub(crate) fn hostile() -> Snapshot {
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
pub(crate) async fn ask(
    viewer: &Arc<Viewer>,
    snapshot: &Shared,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    let config =
        Config::read(Environment::new(|name| (name == CACHE_BUCKET.name).then(|| "nowhere".to_owned()))).unwrap();
    let cache = Cache::in_memory();
    for (_, text) in FILES {
        cache.put(&blob_key(Digest::of(text.as_bytes())), Bytes::from_static(text.as_bytes())).await.unwrap();
    }
    let app = Arc::new(App::new(config, cache).await);
    let unrouted = || async { Response::builder().extension(Unrouted).body(Body::empty()).unwrap() };
    let router = routes(viewer).into_iter().fold(Router::new(), |router, route| route.add_to(router));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut request = Request::builder().uri(format!("{}?{query}", without_slash(path))).body(Body::empty()).unwrap();
    *request.headers_mut() = headers.clone();
    request.extensions_mut().insert(Held(Some(Arc::clone(snapshot))));
    let Ok(response) = router.fallback(unrouted).with_state(app).oneshot(request).await;
    response.extensions().get::<Unrouted>().is_none().then_some(response)
}

/// Marks the answer to a path that no route has.
#[derive(Debug, Clone, Copy)]
struct Unrouted;
