//! The pages of the files of a version: the list of them, and one of them in colour.

use axum::body::Body;
use axum::http::Response;
use devfile_registry::artifact::ARCHIVE;
use devfile_registry::release::StoredFile;
use maud::{Markup, html};

use super::budget::{PageBudget, SECTION_BYTES, left_out};
use super::detail::{Detail, Tab};
use super::files::{FileTexts, PICTURES, ends_with, files_of, folder_of, is_text, size};
use super::highlight;
use super::link::encoded;
use super::missing;
use super::page::{Glyph, Page, count, glyph};
use super::shown::Shown;
use super::visit::{EntryQuery, Visit};
use crate::release::snapshot::Snapshot;

/// Answers with the list of the files of a version.
pub(super) fn answer_list(visit: Visit<'_>, (registry, name): (String, String)) -> Response<Body> {
    match Detail::find(visit, &registry, &name) {
        Ok(detail) => visit.found(&list(&detail)),
        Err(missing) => *missing,
    }
}

fn list(detail: &Detail<'_>) -> Page {
    let snapshot = detail.visit.snapshot;
    let files: Vec<_> = files_of(snapshot, &detail.shown).collect();
    let total = files.iter().filter(|(path, _)| *path != ARCHIVE).map(|(_, file)| file.size).sum();
    let folder = folder_of(snapshot, &detail.shown).unwrap_or_default();
    let rows = PageBudget(SECTION_BYTES).fit(&files, |(path, file)| row(detail, folder, path, file));
    detail.page(
        Tab::Files,
        html! {},
        html! {
            section.tab-body aria-labelledby="files" {
                div.section-head {
                    h2 #files { "Files" }
                    @if let Some(link) = detail.source_folder() {
                        div.actions { a.plain href=(link) rel="noopener noreferrer" { "Source at this commit" } }
                    }
                }
                @if files.is_empty() {
                    p.empty-note { "This registry holds no files of this version; they are in its Git repository." }
                } @else {
                    p.side-note { (count(files.len(), "file", "files")) ", " (size(total)) " without " code { (ARCHIVE) } }
                    div.table tabindex="0" role="region" aria-label="Table of files" {
                        table {
                            thead { tr { th scope="col" { "Name" } th.amount scope="col" { "Size" } th scope="col" { "Download" } } }
                            tbody { (rows.rows) }
                        }
                    }
                    (left_out(files.len() - rows.count))
                }
            }
        },
    )
}

fn row(detail: &Detail<'_>, folder: &str, path: &str, file: &StoredFile) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(detail.path.file(path, detail.version())) { code { (path) } } }
            td.amount { (size(file.size)) }
            td { a href=(raw(folder, path)) download aria-label={ "Download " (path) } { "Download" } }
        }
    }
}

/// The path of a file in the REST API.
fn raw(folder: &str, path: &str) -> String {
    format!("/{}/{}", encoded(folder), encoded(path))
}

/// The file that a page is about.
pub(super) fn wanted(
    snapshot: &Snapshot,
    query: &EntryQuery,
    (_, name, path): &(String, String, String),
) -> Vec<StoredFile> {
    let Some(entry) = snapshot.entry(name, query.only) else { return Vec::new() };
    let shown = Shown::find(snapshot, &entry, &query.version);
    let file = shown.and_then(|shown| find(snapshot, &shown, path));
    file.filter(|file| is_text(path, file)).cloned().into_iter().collect()
}

fn find<'a>(snapshot: &'a Snapshot, shown: &Shown<'_>, path: &str) -> Option<&'a StoredFile> {
    let folder = folder_of(snapshot, shown)?;
    snapshot.file(&format!("{folder}/{path}"))
}

/// Answers with a file of a version.
pub(super) fn answer(
    visit: Visit<'_>,
    (registry, name, path): (String, String, String),
    texts: &FileTexts,
) -> Response<Body> {
    let detail = match Detail::find(visit, &registry, &name) {
        Ok(detail) => detail,
        Err(missing) => return *missing,
    };
    let Some(file) = find(visit.snapshot, &detail.shown, &path) else { return visit.missing(&missing::path()) };
    let page = page(&detail, &path, file, texts);
    if texts.is_incomplete { visit.current(&page) } else { visit.found(&page) }
}

fn page(detail: &Detail<'_>, path: &str, file: &StoredFile, texts: &FileTexts) -> Page {
    let folder = folder_of(detail.visit.snapshot, &detail.shown).unwrap_or_default();
    let raw = raw(folder, path);
    let code = texts.text(file).map(|text| highlight::file(path, text));
    let source = detail.source().and_then(|source| source.file(&format!("{folder}/{path}")));
    let body = html! {
        section.tab-body aria-labelledby="file" {
            div.section-head {
                h2 #file { code { (path) } }
                div.actions {
                    @if code.as_ref().is_some_and(|code| !code.is_cut) {
                        button.plain.script type="button" data-copy="#code" { (glyph(Glyph::Copy)) span { "Copy" } }
                    }
                    a.plain href=(raw) { (glyph(Glyph::Raw)) "Raw" }
                    a.plain href=(raw) download { (glyph(Glyph::Download)) "Download" }
                    @if let Some(source) = source { a.plain href=(source) rel="noopener noreferrer" { "Source" } }
                }
            }
            p.side-note { (size(file.size)) " · " a href=(detail.path.below("/files", detail.version())) { "All files" } }
            @if ends_with(path, &PICTURES) {
                p.picture { img src=(raw) alt={ "Picture in " (path) }; }
            }
            @match code {
                Some(code) => {
                    pre.code tabindex="0" role="region" aria-label={ "Text of " (path) } { code #code { (code.rows) } }
                    @if code.is_cut { p.notice { "The lines after line " (code.count) " are not shown here." } }
                }
                None if texts.is_incomplete => p.notice { "The store of this registry does not answer; try again in a moment." },
                None => p.empty-note { "This file is not shown as text." },
            }
        }
    };
    Page { canonical: None, title: format!("{path} of {}", detail.title()), ..detail.page(Tab::Files, html! {}, body) }
}
