//! Whole pages, as clients get them.

use std::time::Duration;

use axum::body::to_bytes;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HOST, IF_NONE_MATCH, LOCATION};
use bytes::Bytes;
use devfile_registry::diagnostic::Diagnostic;
use devfile_registry::digest::Digest;
use devfile_registry::publish::{LastRefresh, Outcome, PublicReason};
use devfile_registry::release::PendingReason;
use devfile_registry::repository::{Part, Quarantined};
use devfile_registry::timestamp::Timestamp;

use super::page::RegistryInfo;
use super::*;
use crate::release::live::Freshness;
use crate::release::snapshot::{Shared, Snapshot};
use crate::view::icons::Image;

/// Asks the viewer of the registry "Clay Works" for a path, under `registry.example`.
async fn get_with(snapshot: &Shared, path: &str, mode: Mode, more: &HeaderMap) -> Option<Response<HttpBody>> {
    ask(Viewer::new("Clay Works", None, mode), snapshot, path, more).await
}

pub(super) async fn ask(
    mut viewer: Viewer,
    snapshot: &Shared,
    path: &str,
    more: &HeaderMap,
) -> Option<Response<HttpBody>> {
    viewer.diff_time = Duration::from_secs(3600);
    let mut headers = more.clone();
    headers.entry(HOST).or_insert(HeaderValue::from_static("registry.example"));
    fixture::ask(&Arc::new(viewer), snapshot, path, &headers).await
}

/// The viewer of a registry with a URL.
fn at_its_url() -> Viewer {
    Viewer::new("Clay Works", Some("https://clay.example".parse().unwrap()), Mode::Pages)
}

pub(super) fn example() -> Shared {
    Arc::new(fixture::snapshot())
}

/// A refresh that ended so, an hour before the release of the fixture.
fn last_refresh(outcome: Option<Outcome>) -> LastRefresh {
    let at: Timestamp = "2025-11-01T09:00:00Z".parse().unwrap();
    LastRefresh {
        behind_since: matches!(outcome, None | Some(Outcome::Rejected)).then(|| at.clone()),
        at,
        outcome,
        commit_hash: Some("89abcdef0123456789abcdef0123456789abcdef".parse().unwrap()),
        failure: outcome.is_none().then_some(PublicReason::Registry),
        progress: None,
        quarantined: Vec::new(),
        repaired: Vec::new(),
    }
}

pub(super) async fn get(snapshot: &Shared, path: &str) -> Response<HttpBody> {
    get_with(snapshot, path, Mode::Pages, &HeaderMap::new()).await.unwrap()
}

pub(super) async fn text(response: Response<HttpBody>) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

pub(super) async fn page(snapshot: &Shared, path: &str) -> String {
    let response = get(snapshot, path).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    text(response).await
}

