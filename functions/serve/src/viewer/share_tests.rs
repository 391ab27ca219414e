//! Feeds, badges, cards, data for search engines, and the status for operators, as clients get them.

use std::sync::Arc;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, X_FRAME_OPTIONS,
};
use devfile_registry::diagnostic::{Diagnostic, Position};
use devfile_registry::index::Entry;
use devfile_registry::release::Changes;
use devfile_registry::repository::{Part, Quarantined};

use super::tests::{ask, example, get, page, text};
use super::{Viewer, fixture, link};
use crate::config::{Mode, Readers};

#[tokio::test]
async fn feed_names_the_versions_that_changed_last() {
    let response = get(&example(), "/viewer/feed.atom").await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/atom+xml; charset=utf-8");
    assert!(response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("sandbox"));
    let feed = text(response).await;
    let ids: Vec<&str> = feed.split("<entry><id>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
    assert_eq!(ids.len(), 6, "{feed}");
    assert_eq!(ids[0], "http://registry.example/viewer/devfiles/clay-works/pot?devfile-version=1.0.0");
    assert!(
        feed.contains("<updated>2025-10-02T16:45:00Z</updated>") && feed.contains("<title>Kiln 1.1.0</title>"),
        "{feed}"
    );
    let of_kiln = page(&example(), "/viewer/devfiles/clay-works/kiln/feed.atom").await;
    assert_eq!(of_kiln.matches("<entry>").count(), 2, "{of_kiln}");
    assert_eq!(get(&example(), "/viewer/devfiles/clay-works/kilm/feed.atom").await.status(), 404);
}

#[tokio::test]
async fn feed_of_a_request_without_a_host_does_not_exist() {
    let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("\"<>"))]);
    let viewer = Arc::new(Viewer::new("Clay Works", None, Mode::Pages));
    let response = fixture::ask(&viewer, &example(), "/viewer/feed.atom", &headers).await.unwrap();
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn feed_of_many_versions_is_bounded() {
    let entry = fixture::entries()[0].clone();
    let many = (0..3000).map(|number| Entry {
        name: format!("kiln-{number}"),
        description: "x&".repeat(5000),
        ..entry.clone()
    });
    let snapshot = Arc::new(fixture::snapshot_of(many.collect(), &[], "/srv/registry"));
    let feed = page(&snapshot, "/viewer/feed.atom").await;
    assert!(feed.len() < 128 << 10 && feed.ends_with("</feed>"), "{}", feed.len());
}

#[tokio::test]
async fn feed_of_hostile_texts_has_no_markup_of_theirs() {
    let mut entries = fixture::entries();
    entries[0].display_name = format!("\u{0}\u{b}{}", fixture::ATTACK);
    entries[0].description = fixture::ATTACK.to_owned();
    entries[0].provider = fixture::ATTACK.to_owned();
    entries[0].language = fixture::ATTACK.to_owned();
    let snapshot = Arc::new(fixture::snapshot_of(entries, &[], "/srv/registry"));
    let feed = page(&snapshot, "/viewer/feed.atom").await;
    assert!(feed.contains("&lt;script&gt;") && !feed.contains("<script") && !feed.contains("<img"), "{feed}");
    assert!(!feed.contains(['\u{0}', '\u{b}']), "XML forbids these");
}

#[tokio::test]
async fn badge_shows_version_schema_and_day() {
    for (badge, value) in [("version.svg", "1.1.0"), ("schema.svg", "2.2.2"), ("updated.svg", "12 Sep 2025")] {
        let response = get(&example(), &format!("/viewer/devfiles/clay-works/kiln/badges/{badge}")).await;
        assert_eq!(response.headers()[CONTENT_TYPE], "image/svg+xml");
        assert_eq!(response.headers()[CACHE_CONTROL], "public, max-age=60");
        let picture = text(response).await;
        assert!(picture.starts_with("<svg ") && picture.contains(&format!(">{value}</text>")), "{picture}");
    }
    assert_eq!(get(&example(), "/viewer/devfiles/clay-works/kiln/badges/other.svg").await.status(), 404);
}

