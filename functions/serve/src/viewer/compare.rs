//! The differences between two versions: in words, and line by line in each of their files.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::body::Body;
use axum::http::Response;
use devfile_registry::artifact::ARCHIVE;
use devfile_registry::release::StoredFile;
use maud::{Markup, html};
use similar::{ChangeTag, DiffOp, InlineChange, TextDiff};

use super::budget::{CODE_BYTES, LIST_BYTES, PageBudget, left_out};
use super::detail::{Detail, crumbs, options, rest_path};
use super::files::{FileTexts, SHOWN_BYTES, files_of, is_binary, size};
use super::link::type_name;
use super::page::{Page, Section, count};
use super::shown::Shown;
use super::summary;
use super::visit::{EntryQuery, Visit};
use crate::release::snapshot::Snapshot;
use crate::view::browse::viewer_index::title;

/// Most of each devfile that is compared, in bytes.
const COMPARED_BYTES: usize = 256 << 10;

/// Most other files that are compared line by line, and most bytes of all of them.
const FILES: usize = 50;
const FILES_BYTES: u64 = 2 << 20;

/// Most lines of one change, old and new, within which words are compared.
const WORDS_LINES: usize = 200;

/// Lines around a change.
const CONTEXT: usize = 4;

/// The room and the time that are left for the comparisons of a page.
struct Budget {
    bytes: PageBudget,
    until: Instant,
}

/// A file of one version or both.
type Pair<'a> = (Option<&'a StoredFile>, Option<&'a StoredFile>);

/// The files beside the devfile that differ, by path; and how many do not.
fn changed<'a>(snapshot: &'a Snapshot, from: &Shown<'_>, to: &Shown<'_>) -> (BTreeMap<&'a str, Pair<'a>>, usize) {
    let mut files: BTreeMap<&str, Pair<'_>> = BTreeMap::new();
    // The archive is made of the others.
    let is_own = |path: &str| path != ARCHIVE && !is_devfile(path);
    files_of(snapshot, from).filter(|(path, _)| is_own(path)).for_each(|(path, file)| {
        files.entry(path).or_default().0 = Some(file);
    });
    files_of(snapshot, to).filter(|(path, _)| is_own(path)).for_each(|(path, file)| {
        files.entry(path).or_default().1 = Some(file);
    });
    let all = files.len();
    files.retain(|_, (old, new)| old.map(|file| file.digest) != new.map(|file| file.digest));
    let same = all - files.len();
    (files, same)
}

fn is_devfile(path: &str) -> bool {
    matches!(path, "devfile.yaml" | ".devfile.yaml")
}

/// The texts that are compared line by line, by path, and the number of those that are left out.
///
/// A text whose other half is too large, or leaves too little for the next ones, is left out as a whole. Binary files are neither.
fn compared<'a>(files: &BTreeMap<&'a str, Pair<'a>>) -> (Vec<(&'a str, Pair<'a>)>, usize) {
    let mut left = FILES_BYTES;
    let (mut chosen, mut omitted) = (Vec::new(), 0);
    for (path, pair) in files.iter().filter(|(path, _)| !is_binary(path)) {
        let halves = [pair.0, pair.1].into_iter().flatten();
        let is_small = halves.clone().all(|file| file.size <= SHOWN_BYTES);
        match left.checked_sub(halves.map(|file| file.size).sum()) {
            Some(rest) if is_small && chosen.len() < FILES => {
                left = rest;
                chosen.push((*path, *pair));
            }
            _ => omitted += 1,
        }
    }
    (chosen, omitted)
}

