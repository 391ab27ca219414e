//! What changed in the devfile between two versions.

use std::time::Duration;

use devfile_registry::index::Entry;
use maud::{Markup, html};
use similar::{ChangeTag, InlineChange, TextDiff};

use super::detail::{Shown, crumbs, sorted};
use super::link::{EntryPath, type_name};
use super::list::path_of;
use super::page::{Page, Registry, Section, count};
use super::shelf::title;
use crate::snapshot::Snapshot;

/// Longest that a comparison may take; after it, the rest is shown as replaced.
const PATIENCE: Duration = Duration::from_millis(100);

/// Lines around a change.
const CONTEXT: usize = 4;

/// The page. Both versions are of one entry.
pub(super) fn render(snapshot: &Snapshot, registry: Registry<'_>, from: Shown<'_>, to: Shown<'_>) -> Page {
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
                (Some(old), Some(new)) => (difference(old, new, from.name(), to.name())),
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

fn form(entry: &Entry, path: &EntryPath<'_>, from: &str, to: &str) -> Markup {
    let select = |id: &'static str, label: &'static str, chosen: &str| {
        html! {
            div {
                label for=(id) { (label) }
                select id=(id) name=(id) data-submit {
                    @for version in sorted(entry) {
                        option value=(version.version) selected[version.version == chosen] { (version.version) }
                    }
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

fn difference(old: &str, new: &str, from: &str, to: &str) -> Markup {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
    let number = |wanted: ChangeTag| diff.iter_all_changes().filter(|change| change.tag() == wanted).count();
    let (added, removed) = (number(ChangeTag::Insert), number(ChangeTag::Delete));
    html! {
        @if added + removed == 0 {
            p.empty-note { "The devfiles of " (from) " and " (to) " are the same." }
        } @else {
            h2.diff-head {
                code { "devfile.yaml" } " "
                span.added { (count(added, "line added", "lines added")) } ", "
                span.removed { (count(removed, "line removed", "lines removed")) }
            }
            div.diff tabindex="0" role="region" aria-label={ "Changes from " (from) " to " (to) } {
                table {
                    thead.hidden { tr { th scope="col" { "Line in " (from) } th scope="col" { "Line in " (to) } th scope="col" { "Change" } th scope="col" { "Text" } } }
                    @for group in diff.grouped_ops(CONTEXT) {
                        tbody {
                            @for change in group.iter().flat_map(|op| diff.iter_inline_changes(op)) { (line(&change)) }
                        }
                    }
                }
            }
        }
    }
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
        let markup = difference("a: 1\nb: 2\nc: 3\n", "a: 1\nb: two\nc: 3\nd: <4>\n", "1.0", "1.1").into_string();
        assert!(markup.contains("2 lines added") && markup.contains("1 line removed"), "{markup}");
        assert!(markup.contains("<mark>two</mark>") && markup.contains("d: &lt;4&gt;"), "{markup}");
        assert!(difference("a\n", "a\n", "1", "2").into_string().contains("are the same"));
    }

    #[test]
    fn far_lines_are_left_out() {
        let old: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let new = old.replace("line 50\n", "line fifty\n");
        let markup = difference(&old, &new, "1", "2").into_string();
        assert_eq!(markup.matches("<tr").count(), 2 * CONTEXT + 2 + 1, "context, two sides of a change, the head");
    }
}
