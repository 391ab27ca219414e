//! What changed in the devfile between two versions.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Response;
use devfile_registry::index::Entry;
use maud::{Markup, html};
use similar::{ChangeTag, DiffOp, InlineChange, TextDiff};

use super::detail::{crumbs, options, rest_path};
use super::link::{EntryPath, type_name};
use super::list::path_of;
use super::page::{Page, Registry, Section, count};
use super::room::{CODE_BYTES, Room};
use super::shown::Shown;
use super::visit::{EntryQuery, Visit};
use crate::release::snapshot::Snapshot;
use crate::view::browse::shelf::title;

/// Longest that a comparison may take; after it, the rest is shown as replaced.
const PATIENCE: Duration = Duration::from_millis(100);

/// Most of each devfile that is compared, in bytes.
const COMPARED_BYTES: usize = 256 << 10;

/// Most lines of one change, old and new, within which words are compared.
const WORDS_LINES: usize = 200;

/// Lines around a change.
const CONTEXT: usize = 4;

/// Answers with the comparison of two versions.
pub(super) fn answer(visit: Visit<'_>, (registry, name): (String, String)) -> Response<Body> {
    let query = EntryQuery::parse(visit.query);
    let versions = visit.entry(&registry, &name, query.only).and_then(|entry| {
        let to = visit.version(entry, &query.to)?;
        Ok((visit.version(entry, &query.from)?, to))
    });
    match versions {
        Ok((from, to)) => visit.found(&render(visit.snapshot, visit.registry, from, to)),
        Err(missing) => *missing,
    }
}

/// The page. Both versions are of one entry.
fn render(snapshot: &Snapshot, registry: Registry<'_>, from: Shown<'_>, to: Shown<'_>) -> Page {
    let entry = to.entry;
    let path = path_of(entry, &snapshot.shelf, registry);
    let main = html! {
        div.narrow {
            (crumbs(&[("Browse", Some("/viewer".into())), (title(entry), Some(path.page())), ("Compare", None)]))
            header.page-head {
                h1 { "Compare versions of " (title(entry)) }
                (form(entry, &path, from.name(), to.name()))
            }
            @match (from.text(), to.text()) {
                (Some(old), Some(new)) => {
                    @let (changes, is_cut) = difference(old, new, from.name(), to.name());
                    (changes)
                    @if is_cut { (cut(snapshot, from, to)) }
                }
                _ => p.empty-note { "This registry does not hold both devfiles." }
            }
        }
    };
    Page {
        title: format!("{}: {} to {}", title(entry), from.name(), to.name()),
        description: format!("What changed in {} between {} and {}.", title(entry), from.name(), to.name()),
        canonical: None,
        section: Section::Browse,
        main,
    }
}

/// Says that there is more, and where.
fn cut(snapshot: &Snapshot, from: Shown<'_>, to: Shown<'_>) -> Markup {
    html! {
        p.notice {
            "The comparison is cut here; the devfiles are too large for a page. "
            // The REST API answers a name with the stack of that name.
            @if !snapshot.shelf.is_shadowed(to.entry) {
                "Both as they are: " a href=(rest_path(&from)) { (from.name()) } ", " a href=(rest_path(&to)) { (to.name()) } "."
            }
        }
    }
}

fn form(entry: &Entry, path: &EntryPath<'_>, from: &str, to: &str) -> Markup {
    let select = |id: &'static str, label: &'static str, chosen: &str| {
        html! {
            div {
                label for=(id) { (label) }
                select id=(id) name=(id) data-submit {
                    (options(entry, chosen))
                }
            }
        }
    };
    html! {
        form.compare action={ (path.path()) "/compare" } method="get" {
            @if let Some(only) = path.only { input type="hidden" name="type" value=(type_name(only)); }
            (select("from", "From", from))
            (select("to", "To", to))
            button.plain.no-script type="submit" { "Compare" }
            a.plain href=(path.compare(to, from)) { "Swap" }
        }
    }
}