/// The files that are compared line by line.
pub(super) fn wanted(snapshot: &Snapshot, query: &EntryQuery, (_, name): &(String, String)) -> Vec<StoredFile> {
    let Some(entry) = snapshot.entry(name, query.only) else { return Vec::new() };
    let shown = |version: &str| Shown::find(snapshot, &entry, version);
    let (Some(from), Some(to)) = (shown(&query.from), shown(&query.to)) else { return Vec::new() };
    let (files, _) = changed(snapshot, &from, &to);
    let (texts, _) = compared(&files);
    texts.into_iter().flat_map(|(_, (old, new))| [old, new]).flatten().cloned().collect()
}

/// Answers with the comparison of two versions.
pub(super) fn answer(visit: Visit<'_>, (registry, name): (String, String), texts: &FileTexts) -> Response<Body> {
    let query = EntryQuery::parse(visit.query);
    let versions = visit.entry(&registry, &name, query.only).and_then(|entry| {
        let to = visit.version(entry, &query.to)?;
        Ok((visit.version(entry, &query.from)?, to))
    });
    match versions {
        Ok((from, to)) => {
            let page = render(&Detail::of(visit, from), &Detail::of(visit, to), texts);
            if texts.is_incomplete { visit.current(&page) } else { visit.found(&page) }
        }
        Err(missing) => *missing,
    }
}

/// The page. Both versions are of one entry.
fn render(from: &Detail<'_>, to: &Detail<'_>, texts: &FileTexts) -> Page {
    let (snapshot, entry, path) = (to.visit.snapshot, to.shown.entry, &to.path);
    let (old_name, new_name) = (from.shown.name(), to.shown.name());
    let mut budget = Budget { bytes: PageBudget(CODE_BYTES), until: Instant::now() + to.visit.viewer.diff_time };
    let main = html! {
        div.narrow {
            (crumbs(&[("Browse", Some("/viewer".into())), (title(entry), Some(path.page())), ("Compare", None)]))
            header.page-head {
                h1 { "Compare versions of " (title(entry)) }
                (form(to, old_name, new_name, &html! { a.plain href=(path.compare(new_name, old_name)) { "Swap" } }))
            }
            @if let (Some(old), Some(new)) = (&from.content, &to.content)
                && let (Some(old), Some(new)) = (&old.devfile, &new.devfile)
            {
                (summary::list(old, new))
            }
            @match (from.shown.text(), to.shown.text()) {
                (Some(old), Some(new)) => {
                    @let (changes, is_cut) = difference("devfile.yaml", old, new, old_name, new_name, &mut budget);
                    @if changes.0.is_empty() && !is_cut {
                        p.empty-note { "The devfiles of " (old_name) " and " (new_name) " are the same." }
                    }
                    (changes)
                    @if is_cut { (cut(snapshot, from.shown, to.shown)) }
                }
                _ => p.empty-note { "This registry does not hold both devfiles." }
            }
            (files(snapshot, from, to, texts, &mut budget))
        }
    };
    Page {
        title: format!("{}: {old_name} to {new_name}", title(entry)),
        description: format!("Changes of {} between {old_name} and {new_name}.", title(entry)),
        canonical: None,
        section: Section::Browse,
        main,
    }
}

