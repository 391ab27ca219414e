//! The history of releases on the page for operators, with links to the changes of each.

use devfile_registry::index::EntryType;
use devfile_registry::release::Recent;
use maud::{Markup, html};

use super::budget::{brief, left_out, section};
use super::list::path_of;
use super::page::{RegistryInfo, commit, count, moment};
use crate::release::snapshot::Snapshot;

/// Releases that were live, the newest first.
pub(super) fn render(snapshot: &Snapshot, registry: RegistryInfo<'_>, now: jiff::Timestamp) -> Markup {
    let (releases, source) = (&snapshot.about.recent, &snapshot.about.source);
    let fitting = section(releases, |release| {
        html! {
            tr {
                td { (commit(source, &release.commit_hash)) }
                td { (moment(&release.generated_at, now)) }
                td { (changes(snapshot, registry, release)) }
            }
        }
    });
    html! {
        @if !releases.is_empty() {
            section aria-labelledby="recent" {
                h2 #recent { "History of releases" }
                div.table tabindex="0" role="region" aria-label="Table of releases" {
                    table {
                        thead { tr { th scope="col" { "Commit" } th scope="col" { "Live since" } th scope="col" { "Changes" } } }
                        tbody { (fitting.rows) }
                    }
                }
                (left_out(releases.len() - fitting.count))
            }
        }
    }
}

fn changes(snapshot: &Snapshot, registry: RegistryInfo<'_>, release: &Recent) -> Markup {
    let lists = &release.changes;
    let changed = lists.changed.difference(&lists.added);
    // The lists are cut one by one, so a new part need not be in that of the changed.
    let listed = lists.changed.union(&lists.added).count() + lists.removed.len();
    html! {
        @if release.parts == 0 { "–" }
        @else {
            ul {
                @for part in &lists.added { li { "New: " (linked(snapshot, registry, part)) } }
                @for part in changed { li { (linked(snapshot, registry, part)) } }
                @for part in &lists.removed { li { "Removed: " code { (brief(part)) } } }
                @if release.parts > listed { li { "and " (count(release.parts - listed, "other", "others")) } }
            }
        }
    }
}

/// A part of the repository as a link to its page, if it has one.
pub(super) fn linked(snapshot: &Snapshot, registry: RegistryInfo<'_>, part: &str) -> Markup {
    html! {
        @match page_of(snapshot, registry, part) {
            Some(page) => { a href=(page) { code { (brief(part)) } } }
            None => { code { (brief(part)) } }
        }
    }
}

/// The page of a stack, version or sample by its path in the repository.
fn page_of(snapshot: &Snapshot, registry: RegistryInfo<'_>, part: &str) -> Option<String> {
    let (kind, name) = match part.split_once('/')? {
        ("stacks", path) => (EntryType::Stack, snapshot.stack_in(path.split('/').next()?)?),
        ("samples", path) => (EntryType::Sample, path.split('/').next()?),
        _ => return None,
    };
    let version = snapshot.version_in(part).map_or("", |(_, version)| version);
    let entry = snapshot.catalog.head(snapshot.viewer_index.position(name, Some(kind))?);
    Some(path_of(&entry, &snapshot.viewer_index, registry).version(version))
}
