//! Whole pages of a stack or sample, as clients get them.

use axum::http::StatusCode;
use axum::http::header::{HeaderMap, LOCATION};
use devfile_registry::index::Entry;

use super::tests::{ask, example, get, page, text};
use super::{Viewer, fixture};
use crate::config::Mode;
use std::sync::Arc;

const KILN: &str = "/viewer/devfiles/clay-works/kiln";

/// The pages behind the tabs of `kiln`.
const TABS: [&str; 6] = ["", "/commands", "/components", "/devfile", "/files", "/versions"];

fn assert_has(shown: &str, parts: &[&str]) {
    for part in parts {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

#[tokio::test]
async fn first_page_leads_with_the_summary_and_the_way_to_start() {
    let snapshot = example();
    let shown = page(&snapshot, "/viewer/devfiles/Clay%20Works/kiln").await;
    assert_has(
        &shown,
        &[
            "<title>Kiln · Clay Works</title>",
            "<option value=\"1.1.0\" selected>1.1.0 (default)</option>",
            "<input class=\"hidden\" type=\"radio\" name=\"client\" id=\"client-odo\" value=\"odo\" checked>",
            "id=\"client-oras\" value=\"oras\">",
            "oras pull --plain-http registry.example/devfile-catalog/kiln:1.1.0",
            "https://CHE_HOST/#http://registry.example/devfiles/kiln/1.1.0",
            "href=\"/devfiles/kiln/1.1.0/starter-projects/kiln-starter\"",
            "href=\"https://github.com/example/kiln-starter\"",
            "href=\"https://github.com/example/registry/commit/0123456789abcdef0123456789abcdef01234567\"",
            "href=\"https://github.com/example/registry/tree/0123456789abcdef0123456789abcdef01234567/stacks/kiln/1.1.0\"",
            "href=\"https://github.com/example/registry/blob/HEAD/stacks/kiln/1.1.0/devfile.yaml\"",
            "href=\"https://github.com/example/registry/issues/new?title=kiln%201.1.0%3A%20&amp;body=",
            "href=\"https://example.com/kiln/help\"",
            "href=\"/viewer?tags=Markdown\"",
            "python bake.py pages site",
            "docker.io/library/python:3.13-slim",
            "rel=\"canonical\" href=\"http://registry.example/viewer/devfiles/clay-works/kiln\"",
        ],
    );
    let at = |part: &str| shown.find(part).unwrap_or_else(|| panic!("{part}\n{shown}"));
    let order = [
        at("<h1>"),
        at("<p class=\"about\">Bakes pages"),
        at("Use it"),
        at("<nav class=\"tabs\""),
        at("In this devfile"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert!(!shown.contains("schemaVersion"), "no YAML first");
    let old = page(&snapshot, &format!("{KILN}?devfile-version=1.0.0")).await;
    assert_has(&old, &["<title>Kiln 1.0.0 · Clay Works</title>", "/devfiles/kiln/1.0.0", "kiln:1.0.0"]);
    let latest = page(&snapshot, &format!("{KILN}?devfile-version=latest")).await;
    assert!(latest.contains("/devfiles/kiln/1.1.0"));
    let loom = page(&snapshot, "/viewer/devfiles/clay-works/loom?type=sample").await;
    assert!(
        loom.contains("Loom shop") && !loom.contains("/devfiles/loom\""),
        "the REST API has the stack at that name"
    );
}

#[tokio::test]
async fn tab_is_a_link_that_keeps_the_version() {
    let snapshot = example();
    for below in TABS {
        for (query, suffix) in [("", ""), ("?devfile-version=1.0.0", "?devfile-version=1.0.0")] {
            let shown = page(&snapshot, &format!("{KILN}{below}{query}")).await;
            for other in TABS {
                assert!(shown.contains(&format!("href=\"{KILN}{other}{suffix}\"")), "{below}{query} {other}\n{shown}");
            }
            let current = format!("href=\"{KILN}{below}{suffix}\" aria-current=\"page\"");
            assert!(shown.contains(&current), "{below}{query}\n{shown}");
            assert!(shown.contains(&format!("<form class=\"version\" action=\"{KILN}{below}\"")), "{below}\n{shown}");
        }
    }
}

#[tokio::test]
async fn tab_shows_its_part_of_the_devfile() {
    let snapshot = example();
    for (below, parts) in [
        ("/commands", &["<svg class=\"flow\"", "python bake.py pages site", "deploy"][..]),
        ("/components", &["kubernetes/deploy.yaml", "512Mi"]),
        ("/devfile", &["id=\"L1\"", "href=\"/devfiles/kiln/1.1.0\" download=\"devfile.yaml\""]),
        ("/versions", &["/kiln/compare?from=1.0.0&amp;to=1.1.0", "name=\"from\"", "since 1.0.0"]),
    ] {
        assert_has(&page(&snapshot, &format!("{KILN}{below}")).await, parts);
    }
    let forge = page(&snapshot, "/viewer/devfiles/clay-works/forge").await;
    assert_has(&forge, &["is deprecated", "does not hold the devfile"]);
}

#[tokio::test]
async fn raw_link_of_a_devfile_is_that_of_the_chosen_version() {
    let snapshot = example();
    for (query, version) in [("", "1.1.0"), ("?devfile-version=1.1.0", "1.1.0"), ("?devfile-version=1.0.0", "1.0.0")] {
        let shown = page(&snapshot, &format!("{KILN}/devfile{query}")).await;
        let raw = shown.rsplit_once("Raw</a>").unwrap().0.rsplit_once("<a ").unwrap().1;
        assert!(raw.contains(&format!("href=\"/devfiles/kiln/{version}\"")), "{query}: {raw}");
    }
}

#[tokio::test]
async fn readme_is_rendered_without_html_of_its_author() {
    let snapshot = example();
    let shown = page(&snapshot, KILN).await;
    assert_has(
        &shown,
        &[
            "<h2>Bake</h2>",
            "<a href=\"/viewer/devfiles/clay-works/kiln/files/docker/Dockerfile\">the image</a>",
            "<img src=\"/stacks/kiln/1.1.0/logo.svg\" alt=\"kiln\" />",
        ],
    );
    assert!(!shown.contains("<script>") && !shown.contains("alert(1)"), "{shown}");
    assert!(!page(&snapshot, &format!("{KILN}?devfile-version=1.0.0")).await.contains("<h2>Bake</h2>"));
    let loom = page(&snapshot, "/viewer/devfiles/clay-works/loom").await;
    assert!(loom.contains("Weaves <em>cloth</em>"), "{loom}");
}

#[tokio::test]
async fn file_of_a_version_is_listed_with_its_size_and_shown_in_colour() {
    let snapshot = example();
    let shown = page(&snapshot, &format!("{KILN}/files")).await;
    assert_has(
        &shown,
        &[
            "href=\"/viewer/devfiles/clay-works/kiln/files/docker/Dockerfile\"",
            "<td class=\"amount\">37 B</td>",
            "href=\"/stacks/kiln/1.1.0/docker/Dockerfile\" download",
        ],
    );
    let file = page(&snapshot, &format!("{KILN}/files/docker/Dockerfile")).await;
    assert_has(&file, &["<span class=\"y-c\"># new</span>", "href=\"/stacks/kiln/1.1.0/docker/Dockerfile\""]);
    let zip = page(&snapshot, &format!("{KILN}/files/pages.zip")).await;
    assert_has(&zip, &["not shown as text", "href=\"/stacks/kiln/1.1.0/pages.zip\" download"]);
    assert_has(
        &page(&snapshot, &format!("{KILN}/files/logo.svg")).await,
        &["<img src=\"/stacks/kiln/1.1.0/logo.svg\""],
    );
    for lost in ["gone", "docker", "../1.0.0/devfile.yaml", "%2e%2e/1.0.0/devfile.yaml"] {
        let response = get(&snapshot, &format!("{KILN}/files/{lost}")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{lost}");
    }
}

#[tokio::test]
async fn comparison_covers_every_file_and_says_the_change_in_words() {
    let snapshot = example();
    let shown = page(&snapshot, &format!("{KILN}/compare?from=1.0.0&to=1.1.0")).await;
    assert_has(
        &shown,
        &[
            "<ul class=\"summary\"",
            "Command deploy added",
            "lines added",
            "<mark>",
            "<code>docker/Dockerfile</code>",
            "1 line added",
            "<code>README.md</code></a> added",
        ],
    );
    let back = page(&snapshot, &format!("{KILN}/compare?from=1.1.0&to=1.0.0")).await;
    assert_has(&back, &["Command deploy removed", "<code>README.md</code></a> removed"]);
    let same = page(&snapshot, &format!("{KILN}/compare?from=1.1.0&to=1.1.0")).await;
    assert_has(&same, &["are the same", "the same in both versions"]);
    let forge = page(&snapshot, "/viewer/devfiles/clay-works/forge/compare").await;
    assert!(forge.contains("does not hold both"));
}

/// A release in which `loom` takes from `kiln`.
fn with_parent(parent: &str) -> crate::release::snapshot::Shared {
    let child = format!(
        "schemaVersion: 2.3.0\nmetadata:\n  name: loom\n{parent}components:\n  - name: shuttle\n    volume: {{}}\n"
    );
    let devfiles = [("kiln", "1.1.0", fixture::KILN), ("loom", "0.3.0", child.as_str())];
    Arc::new(fixture::snapshot_of(fixture::entries(), &devfiles, "https://github.com/example/registry"))
}

const LOOM: &str = "/viewer/devfiles/clay-works/loom";

#[tokio::test]
async fn parent_is_linked_and_lists_its_children() {
    let snapshot = with_parent("parent:\n  id: kiln\n  version: 1.1.0\n");
    let child = page(&snapshot, LOOM).await;
    let parent = format!("<a href=\"{KILN}?devfile-version=1.1.0\">Kiln 1.1.0</a>");
    assert_has(&child, &["Parent", &parent, &format!("href=\"{LOOM}/flattened\"")]);
    let shown = page(&snapshot, KILN).await;
    assert_has(&shown, &["Used by", &format!("<a href=\"{LOOM}?devfile-version=0.3.0\">Loom 0.3.0</a>")]);
    let other = page(&with_parent("parent:\n  id: kiln\n  registryUrl: https://other.example\n"), LOOM).await;
    assert_has(&other, &["Takes from", "href=\"https://other.example\""]);
    assert!(!page(&example(), KILN).await.contains("Used by"));
}

#[tokio::test]
async fn flattened_devfile_marks_the_lines_of_the_parent() {
    let snapshot = with_parent(
        "parent:\n  id: kiln\n  version: 1.1.0\n  commands:\n    - id: build\n      exec:\n        component: runtime\n        commandLine: make\n",
    );
    let shown = page(&snapshot, &format!("{LOOM}/flattened")).await;
    let line = |part: &str| {
        let at = shown.find(part).unwrap_or_else(|| panic!("{part}\n{shown}"));
        shown[..at].rsplit_once("<span class=\"line").unwrap().1.split('>').next().unwrap().to_owned()
    };
    assert!(line("shuttle").starts_with('"'), "its own line: {}", line("shuttle"));
    assert!(line("kiln-image:latest").contains("from-1"), "a line of the parent");
    assert!(!line(": make\n").contains("from-1"), "an override is its own");
    assert_has(&shown, &["data-from=\"kiln 1.1.0\"", "From <code>kiln 1.1.0</code>"]);
    let lost =
        page(&with_parent("parent:\n  uri: https://other.example/devfile.yaml\n"), &format!("{LOOM}/flattened")).await;
    assert_has(&lost, &["is not in this registry or cannot be read", "shuttle"]);
}

#[tokio::test]
async fn parent_at_the_configured_url_is_one_of_this_registry() {
    let snapshot = with_parent("parent:\n  id: kiln\n  version: 1.1.0\n  registryUrl: https://clay.example/\n");
    let viewer = || Viewer::new("Clay Works", Some("https://clay.example".parse().unwrap()), Mode::Pages);
    let shown = text(ask(viewer(), &snapshot, &format!("{LOOM}/flattened"), &HeaderMap::new()).await.unwrap()).await;
    assert!(!shown.contains("is not in this registry"), "{shown}");
    assert_has(&shown, &["kiln-image:latest", "From <code>kiln 1.1.0</code>"]);
    let overview = text(ask(viewer(), &snapshot, LOOM, &HeaderMap::new()).await.unwrap()).await;
    assert_has(&overview, &[&format!("<a href=\"{KILN}?devfile-version=1.1.0\">Kiln 1.1.0</a>")]);
}

#[tokio::test]
async fn parent_version_that_the_entry_lacks_is_no_link() {
    let shown = page(&with_parent("parent:\n  id: kiln\n  version: 9.0.0\n"), LOOM).await;
    assert_has(&shown, &["<code>kiln 9.0.0</code>, which this registry does not list"]);
    assert!(!shown.contains("devfile-version=9.0.0"), "{shown}");
}

#[tokio::test]
async fn comparison_of_many_files_says_how_many_it_leaves_out() {
    let paths: Vec<[String; 2]> = (0..61)
        .map(|number| ["1.0.0", "1.1.0"].map(|version| format!("stacks/kiln/{version}/file-{number:02}.txt")))
        .collect();
    let files: Vec<(&str, &str)> =
        paths.iter().flat_map(|[old, new]| [(old.as_str(), "old\n"), (new.as_str(), "new\n")]).collect();
    let devfiles = [("kiln", "1.1.0", fixture::KILN), ("kiln", "1.0.0", fixture::KILN)];
    let snapshot = Arc::new(fixture::snapshot_with(fixture::entries(), &devfiles, &files, "/srv/registry"));
    let viewer = Arc::new(Viewer::new("Clay Works", None, Mode::Pages));
    let path = format!("{KILN}/compare?from=1.0.0&to=1.1.0");
    let response = fixture::ask_with(&viewer, &snapshot, &files, &path, &HeaderMap::new()).await.unwrap();
    let shown = text(response).await;
    assert_eq!(shown.matches("1 line added").count(), 50, "{shown}");
    assert_has(&shown, &["61 files changed", "11 more files are not compared here."]);
}

#[tokio::test]
async fn commit_is_linked_on_every_known_host() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (source, link) in [
        ("https://github.com/a/b.git", "https://github.com/a/b/commit/"),
        ("https://acme.ghe.com/a/b", "https://acme.ghe.com/a/b/commit/"),
        ("https://gitlab.com/a/b", "https://gitlab.com/a/b/-/commit/"),
        ("https://gitlab.example/a/b/c", "https://gitlab.example/a/b/c/-/commit/"),
        ("https://codeberg.org/a/b", "https://codeberg.org/a/b/commit/"),
    ] {
        let snapshot = Arc::new(fixture::snapshot_of(fixture::entries(), &[], source));
        for path in [KILN, "/viewer/status"] {
            assert_has(&page(&snapshot, path).await, &[&format!("href=\"{link}{commit}\"")]);
        }
    }
    let snapshot = Arc::new(fixture::snapshot_of(fixture::entries(), &[], "https://git.example/a/b"));
    assert!(!page(&snapshot, KILN).await.contains(&format!("/commit/{commit}")));
}

#[tokio::test]
async fn deprecated_version_links_the_recommended_one() {
    let mut entries: Vec<Entry> = fixture::entries();
    entries[0].versions[1].tags = vec!["Deprecated".to_owned()];
    let snapshot = Arc::new(fixture::snapshot_of(entries, &[], "/srv/registry"));
    let shown = page(&snapshot, &format!("{KILN}?devfile-version=1.0.0")).await;
    assert_has(&shown, &["is deprecated", &format!("<a href=\"{KILN}?devfile-version=1.1.0\">Use version 1.1.0</a>")]);
    assert!(!page(&snapshot, KILN).await.contains("is deprecated"));
}

/// Links such as `/viewer/devfiles/Community+nodejs` of the first viewer are in many threads and documents.
#[tokio::test]
async fn link_of_the_first_viewer_leads_to_the_page() {
    let snapshot = example();
    for (old, new) in [
        ("Community+kiln", KILN.to_owned()),
        ("Clay%20Works+kiln", KILN.to_owned()),
        ("Clay+Works+kiln?devfile-version=1.0.0", format!("{KILN}?devfile-version=1.0.0")),
        ("Community+loom", LOOM.to_owned()),
    ] {
        let response = get(&snapshot, &format!("/viewer/devfiles/{old}")).await;
        assert_eq!(response.status(), StatusCode::FOUND, "{old}");
        assert_eq!(response.headers()[LOCATION], *new, "{old}");
    }
}

#[tokio::test]
async fn configured_environment_opens_the_version_shown() {
    let viewer = || {
        let open_in = "Eclipse Che=https://che.example/#{+devfile},Studio=https://studio.example/?url={devfile}";
        Viewer::new("Clay Works", None, Mode::Pages).opening_in(open_in.parse().unwrap())
    };
    let path = format!("{KILN}?devfile-version=1.0.0");
    let shown = text(ask(viewer(), &example(), &path, &HeaderMap::new()).await.unwrap()).await;
    assert_has(
        &shown,
        &[
            "href=\"https://che.example/#http://registry.example/devfiles/kiln/1.0.0\"",
            "Open in Eclipse Che",
            "href=\"https://studio.example/?url=http%3A%2F%2Fregistry.example%2Fdevfiles%2Fkiln%2F1.0.0\"",
        ],
    );
}

#[tokio::test]
async fn pages_of_the_example_have_less_than_60_kilobytes() {
    let snapshot = example();
    for path in ["/viewer", "/viewer/status", "/viewer/devfiles/clay-works/pot"] {
        let bytes = page(&snapshot, path).await.len();
        assert!(bytes < 60_000, "{path}: {bytes} bytes");
    }
    for below in [
        "",
        "/commands",
        "/components",
        "/devfile",
        "/files",
        "/files/docker/Dockerfile",
        "/versions",
        "/flattened",
        "/compare?from=1.0.0&to=1.1.0",
    ] {
        let bytes = page(&snapshot, &format!("{KILN}{below}")).await.len();
        assert!(bytes < 60_000, "{below}: {bytes} bytes");
    }
}