/// The comparison of all files beside the devfile.
fn files(snapshot: &Snapshot, from: &Detail<'_>, to: &Detail<'_>, texts: &FileTexts, budget: &mut Budget) -> Markup {
    let (files, same) = changed(snapshot, &from.shown, &to.shown);
    let text = |file: Option<&StoredFile>| file.map_or(Some(""), |file| texts.text(file));
    let number = |wanted: fn(&Pair<'_>) -> bool| files.values().filter(|pair| wanted(pair)).count();
    let added = number(|(old, _)| old.is_none());
    let removed = number(|(_, new)| new.is_none());
    let mut lines = Vec::new();
    let (chosen, mut omitted) = compared(&files);
    for (position, (path, (old, new))) in chosen.iter().enumerate() {
        if let (Some(old), Some(new)) = (text(*old), text(*new)) {
            let (changes, is_cut) = difference(path, old, new, from.shown.name(), to.shown.name(), budget);
            lines.push(changes);
            if is_cut {
                omitted += chosen.len() - position - 1;
                lines.push(html! { p.notice { "The comparison is cut here; the files are too large for a page." } });
                break;
            }
        }
    }
    let rows = PageBudget(LIST_BYTES).fit(&files, |(path, pair)| {
        let (detail, sign, file) = match pair {
            (None, Some(file)) => (to, "added", file),
            (Some(file), None) => (from, "removed", file),
            (_, Some(file)) => (to, "changed", file),
            (None, None) => return html! {},
        };
        html! { li { a href=(detail.path.file(path, detail.shown.name())) { code { (path) } } " " (sign) ", " (size(file.size)) } }
    });
    html! {
        @if !files.is_empty() {
            section aria-labelledby="other-files" {
                h2 #other-files { "Other files" }
                p {
                    (count(files.len() - added - removed, "file changed", "files changed")) ", "
                    (added) " added, " (removed) " removed, " (same) " the same."
                }
                ul.children { (rows.rows) }
                (left_out(files.len() - rows.count))
                @for changes in &lines { (changes) }
                @if omitted > 0 { p.notice { (count(omitted, "more file is", "more files are")) " not compared here." } }
                @if texts.is_incomplete { p.notice { "The store of this registry does not answer; some files are missing here." } }
            }
        } @else if same > 0 {
            p.side-note { (count(same, "other file is", "other files are")) " the same in both versions." }
        }
    }
}

/// Says that there is more, and where.
fn cut(snapshot: &Snapshot, from: Shown<'_>, to: Shown<'_>) -> Markup {
    html! {
        p.notice {
            "The comparison is cut here; the devfiles are too large for a page. "
            // The REST API answers a name with the stack of that name.
            @if !snapshot.viewer_index.is_shadowed(to.entry) {
                "Both as they are: " a href=(rest_path(&from)) { (from.name()) } ", " a href=(rest_path(&to)) { (to.name()) } "."
            }
        }
    }
}

/// The form that compares any two versions of an entry, with the content behind its button.
pub(super) fn form(detail: &Detail<'_>, from: &str, to: &str, behind: &Markup) -> Markup {
    let path = &detail.path;
    let select = |id: &'static str, label: &'static str, chosen: &str| {
        html! {
            div {
                label for=(id) { (label) }
                select id=(id) name=(id) data-submit {
                    (options(detail.shown.entry, chosen))
                }
            }
        }
    };
    html! {
        form.compare action={ (path.path()) "/compare" } method="get" {
            @if let Some(only) = path.only { input type="hidden" name="type" value=(type_name(only)); }
            (select("from", "From", from))
            (select("to", "To", to))
            button.plain type="submit" { "Compare" }
            (behind)
        }
    }
}

/// The changes of a file, and whether they end before those of the texts do; nothing when there are none.
fn difference(path: &str, old: &str, new: &str, from: &str, to: &str, budget: &mut Budget) -> (Markup, bool) {
    let until = budget.until;
    let (old_start, new_start) = (start(old), start(new));
    let diff = TextDiff::configure().deadline(until).diff_lines(old_start, new_start);
    let number = |wanted: ChangeTag| diff.iter_all_changes().filter(|change| change.tag() == wanted).count();
    let (added, removed) = (number(ChangeTag::Insert), number(ChangeTag::Delete));
    let mut is_cut = old_start.len() < old.len() || new_start.len() < new.len();
    let mut groups = Vec::new();
    for group in diff.grouped_ops(CONTEXT) {
        let rows = budget.bytes.fit(group.iter().flat_map(|op| changes(&diff, op, until)), |change| line(&change));
        let ends = rows.is_cut;
        groups.push(rows.rows);
        if ends {
            is_cut = true;
            break;
        }
    }
    let markup = html! {
        @if added + removed > 0 {
            h2.diff-head {
                code { (path) } " "
                span.added { (count(added, "line added", "lines added")) } ", "
                span.removed { (count(removed, "line removed", "lines removed")) }
            }
            div.diff tabindex="0" role="region" aria-label={ "Changes of " (path) " from " (from) " to " (to) } {
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
    use std::time::Duration;

    use super::*;

    /// The changes of a devfile on a page with nothing else.
    fn devfile(old: &str, new: &str) -> (Markup, bool) {
        devfile_until(Instant::now() + Duration::from_secs(3600), old, new)
    }

    fn devfile_until(until: Instant, old: &str, new: &str) -> (Markup, bool) {
        let mut budget = Budget { bytes: PageBudget(CODE_BYTES), until };
        difference("devfile.yaml", old, new, "1", "2", &mut budget)
    }

    #[test]
    fn comparison_after_the_deadline_of_its_page_shows_all_as_replaced() {
        let text = |seed: usize| (0..200).map(|line| format!("{}\n", (line + 1) * seed % 211)).collect::<String>();
        let (late, _) = devfile_until(Instant::now(), &text(1), &text(2));
        assert!(late.0.contains("200 lines added") && late.0.contains("200 lines removed"), "{}", late.0);
        let (in_time, _) = devfile(&text(1), &text(2));
        assert!(!in_time.0.contains("200 lines added"), "{}", in_time.0);
    }

    #[test]
    fn pair_of_which_one_half_fits_is_left_out_as_a_whole() {
        let file = |size| StoredFile { digest: devfile_registry::digest::Digest::of(b""), size };
        let (large, too_large, small) = (file(400 << 10), file(SHOWN_BYTES + 1), file(10));
        let files: BTreeMap<&str, Pair<'_>> = [
            ("a.txt", (Some(&large), Some(&large))),
            ("b.txt", (Some(&large), Some(&large))),
            ("c.txt", (Some(&large), Some(&large))),
            ("d.txt", (None, Some(&small))),
            ("e.txt", (Some(&small), Some(&too_large))),
            ("f.zip", (Some(&small), None)),
        ]
        .into();
        let (chosen, omitted) = compared(&files);
        let paths: Vec<&str> = chosen.iter().map(|(path, _)| *path).collect();
        assert_eq!((paths.as_slice(), omitted), (["a.txt", "b.txt", "d.txt"].as_slice(), 2));
    }

    #[test]
    fn changed_devfile_shows_its_lines_and_words() {
        let markup = devfile("a: 1\nb: 2\nc: 3\n", "a: 1\nb: two\nc: 3\nd: <4>\n").0.into_string();
        assert!(markup.contains("2 lines added") && markup.contains("1 line removed"), "{markup}");
        assert!(markup.contains("<mark>two</mark>") && markup.contains("d: &lt;4&gt;"), "{markup}");
        assert!(devfile("a\n", "a\n").0.0.is_empty());
    }

    #[test]
    fn large_texts_are_compared_in_part() {
        let text = |seed: &str| (0..66_000).map(|number| format!("# {seed}{number:05}\n")).collect::<String>();
        // So many lines that all differ take long to compare.
        let (markup, is_cut) = devfile_until(Instant::now(), &text("a"), &text("b"));
        assert!(is_cut && markup.0.len() < CODE_BYTES + 2000, "{} bytes", markup.0.len());
        let (same, is_cut) = devfile(&text("a"), &(text("a") + "b\n"));
        assert!(is_cut && same.0.is_empty(), "nothing is known of the rest");
        let one_line = "\"".repeat(1 << 20);
        assert!(devfile(&one_line, "a").1);
    }

    #[test]
    fn far_lines_are_left_out() {
        let old: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let new = old.replace("line 50\n", "line fifty\n");
        let markup = devfile(&old, &new).0.into_string();
        assert_eq!(markup.matches("<tr").count(), 2 * CONTEXT + 2 + 1, "context, two sides of a change, the head");
    }
}
