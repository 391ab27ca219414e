//! The pages behind the tabs: commands, components, the devfile's text and the versions.

use axum::body::Body;
use axum::http::Response;
use maud::{Markup, html};

use super::budget::{PageBudget, SECTION_BYTES, left_out, short};
use super::compare;
use super::detail::{Detail, Tab};
use super::page::{Glyph, day, glyph};
use super::shown::sorted;
use super::tables;
use super::visit::Visit;
use crate::view::browse::viewer_index::title;
use crate::view::catalog::is_deprecated_tag;

type Names = (String, String);

fn answer(visit: Visit<'_>, (registry, name): &Names, tab: Tab, body: fn(&Detail<'_>) -> Markup) -> Response<Body> {
    match Detail::find(visit, registry, name) {
        Ok(detail) => visit.found(&detail.page(tab, html! {}, body(&detail))),
        Err(missing) => *missing,
    }
}

/// Answers with the commands of a version.
pub(super) fn commands(visit: Visit<'_>, names: Names) -> Response<Body> {
    answer(visit, &names, Tab::Commands, |detail| {
        let content = detail.content.as_deref();
        let devfile =
            content.and_then(|content| content.devfile.as_ref()).filter(|devfile| !devfile.commands.is_empty());
        html! {
            @match devfile {
                Some(devfile) => (tables::commands(devfile, content.and_then(|content| content.picture.as_deref()))),
                None => p.empty-note { "This version has no commands of its own." },
            }
            (inherited(detail))
        }
    })
}

/// Answers with the components of a version.
pub(super) fn components(visit: Visit<'_>, names: Names) -> Response<Body> {
    answer(visit, &names, Tab::Components, |detail| {
        let devfile = detail.content.as_deref().and_then(|content| content.devfile.as_ref());
        html! {
            @match devfile.filter(|devfile| !devfile.components.is_empty()) {
                Some(devfile) => (tables::components(devfile)),
                None => p.empty-note { "This version has no components of its own." },
            }
            (inherited(detail))
        }
    })
}

/// Says that a parent brings more.
fn inherited(detail: &Detail<'_>) -> Markup {
    html! {
        @if has_parent(detail) {
            p.side-note {
                "The parent brings more: see the " a href=(detail.path.below("/flattened", detail.version())) { "flattened devfile" } "."
            }
        }
    }
}

fn has_parent(detail: &Detail<'_>) -> bool {
    let (snapshot, entry) = (detail.visit.snapshot, detail.shown.entry);
    let position = snapshot.viewer_index.position(&entry.name, Some(entry.entry_type));
    let lineage = snapshot.lineage(detail.visit.viewer.own_url().as_deref());
    position.is_some_and(|position| lineage.parent(position, detail.shown.name()).is_some())
}

/// Answers with the text of a devfile.
pub(super) fn devfile(visit: Visit<'_>, names: Names) -> Response<Body> {
    answer(visit, &names, Tab::Devfile, devfile_section)
}

fn devfile_section(detail: &Detail<'_>) -> Markup {
    let Some(content) = &detail.content else {
        return html! {
            p.empty-note { "This registry does not hold the devfile itself; it is in the sample's Git repository." }
        };
    };
    let rest = detail.rest();
    let (entry, name) = (detail.shown.entry, detail.shown.name());
    let share = detail.visit.registry.url(&detail.path.below("/devfile", name));
    html! {
        section.tab-body aria-labelledby="devfile" {
            div.section-head {
                h2 #devfile { "Devfile" }
                div.actions {
                    @if !content.code.is_cut {
                        button.plain.script type="button" data-copy="#code" { (glyph(Glyph::Copy)) span { "Copy" } }
                    }
                    @if let Some(rest) = &rest {
                        a.plain href=(rest) { (glyph(Glyph::Raw)) "Raw" }
                        a.plain href=(rest) download="devfile.yaml" { (glyph(Glyph::Download)) "Download" }
                    }
                    a.plain href=(share) data-share { (glyph(Glyph::Share)) span { "Share" } }
                    @if has_parent(detail) {
                        a.plain href=(detail.path.below("/flattened", detail.version())) { "Flattened" }
                    }
                }
            }
            pre.code tabindex="0" role="region" aria-label={ "devfile.yaml of " (title(entry)) " " (name) } {
                code #code { (content.code.rows) }
            }
            @if content.code.is_cut {
                p.notice {
                    "The lines after line " (content.code.count) " are not shown here. "
                    @if let Some(rest) = &rest { a href=(rest) { "The whole devfile" } "." }
                }
            }
        }
    }
}

/// Answers with the versions of an entry.
pub(super) fn versions(visit: Visit<'_>, names: Names) -> Response<Body> {
    answer(visit, &names, Tab::Versions, versions_section)
}

fn versions_section(detail: &Detail<'_>) -> Markup {
    let (entry, shown, path) = (detail.shown.entry, &detail.shown, &detail.path);
    let sorted = sorted(entry);
    let rows = PageBudget(SECTION_BYTES).fit(sorted.iter().enumerate(), |(position, version)| {
        html! {
            tr {
                td {
                    a href=(path.version(&version.version)) aria-current=[(version.version == shown.name()).then_some("true")] { (version.version) }
                    @if version.default { " " span.mark { "default" } }
                    @if version.tags.iter().any(|tag| is_deprecated_tag(tag)) { " " span.mark.deprecated { "deprecated" } }
                }
                td { (short(&version.schema_version)) }
                td { @if let Some(day) = day(&version.last_modified) { (day) } @else { "–" } }
                td {
                    @if let Some(older) = sorted.get(position + 1) {
                        a href=(path.compare(&older.version, &version.version)) { "since " (older.version) }
                    } @else { "–" }
                }
            }
        }
    });
    html! {
        section.tab-body aria-labelledby="versions" {
            div.section-head {
                h2 #versions { "Versions" }
                @if sorted.len() > 1 { (compare::form(detail, &sorted[1].version, &sorted[0].version, &html! {})) }
            }
            @if sorted.is_empty() { p.empty-note { "This entry has no versions." } } @else {
                div.table tabindex="0" role="region" aria-label="Table of versions" {
                    table {
                        thead { tr { th scope="col" { "Version" } th scope="col" { "Schema" } th scope="col" { "Updated" } th scope="col" { "Changes" } } }
                        tbody { (rows.rows) }
                    }
                }
                (left_out(sorted.len() - rows.count))
            }
        }
    }
}
