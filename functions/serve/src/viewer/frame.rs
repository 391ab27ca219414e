//! The frame of a preview's pages: a banner, and links that stay below the path of the preview.

use std::sync::Arc;

use devfile_registry::preview::Preview;
use maud::{Markup, html};

use super::budget::{brief, short};
use super::link::safe_link;

/// Changed parts that the banner names.
const NAMED_PARTS: usize = 12;

/// The first segments of the paths that a preview answers.
const SHOWN: [&str; 5] = ["index", "v2index", "devfiles", "stacks", "viewer"];

/// Paths below them that it does not answer: those that other sites and programs follow.
const HIDDEN: [&str; 2] = ["/viewer/embed", "/viewer/feed.atom"];

/// A preview, as its pages name it.
#[derive(Debug)]
pub(crate) struct Frame {
    preview: Arc<Preview>,
    /// The path of the preview, without a slash at its end.
    base: String,
}

impl Frame {
    /// The frame of a preview.
    pub(crate) fn new(preview: Arc<Preview>) -> Self {
        Self { base: preview.path(), preview }
    }

    /// The number of the proposal.
    pub(super) fn number(&self) -> u64 {
        self.preview.number
    }

    /// The path of the preview.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Whether a preview answers a path of the registry, which may have a query.
    pub(crate) fn shows(path: &str) -> bool {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let is_hidden = HIDDEN
            .iter()
            .any(|hidden| path == *hidden || path.strip_prefix(hidden).is_some_and(|rest| rest.starts_with('/')));
        // A starter project would be fetched from the host that the proposal names.
        let is_starter = path.starts_with("/devfiles/") && path.contains("/starter-projects");
        let mut segments = path.split('/').skip(1);
        let first = segments.next().unwrap_or_default();
        path.starts_with('/') && SHOWN.contains(&first) && !is_hidden && !is_starter
    }

    /// A page whose links to content of the preview stay below its path, those of authors too. Attributes alone have a quote before
    /// the slash: `maud` escapes those of texts.
    pub(super) fn below(&self, document: &str) -> String {
        let mut out = String::with_capacity(document.len() + document.len() / 16);
        let mut rest = document;
        while let Some(at) = rest.find("=\"/") {
            let (before, value) = rest.split_at(at + 2);
            out.push_str(before);
            let is_link = [" href=\"", " src=\"", " action=\""].iter().any(|attribute| before.ends_with(attribute));
            let end = value.find('"').unwrap_or(value.len());
            if is_link && Self::shows(&value[..end]) {
                out.push_str(&self.base);
            }
            rest = value;
        }
        out.push_str(rest);
        out
    }

    /// The proposal of the page, its commit, and the changes against the live release.
    pub(super) fn banner(&self) -> Markup {
        let Preview { changes, .. } = &*self.preview;
        let name = format!("#{}", self.preview.number);
        let new = changes.added.len();
        let changed = changes.changed.len().saturating_sub(new);
        let parts = changes.changed.iter().chain(&changes.removed);
        let left_out = parts.clone().count().saturating_sub(NAMED_PARTS);
        html! {
            aside.notice aria-label="Preview" data-preview=(self.preview.number) {
                div {
                    p {
                        strong { "Preview" } " of "
                        @match safe_link(&self.preview.url) {
                            Some(page) => { a href=(page) rel="noopener noreferrer nofollow" { (name) } }
                            None => { (name) }
                        }
                        @if !self.preview.title.is_empty() { " “" (brief(&self.preview.title)) "”" }
                        @if !self.preview.author.is_empty() { " by " (short(&self.preview.author)) }
                        " at " code { (self.preview.commit_hash.short()) }
                        ". None of it is live."
                    }
                    p {
                        "Against the live release of " code { (self.preview.base_commit.short()) } ": "
                        (new) " new, " (changed) " changed, " (changes.removed.len()) " removed"
                        @if self.preview.quarantined > 0 {
                            ", " a href="/viewer/status" { (self.preview.quarantined) " with errors" }
                        }
                        ". It ends on " (self.preview.expires_at.instant().strftime("%-d %b %Y")) " or with the proposal"
                        "."
                    }
                    @if changes.changed.len() + changes.removed.len() > 0 {
                        ul.inline {
                            @for part in parts.take(NAMED_PARTS) { li { code { (short(part)) } } }
                            @if left_out > 0 { li { "and " (left_out) " more" } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preview_answers_documents_files_and_pages_alone() {
        for path in [
            "/index",
            "/v2index/all?language=go",
            "/devfiles/go",
            "/stacks/go/1.0.0/a.yaml",
            "/viewer",
            "/viewer/devfiles/r/go",
        ] {
            assert!(Frame::shows(path), "{path}");
        }
        for path in [
            "",
            "/",
            "//viewer",
            "viewer",
            "/viewerx",
            "/index.json",
            "/v2/",
            "/status",
            "/health",
            "/previews/8/viewer",
            "/sitemap.xml",
            "/viewer/embed/r/go",
            "/viewer/feed.atom",
            "/devfiles/go/starter-projects/x",
            "/devfiles/go/1.0.0/starter-projects/x",
            "https://example.org/viewer",
        ] {
            assert!(!Frame::shows(path), "{path}");
        }
    }

    fn frame() -> Frame {
        let document = serde_json::json!({
            "number": 7, "commit_hash": "0".repeat(40), "base_commit": "1".repeat(40), "title": "<b>\" href=\"/viewer",
            "author": "potter", "url": "javascript:alert(1)", "opened_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-15T00:00:00Z", "changes": {"changed": ["stacks/kiln/1.0.0"], "removed": []},
            "release": format!("sha256:{}", "0".repeat(64)), "base": format!("sha256:{}", "1".repeat(64)),
        });
        Frame::new(Arc::new(Preview::from_bytes(7, document.to_string().as_bytes()).unwrap()))
    }

    #[test]
    fn links_stay_below_the_path_of_the_preview() {
        let page = html! {
            a href="/viewer?a=b" { "in" } a href="/openapi.json" { "out" } a href="//example.org/viewer" { "out" }
            img src="/viewer/icons/x"; form action="/viewer" {} a href="/previews/7/viewer" { "in" } a href="#/viewer" { "here" }
            p title="/viewer" { "href=\"/viewer" }
        };
        let expected = "<a href=\"/previews/7/viewer?a=b\">in</a><a href=\"/openapi.json\">out</a>\
            <a href=\"//example.org/viewer\">out</a><img src=\"/previews/7/viewer/icons/x\">\
            <form action=\"/previews/7/viewer\"></form><a href=\"/previews/7/viewer\">in</a><a href=\"#/viewer\">here</a>\
            <p title=\"/viewer\">href=&quot;/viewer</p>";
        assert_eq!(frame().below(&page.into_string()), expected);
    }

    #[test]
    fn banner_names_the_proposal_and_escapes_what_its_author_wrote() {
        let banner = frame().banner().into_string();
        for part in ["#7", "potter", "0000000", "1111111", "stacks/kiln/1.0.0", "&lt;b&gt;", "15 Jan 2026"] {
            assert!(banner.contains(part), "{part}: {banner}");
        }
        assert!(!banner.contains("javascript:") && !banner.contains("<b>"), "{banner}");
    }
}
