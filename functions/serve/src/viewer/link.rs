//! Links: those to pages of the viewer, and those that a stack's owner wrote.

use maud::{Markup, html};

use devfile_registry::index::EntryType;
pub(super) use devfile_registry::text::url_segment as segment;

use super::budget::{LINK_BYTES, brief};

/// A path with each of its names encoded.
pub(super) fn encoded(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// A link that may stand on a page: `https`, `mailto`, or relative to this registry. Nothing else is a link here,
/// so that a devfile cannot bring a script or lead to another scheme.
pub(super) fn safe_link(text: &str) -> Option<&str> {
    let text = text.trim();
    let plain = (1..=LINK_BYTES).contains(&text.len())
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "\\\"<>".contains(c));
    let scheme = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let host = || text.get(8..).is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
    let relative = || text.starts_with('/') && !text.starts_with("//");
    (plain && (scheme("https://") && host() || scheme("mailto:") || relative())).then_some(text)
}

/// A Git remote, as a link where that is safe.
pub(super) fn remote_link(remote: &str) -> Markup {
    html! {
        @match repository_page(remote) {
            Some(page) => { a href=(page) rel="noopener noreferrer nofollow" { (short_url(page)) } }
            None => { code { (brief(remote)) } }
        }
    }
}

/// A URL without its scheme and trailing slash.
pub(super) fn short_url(url: &str) -> &str {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("mailto:")).unwrap_or(url);
    rest.trim_end_matches('/')
}

/// A Git remote as a page for people, where its host shows one under the same URL.
pub(super) fn repository_page(remote: &str) -> Option<&str> {
    let page = safe_link(remote).filter(|link| !link.starts_with('/'))?;
    Some(page.strip_suffix(".git").unwrap_or(page))
}

/// The name of a registry as it stands in paths: lower-case words with hyphens, as existing viewers write it.
pub(super) fn slug(name: &str) -> String {
    let words: Vec<String> =
        name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    if words.is_empty() { "registry".to_owned() } else { words.join("-") }
}

/// The entry that a page is about, as far as its path names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryPath<'a> {
    /// The registry, as in paths.
    pub(super) registry: &'a str,
    /// The entry's name.
    pub(super) name: &'a str,
    /// Its type, where a stack and a sample share the name.
    pub(super) only: Option<EntryType>,
}

impl EntryPath<'_> {
    /// The page of the default version.
    pub(super) fn page(&self) -> String {
        self.with("", &[])
    }

    /// The feed of the versions.
    pub(super) fn feed(&self) -> String {
        self.with("/feed.atom", &[])
    }

    /// A badge of the default version.
    pub(super) fn badge(&self, badge: &str) -> String {
        self.with(&format!("/badges/{badge}"), &[])
    }

    /// The card for other sites.
    pub(super) fn embed(&self) -> String {
        let type_of = self.only.map(|only| format!("?type={}", type_name(only))).unwrap_or_default();
        format!("/viewer/embed/{}/{}{type_of}", segment(self.registry), segment(self.name))
    }

    /// The page of a version.
    pub(super) fn version(&self, version: &str) -> String {
        self.with("", &[("devfile-version", version)])
    }

    /// The comparison of two versions.
    pub(super) fn compare(&self, from: &str, to: &str) -> String {
        self.with("/compare", &[("from", from), ("to", to)])
    }

    /// A page below that of the entry, of a version; of the default one when the version is empty.
    pub(super) fn below(&self, below: &str, version: &str) -> String {
        self.with(below, &[("devfile-version", version)])
    }

    /// The page of a file of a version, by its path in the version's folder.
    pub(super) fn file(&self, path: &str, version: &str) -> String {
        self.below(&format!("/files/{}", encoded(path)), version)
    }

    /// The path alone.
    pub(super) fn path(&self) -> String {
        format!("/viewer/devfiles/{}/{}", segment(self.registry), segment(self.name))
    }

    fn with(&self, below: &str, query: &[(&str, &str)]) -> String {
        let mut link = self.path() + below;
        let only = self.only.map(|only| ("type", type_name(only)));
        for (position, (name, value)) in
            query.iter().copied().filter(|(_, value)| !value.is_empty()).chain(only).enumerate()
        {
            link.push(if position == 0 { '?' } else { '&' });
            link.push_str(name);
            link.push('=');
            link.push_str(&segment(value));
        }
        link
    }
}

/// The type as links write it.
pub(super) fn type_name(entry_type: EntryType) -> &'static str {
    match entry_type {
        EntryType::Stack => "stack",
        EntryType::Sample => "sample",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_safe_links_are_links() {
        for good in
            ["https://example.com", "HTTPS://example.com/a?b#c", "mailto:a@example.com", "/viewer", " https://e.com "]
        {
            assert_eq!(safe_link(good), Some(good.trim()), "{good}");
        }
        assert_eq!(safe_link(&format!("https://example.com/{}", "a".repeat(LINK_BYTES))), None);
        for bad in [
            "",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "\u{1}javascript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "http://example.com",
            "//example.com",
            "/\\example.com",
            "\\\\example.com",
            "https://",
            "https:///x",
            "https:x",
            "ftp://example.com",
            "git@github.com:a/b.git",
            "https://e.com/\"onclick=x",
            "https://e.com/ x",
            "example.com",
            "é",
        ] {
            assert_eq!(safe_link(bad), None, "{bad}");
        }
    }

    #[test]
    fn remote_has_a_page_where_it_is_a_safe_link() {
        assert_eq!(repository_page("https://github.com/a/b.git"), Some("https://github.com/a/b"));
        assert_eq!(repository_page("git@github.com:a/b.git"), None);
        assert_eq!(repository_page("/a"), None);
    }

    #[test]
    fn name_of_a_registry_becomes_a_path_segment() {
        for (name, expected) in [
            ("Devfile Registry", "devfile-registry"),
            ("Community", "community"),
            ("  A & B!", "a-b"),
            ("//", "registry"),
        ] {
            assert_eq!(slug(name), expected);
        }
    }

    #[test]
    fn link_to_an_entry_has_its_version_and_type() {
        let path = EntryPath { registry: "r", name: "a b/c", only: None };
        assert_eq!(path.page(), "/viewer/devfiles/r/a%20b%2Fc");
        assert_eq!(path.version("1.0&x"), "/viewer/devfiles/r/a%20b%2Fc?devfile-version=1.0%26x");
        assert_eq!(path.version(""), path.page());
        let sample = EntryPath { registry: "r", name: "go", only: Some(EntryType::Sample) };
        assert_eq!(sample.page(), "/viewer/devfiles/r/go?type=sample");
        assert_eq!(sample.compare("1", "2"), "/viewer/devfiles/r/go/compare?from=1&to=2&type=sample");
    }

    proptest! {
        #[test]
        fn a_link_has_a_known_start(text in "\\PC{0,40}|(java|https|mailto|data|//|/|\\\\)?[:/a-z\\\\]{0,20}") {
            if let Some(link) = safe_link(&text) {
                let lower = link.to_lowercase();
                let relative = lower.starts_with('/') && !lower.starts_with("//") && !lower.starts_with("/\\");
                prop_assert!(lower.starts_with("https://") || lower.starts_with("mailto:") || relative);
            }
        }

        #[test]
        fn a_segment_is_one_segment(text in "\\PC{0,20}") {
            let segment = segment(&text);
            prop_assert!(!segment.contains(['/', '?', '#', '&', '=', '"', '<']));
        }
    }
}