#[tokio::test]
async fn the_list_shows_entries_and_filters() {
    let shown = page(&example(), "/viewer").await;
    for part in [
        "<title>Browse · Clay Works</title>",
        "Devfile Registry",
        "Devfile, OpenShift, Kubernetes",
        "<link rel=\"canonical\" href=\"http://registry.example/viewer\">",
        "href=\"/viewer/devfiles/clay-works/kiln\"",
        "href=\"/viewer/devfiles/clay-works/loom?type=sample\"",
        "Bakes pages from Markdown &amp; serves them",
        "5 entries",
        "name=\"tags\" value=\"Python\"",
        "name=\"deprecated\" value=\"Yes\"",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert_eq!(shown.matches("<article").count(), 5);
    assert!(!shown.contains("icons.example"), "no picture comes from another host");
}

#[tokio::test]
async fn a_search_without_hits_says_what_to_relax() {
    let snapshot = example();
    let shown = page(&snapshot, "/viewer?search=cloth&tags=Python&page=9").await;
    assert!(shown.contains("0 of 5 entries") && shown.contains("Nothing matches all of this"), "{shown}");
    assert!(
        shown.contains("href=\"/viewer?search=cloth\"") && shown.contains("href=\"/viewer?tags=Python\""),
        "{shown}"
    );
    assert!(shown.contains("content=\"noindex\""));
    assert!(page(&snapshot, "/viewer?search=zzzzzz").await.contains("not even with a typo"));
}

#[tokio::test]
async fn list_of_forty_entries_has_pages_of_fifteen() {
    let entry = &fixture::entries()[0];
    let many = (0..40).map(|number| devfile_registry::index::Entry {
        name: format!("kiln-{number}"),
        display_name: format!("Kiln {number:02}"),
        ..entry.clone()
    });
    let snapshot = Arc::new(fixture::snapshot_of(many.collect(), &[], "/srv/registry"));
    for (path, cards, first) in [
        ("/viewer", 15, "Kiln 00"),
        ("/viewer?page=2", 15, "Kiln 15"),
        ("/viewer?page=3", 10, "Kiln 30"),
        ("/viewer?page=99", 10, "Kiln 30"),
    ] {
        let shown = page(&snapshot, path).await;
        assert_eq!(shown.matches("<article").count(), cards, "{path}");
        assert!(shown.find(&format!(">{first}<")).is_some(), "{path}");
    }
    let shown = page(&snapshot, "/viewer?page=2&tags=Python").await;
    assert!(shown.contains("rel=\"prev\" href=\"/viewer?tags=Python\""), "{shown}");
    assert!(shown.contains("rel=\"next\" href=\"/viewer?tags=Python&amp;page=3\""), "{shown}");
}

#[tokio::test]
async fn status_page_names_problems_and_is_not_cached() {
    let response = get(&example(), "/viewer/status").await;
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    let shown = text(response).await;
    for part in ["anvil 2.0.0", "yaml/syntax", "a &lt;key&gt; is open", "01234567", "there is no icon", "quarantined"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

#[test]
fn status_is_healthy_only_when_nothing_is_wrong() {
    let shown = |snapshot: &Snapshot, failure: Option<&'static str>, last: Option<&LastRefresh>| {
        let freshness = Freshness { checked: Duration::from_secs(2), failure, checks: 1 };
        let registry =
            RegistryInfo { name: "Clay", slug: "clay", origin: None, caching: Caching::Private, frame: None };
        let health = Health { freshness: &freshness, last_refresh: last, previews: &[] };
        status::render(snapshot, registry, health, "2025-11-01T12:00:00Z".parse().unwrap()).main.into_string()
    };
    let mut sound = fixture::snapshot();
    let quarantined = std::mem::take(&mut sound.about.quarantined);
    let mut pinned = fixture::snapshot();
    pinned.about.quarantined.clear();
    pinned.about.pinned = true;
    let mut waiting = fixture::snapshot();
    waiting.about.quarantined.clear();
    waiting.about.pending.add("stacks/kiln".to_owned(), PendingReason::Unreachable);
    sound.about.pending.add("stacks/kiln".to_owned(), PendingReason::Branch);
    let ended = |outcome| Some(last_refresh(outcome));
    let mut behind = last_refresh(Some(Outcome::Published));
    behind.behind_since = Some(behind.at.clone());
    let unreadable = Some("the store cannot be read");
    for (snapshot, failure, last, state) in [
        (&sound, None, ended(Some(Outcome::Published)), "Live and healthy"),
        (&sound, None, ended(Some(Outcome::Unchanged)), "Live and healthy"),
        (&sound, unreadable, ended(Some(Outcome::Published)), "No newer release can be read"),
        (&sound, None, None, "the outcome of the last refresh is unknown"),
        (&sound, None, ended(None), "the last refresh failed"),
        (&sound, None, ended(Some(Outcome::Rejected)), "the last refresh was rejected"),
        (&sound, None, Some(behind), "behind the branch"),
        (&fixture::snapshot(), None, ended(Some(Outcome::Published)), "with quarantined versions"),
        (&pinned, None, ended(Some(Outcome::Published)), "pinned to this release"),
        (&waiting, None, ended(Some(Outcome::Published)), "content that other hosts do not give"),
    ] {
        let page = shown(snapshot, failure, last.as_ref());
        assert!(page.contains(state), "{state}: {page}");
        assert_eq!(page.contains("healthy"), state == "Live and healthy", "{state}: {page}");
        assert_eq!(page.contains("<code>stacks/kiln</code>"), state.starts_with("content"), "{page}");
        assert!(failure.is_none_or(|failure| page.contains(failure)), "{page}");
    }
    let failed = shown(&sound, None, Some(&last_refresh(None)));
    assert!(failed.contains("failed: the OCI registry failed") && failed.contains("89abcdef"), "{failed}");
    let mut rejected = last_refresh(Some(Outcome::Rejected));
    let problem = Diagnostic::error("stacks/loom/devfile.yaml", "yaml/syntax", "a [list] is open", "");
    rejected.quarantined = vec![Quarantined { part: Part::Stack { stack: "loom".into() }, problems: vec![problem] }];
    let page = shown(&sound, None, Some(&rejected));
    for part in ["1</strong> quarantined", "STRICT is set", "stacks/loom/devfile.yaml", "a [list] is open"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("Nothing is quarantined") && !quarantined.is_empty(), "{page}");
}

#[tokio::test]
async fn missing_page_is_404_and_names_what_is_near() {
    let snapshot = example();
    for (path, parts) in [
        ("/viewer/devfiles/clay-works/kilm", vec!["no “kilm” here", "href=\"/viewer/devfiles/clay-works/kiln\""]),
        ("/viewer/devfiles/clay-works/kiln?devfile-version=9", vec!["no version “9”", "/clay-works/kiln"]),
        ("/viewer/devfiles/clay-works/kiln/compare?from=9", vec!["no version “9”"]),
        ("/viewer/devfiles/elsewhere/kiln", vec!["no registry “elsewhere”", "/clay-works/kiln"]),
        ("/viewer/devfiles/clay-works/kiln/x", vec!["no such page"]),
        ("/viewer/x", vec!["no such page"]),
        ("/viewer/assets/style.css", vec!["no such page"]),
        ("/viewer/icons/00", vec!["no such page"]),
    ] {
        let response = get(&snapshot, path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let shown = text(response).await;
        for part in parts {
            assert!(shown.contains(part), "{path}: {part}\n{shown}");
        }
    }
}

#[tokio::test]
async fn link_without_an_entry_leads_to_the_list() {
    let snapshot = example();
    for last in
        ["", "clay-works", "Clay%20Works", "Clay+Works", "elsewhere", "kiln", "Community+gone", "%22%3E%3Cscript%3E"]
    {
        let response = get(&snapshot, &format!("/viewer/devfiles/{last}")).await;
        assert_eq!(response.status(), StatusCode::FOUND, "{last}");
        assert_eq!(response.headers()[LOCATION], "/viewer", "{last}");
    }
}

/// A block of data, which browsers do not run.
const DATA: &str = "script type=\"application/ld+json\"";

/// Every element and attribute value of a page: no script but ours, no handler, no style, no address of another scheme.
fn assert_harmless(path: &str, shown: &str) {
    let escaped = "&lt;script&gt;alert(1)";
    assert!(shown.contains(escaped), "{path} shows the text\n{shown}");
    for tag in shown.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let name = tag.split_whitespace().next().unwrap_or_default();
        let scripts = [format!("script src=\"{}\"", assets::SCRIPT.url), DATA.to_owned()];
        assert!(name != "script" || scripts.iter().any(|script| script == tag), "{path}: <{tag}>");
        // Outside of quotes, an attribute is a name; a quote that breaks out would bring others.
        let outside: String = tag.split('"').step_by(2).collect();
        assert!(
            !outside.contains("onerror") && !outside.contains(" on") && !outside.contains("style="),
            "{path}: <{tag}>"
        );
        assert!(!outside.contains('\''), "{path}: <{tag}>");
        for value in ["href=\"", "src=\"", "action=\""].iter().filter_map(|name| Some(tag.split_once(name)?.1)) {
            let safe = ["/", "#", "https://", "http://registry.example/", "mailto:"];
            assert!(safe.iter().any(|start| value.starts_with(start)) && !value.starts_with("//"), "{path}: <{tag}>");
        }
    }
}

#[tokio::test]
async fn hostile_text_of_a_devfile_or_entry_stays_text() {
    let snapshot = Arc::new(fixture::hostile());
    let entry = snapshot.catalog.entry(0);
    let name = link::segment(&entry.name);
    let version = link::segment(&entry.versions[1].version);
    let attack = link::segment(fixture::ATTACK);
    for path in [
        "/viewer".to_owned(),
        format!("/viewer?search={attack}&tags={attack}&sort={attack}&providers={attack}"),
        format!("/viewer/devfiles/clay-works/{name}"),
        format!("/viewer/devfiles/clay-works/{name}?devfile-version={version}"),
        format!("/viewer/devfiles/clay-works/{name}/commands"),
        format!("/viewer/devfiles/clay-works/{name}/components"),
        format!("/viewer/devfiles/clay-works/{name}/devfile"),
        format!("/viewer/devfiles/clay-works/{name}/devfile?devfile-version={version}"),
        format!("/viewer/devfiles/clay-works/{name}/flattened"),
        format!("/viewer/devfiles/clay-works/{name}/files"),
        format!("/viewer/devfiles/clay-works/{name}/versions"),
        format!("/viewer/devfiles/clay-works/{name}/compare?from={version}"),
        format!("/viewer/embed/clay-works/{name}"),
        format!("/viewer/devfiles/clay-works/{attack}"),
        format!("/viewer/devfiles/{attack}/x"),
        format!("/viewer/devfiles/clay-works/{name}?devfile-version={attack}"),
    ] {
        let response = get(&snapshot, &path).await;
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_harmless(&path, &text(response).await);
    }
}

#[tokio::test]
async fn a_host_that_is_none_is_not_repeated() {
    let snapshot = example();
    let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("evil.example/\"><script>"))]);
    for path in ["/viewer", "/viewer/devfiles/clay-works/kiln", "/robots.txt"] {
        let shown = text(get_with(&snapshot, path, Mode::Pages, &headers).await.unwrap()).await;
        assert!(!shown.contains("evil.example"), "{path}");
    }
    // A page with a host that the client chose is not for the cache of others.
    for path in ["/viewer", "/robots.txt", "/sitemap.xml"] {
        let response = get(&snapshot, path).await;
        assert_eq!(response.headers()[CACHE_CONTROL], "private, max-age=0, must-revalidate", "{path}");
    }
    let sitemap = get_with(&snapshot, "/sitemap.xml", Mode::Pages, &headers).await.unwrap();
    assert_eq!(sitemap.status(), StatusCode::NOT_FOUND, "a sitemap has full URLs alone");
}