#[tokio::test]
async fn card_may_be_framed_by_any_site_and_pages_by_none() {
    let card = get(&example(), "/viewer/embed/clay-works/kiln").await;
    assert!(card.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("frame-ancestors *"));
    assert!(!card.headers().contains_key(X_FRAME_OPTIONS));
    let shown = text(card).await;
    assert!(shown.contains("Kiln") && shown.contains("Version 1.1.0") && !shown.contains("<script"), "{shown}");
    let page = get(&example(), "/viewer/devfiles/clay-works/kiln").await;
    assert!(page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(page.headers()[X_FRAME_OPTIONS], "DENY");
}

#[tokio::test]
async fn page_describes_its_version_for_search_engines() {
    let read = |shown: &str| -> serde_json::Value {
        let data = shown.split_once("application/ld+json\">").unwrap().1.split_once("</script>").unwrap().0;
        serde_json::from_str(data).unwrap()
    };
    let data = read(&page(&example(), "/viewer/devfiles/clay-works/kiln").await);
    assert_eq!(data["name"], "Kiln");
    assert_eq!(data["version"], "1.1.0");
    assert_eq!(data["author"]["name"], "Potters");
    let hostile = Arc::new(fixture::hostile());
    let name = &hostile.catalog.entry(0).name;
    let data = read(&page(&hostile, &format!("/viewer/devfiles/clay-works/{}", link::segment(name))).await);
    assert!(data["name"].as_str().unwrap().ends_with(fixture::ATTACK), "{data}");
    assert!(data.get("codeRepository").is_none(), "{data}");
}

#[tokio::test]
async fn history_links_what_each_release_changed() {
    let mut snapshot = fixture::snapshot();
    let release = &mut snapshot.about.recent[0];
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let changed = names(&["stacks/kiln/1.1.0", "samples/pot"]);
    release.changes = Changes { changed, added: names(&["samples/pot"]), removed: names(&["stacks/old"]) };
    release.parts = 5;
    let shown = page(&Arc::new(snapshot), "/viewer/status").await;
    for part in [
        "href=\"/viewer/devfiles/clay-works/kiln?devfile-version=1.1.0\"",
        "New: <a href=\"/viewer/devfiles/clay-works/pot\"",
        "Removed: <code>stacks/old</code>",
        "and 2 others",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test]
async fn history_counts_the_parts_that_it_shows() {
    let mut snapshot = fixture::snapshot();
    let release = &mut snapshot.about.recent[0];
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    // Each list is cut by itself, so a new part may be in the second list alone.
    release.changes = Changes {
        changed: names(&["stacks/kiln/1.1.0"]),
        added: names(&["samples/pot"]),
        removed: names(&["stacks/old"]),
    };
    release.parts = 5;
    let shown = page(&Arc::new(snapshot), "/viewer/status").await;
    assert!(shown.contains("New: <a href=\"/viewer/devfiles/clay-works/pot\""), "{shown}");
    assert!(shown.contains("and 2 others"), "{shown}");
}

#[tokio::test]
async fn history_links_a_stack_by_its_folder() {
    let mut snapshot = fixture::snapshot();
    let release = &mut snapshot.about.recent[0];
    release.changes.changed =
        ["stacks/loom-frame", "stacks/kiln", "stacks/loom", "stacks/kiln/9.0.0"].map(str::to_owned).into();
    release.parts = 4;
    let shown = page(&Arc::new(snapshot), "/viewer/status").await;
    for part in [
        "<a href=\"/viewer/devfiles/clay-works/loom?devfile-version=0.3.0\"><code>stacks/loom-frame</code></a>",
        "<a href=\"/viewer/devfiles/clay-works/kiln\"><code>stacks/kiln</code></a>",
        "<li><code>stacks/loom</code></li>",
        "<a href=\"/viewer/devfiles/clay-works/kiln\"><code>stacks/kiln/9.0.0</code></a>",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[tokio::test]
async fn quarantined_folder_is_noticed_on_the_page_of_its_stack_alone() {
    for (folder, is_noticed) in [("loom-frame", true), ("loom", false)] {
        let mut snapshot = fixture::snapshot();
        let problem = Diagnostic::error("stacks/x/devfile.yaml", "yaml/syntax", "a [list] is open", "");
        let part = Part::Stack { stack: folder.into() };
        snapshot.about.quarantined = vec![Quarantined { part, problems: vec![problem] }];
        let shown = page(&Arc::new(snapshot), "/viewer/devfiles/clay-works/loom").await;
        assert_eq!(shown.contains("a [list] is open"), is_noticed, "{folder}: {shown}");
    }
}

#[tokio::test]
async fn quarantined_stack_that_was_never_published_has_no_last_state() {
    let missing = text(get(&example(), "/viewer/devfiles/clay-works/anvil").await).await;
    assert!(missing.contains(": it is published once the files are corrected."), "{missing}");
    assert!(!missing.contains("the last published state"), "{missing}");
}

#[tokio::test]
async fn quarantined_stack_says_so_to_its_owner_with_a_link_to_the_line() {
    let mut snapshot = fixture::snapshot();
    let problem = Diagnostic::error("stacks/kiln/1.2.0/devfile.yaml", "yaml/syntax", "a [list] is open", "");
    let problem = problem.at(Position { line: 7, column: 3 });
    let part = Part::Version { stack: "kiln".into(), version: "1.2.0".into() };
    snapshot.about.quarantined_since.insert(part.path(), "2025-10-30T10:00:00Z".parse().unwrap());
    snapshot.about.quarantined.push(Quarantined { part, problems: vec![problem] });
    let snapshot = Arc::new(snapshot);
    let line = "https://github.com/example/registry/blob/0123456789abcdef0123456789abcdef01234567/stacks/kiln/1.2.0/devfile.yaml#L7";
    for path in ["/viewer/devfiles/clay-works/kiln", "/viewer/status"] {
        let shown = page(&snapshot, path).await;
        for part in ["kiln 1.2.0", "uarantined", "30 Oct 2025", "a [list] is open", line] {
            assert!(shown.contains(part), "{path}: {part}: {shown}");
        }
    }
    assert!(!page(&snapshot, "/viewer/devfiles/clay-works/pot").await.contains("quarantined"));
    let never_published = text(get(&snapshot, "/viewer/devfiles/clay-works/anvil").await).await;
    assert!(never_published.contains("anvil 2.0.0") && never_published.contains("quarantined"), "{never_published}");
}

#[tokio::test]
async fn warning_is_on_the_pages_of_its_version_for_owners_alone() {
    let mut snapshot = fixture::snapshot();
    let named = |path: &str, message: &str| Diagnostic::warning(path, "rule", message, "");
    snapshot.warnings = vec![
        named("stacks/kiln/1.1.0/devfile.yaml", "of-the-version").at(Position { line: 7, column: 3 }),
        named("stacks/kiln/1.0.0/devfile.yaml", "of-another-version"),
        named("stacks/kiln/stack.yaml", "of-the-stack"),
        named("stacks/loom-frame/devfile.yaml", "of-another-stack"),
        named("samples/pot/1.0.0/devfile.yaml", "of-the-sample"),
        named("extraDevfileEntries.yaml", "`pot`: of-the-entry"),
        named("extraDevfileEntries.yaml", "`potter`: of-another-entry"),
    ];
    let snapshot = Arc::new(snapshot);
    for (readers, path, expected) in [
        (Readers::Everyone, "kiln", vec![]),
        (Readers::Owners, "kiln", vec!["of-the-version", "of-the-stack"]),
        (Readers::Owners, "kiln/devfile?devfile-version=1.0.0", vec!["of-another-version", "of-the-stack"]),
        (Readers::Owners, "loom", vec!["of-another-stack"]),
        (Readers::Owners, "pot", vec!["of-the-sample", "of-the-entry"]),
    ] {
        let viewer = Viewer::new("Clay Works", None, Mode::Pages).for_readers(readers);
        let path = format!("/viewer/devfiles/clay-works/{path}");
        let shown = text(ask(viewer, &snapshot, &path, &HeaderMap::new()).await.unwrap()).await;
        let found: Vec<&str> = snapshot
            .warnings
            .iter()
            .map(|warning| &warning.message[warning.message.find("of-").unwrap()..])
            .filter(|message| shown.contains(&format!("{message} ")))
            .collect();
        assert_eq!(found, expected, "{path}: {shown}");
    }
}

#[tokio::test]
async fn list_offers_suggestions_and_no_choice_without_entries() {
    let shown = page(&example(), "/viewer?search=py").await;
    assert!(shown.contains("<option value=\"Python\">"), "{shown}");
    assert!(!shown.contains("value=\"Iron\""), "a tag that no hit has is not offered: {shown}");
    assert!(shown.contains("Show 2 results"), "{shown}");
}
