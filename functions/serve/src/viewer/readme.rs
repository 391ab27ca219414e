//! `README.md` of a stack or version, as HTML.
//!
//! The renderer writes the elements of CommonMark and tables and nothing else: HTML of the author is left out, its text stays.
//! Links pass [`safe_link`], pictures come from this registry alone.

use maud::{Markup, PreEscaped};
use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};

use super::files::{PICTURES, ends_with};
use super::link::{EntryPath, encoded, safe_link};
use super::source::RepositoryLinks;
use devfile_registry::validate::path_from;

/// Longest README that is rendered, in bytes.
pub(super) const READ_BYTES: u64 = 128 << 10;

/// Room for the result, in bytes of HTML.
const ROOM_BYTES: usize = 512 << 10;

/// The surroundings of a README: the targets of its relative links.
pub(super) struct Around<'a> {
    /// Its path in the registry repository.
    pub(super) path: &'a str,
    /// The folder of the version.
    pub(super) folder: &'a str,
    /// The pages of the entry.
    pub(super) entry: &'a EntryPath<'a>,
    /// The version, as links name it.
    pub(super) version: &'a str,
    /// The registry repository on its host.
    pub(super) source: Option<&'a RepositoryLinks>,
    /// Whether the release has a file, by its path.
    pub(super) has: &'a dyn Fn(&str) -> bool,
}

/// Renders a README; `None` when the result is too large for a page.
pub(super) fn render(text: &str, around: &Around<'_>) -> Option<String> {
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
    let mut out = String::new();
    html::push_html(&mut out, Safe { events: parser, around, links: Vec::new(), pictures: Vec::new() });
    (out.len() <= ROOM_BYTES).then_some(out)
}

/// The rendered text as a section of a page.
pub(super) fn markup(html: &str) -> Markup {
    PreEscaped(html.to_owned())
}

/// Passes on the safe events.
struct Safe<'a, 'b, P> {
    events: P,
    around: &'a Around<'b>,
    /// Whether each open link is one on the page.
    links: Vec<bool>,
    /// Whether each open picture is one on the page.
    pictures: Vec<bool>,
}

impl<'e, P: Iterator<Item = Event<'e>>> Iterator for Safe<'_, '_, P> {
    type Item = Event<'e>;

    fn next(&mut self) -> Option<Event<'e>> {
        loop {
            let event = self.events.next()?;
            if let Some(event) = self.pass(event) {
                return Some(event);
            }
        }
    }
}

impl<P> Safe<'_, '_, P> {
    fn pass<'e>(&mut self, event: Event<'e>) -> Option<Event<'e>> {
        match event {
            Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {
                None
            }
            // The page has the heading of the first level, and ids of its own.
            Event::Start(Tag::Heading { level, .. }) => {
                Some(Event::Start(Tag::Heading { level: below(level), id: None, classes: vec![], attrs: vec![] }))
            }
            Event::End(TagEnd::Heading(level)) => Some(Event::End(TagEnd::Heading(below(level)))),
            // An alignment would be a style.
            Event::Start(Tag::Table(columns)) => {
                Some(Event::Start(Tag::Table(columns.iter().map(|_| pulldown_cmark::Alignment::None).collect())))
            }
            Event::Start(Tag::Link { link_type, dest_url, title, .. }) => {
                let address = match link_type {
                    LinkType::Email => CowStr::from(format!("mailto:{dest_url}")),
                    _ => dest_url,
                };
                // The text that stands for a picture has no links.
                let target = self.target(&address).filter(|_| !self.pictures.contains(&true));
                self.links.push(target.is_some());
                Some(Event::InlineHtml(link_start(&target?, &title).into()))
            }
            Event::End(TagEnd::Link) => self.links.pop()?.then(|| Event::InlineHtml(LINK_END.into())),
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                let picture = self.picture(&dest_url);
                self.pictures.push(picture.is_some());
                let dest_url = CowStr::from(picture?);
                Some(Event::Start(Tag::Image { link_type, dest_url, title, id }))
            }
            Event::End(TagEnd::Image) => self.pictures.pop()?.then_some(event),
            other => Some(other),
        }
    }

    /// The target of a link: an address of its own, or a file of the repository.
    fn target(&self, link: &str) -> Option<String> {
        if link.contains(':') || link.starts_with('/') {
            return safe_link(link).filter(|link| !link.starts_with('/')).map(str::to_owned);
        }
        let path = self.path(link)?;
        let inside = path.strip_prefix(self.around.folder).and_then(|path| path.strip_prefix('/'));
        match inside {
            Some(inside) if (self.around.has)(&path) => Some(self.around.entry.file(inside, self.around.version)),
            _ => self.around.source?.file(&path),
        }
    }

    /// The address of a picture that this registry has.
    fn picture(&self, link: &str) -> Option<String> {
        if link.contains(':') || link.starts_with('/') {
            return None;
        }
        let path = self.path(link)?;
        let is_picture = ends_with(&path, &PICTURES) && (self.around.has)(&path);
        is_picture.then(|| format!("/{}", encoded(&path)))
    }

    /// The path in the repository that a relative link means.
    fn path(&self, link: &str) -> Option<String> {
        let link = link.split(['#', '?']).next().filter(|path| !path.is_empty())?;
        let decoded = percent_encoding::percent_decode_str(link).decode_utf8().ok()?;
        path_from(self.around.path, &decoded)
    }
}

