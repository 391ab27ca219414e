//! `icon=base64`: icons of the release as data URIs, and their URLs where there is none.

use std::collections::BTreeMap;

use devfile_registry::cache::{INDEX_KEY, blob_key, release_key};
use devfile_registry::digest::Digest;
use devfile_registry::release::{About, Built, Icon, LiveIndex, Outline, Plan, Release};
use registry_tests::bounded::within_a_minute;
use registry_tests::registry::{Serving, TestRegistry};

const KILN: &str = "https://example.com/icons/kiln.svg";
const POT: &str = "https://example.com/icons/pot.svg";
const SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>";

/// Puts these icons into the live release, as a refresh that can fetch them does, and gives the name of the new one.
async fn capture(registry: &TestRegistry, icons: &[(&str, &str, &[u8])]) -> String {
    let mut index = LiveIndex::from_bytes(&registry.object(INDEX_KEY).await).expect("an index");
    let bytes = registry.object(&release_key(index.release)).await;
    let outline = Outline::from_bytes(index.release, &bytes).expect("a release");
    let mut documents = Vec::new();
    for name in outline.documents().into_keys() {
        documents.push((name, registry.object(&blob_key(name)).await));
    }
    let Release { outline, mut content, .. } = outline.with(documents).expect("documents");
    content.icons = BTreeMap::new();
    for (url, media_type, bytes) in icons {
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        registry.put(&blob_key(digest), bytes).await;
        let media_type = (*media_type).to_owned();
        let icon = Icon { media_type, digest, size, etag: None, named_by: Default::default() };
        content.icons.insert((*url).to_owned(), icon);
    }
    let about = About {
        commit_hash: outline.commit_hash,
        source: outline.source,
        offline: outline.offline,
        quarantined: outline.quarantined,
        warnings: outline.warnings,
        dependencies: outline.dependencies,
        pending: outline.pending,
    };
    let built = Built::new(&Plan::everything(outline.ids), None, about, content, BTreeMap::new());
    for (name, document) in built.contents {
        registry.put(&blob_key(name), document).await;
    }
    registry.put(&release_key(built.name), built.bytes).await;
    index.release = built.name;
    registry.put(INDEX_KEY, index.to_bytes()).await;
    built.name.to_string()
}

/// The icons that an index shows, by entry and `/version`.
async fn shown(serve: &Serving, path: &str) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let icon = |value: &serde_json::Value| value["icon"].as_str().unwrap_or_default().to_owned();
    for entry in serve.ask("GET", path, &[]).await.json().as_array().expect("a list") {
        let name = entry["name"].as_str().expect("a name");
        shown.insert(name.to_owned(), icon(entry));
        for version in entry["versions"].as_array().into_iter().flatten() {
            shown.insert(format!("{name}/{}", version["version"].as_str().expect("a version")), icon(version));
        }
    }
    shown
}

#[tokio::test]
async fn icons_are_shown_as_data_as_far_as_they_can_be_read() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let urls = shown(&registry.serve().await, "/v2index/all").await;
    assert_eq!(shown(&registry.serve().await, "/v2index/all?icon=base64").await, urls, "nothing is captured yet");

    capture(&registry, &[(KILN, "image/svg+xml", SVG), (POT, "image/png", b"png")]).await;
    let damaged = Digest::of(b"png");
    registry.put(&blob_key(damaged), "gnp").await;
    let serve = registry.serve().await;
    let data = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=";
    let is_shown_as_data = |place: &str, url: &str| url == KILN && !place.contains('/');
    let expected: BTreeMap<String, String> = urls
        .iter()
        .map(|(place, url)| (place.clone(), if is_shown_as_data(place, url) { data } else { url }.to_owned()))
        .collect();
    assert_eq!(expected["kiln/1.1.0"], KILN, "versions keep their URLs, as in the reference");
    assert!(expected.values().any(|icon| icon == data) && expected.values().any(|icon| icon == POT));
    assert_eq!(shown(&serve, "/v2index/all?icon=base64").await, expected);
    assert_eq!(shown(&serve, "/v2index/all").await, urls);
    let tag = async |path| serve.ask("GET", path, &[]).await.header("etag").to_owned();
    assert_ne!(tag("/v2index/all?name=kiln").await, tag("/v2index/all?name=kiln&icon=base64").await);

    // The next release finds the icon in memory, so it needs no blob. A URL without an image stays.
    let next = capture(&registry, &[(KILN, "image/svg+xml", SVG), (POT, "text/html", b"<script>")]).await;
    registry.remove(&[blob_key(Digest::of(SVG))]).await;
    within_a_minute("the next release is served", async {
        while serve.json("/status").await["live"]["release"] != next {}
    })
    .await;
    assert_eq!(shown(&serve, "/v2index/all?icon=base64").await, expected);
    let stale = registry.serve().await;
    assert_eq!(shown(&stale, "/v2index/all?icon=base64").await, urls, "a blob that is gone leaves the URL");
}
