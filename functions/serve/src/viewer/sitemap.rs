//! Files for crawlers: the list of all pages, and the paths to read.

use devfile_registry::limits::PAGE_BYTES;
use devfile_registry::timestamp::Timestamp;
use maud::{Markup, PreEscaped, html};

use super::budget::PageBudget;
use super::list::path_of;
use super::page::RegistryInfo;
use crate::release::snapshot::Snapshot;

/// Most pages that one sitemap may name (sitemaps.org protocol, "Sitemap file limits").
const PAGES: usize = 50_000;

/// Bytes for the text around the pages.
const FRAME_BYTES: usize = 512;

/// The sitemap, XML of the sitemaps.org protocol. It names full URLs, so there is none for a request that does not tell
/// where the registry is.
pub(super) fn sitemap(snapshot: &Snapshot, registry: RegistryInfo<'_>) -> Option<String> {
    registry.origin?;
    let page = |path: &str, modified: Option<&Timestamp>| -> Markup {
        html! {
            url {
                loc { (registry.url(path)) }
                @if let Some(modified) = modified.filter(|modified| **modified != Timestamp::unknown()) {
                    lastmod { (modified) }
                }
            }
        }
    };
    let all = snapshot.catalog.len();
    let own = html! { (page("/viewer", None)) (page("/viewer/status", None)) };
    let entries = PageBudget(PAGE_BYTES - FRAME_BYTES - own.0.len()).fit(0..all.min(PAGES - 2), |position| {
        let entry = snapshot.catalog.head(position);
        page(&path_of(&entry, &snapshot.viewer_index, registry).page(), Some(&entry.last_modified))
    });
    let document = html! {
        (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"))
        urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" {
            (own)
            (entries.rows)
            @if entries.count < all { (PreEscaped(format!("<!-- {} more are left out -->", all - entries.count))) }
        }
    };
    Some(document.into_string())
}

/// `robots.txt`: pages are for crawlers, narrowed lists and the API are not (RFC 9309).
pub(super) fn robots(registry: RegistryInfo<'_>) -> String {
    let mut text =
        "User-agent: *\nAllow: /viewer\nDisallow: /viewer?\nDisallow: /v2/\nDisallow: /devfiles/\n".to_owned();
    if registry.origin.is_some() {
        text.push_str("Sitemap: ");
        text.push_str(&registry.url("/sitemap.xml"));
        text.push('\n');
    }
    text
}

/// `robots.txt` of a registry without a viewer.
pub(super) const NO_ROBOTS: &str = "User-agent: *\nDisallow: /\n";
