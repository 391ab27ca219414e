//! An entry for other sites and programs: its card to embed, its badges and feed, and its description for search engines.

use axum::body::Body as HttpBody;
use axum::http::Response;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use devfile_registry::index::to_pretty_json;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::json;

use super::assets::EMBED_STYLE;
use super::badge::BADGES;
use super::budget::{brief, short};
use super::detail::Detail;
use super::link::safe_link;
use super::list::{path_of, type_mark};
use super::page::{HTML, icon};
use super::source::{git_of, remote_of};
use super::visit::{EntryQuery, Visit};
use crate::http::body::Body;
use crate::view::browse::viewer_index::title;

/// The permissions of a card: any site may show it, and it loads nothing but its style and icon.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *";

/// Most tags in the description for search engines.
const KEYWORDS: usize = 20;

/// The card of an entry, for frames of other sites.
pub(super) fn answer_embed(visit: Visit<'_>, (registry, name): (String, String)) -> Response<HttpBody> {
    let query = EntryQuery::parse(visit.query);
    let shown = visit.entry(&registry, &name, query.only).and_then(|entry| visit.version(entry, &query.version));
    let shown = match shown {
        Ok(shown) => shown,
        Err(missing) => return *missing,
    };
    let (entry, viewer_index) = (shown.entry, &visit.snapshot.viewer_index);
    let page = path_of(entry, viewer_index, visit.registry).version(&query.version);
    let schema = shown.version.map_or("", |version| &version.schema_version);
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title(entry)) " · " (visit.registry.name) }
                link rel="stylesheet" href=(EMBED_STYLE.url);
            }
            body {
                main {
                    (icon(viewer_index.pictures.of(entry).as_deref(), title(entry), 44))
                    div {
                        h1 { a href=(page) target="_blank" rel="noopener" { (title(entry)) } }
                        p.by {
                            (type_mark(entry.entry_type))
                            @if shown.is_deprecated() { span.mark.deprecated { "Deprecated" } }
                            @if !entry.provider.trim().is_empty() { span { "by " (short(&entry.provider)) } }
                        }
                        p { (brief(shown.description())) }
                        p.by {
                            @if !shown.name().is_empty() { span { "Version " (shown.name()) } }
                            @if !schema.is_empty() { span { "Schema " (short(schema)) } }
                            span { "From " (visit.registry.name) }
                        }
                    }
                }
            }
        }
    };
    let body = Body::once(HTML, document.into_string().into());
    let mut response = body.answer_now(visit.headers, visit.registry.caching);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The feed, badges and card of an entry with the texts to copy, and its description for search engines.
pub(super) fn section(detail: &Detail<'_>) -> Markup {
    let (path, registry) = (&detail.path, detail.visit.registry);
    let name = title(detail.shown.entry);
    // Brackets and line ends would end the text of a link in Markdown.
    let label: String = name.chars().filter(|c| !c.is_control() && !"[]()!\\<>`".contains(*c)).collect();
    let markdown = format!("[![{label}]({})]({})", registry.url(&path.badge(BADGES[0].0)), registry.url(&path.page()));
    let card = html! {
        iframe src=(registry.url(&path.embed())) title=(name) width="420" height="180" loading="lazy" {}
    };
    html! {
        section.share aria-labelledby="share" {
            h2 #share { "Follow and embed" }
            @if registry.origin.is_some() { p { a href=(path.feed()) { "Atom feed of its versions" } } }
            details {
                summary { "Badges and card for other sites" }
                ul.badges { @for (badge, label) in BADGES { li { img src=(path.badge(badge)) alt=(label) height="20"; } } }
                h3 { "Badge in Markdown" }
                pre tabindex="0" role="region" aria-label="Badge in Markdown" { code { (markdown) } }
                h3 { "Card in HTML" }
                pre tabindex="0" role="region" aria-label="Card in HTML" { code { (card.into_string()) } }
            }
            (data(detail))
        }
    }
}

/// The description for search engines, in JSON-LD. The escapes of this JSON leave no way out of its element, and a block of data is no
/// script, so the policy of pages allows it.
fn data(detail: &Detail<'_>) -> Markup {
    let (shown, registry) = (&detail.shown, detail.visit.registry);
    let entry = shown.entry;
    let mut data = json!({
        "@context": "https://schema.org",
        "@type": "SoftwareSourceCode",
        "name": title(entry),
        "description": brief(shown.description()),
        "url": registry.url(&detail.path.page()),
        "keywords": shown.tags().iter().take(KEYWORDS).map(|tag| short(tag)).collect::<Vec<_>>(),
    });
    let repository = git_of(shown).and_then(|git| safe_link(remote_of(git))).filter(|url| url.starts_with("https://"));
    let optional = [
        ("programmingLanguage", Some(short(&entry.language))),
        ("version", Some(shown.name())),
        ("codeRepository", repository),
    ];
    for (name, value) in optional {
        if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
            data[name] = json!(value);
        }
    }
    if !entry.provider.trim().is_empty() {
        data["author"] = json!({"@type": "Organization", "name": short(&entry.provider)});
    }
    let text = String::from_utf8(to_pretty_json(&data)).unwrap_or_default();
    html! { script type="application/ld+json" { (PreEscaped(text)) } }
}