/// The changes, and whether they end before those of the devfiles do.
fn difference(old: &str, new: &str, from: &str, to: &str) -> (Markup, bool) {
    let until = Instant::now() + PATIENCE;
    let (old_start, new_start) = (start(old), start(new));
    let diff = TextDiff::configure().deadline(until).diff_lines(old_start, new_start);
    let number = |wanted: ChangeTag| diff.iter_all_changes().filter(|change| change.tag() == wanted).count();
    let (added, removed) = (number(ChangeTag::Insert), number(ChangeTag::Delete));
    let mut room = Room(CODE_BYTES);
    let mut is_cut = old_start.len() < old.len() || new_start.len() < new.len();
    let mut groups = Vec::new();
    for group in diff.grouped_ops(CONTEXT) {
        let rows = room.fit(group.iter().flat_map(|op| changes(&diff, op, until)), |change| line(&change));
        let ends = rows.is_cut;
        groups.push(rows.rows);
        if ends {
            is_cut = true;
            break;
        }
    }
    let markup = html! {
        @if added + removed == 0 {
            @if !is_cut { p.empty-note { "The devfiles of " (from) " and " (to) " are the same." } }
        } @else {
            h2.diff-head {
                code { "devfile.yaml" } " "
                span.added { (count(added, "line added", "lines added")) } ", "
                span.removed { (count(removed, "line removed", "lines removed")) }
            }
            div.diff tabindex="0" role="region" aria-label={ "Changes from " (from) " to " (to) } {
                table {
                    thead.hidden { tr { th scope="col" { "Line in " (from) } th scope="col" { "Line in " (to) } th scope="col" { "Change" } th scope="col" { "Text" } } }
                    @for group in groups { tbody { (group) } }
                }
            }
        }
    };
    (markup, is_cut)
}

/// The lines of a text that are compared.
fn start(text: &str) -> &str {
    let start = &text[..text.floor_char_boundary(COMPARED_BYTES)];
    if start.len() == text.len() { start } else { start.rfind('\n').map_or("", |end| &start[..=end]) }
}

/// The lines of a change; words within them are compared where it is short.
fn changes<'d>(diff: &'d TextDiff<'_, '_, str>, op: &DiffOp, until: Instant) -> Vec<InlineChange<'d, str>> {
    if op.old_range().len() + op.new_range().len() > WORDS_LINES {
        return diff.iter_changes(op).map(InlineChange::from).collect();
    }
    diff.iter_inline_changes_deadline(op, Some(until)).collect()
}

fn line(change: &InlineChange<'_, str>) -> Markup {
    let (class, sign) = match change.tag() {
        ChangeTag::Equal => ("same", " "),
        ChangeTag::Insert => ("add", "+"),
        ChangeTag::Delete => ("del", "−"),
    };
    let number = |index: Option<usize>| html! { td.number { @if let Some(index) = index { (index + 1) } } };
    html! {
        tr class=(class) {
            (number(change.old_index()))
            (number(change.new_index()))
            td.sign { (sign) }
            td.text {
                @for (changed, text) in change.iter_strings_lossy() {
                    @let text = text.trim_end_matches(['\n', '\r']);
                    @if changed && !text.is_empty() { mark { (text) } } @else { (text) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_lines_and_words() {
        let markup = difference("a: 1\nb: 2\nc: 3\n", "a: 1\nb: two\nc: 3\nd: <4>\n", "1.0", "1.1").0.into_string();
        assert!(markup.contains("2 lines added") && markup.contains("1 line removed"), "{markup}");
        assert!(markup.contains("<mark>two</mark>") && markup.contains("d: &lt;4&gt;"), "{markup}");
        assert!(difference("a\n", "a\n", "1", "2").0.into_string().contains("are the same"));
    }

    #[test]
    fn large_texts_are_compared_in_part() {
        let text = |seed: &str| (0..66_000).map(|number| format!("# {seed}{number:05}\n")).collect::<String>();
        let (markup, is_cut) = difference(&text("a"), &text("b"), "1", "2");
        assert!(is_cut && markup.0.len() < CODE_BYTES + 2000, "{} bytes", markup.0.len());
        let (same, is_cut) = difference(&text("a"), &(text("a") + "b\n"), "1", "2");
        assert!(is_cut && same.0.is_empty(), "nothing is known of the rest");
        let one_line = "\"".repeat(1 << 20);
        assert!(difference(&one_line, "a", "1", "2").1);
    }

    #[test]
    fn far_lines_are_left_out() {
        let old: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let new = old.replace("line 50\n", "line fifty\n");
        let markup = difference(&old, &new, "1", "2").0.into_string();
        assert_eq!(markup.matches("<tr").count(), 2 * CONTEXT + 2 + 1, "context, two sides of a change, the head");
    }
}
