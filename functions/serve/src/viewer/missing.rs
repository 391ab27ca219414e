//! Pages about missing things, with links to others.

use maud::{Markup, html};

use super::budget::short;
use super::list::path_of;
use super::page::{Page, RegistryInfo, nowhere as page};
use super::quarantine;
use crate::release::snapshot::Snapshot;
use crate::view::browse::query::ListQuery;
use crate::view::browse::search::near_names;
use crate::view::browse::viewer_index::title;

/// A stack or sample that this registry does not have; `name` is the requested name.
pub(super) fn entry(snapshot: &Snapshot, registry: RegistryInfo<'_>, name: &str) -> Page {
    let near = near_names(name, snapshot.viewer_index.names());
    let search = ListQuery::searching(name);
    page(html! {
        h1 { "There is no “" (short(name)) "” here" }
        (quarantine::notice_of_missing(snapshot, name))
        p { "This registry has no stack or sample of that name. It may have been removed, or have another name." }
        @if !near.is_empty() {
            p { "Names like it:" }
            ul.near { @for near in near { @if let Some(link) = link_to(snapshot, registry, near) { li { (link) } } } }
        }
        p { a href=(search.href()) { "Search for “" (short(name)) "”" } " or " a href="/viewer" { "browse everything" } "." }
    })
}

/// A version that an entry does not have.
pub(super) fn version(snapshot: &Snapshot, registry: RegistryInfo<'_>, name: &str, version: &str) -> Page {
    page(html! {
        h1 { "“" (short(name)) "” has no version “" (short(version)) "”" }
        p { "It may have been removed, or not be published yet." }
        @if let Some(link) = link_to(snapshot, registry, name) { p { "See the available ones: " (link) } }
        p { a href="/viewer" { "Browse everything" } }
    })
}

/// Another registry than this one; `name` is the entry that was asked for there.
pub(super) fn registry(snapshot: &Snapshot, registry: RegistryInfo<'_>, asked: &str, name: &str) -> Page {
    page(html! {
        h1 { "There is no registry “" (short(asked)) "” here" }
        p { "This is " (registry.name) "." }
        @if let Some(link) = link_to(snapshot, registry, name) { p { "It has an entry of that name: " (link) } }
        p { a href="/viewer" { "Browse everything" } }
    })
}

/// A path that leads nowhere.
pub(super) fn path() -> Page {
    page(html! {
        h1 { "There is no such page" }
        p { "The link may be old, or have lost a part." }
        p { a href="/viewer" { "Browse stacks and samples" } }
    })
}

/// A registry without a release.
pub(super) fn release(reason: &str) -> Page {
    page(html! {
        h1 { "Nothing to show yet" }
        p { (reason) "." }
        p { a href="/viewer" { "Try again" } }
    })
}

fn link_to(snapshot: &Snapshot, registry: RegistryInfo<'_>, name: &str) -> Option<Markup> {
    let entry = snapshot.catalog.head(snapshot.viewer_index.position(name, None)?);
    let path = path_of(&entry, &snapshot.viewer_index, registry).page();
    Some(html! { a href=(path) { (title(&entry)) } " " code { (entry.name) } })
}
