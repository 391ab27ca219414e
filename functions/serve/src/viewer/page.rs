//! The frame of every page: head, header and footer; and the small parts that several pages show.

use axum::body::Body as HttpBody;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{Response, StatusCode};
use devfile_registry::digest::CommitSha;
use devfile_registry::limits::PAGE_BYTES;
use devfile_registry::logging::foreign;
use devfile_registry::public_url::PublicUrl;
use devfile_registry::timestamp::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::assets::{MARK, SCRIPT, STYLE};
use super::frame::Frame;
use super::icons::placeholder;
use super::source::RepositoryLinks;
use crate::http::body::{Body, Caching};

/// The path of the feed of the registry.
pub(super) const FEED_PATH: &str = "/viewer/feed.atom";

/// Media type of pages.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// The permissions of a page: it shows and runs files of this registry, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The registry as every page names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RegistryInfo<'a> {
    /// Its name for people.
    pub(super) name: &'a str,
    /// Its name in paths.
    pub(super) slug: &'a str,
    /// Its URL, if it is configured or the request names it.
    pub(super) origin: Option<&'a PublicUrl>,
    /// The caching of its pages.
    pub(super) caching: Caching,
    /// The frame of its pages, when it is the registry of a preview.
    pub(super) frame: Option<&'a Frame>,
}

impl RegistryInfo<'_> {
    /// A path of this registry as a full URL, or as it is when the request does not tell where the registry is.
    pub(super) fn url(&self, path: &str) -> String {
        let path = self.below(path);
        self.origin.map_or_else(|| path.clone(), |origin| format!("{origin}{path}"))
    }

    /// A path of this registry, below that of a preview.
    pub(super) fn below(&self, path: &str) -> String {
        format!("{}{path}", self.frame.map(Frame::base).unwrap_or_default())
    }

    /// Whether it is the registry itself, and no preview of it.
    pub(super) fn is_live(&self) -> bool {
        self.frame.is_none()
    }
}

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    /// Its subject, in a few words.
    pub(super) title: String,
    /// One sentence, for search engines and previews.
    pub(super) description: String,
    /// Its one path, if it should be found; other paths with the same content point to it.
    pub(super) canonical: Option<String>,
    /// The part of the registry it belongs to.
    pub(super) section: Section,
    /// Its content.
    pub(super) main: Markup,
}

/// The parts of the viewer, as the header names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// Stacks and samples.
    Browse,
    /// The live release and its state.
    Status,
    /// Nothing of both.
    Nowhere,
}

impl Page {
    /// The whole document.
    pub(super) fn render(&self, registry: RegistryInfo<'_>) -> Markup {
        let title = format!("{} · {}", self.title, registry.name);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) }
                    meta name="description" content=(self.description);
                    // Clients look for the words of existing viewers.
                    meta name="keywords" content="Devfile Registry, Devfile, OpenShift, Kubernetes";
                    meta name="color-scheme" content="light dark";
                    meta name="theme-color" content="#f6f7f9" media="(prefers-color-scheme: light)";
                    meta name="theme-color" content="#11151c" media="(prefers-color-scheme: dark)";
                    meta property="og:title" content=(title);
                    meta property="og:description" content=(self.description);
                    meta property="og:type" content="website";
                    meta property="og:site_name" content=(registry.name);
                    @match self.canonical.as_ref().filter(|_| registry.is_live()) {
                        Some(path) => {
                            link rel="canonical" href=(registry.url(path));
                            meta property="og:url" content=(registry.url(path));
                        }
                        None => { meta name="robots" content="noindex"; }
                    }
                    (feed_link(registry))
                    link rel="icon" type="image/svg+xml" href=(MARK.url);
                    link rel="stylesheet" href=(STYLE.url);
                    // Not deferred: it sets the chosen colours before anything is painted.
                    script src=(SCRIPT.url) {}
                }
                body {
                    a.skip href="#main" { "Skip to content" }
                    (header(registry, self.section))
                    @if let Some(frame) = registry.frame { (frame.banner()) }
                    main #main tabindex="-1" { (self.main) }
                    (footer(registry))
                }
            }
        }
    }

    /// The whole document as text. Every page passes here: one that is larger than [`PAGE_BYTES`] is refused.
    pub(super) fn document(&self, registry: RegistryInfo<'_>) -> Option<String> {
        let document = self.render(registry).into_string();
        let document = match registry.frame {
            Some(frame) => frame.below(&document),
            None => document,
        };
        if document.len() > PAGE_BYTES {
            tracing::error!(title = %foreign(&self.title), bytes = document.len(), limit = PAGE_BYTES, "a page is too large");
            return None;
        }
        Some(document)
    }

    /// The page as an answer.
    pub(super) fn answer(
        &self,
        registry: RegistryInfo<'_>,
        request: &HeaderMap,
        status: StatusCode,
        caching: Caching,
    ) -> Response<HttpBody> {
        let (document, status) = match self.document(registry) {
            Some(document) => (document, status),
            None => (too_large().render(registry).into_string(), StatusCode::INTERNAL_SERVER_ERROR),
        };
        let body = Body::once(HTML, document.into());
        let mut response = match status {
            StatusCode::OK => body.answer_now(request, caching),
            _ => body.answer_problem(status, request, caching),
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
        response
    }
}