#[tokio::test]
async fn page_of_a_request_without_a_host_links_nothing_that_needs_full_urls() {
    let snapshot = example();
    let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("\"<>"))]);
    for path in ["/viewer", "/viewer/devfiles/clay-works/kiln"] {
        for (headers, has_links) in [(&headers, false), (&HeaderMap::new(), true)] {
            let shown = text(get_with(&snapshot, path, Mode::Pages, headers).await.unwrap()).await;
            assert_eq!(shown.contains("feed.atom"), has_links, "{path}: {shown}");
            assert_eq!(shown.contains("application/atom+xml"), has_links, "{path}: {shown}");
            assert_eq!(shown.contains("/sitemap.xml"), has_links, "{path}: {shown}");
        }
    }
}

#[tokio::test]
async fn the_configured_url_goes_before_the_host_of_a_request() {
    let snapshot = example();
    for path in ["/viewer", "/viewer/devfiles/clay-works/kiln", "/robots.txt", "/sitemap.xml"] {
        let shown = text(ask(at_its_url(), &snapshot, path, &HeaderMap::new()).await.unwrap()).await;
        assert!(shown.contains("https://clay.example/") && !shown.contains("registry.example"), "{path}");
    }
}

#[tokio::test]
async fn pages_have_entity_tags_and_codings() {
    let snapshot = example();
    let mut headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("br, gzip"))]);
    let first = ask(at_its_url(), &snapshot, "/viewer", &headers).await.unwrap();
    assert_eq!(first.headers()["content-encoding"], "gzip");
    assert_eq!(first.headers()[CACHE_CONTROL], "public, max-age=0, s-maxage=60, must-revalidate");
    headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
    let second = ask(at_its_url(), &snapshot, "/viewer", &headers).await.unwrap();
    assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
    assert!(second.headers().contains_key(CONTENT_SECURITY_POLICY));
}

