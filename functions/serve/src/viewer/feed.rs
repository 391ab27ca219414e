//! Atom feeds (RFC 4287) of the registry and of each entry: the versions that were changed last.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body as HttpBody;
use axum::http::Response;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use axum::response::IntoResponse;
use devfile_registry::index::{Entry, VersionEntry};
use devfile_registry::timestamp::Timestamp;
use jiff::Timestamp as Instant;
use maud::{Markup, PreEscaped, html};

use super::budget::{PageBudget, SECTION_BYTES, brief, short};
use super::list::path_of;
use super::page::FEED_PATH;
use super::visit::{EntryQuery, Visit};
use crate::http::body::Body;
use crate::http::problem::Problem;
use crate::view::browse::history::FEED_VERSIONS;
use crate::view::browse::viewer_index::title;

/// The media type of Atom.
pub(super) const ATOM: &str = "application/atom+xml; charset=utf-8";

/// A version with the time of its last change.
struct Item<'a> {
    entry: &'a Entry,
    version: Option<&'a VersionEntry>,
    updated: Option<Instant>,
}

/// The feed of the registry.
pub(super) fn answer(visit: Visit<'_>, (): ()) -> Response<HttpBody> {
    let newest = visit.snapshot.viewer_index.history.newest();
    let places: BTreeSet<usize> = newest.iter().map(|(position, _)| *position).collect();
    let entries: BTreeMap<usize, Entry> =
        places.into_iter().map(|position| (position, visit.snapshot.catalog.entry(position))).collect();
    let items = newest.iter().map(|(position, version)| {
        let entry = &entries[position];
        item(visit, *position, entry, version.map(|version| &entry.versions[version]))
    });
    respond(visit, FEED_PATH, "/viewer", visit.registry.name, items)
}

/// The feed of an entry.
pub(super) fn answer_entry(visit: Visit<'_>, (registry, name): (String, String)) -> Response<HttpBody> {
    let only = EntryQuery::parse(visit.query).only;
    let entry = match visit.entry(&registry, &name, only) {
        Ok(entry) => entry,
        Err(missing) => return *missing,
    };
    let viewer_index = &visit.snapshot.viewer_index;
    let Some(position) = viewer_index.position(&entry.name, Some(entry.entry_type)) else {
        return Problem::not_found("there is nothing at this path").into_response();
    };
    let mut items: Vec<Item<'_>> = match entry.versions.as_slice() {
        [] => vec![item(visit, position, entry, None)],
        versions => versions.iter().map(|version| item(visit, position, entry, Some(version))).collect(),
    };
    items.sort_by_key(|item| std::cmp::Reverse(item.updated));
    let path = path_of(entry, viewer_index, visit.registry);
    respond(visit, &path.feed(), &path.page(), title(entry), items.into_iter().take(FEED_VERSIONS))
}

fn item<'a>(visit: Visit<'_>, position: usize, entry: &'a Entry, version: Option<&'a VersionEntry>) -> Item<'a> {
    let history = &visit.snapshot.viewer_index.history;
    let updated = match version {
        Some(version) => history.version(position, version),
        None => history.entry(position).updated,
    };
    Item { entry, version, updated }
}

/// Feeds name full URLs, so there is none for a request that does not tell where the registry is.
fn respond<'a>(
    visit: Visit<'_>,
    own: &str,
    page: &str,
    name: &str,
    items: impl Iterator<Item = Item<'a>>,
) -> Response<HttpBody> {
    let registry = visit.registry;
    if registry.origin.is_none() {
        return Problem::not_found("there is nothing at this path").into_response();
    }
    // Readers cannot order a version without a date.
    let items: Vec<Item<'_>> = items.filter(|item| item.updated.is_some()).collect();
    let released = visit.snapshot.about.generated_at.instant();
    let updated = items.first().and_then(|item| item.updated).unwrap_or(released);
    let entries = PageBudget(SECTION_BYTES).fit(&items, |item| entry(visit, item)).rows;
    let document = html! {
        (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"))
        feed xmlns="http://www.w3.org/2005/Atom" {
            title { (xml(name)) }
            id { (registry.url(page)) }
            link rel="self" type="application/atom+xml" href=(registry.url(own)) {}
            link rel="alternate" type="text/html" href=(registry.url(page)) {}
            updated { (instant(updated)) }
            author { name { (xml(registry.name)) } }
            (entries)
        }
    };
    let body = Body::once(ATOM, document.into_string().into());
    let mut response = body.answer_now(visit.headers, registry.caching);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}

fn entry(visit: Visit<'_>, item: &Item<'_>) -> Markup {
    let Item { entry, version, updated } = item;
    let path = path_of(entry, &visit.snapshot.viewer_index, visit.registry);
    let name = version.map_or("", |version| short(&version.version));
    let page = visit.registry.url(&path.version(name));
    let own = version.map_or("", |version| version.description.trim());
    let summary: &str = if own.is_empty() { &entry.description } else { own };
    html! {
        entry {
            id { (page) }
            title { (xml(title(entry))) @if !name.is_empty() { " " (xml(name)) } }
            link rel="alternate" type="text/html" href=(page) {}
            @if let Some(updated) = updated { updated { (instant(*updated)) } }
            @if !entry.provider.trim().is_empty() { author { name { (xml(short(&entry.provider))) } } }
            @if !entry.language.trim().is_empty() { category term=(xml(short(&entry.language))) {} }
            summary { (xml(&brief(summary))) }
        }
    }
}

fn instant(instant: Instant) -> Timestamp {
    Timestamp::from_instant(instant)
}

/// A text without the characters that XML 1.0 forbids (section 2.2, "Characters").
pub(super) fn xml(text: &str) -> String {
    let is_char =
        |c: &char| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    text.chars().filter(is_char).collect()
}