/// A page of nothing in the registry, with a message.
pub(super) fn nowhere(content: Markup) -> Page {
    Page {
        title: "Not found".into(),
        description: "There is nothing at this address.".into(),
        canonical: None,
        section: Section::Nowhere,
        main: html! { div.narrow.missing { (content) } },
    }
}

/// A page that would be larger than pages may be.
pub(super) fn too_large() -> Page {
    Page {
        title: "Too large".into(),
        description: "This page would be too large.".into(),
        ..nowhere(html! {
            h1 { "This page would be too large" }
            p { "It would have more than " (PAGE_BYTES >> 20) " MiB. Programs get its content piece by piece from the " a href="/openapi.json" { "API" } "." }
            p { a href="/viewer" { "Browse stacks and samples" } }
        })
    }
}

fn header(registry: RegistryInfo<'_>, section: Section) -> Markup {
    let link = |own: Section, path: &str, name: &str| {
        html! { a href=(path) aria-current=[(own == section).then_some("page")] { (name) } }
    };
    html! {
        header.top {
            div.bar {
                a.brand href="/viewer" {
                    img src=(MARK.url) alt="" width="28" height="28";
                    span { (registry.name) }
                }
                nav aria-label="Registry" {
                    (link(Section::Browse, "/viewer", "Browse"))
                    (link(Section::Status, "/viewer/status", "Status"))
                }
                button.theme type="button" data-theme-switch aria-label="Use dark colours" title="Light or dark colours" {
                    (glyph(Glyph::Sun)) (glyph(Glyph::Moon))
                }
            }
        }
    }
}

/// The link by which programs find the feed of the registry. Feeds name full URLs, so there is none without an origin.
fn feed_link(registry: RegistryInfo<'_>) -> Markup {
    html! {
        @if registry.origin.is_some() && registry.is_live() {
            link rel="alternate" type="application/atom+xml" title=(registry.name) href=(FEED_PATH);
        }
    }
}

fn footer(registry: RegistryInfo<'_>) -> Markup {
    html! {
        footer.bottom {
            p { "A Devfile Registry: Devfile stacks and samples for OpenShift, Kubernetes and wherever you develop." }
            ul.inline {
                li { a href="https://devfile.io/docs" { "About devfiles" } }
                li { a href="/openapi.json" { "API" } }
                li { a href="/v2index/all" { "Index" } }
                // Both name full URLs.
                @if registry.origin.is_some() && registry.is_live() {
                    li { a href=(FEED_PATH) { "Feed" } }
                    li { a href="/sitemap.xml" { "Sitemap" } }
                }
            }
        }
    }
}

/// A small drawing beside a word; it says nothing that the word does not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Glyph {
    Sun,
    Moon,
    Search,
    Copy,
    Download,
    Share,
    Raw,
    Filter,
    Warning,
    Next,
}