#[tokio::test]
async fn assets_are_cached_for_ever() {
    let snapshot = example();
    for (asset, media_type) in [
        (&assets::STYLE, "text/css; charset=utf-8"),
        (&assets::SCRIPT, "text/javascript; charset=utf-8"),
        (&assets::MARK, "image/svg+xml"),
    ] {
        let response = get(&snapshot, &asset.url).await;
        assert_eq!(response.headers()[CONTENT_TYPE], media_type);
        assert_eq!(response.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
    }
    assert_eq!(get(&snapshot, "/favicon.ico").await.headers()[CONTENT_TYPE], "image/svg+xml");
}

#[tokio::test]
async fn icons_are_served_sandboxed() {
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    // A devfile's text is content of the snapshot, so it can stand for an icon.
    let digest = Digest::of(svg.as_bytes());
    let icons = [
        ("https://icons.example/kiln.svg".to_owned(), icon("image/svg+xml", svg)),
        ("https://icons.example/page.html".to_owned(), icon("text/html", "<html>")),
    ];
    let mut snapshot = fixture::snapshot_of(fixture::entries(), &[("forge", "0.1.0", svg)], "/srv/registry");
    snapshot.viewer_index = crate::view::browse::viewer_index::ViewerIndex::new(
        &fixture::entries(),
        &icons.into_iter().collect(),
        &[],
        &[],
    );
    let snapshot = Arc::new(snapshot);
    let path = format!("/viewer/icons/{}", digest.hex());
    assert!(page(&snapshot, "/viewer").await.contains(&format!("<img src=\"{path}\"")));
    let response = get(&snapshot, &path).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "image/svg+xml");
    assert_eq!(response.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
    let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"));
    assert_eq!(text(response).await, svg);
    let other = format!("/viewer/icons/{}", Digest::of(b"<html>").hex());
    assert_eq!(get(&snapshot, &other).await.status(), StatusCode::NOT_FOUND, "only pictures are served");
}

fn icon(media_type: &str, content: &'static str) -> Image {
    let bytes = Bytes::from_static(content.as_bytes());
    Image { media_type: media_type.to_owned(), digest: Digest::of(&bytes), bytes }
}

#[tokio::test]
async fn sitemap_and_robots_lead_crawlers_to_every_page() {
    let snapshot = example();
    let sitemap = text(get(&snapshot, "/sitemap.xml").await).await;
    assert!(sitemap.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><urlset"), "{sitemap}");
    assert!(sitemap.contains("<loc>http://registry.example/viewer/devfiles/clay-works/loom?type=sample</loc>"));
    assert!(sitemap.contains("<lastmod>2025-06-01T08:00:00Z</lastmod>"));
    let robots = text(get(&snapshot, "/robots.txt").await).await;
    assert!(robots.ends_with("Sitemap: http://registry.example/sitemap.xml\n"), "{robots}");
}

#[tokio::test]
async fn headless_is_the_answer_of_the_reference() {
    let snapshot = example();
    for path in ["/viewer", "/viewer/", "/viewer/devfiles/clay-works/kiln", "/viewer/status", "/viewer/assets/x"] {
        let response = get_with(&snapshot, path, Mode::Headless, &HeaderMap::new()).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(text(response).await, "registry viewer is not available in headless mode");
    }
    assert!(get_with(&snapshot, "/sitemap.xml", Mode::Headless, &HeaderMap::new()).await.is_none());
}
