//! Badges: small pictures of a stack or sample for READMEs and other sites.

use axum::body::Body as HttpBody;
use axum::http::Response;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use maud::{Markup, html};

use super::budget::start;
use super::feed::xml;
use super::missing;
use super::shown::Shown;
use super::visit::{EntryQuery, Visit};
use crate::http::body::{Body, Caching};

/// Longest text of a badge, in characters.
const TEXT_CHARS: usize = 32;

/// The badges, with their names in paths and their labels.
pub(super) const BADGES: [(&str, &str); 3] =
    [("version.svg", "devfile"), ("schema.svg", "schema"), ("updated.svg", "updated")];

/// A badge of an entry, or of the version that the query names.
pub(super) fn answer(visit: Visit<'_>, (registry, name, badge): (String, String, String)) -> Response<HttpBody> {
    let query = EntryQuery::parse(visit.query);
    let shown = visit.entry(&registry, &name, query.only).and_then(|entry| visit.version(entry, &query.version));
    let shown = match shown {
        Ok(shown) => shown,
        Err(missing) => return *missing,
    };
    let Some((_, label)) = BADGES.into_iter().find(|(name, _)| *name == badge) else {
        return visit.missing(&missing::path());
    };
    let value = match label {
        "devfile" => shown.name().to_owned(),
        "schema" => shown.version.map_or("", |version| &version.schema_version).to_owned(),
        _ => updated(visit, &shown),
    };
    let value = if value.trim().is_empty() { "unknown".to_owned() } else { value };
    let colour = if shown.is_deprecated() { "#8a4b00" } else { "#3342b4" };
    let picture = svg(label, &value, colour).into_string();
    let mut response = Body::once("image/svg+xml", picture.into()).answer_now(visit.headers, Caching::Minute);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}

fn updated(visit: Visit<'_>, shown: &Shown<'_>) -> String {
    let viewer_index = &visit.snapshot.viewer_index;
    let position = viewer_index.position(&shown.entry.name, Some(shown.entry.entry_type));
    let moment = position.and_then(|position| match shown.version {
        Some(version) => viewer_index.history.version(position, version),
        None => viewer_index.history.entry(position).updated,
    });
    moment.map(|moment| moment.strftime("%-d %b %Y").to_string()).unwrap_or_default()
}

/// A picture with a label and a value. Browsers stretch the texts to the widths that are estimated here.
fn svg(label: &str, value: &str, colour: &str) -> Markup {
    let cut = |text: &str| {
        let text = xml(text);
        let start = start(&text, TEXT_CHARS);
        if start.len() == text.len() { text } else { format!("{start}…") }
    };
    let (label, value) = (cut(label), cut(value));
    let (left, right) = (width(&label), width(&value));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(left + right) height="20" role="img" aria-label={ (label) ": " (value) } {
            title { (label) ": " (value) }
            rect width=(left) height="20" rx="3" fill="#444d5c" {}
            rect x=(left) width=(right) height="20" rx="3" fill=(colour) {}
            g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" {
                text x="6" y="14" textLength=(left - 12) { (label) }
                text x=(left + 6) y="14" textLength=(right - 12) { (value) }
            }
        }
    }
}

/// The width of a text with its margins, in pixels.
fn width(text: &str) -> usize {
    let of = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | '|' | '\'' | ' ' => 4,
        'm' | 'w' | 'M' | 'W' => 10,
        c if c.is_ascii() => 7,
        _ => 11,
    };
    text.chars().map(of).sum::<usize>() + 12
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::fixture::ATTACK;

    #[test]
    fn badge_of_hostile_texts_is_a_small_picture_without_markup_of_theirs() {
        let shown = svg("devfile", &format!("\u{1}{ATTACK}{}", "é".repeat(10_000)), "#000").into_string();
        assert!(shown.len() < 1500 && shown.contains('…'), "{shown}");
        assert!(shown.contains("&lt;script&gt;") && !shown.contains("<script") && !shown.contains('\u{1}'), "{shown}");
    }
}