/// Draws a [`Glyph`].
pub(super) fn glyph(glyph: Glyph) -> Markup {
    let (class, path) = match glyph {
        Glyph::Sun => (
            "glyph sun",
            "M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.5 1.5M11.5 11.5L13 13M3 13l1.5-1.5M11.5 4.5L13 3M8 5a3 3 0 100 6 3 3 0 000-6z",
        ),
        Glyph::Moon => ("glyph moon", "M13.5 9.5A6 6 0 016.5 2.5a6 6 0 107 7z"),
        Glyph::Search => ("glyph", "M7 2a5 5 0 100 10A5 5 0 007 2zM10.6 10.6L14.5 14.5"),
        Glyph::Copy => ("glyph", "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3"),
        Glyph::Download => ("glyph", "M8 2v8M4.5 7L8 10.5 11.5 7M2.5 13.5h11"),
        Glyph::Share => {
            ("glyph", "M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 014.5 4.5L11.5 9M9 11.5L7.5 13A3 3 0 013 8.5L4.5 7")
        }
        Glyph::Raw => ("glyph", "M3.5 1.5h6l3 3v10h-9zM9.5 1.5v3h3M6 8h4M6 11h4"),
        Glyph::Filter => ("glyph", "M2 4h12M4.5 8h7M6.5 12h3"),
        Glyph::Warning => ("glyph", "M8 2L14.5 13.5h-13zM8 6.5v3.5M8 11.7v.3"),
        Glyph::Next => ("glyph", "M6 3.5L10.5 8 6 12.5"),
    };
    html! { svg class=(class) viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false" { path d=(path) {} } }
}

/// The icon of an entry in a box of fixed size; letters where the release has none.
pub(super) fn icon(url: Option<&str>, title: &str, size: usize) -> Markup {
    html! {
        @match url {
            Some(url) => {
                span.icon.picture { img src=(url) alt="" width=(size) height=(size) loading="lazy" decoding="async"; }
            }
            None => {
                @let (letters, tone) = placeholder(title);
                span class={ "icon letters tone-" (tone) } aria-hidden="true" { (letters) }
            }
        }
    }
}

/// Renders a day, with its exact moment as the title; nothing when the moment is unknown.
pub(super) fn day(moment: &Timestamp) -> Option<Markup> {
    (*moment != Timestamp::unknown()).then(|| {
        html! { time datetime=(moment) title=(moment) { (moment.instant().strftime("%-d %b %Y")) } }
    })
}

/// A moment and how long ago it was.
pub(super) fn moment(moment: &Timestamp, now: jiff::Timestamp) -> Markup {
    let seconds = now.as_second() - moment.instant().as_second();
    html! {
        time datetime=(moment) { (moment.instant().strftime("%-d %b %Y, %H:%M:%S UTC")) } " (" (ago(seconds)) ")"
    }
}

/// A time span in the largest unit that fits.
pub(super) fn ago(seconds: i64) -> String {
    let (number, one, many) = match seconds.max(0) {
        seconds @ 0..=59 => (seconds, "second", "seconds"),
        seconds @ 60..=3599 => (seconds / 60, "minute", "minutes"),
        seconds @ 3600..=86_399 => (seconds / 3600, "hour", "hours"),
        seconds => (seconds / 86_400, "day", "days"),
    };
    format!("{} ago", count(usize::try_from(number).unwrap_or(0), one, many))
}

/// A commit, with a link to its page.
pub(super) fn commit(source: &str, commit: &CommitSha) -> Markup {
    html! {
        @match RepositoryLinks::at(source, commit).and_then(|links| links.commit()) {
            Some(page) => { a href=(page) rel="noopener noreferrer" { code { (commit.short()) } } }
            None => { code { (commit.short()) } }
        }
    }
}

/// A number with the word for it: `1 version`, `2 versions`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_is_shown_in_utc_and_an_unknown_one_is_not() {
        let moment: Timestamp = "2025-09-02T23:30:00-04:00".parse().unwrap();
        let shown = day(&moment).unwrap().into_string();
        assert!(shown.contains(">3 Sep 2025<") && shown.contains("2025-09-02T23:30:00-04:00"), "{shown}");
        assert!(day(&Timestamp::unknown()).is_none());
    }

    #[test]
    fn age_is_written_in_its_largest_unit() {
        for (seconds, text) in [
            (-5, "0 seconds ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (7300, "2 hours ago"),
            (86_400 * 3, "3 days ago"),
        ] {
            assert_eq!(ago(seconds), text);
        }
    }

    #[test]
    fn content_security_policy_has_no_exceptions() {
        assert!(!POLICY.contains("unsafe") && !POLICY.contains('*') && !POLICY.contains("data:"));
    }
}
