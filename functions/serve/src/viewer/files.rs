//! The files of a version: which there are, and one of them, in colour.

use std::collections::HashMap;

use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use devfile_registry::artifact::ARCHIVE;
use devfile_registry::digest::Digest;
use devfile_registry::index::EntryType;
use devfile_registry::limits::CONCURRENT_READS;
use devfile_registry::release::StoredFile;
use futures_util::stream::{self, StreamExt};
use maud::{Markup, html};

use super::detail::{Detail, Tab};
use super::highlight;
use super::missing;
use super::page::{Glyph, Page, count, glyph};
use super::room::{SECTION_BYTES, Room, left_out};
use super::shown::Shown;
use super::source::encoded;
use super::visit::{EntryQuery, Visit};
use crate::release::blobs::Blobs;
use crate::release::snapshot::Snapshot;

/// Largest file that a page shows, in bytes.
const SHOWN_BYTES: u64 = 512 << 10;

/// Names that end so are no texts.
const BINARY: [&str; 9] = [".zip", ".tar", ".gz", ".tgz", ".jar", ".vsx", ".vsix", ".ico", ".webp"];

/// Pictures that `/stacks` answers with their media type.
const PICTURES: [&str; 5] = [".svg", ".png", ".jpg", ".jpeg", ".gif"];

/// The contents of files that a page needs, read before it is rendered.
#[derive(Debug, Default)]
pub(super) struct Contents {
    bytes: HashMap<Digest, Bytes>,
    /// Whether a file could not be read. A page without it is kept by nobody.
    pub(super) is_incomplete: bool,
}

impl Contents {
    /// Reads files from memory or from the bucket.
    pub(super) async fn read(snapshot: &Snapshot, blobs: &Blobs, files: Vec<StoredFile>) -> Self {
        let read = |file: StoredFile| async move {
            let bytes = match snapshot.content(&file.digest) {
                Some(bytes) => Ok(bytes.clone()),
                None => blobs.read(file.digest, file.size).await,
            };
            (file.digest, bytes)
        };
        let all: Vec<_> = stream::iter(files).map(read).buffer_unordered(CONCURRENT_READS).collect().await;
        let mut contents = Self::default();
        for (digest, bytes) in all {
            match bytes {
                Ok(bytes) => {
                    contents.bytes.insert(digest, bytes);
                }
                Err(error) => {
                    tracing::warn!(%error, "a page lacks a file");
                    contents.is_incomplete = true;
                }
            }
        }
        contents
    }

    /// The text of a file; `None` when it is not here or no text.
    pub(super) fn text(&self, file: &StoredFile) -> Option<&str> {
        std::str::from_utf8(self.bytes.get(&file.digest)?).ok().filter(|text| !text.contains('\0'))
    }
}

/// The folder of a version in the registry repository; `None` for samples.
pub(super) fn folder_of<'a>(snapshot: &'a Snapshot, shown: &Shown<'_>) -> Option<&'a str> {
    match shown.entry.entry_type {
        EntryType::Stack => snapshot.folder(&shown.entry.name, shown.name()),
        EntryType::Sample => None,
    }
}

/// The files of a version by their paths in its folder. The archive is made of the others.
pub(super) fn files_of<'a>(snapshot: &'a Snapshot, shown: &Shown<'_>) -> impl Iterator<Item = (&'a str, &'a StoredFile)> {
    let folder = folder_of(snapshot, shown);
    folder.into_iter().flat_map(|folder| {
        let inside = move |path: &'a str| path.strip_prefix(folder).and_then(|path| path.strip_prefix('/'));
        snapshot.files_below(folder).filter_map(move |(path, file)| Some((inside(path)?, file)))
    })
}

/// Whether a file may be shown as text, by its name and size.
pub(super) fn is_text(path: &str, file: &StoredFile) -> bool {
    file.size <= SHOWN_BYTES && !ends_with(path, &BINARY) && !(ends_with(path, &PICTURES) && !path.ends_with(".svg"))
}

fn ends_with(path: &str, ends: &[&str]) -> bool {
    let lower = path.to_ascii_lowercase();
    ends.iter().any(|end| lower.ends_with(end))
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal of a size is shown")]
    let number = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", number / 1024.0),
        _ => format!("{:.1} MiB", number / 1_048_576.0),
    }
}

/// Answers with the list of the files of a version.
pub(super) fn answer_list(visit: Visit<'_>, (registry, name): (String, String)) -> Response<Body> {
    match Detail::find(visit, &registry, &name) {
        Ok(detail) => visit.found(&list(&detail)),
        Err(missing) => missing,
    }
}

fn list(detail: &Detail<'_>) -> Page {
    let snapshot = detail.visit.snapshot;
    let files: Vec<_> = files_of(snapshot, &detail.shown).collect();
    let total = files.iter().filter(|(path, _)| *path != ARCHIVE).map(|(_, file)| file.size).sum();
    let folder = folder_of(snapshot, &detail.shown).unwrap_or_default();
    let rows = Room(SECTION_BYTES).fit(&files, |(path, file)| row(detail, folder, path, file));
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
    let shown = Shown::of(snapshot, name, query.only, &query.version);
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
    contents: &Contents,
) -> Response<Body> {
    let detail = match Detail::find(visit, &registry, &name) {
        Ok(detail) => detail,
        Err(missing) => return missing,
    };
    let Some(file) = find(visit.snapshot, &detail.shown, &path) else { return visit.missing(&missing::path()) };
    let page = page(&detail, &path, file, contents);
    if contents.is_incomplete { visit.current(&page) } else { visit.found(&page) }
}

fn page(detail: &Detail<'_>, path: &str, file: &StoredFile, contents: &Contents) -> Page {
    let folder = folder_of(detail.visit.snapshot, &detail.shown).unwrap_or_default();
    let raw = raw(folder, path);
    let code = contents.text(file).map(|text| highlight::file(path, text));
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
            @if path.to_ascii_lowercase().ends_with(".svg") || ends_with(path, &PICTURES) {
                p.picture { img src=(raw) alt={ "Picture in " (path) }; }
            }
            @match code {
                Some(code) => {
                    pre.code tabindex="0" role="region" aria-label=(path) { code #code { (code.rows) } }
                    @if code.is_cut { p.notice { "The lines after line " (code.count) " are not shown here." } }
                }
                None if contents.is_incomplete => p.notice { "The store of this registry does not answer; try again in a moment." },
                None => p.empty-note { "This file is not shown as text." },
            }
        }
    };
    Page { canonical: None, title: format!("{path} of {}", detail.title()), ..detail.page(Tab::Files, html! {}, body) }
}

/// The path of the README of a version: of its folder, else of its stack.
pub(super) fn readme_of<'a>(snapshot: &'a Snapshot, shown: &Shown<'_>) -> Option<(&'a str, &'a StoredFile)> {
    let folder = folder_of(snapshot, shown)?;
    let stack = folder.match_indices('/').nth(1).map_or(folder, |(end, _)| &folder[..end]);
    let of = |folder: &str| {
        let is_readme = |path: &str| path.get(folder.len() + 1..).is_some_and(|name| name.eq_ignore_ascii_case("readme.md"));
        snapshot.files_below(folder).find(|(path, _)| is_readme(path))
    };
    of(folder).or_else(|| of(stack))
}