/// The end of a link. The renderer's own links have no `rel`.
const LINK_END: &str = "</a>";

/// The start of a link. One that leads away from this registry has the `rel` of all links of authors.
fn link_start(target: &str, title: &str) -> String {
    let rel = (!target.starts_with('/')).then_some("noopener noreferrer nofollow");
    let title = (!title.is_empty()).then_some(title);
    let link = maud::html! { a href=(target) rel=[rel] title=[title] {} }.into_string();
    link.strip_suffix(LINK_END).unwrap_or_default().to_owned()
}

/// The level of a heading below the page's own.
fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        HeadingLevel::H2 => HeadingLevel::H3,
        HeadingLevel::H3 => HeadingLevel::H4,
        HeadingLevel::H4 => HeadingLevel::H5,
        HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rendered(text: &str) -> String {
        let entry = EntryPath { registry: "clay", name: "kiln", only: None };
        let has = |path: &str| matches!(path, "stacks/kiln/1.0.0/docs/use.md" | "stacks/kiln/1.0.0/a b.png");
        let (path, folder) = ("stacks/kiln/1.0.0/README.md", "stacks/kiln/1.0.0");
        let around = Around { path, folder, entry: &entry, version: "1.0.0", source: None, has: &has };
        render(text, &around).unwrap()
    }

    #[test]
    fn markdown_becomes_html_below_the_heading_of_the_page() {
        insta::assert_snapshot!(
            rendered("# Kiln\n\nBakes *pages* & `<b>`.\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n\n```sh\nodo dev\n```\n"),
            @r#"
        <h2>Kiln</h2>
        <p>Bakes <em>pages</em> &amp; <code>&lt;b&gt;</code>.</p>
        <table><thead><tr><th>a</th><th>b</th></tr></thead><tbody>
        <tr><td>1</td><td>2</td></tr>
        </tbody></table>
        <pre><code class="language-sh">odo dev
        </code></pre>
        "#
        );
    }

    #[test]
    fn link_leads_to_a_file_of_the_version_or_to_a_safe_address() {
        for (text, expected) in [
            (
                "[use](docs/use.md#first)",
                "<p><a href=\"/viewer/devfiles/clay/kiln/files/docs/use.md?devfile-version=1.0.0\">use</a></p>\n",
            ),
            ("[x](https://e.com/a)", "<p><a href=\"https://e.com/a\" rel=\"noopener noreferrer nofollow\">x</a></p>\n"),
            ("[x](javascript:alert)", "<p>x</p>\n"),
            ("[x](//e.com)", "<p>x</p>\n"),
            ("[x](/viewer)", "<p>x</p>\n"),
            ("[x](../../../../etc)", "<p>x</p>\n"),
            ("[x](#there)", "<p>x</p>\n"),
            ("![alt](a%20b.png)", "<p><img src=\"/stacks/kiln/1.0.0/a%20b.png\" alt=\"alt\" /></p>\n"),
            ("![alt](https://e.com/a.png)", "<p>alt</p>\n"),
            ("![alt](gone.png)", "<p>alt</p>\n"),
            ("a <script>alert(1)</script> b", "<p>a alert(1) b</p>\n"),
            ("<script>alert(1)</script>", ""),
            ("<img src=x onerror=alert(1)>", ""),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }

    #[test]
    fn link_to_another_host_has_the_rel_of_other_links_of_authors() {
        for (text, expected) in [
            (
                "[x](https://e.com/a \"a \\\" & b\")",
                "<p><a href=\"https://e.com/a\" rel=\"noopener noreferrer nofollow\" title=\"a &quot; &amp; b\">x</a></p>\n",
            ),
            (
                "<mailto:a@e.com>",
                "<p><a href=\"mailto:a@e.com\" rel=\"noopener noreferrer nofollow\">mailto:a@e.com</a></p>\n",
            ),
            ("<a@e.com>", "<p><a href=\"mailto:a@e.com\" rel=\"noopener noreferrer nofollow\">a@e.com</a></p>\n"),
            (
                "![a [b](https://e.com) c](a%20b.png)",
                "<p><img src=\"/stacks/kiln/1.0.0/a%20b.png\" alt=\"a b c\" /></p>\n",
            ),
            (
                "![a [b](https://e.com) c](gone.png)",
                "<p>a <a href=\"https://e.com\" rel=\"noopener noreferrer nofollow\">b</a> c</p>\n",
            ),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn only_elements_of_the_renderer_are_written(text in "[\\[\\]()!<>a-z:/\"'=# \n*`|&;-]{0,120}") {
            let out = rendered(&text);
            for tag in out.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()) {
                let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
                let known = "p h2 h3 h4 h5 h6 em strong del code pre ul ol li blockquote hr br a img table thead tbody tr th td";
                prop_assert!(known.split(' ').any(|known| known == name), "<{}> of {:?}", tag, text);
                let outside: String = tag.split('"').step_by(2).collect();
                prop_assert!(!outside.contains(" on") && !outside.contains("style"), "<{}> of {:?}", tag, text);
            }
        }
    }
}
