//! No content and no request makes a page larger than its bound, nor legal content one that is refused for its size.

use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderMap, HeaderValue};
use devfile_registry::diagnostic::Diagnostic;
use devfile_registry::index::{Entry, EntryType, Git, VersionEntry};
use devfile_registry::limits::{DEVFILE_BYTES, ENTRY_NAME_BYTES, PAGE_BYTES, QUERY_BYTES};
use maud::PreEscaped;
use proptest::prelude::*;
use proptest::sample::select;

use super::link::segment;
use super::page::{Page, RegistryInfo};
use super::readme::READ_BYTES;
use super::{Viewer, fixture, missing, sitemap};
use crate::config::Mode;
use crate::http::body::Caching;
use crate::release::snapshot::Shared;
use crate::view::browse::facet::Facet;

/// A text that repeats a piece, which says all of it in a failure.
#[derive(Debug, Clone)]
struct Repeated(&'static str, usize);

/// So many texts with a number before each.
#[derive(Debug, Clone)]
struct Many(Repeated, usize);

/// The texts and lists of an entry.
#[derive(Debug, Clone)]
struct Shape {
    name: Repeated,
    texts: [Repeated; 8],
    tags: Many,
    architectures: Many,
    versions: Many,
    remotes: Many,
    is_stack: bool,
}

/// A devfile.
#[derive(Debug, Clone)]
enum File {
    /// This text.
    Text(Repeated),
    /// So many of each of its parts.
    Parts(Many),
}

/// The files of a version beside its devfile.
#[derive(Debug, Clone)]
struct Beside {
    readme: Repeated,
    /// The name of another file, without its extension.
    name: Repeated,
    extension: &'static str,
    text: Repeated,
}

/// A value of a query's parameter.
#[derive(Debug, Clone)]
enum ParameterValue {
    Text(String),
    /// So many values with commas between them.
    List(usize),
    Encoded(Repeated),
}

impl Repeated {
    fn make(&self) -> String {
        self.0.repeat(self.1 / self.0.len())
    }
}

impl Many {
    fn make(&self) -> Vec<String> {
        let text = self.0.make();
        (0..self.1).map(|number| format!("{number}{text}")).collect()
    }
}

impl Shape {
    fn make(&self) -> Entry {
        let [display_name, description, icon, project_type, language, provider, support_url, revision] =
            self.texts.each_ref().map(Repeated::make);
        let (tags, remotes) = (self.tags.make(), self.remotes.make());
        let links =
            || remotes.iter().map(|text| (text.clone(), format!("https://example.com/{}", segment(text)))).collect();
        let version = |(number, version): (usize, String)| VersionEntry {
            schema_version: version.clone(),
            default: number == 0,
            tags: tags.iter().take(3).cloned().collect(),
            version,
            ..VersionEntry::default()
        };
        Entry {
            name: "n".to_owned() + &self.name.make(),
            versions: self.versions.make().into_iter().enumerate().map(version).collect(),
            links: links(),
            git: Some(Git { remotes: links(), revision, ..Git::default() }),
            architectures: self.architectures.make(),
            entry_type: if self.is_stack { EntryType::Stack } else { EntryType::Sample },
            display_name,
            description,
            icon,
            project_type,
            language,
            provider,
            support_url,
            tags,
            ..Entry::default()
        }
    }
}

impl File {
    fn make(&self) -> String {
        let text = match self {
            Self::Text(text) => text.make(),
            Self::Parts(Many(text, count)) => {
                let quoted = serde_json::to_string(&text.make()).unwrap();
                let rows = |row: &dyn Fn(usize) -> String| (0..*count).map(row).collect::<String>();
                format!(
                    "schemaVersion: 2.2.0\ncommands:\n{}components:\n{}starterProjects:\n{}events: {{preStart: [{}]}}\n",
                    rows(&|n| format!("- {{id: c{n}, exec: {{component: a{n}, commandLine: {quoted}}}}}\n")),
                    rows(&|n| format!("- {{name: a{n}, container: {{image: {quoted}}}}}\n")),
                    rows(&|n| format!("- {{name: {quoted}, git: {{remotes: {{o{n}: {quoted}}}}}}}\n")),
                    rows(&|n| format!("c{n}, ")),
                )
            }
        };
        text[..text.floor_char_boundary(DEVFILE_BYTES)].to_owned()
    }
}

fn text(most: usize) -> impl Strategy<Value = Repeated> {
    // Pieces that grow when they are escaped, encoded or coloured.
    let pieces = vec!["a", "\"", "&", "<", "é", "\u{10ffff}", "'", "- [", "[", "\n", "a b ", "#", "x, ", "Z9."];
    (select(pieces), prop_oneof![0..20_usize, 0..=most]).prop_map(|(piece, bytes)| Repeated(piece, bytes))
}

fn many(most: usize) -> impl Strategy<Value = Many> {
    (text(300), prop_oneof![0..5_usize, 0..=most]).prop_map(|(text, count)| Many(text, count))
}

fn shape() -> impl Strategy<Value = Shape> {
    let name = (select(vec!["a", "\"", "&", "é", "'", "<"]), 0..ENTRY_NAME_BYTES)
        .prop_map(|(piece, bytes)| Repeated(piece, bytes));
    let texts = prop::array::uniform8(text(60_000));
    let parts = (name, texts, many(3000), many(300), many(2000), many(300), any::<bool>());
    parts.prop_map(|(name, texts, tags, architectures, versions, remotes, is_stack)| Shape {
        name,
        texts,
        tags,
        architectures,
        versions,
        remotes,
        is_stack,
    })
}

fn file() -> impl Strategy<Value = File> {
    prop_oneof![text(DEVFILE_BYTES).prop_map(File::Text), many(3000).prop_map(File::Parts)]
}

fn beside() -> impl Strategy<Value = Beside> {
    // Pieces that open elements of Markdown, or grow.
    let pieces =
        vec!["[a](b) ", "[a](https://e.com/&) ", "![a](b.svg) ", "> ", "* ", "|a", "`", "**a", "# <\n", "&\n\n"];
    let most = usize::try_from(READ_BYTES).unwrap();
    let readme = (select(pieces), 0..=most).prop_map(|(piece, bytes)| Repeated(piece, bytes));
    let extension = select(vec![".yaml", ".md", ".sh", ".json", ".svg", ".txt", ""]);
    (readme, text(100), extension, text(600_000)).prop_map(|(readme, name, extension, text)| Beside {
        readme,
        name,
        extension,
        text,
    })
}

/// Parameters that pages read, with values.
fn query() -> impl Strategy<Value = Vec<(&'static str, ParameterValue)>> {
    let names: Vec<_> =
        Facet::ALL.map(Facet::parameter).into_iter().chain(["search", "sort", "page", "type", "x"]).collect();
    let value = prop_oneof![
        "[a-zA-Z0-9%&,+='~.-]{0,40}".prop_map(ParameterValue::Text),
        select(vec!["modified".to_owned(), "9".repeat(30)]).prop_map(ParameterValue::Text),
        (0..900_usize).prop_map(ParameterValue::List),
        text(3000).prop_map(ParameterValue::Encoded),
    ];
    prop::collection::vec((select(names), value), 0..12)
}

/// The query string, as far as a request may have it.
fn query_string(query: &[(&'static str, ParameterValue)]) -> String {
    let value = |value: &ParameterValue| match value {
        ParameterValue::Text(text) => text.clone(),
        ParameterValue::List(count) => (0..*count).map(|number| format!("{number},")).collect(),
        ParameterValue::Encoded(text) => segment(&text.make()),
    };
    let pairs: Vec<String> = query.iter().map(|(name, given)| format!("{name}={}", value(given))).collect();
    let query = pairs.join("&");
    query[..query.floor_char_boundary(QUERY_BYTES)].to_owned()
}

const REGISTRY: RegistryInfo<'static> =
    RegistryInfo { name: "Clay Works", slug: "clay-works", origin: None, caching: Caching::Private, frame: None };

fn viewer() -> Arc<Viewer> {
    Arc::new(Viewer::new("Clay Works", None, Mode::Pages))
}

/// The status and size of the page at a path, where the bucket has these files.
fn page(
    viewer: &Arc<Viewer>,
    snapshot: &Shared,
    files: &[(&str, &str)],
    path: &str,
    query: &str,
) -> (StatusCode, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("registry.example"))]);
    let path = format!("{path}?{query}");
    let response = runtime.block_on(fixture::ask_with(viewer, snapshot, files, &path, &headers)).unwrap();
    let size = response.body().size_hint().exact().unwrap();
    (response.status(), usize::try_from(size).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_page_of_hostile_content_is_bounded(
        shapes in prop::collection::vec(shape(), 1..5), files in prop::array::uniform2(file()), query in query(),
        beside in beside(), lost in text(6000), source in text(60_000), said in text(500),
    ) {
        let mut entries: Vec<Entry> = shapes.iter().map(Shape::make).collect();
        entries[0].entry_type = EntryType::Stack;
        let name = entries[0].name.clone();
        let versions: Vec<String> = entries[0].versions.iter().map(|version| version.version.clone()).take(2).collect();
        let files = files.each_ref().map(File::make);
        let devfiles: Vec<(&str, &str, &str)> =
            versions.iter().zip(&files).map(|(version, file)| (name.as_str(), version.as_str(), file.as_str())).collect();
        let file_name = format!("x{}{}", beside.name.make(), beside.extension);
        let below = |file: &str| format!("stacks/{name}/{}/{file}", versions.first().map_or("", String::as_str));
        let beside = [(below("README.md"), beside.readme.make()), (below(&file_name), beside.text.make())];
        let beside = beside.each_ref().map(|(path, text)| (path.as_str(), text.as_str()));
        let mut snapshot = fixture::snapshot_with(entries, &devfiles, &beside, &source.make());
        let (lost, said) = (format!("x{}", lost.make()), said.make());
        let warning = |number: usize| Diagnostic::warning(lost.clone(), "rule", said.clone(), number.to_string());
        snapshot.warnings = (0..3000).map(warning).collect();
        snapshot.about.changed = (0..500).map(|number| format!("{number}{lost}")).collect();
        let snapshot = Arc::new(snapshot);

        let (list, missing) = (query_string(&query), format!("devfile-version={}", segment(&lost)));
        let entry = format!("/viewer/devfiles/clay-works/{}", segment(&name));
        let compare = format!("{entry}/compare");
        let lost = segment(&lost);
        let mut pages = vec![
            ("/viewer".to_owned(), String::new(), 200),
            ("/viewer".to_owned(), list, 200),
            ("/viewer/status".to_owned(), String::new(), 200),
            (entry.clone(), String::new(), 200),
            (compare.clone(), String::new(), 200),
            (format!("{entry}/commands"), String::new(), 200),
            (format!("{entry}/components"), String::new(), 200),
            (format!("{entry}/devfile"), String::new(), 200),
            (format!("{entry}/flattened"), String::new(), 200),
            (format!("{entry}/files"), String::new(), 200),
            (format!("{entry}/versions"), String::new(), 200),
            (format!("/viewer/devfiles/clay-works/{lost}"), String::new(), 404),
            (format!("/viewer/clay-works/{lost}"), String::new(), 404),
            (entry.clone(), missing, 404),
            ("/viewer/feed.atom".to_owned(), String::new(), 200),
            (format!("{entry}/feed.atom"), String::new(), 200),
            (format!("{entry}/badges/version.svg"), String::new(), 200),
            (format!("{entry}/badges/schema.svg"), String::new(), 200),
            (format!("{entry}/badges/updated.svg"), String::new(), 200),
            (format!("/viewer/embed/clay-works/{}", segment(&name)), String::new(), 200),
        ];
        if let [new, ..] = &versions[..] && new.len() <= 128 {
            let query = format!("devfile-version={}", segment(new));
            pages.push((format!("{entry}/files/README.md"), query.clone(), 200));
            pages.push((format!("{entry}/files/{}", segment(&file_name)), query, 200));
        }
        if let [new, old] = &versions[..] && new.len() <= 128 && old.len() <= 128 {
            let (new, old) = (segment(new), segment(old));
            pages.push((entry, format!("devfile-version={old}"), 200));
            pages.push((compare, format!("from={old}&to={new}"), 200));
        }
        // One viewer for all pages, which keeps the devfiles that it has read.
        let viewer = viewer();
        for (path, query, status) in pages {
            let (found, size) = page(&viewer, &snapshot, &beside, &path, &query);
            prop_assert_eq!(found, status, "{:?} {}", path, query);
            prop_assert!(size <= PAGE_BYTES, "{:?} {}: {} bytes", path, query, size);
        }
        let origin = "https://clay.example".parse().unwrap();
        let sitemap = sitemap::sitemap(&snapshot, RegistryInfo { origin: Some(&origin), ..REGISTRY }).unwrap();
        prop_assert!(sitemap.len() <= PAGE_BYTES && sitemap.ends_with("</urlset>"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn every_list_of_a_usual_registry_is_small(query in query()) {
        let (status, size) = page(&viewer(), &Arc::new(fixture::snapshot()), &[], "/viewer", &query_string(&query));
        prop_assert!(status == 200 && size <= PAGE_BYTES / 4, "{} bytes", size);
    }
}

#[test]
fn sitemap_of_a_huge_registry_is_bounded_and_says_what_is_missing() {
    let entry = |number: usize| Entry { name: format!("{}-{number}", "é".repeat(50)), ..Entry::default() };
    let snapshot = fixture::snapshot_of((0..9000).map(entry).collect(), &[], "");
    let origin = "https://clay.example".parse().unwrap();
    let sitemap = sitemap::sitemap(&snapshot, RegistryInfo { origin: Some(&origin), ..REGISTRY }).unwrap();
    assert!(sitemap.len() <= PAGE_BYTES, "{} bytes", sitemap.len());
    let shown = sitemap.matches("<loc>").count() - 2;
    assert!(sitemap.ends_with(&format!("<!-- {} more are left out --></urlset>", 9000 - shown)), "{shown}");
}

#[test]
fn page_beyond_the_bound_is_an_error_that_says_so() {
    let page = Page { main: PreEscaped("x".repeat(PAGE_BYTES)), ..missing::path() };
    assert!(page.document(REGISTRY).is_none());
    let response = page.answer(REGISTRY, &HeaderMap::new(), StatusCode::OK, REGISTRY.caching);
    assert_eq!(response.status(), 500);
    assert!(response.body().size_hint().exact().unwrap() < 4096);
    let shown = super::page::too_large().render(REGISTRY).into_string();
    assert!(shown.contains("more than 2 MiB") && shown.contains("href=\"/openapi.json\""), "{shown}");
}
