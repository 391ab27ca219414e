//! The page of a stack or sample: one version of it, and everything to know before using it.

use axum::body::Body;
use axum::http::Response;
use devfile_registry::index::{Entry, EntryType, VersionEntry};
use maud::{Markup, html};

use super::content::Content;
use super::install;
use super::link::{EntryPath, commit_page, outside, remote_link, segment, short_url};
use super::list::{path_of, type_mark};
use super::page::{Glyph, Page, Registry, Section, count, day, glyph, icon};
use super::room::{self, LIST_BYTES, Room, SECTION_BYTES, brief, left_out, short};
use super::shown::{Shown, sorted};
use super::tables;
use super::visit::{EntryQuery, Visit};
use crate::release::snapshot::Snapshot;
use crate::view::browse::facet::{Facet, VALUE_BYTES};
use crate::view::browse::query::ListQuery;
use crate::view::browse::shelf::title;
use crate::view::catalog::is_deprecated_tag;

/// The versions to choose from, as many as there is room for, and the chosen one.
pub(super) fn options(entry: &Entry, chosen: &str) -> Markup {
    let sorted = sorted(entry);
    let option = |version: &&VersionEntry| {
        html! {
            option value=(version.version) selected[version.version == chosen] {
                (version.version) @if version.default { " (default)" }
            }
        }
    };
    let fitting = room::section(&sorted, option);
    let chosen = sorted[fitting.count..].iter().find(|version| version.version == chosen);
    html! { (fitting.rows) @if let Some(version) = chosen { (option(version)) } }
}

/// Answers with the page of a version.
pub(super) fn answer(visit: Visit<'_>, (registry, name): (String, String)) -> Response<Body> {
    let query = EntryQuery::parse(visit.query);
    let shown = visit.entry(&registry, &name, query.only).and_then(|entry| visit.version(entry, &query.version));
    match shown {
        Ok(shown) => {
            let content = shown.text().map(|text| visit.viewer.contents.of(text));
            visit.found(&render(visit.snapshot, visit.registry, shown, content.as_deref()))
        }
        Err(missing) => *missing,
    }
}

/// The page.
fn render(snapshot: &Snapshot, registry: Registry<'_>, shown: Shown<'_>, content: Option<&Content>) -> Page {
    let entry = shown.entry;
    let path = path_of(entry, &snapshot.shelf, registry);
    // The REST API answers a name with the stack of that name.
    let rest = (!snapshot.shelf.is_shadowed(entry)).then(|| rest_path(&shown));
    let devfile = content.and_then(|content| content.devfile.as_ref());
    let sections = [
        ("devfile", "Devfile", content.is_some()),
        ("install", "Use it", true),
        ("starter-projects", "Starter projects", devfile.is_some_and(|d| !d.starter_projects.is_empty())),
        ("commands", "Commands", devfile.is_some_and(|d| !d.commands.is_empty())),
        ("components", "Components", devfile.is_some_and(|d| !d.components.is_empty())),
        ("versions", "Versions", entry.versions.len() > 1),
    ];
    let main = html! {
        div.narrow {
            (crumbs(&[("Browse", Some("/viewer".to_owned())), (title(entry), None)]))
            (head(snapshot, &shown, &path))
            @if shown.is_deprecated() {
                p.notice {
                    (glyph(Glyph::Warning))
                    span { "This version is deprecated: it still works, but its owners do not recommend it for new projects." }
                }
            }
            nav.sections aria-label="On this page" {
                ul { @for (id, name, there) in sections { @if there { li { a href={ "#" (id) } { (name) } } } } }
            }
            div.detail {
                div.content {
                    @match content {
                        Some(content) => (devfile_section(&shown, content, rest.as_deref(), registry.url(&path.version(shown.name())))),
                        None => {
                            section aria-labelledby="devfile" {
                                h2 #devfile { "Devfile" }
                                p.empty-note { "This registry does not hold the devfile itself; it is in the sample's Git repository." }
                            }
                        }
                    }
                    (install::section(&shown, registry, rest.as_deref().filter(|_| content.is_some())))
                    @if let Some(devfile) = devfile {
                        (tables::starter_projects(devfile, rest.as_deref()))
                        (tables::commands(devfile, content.and_then(|content| content.picture.as_deref())))
                        (tables::components(devfile))
                    } @else if content.is_some() {
                        p.empty-note { "The devfile cannot be read as one, so its commands and components are not listed." }
                    }
                    (versions(entry, &shown, &path))
                }
                (facts(snapshot, &shown, content))
            }
        }
    };
    let version = shown.name();
    let page_title = if version.is_empty() || shown.version.is_some_and(|version| version.default) {
        title(entry).to_owned()
    } else {
        format!("{} {version}", title(entry))
    };
    let description = match shown.description().trim() {
        "" => format!("{} in {}", title(entry), registry.name),
        text => brief(text).into_owned(),
    };
    let canonical =
        if shown.version.is_some_and(|version| !version.default) { path.version(version) } else { path.page() };
    Page { title: page_title, description, canonical: Some(canonical), section: Section::Browse, main }
}

/// The path of the devfile in the REST API.
pub(super) fn rest_path(shown: &Shown<'_>) -> String {
    let name = segment(&shown.entry.name);
    match shown.name() {
        "" => format!("/devfiles/{name}"),
        version => format!("/devfiles/{name}/{}", segment(version)),
    }
}

/// Where a page is: links that lead to it, and itself.
pub(super) fn crumbs(steps: &[(&str, Option<String>)]) -> Markup {
    html! {
        nav.crumbs aria-label="Breadcrumb" {
            ol {
                @for (name, link) in steps {
                    li {
                        @match link {
                            Some(link) => { a href=(link) { (name) } (glyph(Glyph::Next)) }
                            None => { span aria-current="page" { (name) } }
                        }
                    }
                }
            }
        }
    }
}

fn head(snapshot: &Snapshot, shown: &Shown<'_>, path: &EntryPath<'_>) -> Markup {
    let entry = shown.entry;
    html! {
        header.entry {
            (icon(snapshot.shelf.pictures.of(entry).as_deref(), title(entry), 64))
            div.entry-text {
                h1 { (title(entry)) }
                p.by {
                    (type_mark(entry.entry_type))
                    @if shown.is_deprecated() { span.mark.deprecated { "Deprecated" } }
                    code { (entry.name) }
                    @if !entry.provider.trim().is_empty() { span { "by " (short(&entry.provider)) } }
                }
                p.about { (brief(shown.description())) }
            }
            @if !entry.versions.is_empty() { (version_select(entry, shown, path)) }
        }
    }
}

fn version_select(entry: &Entry, shown: &Shown<'_>, path: &EntryPath<'_>) -> Markup {
    html! {
        form.version action=(path.path()) method="get" {
            @if let Some(only) = path.only { input type="hidden" name="type" value=(super::link::type_name(only)); }
            label for="version" { "Version" }
            div {
                select #version name="devfile-version" data-submit {
                    (options(entry, shown.name()))
                }
                button.plain.no-script type="submit" { "Show" }
            }
        }
    }
}

fn devfile_section(shown: &Shown<'_>, content: &Content, rest: Option<&str>, share: String) -> Markup {
    html! {
        section aria-labelledby="devfile" {
            div.section-head {
                h2 #devfile { "Devfile" }
                div.actions {
                    @if !content.code.is_cut {
                        button.plain.script type="button" data-copy="#code" { (glyph(Glyph::Copy)) span { "Copy" } }
                    }
                    @if let Some(rest) = rest {
                        a.plain href=(rest) { (glyph(Glyph::Raw)) "Raw" }
                        a.plain href=(rest) download="devfile.yaml" { (glyph(Glyph::Download)) "Download" }
                    }
                    a.plain href=(share) data-share { (glyph(Glyph::Share)) span { "Share" } }
                }
            }
            pre.code tabindex="0" role="region" aria-label={ "devfile.yaml of " (title(shown.entry)) " " (shown.name()) } {
                code #code { (content.code.rows) }
            }
            @if content.code.is_cut {
                p.notice {
                    "The lines after line " (content.code.count) " are not shown here. "
                    @if let Some(rest) = rest { a href=(rest) { "The whole devfile" } "." }
                }
            }
        }
    }
}

fn versions(entry: &Entry, shown: &Shown<'_>, path: &EntryPath<'_>) -> Markup {
    let sorted = sorted(entry);
    let rows = Room(SECTION_BYTES).fit(sorted.iter().enumerate(), |(place, version)| {
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
                    @if let Some(older) = sorted.get(place + 1) {
                        a href=(path.compare(&older.version, &version.version)) { "since " (older.version) }
                    } @else { "–" }
                }
            }
        }
    });
    html! {
        @if sorted.len() > 1 {
            section aria-labelledby="versions" {
                div.section-head {
                    h2 #versions { "Versions" }
                    div.actions { a.plain href=(path.compare(sorted[1].version.as_str(), sorted[0].version.as_str())) { "Compare versions" } }
                }
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

/// What the index says of the version, one line each.
fn facts(snapshot: &Snapshot, shown: &Shown<'_>, content: Option<&Content>) -> Markup {
    let (entry, version) = (shown.entry, shown.version);
    let metadata = content.and_then(|content| content.devfile.as_ref()).map(|devfile| &devfile.metadata);
    let git = version.and_then(|version| version.git.as_ref()).or(entry.git.as_ref());
    let architectures = shown.either(|version| &version.architectures, &entry.architectures);
    let text = |text: &str| (!text.trim().is_empty()).then(|| html! { (brief(text)) });
    let value = |facet: Facet, value: &str| {
        if value.len() > VALUE_BYTES {
            return text(value);
        }
        text(value).map(|name| html! { a href=(ListQuery::only(facet, value).href()) { (name) } })
    };
    let link = |url: &str| {
        outside(url).map(|url| html! { a href=(url) rel="noopener noreferrer nofollow" { (short_url(url)) } })
    };
    let support = [entry.support_url.as_str(), metadata.map_or("", |metadata| &metadata.support_url)];
    let memory = [entry.global_memory_limit.as_str(), metadata.map_or("", |metadata| &metadata.global_memory_limit)];
    let links = version.into_iter().flat_map(|version| &version.links).chain(&entry.links);
    let more_links = links.filter(|(name, _)| *name != "self").filter_map(|(name, url)| Some((name, link(url)?)));
    let more_links =
        Room(LIST_BYTES).fit(more_links, |(name, link)| html! { div { dt { (short(name)) } dd { (link) } } });
    let tags = shown.tags().iter().filter(|tag| tag.len() <= VALUE_BYTES);
    let tags = Room(LIST_BYTES)
        .fit(tags, |tag| html! { li { a.tag href=(ListQuery::only(Facet::Tags, tag).href()) { (tag) } } });
    let commit = &snapshot.about.commit_hash;
    let rows = [
        ("Version", text(shown.name())),
        ("Schema version", version.and_then(|version| text(&version.schema_version))),
        ("Project type", text(&entry.project_type)),
        ("Language", value(Facet::Languages, &entry.language)),
        ("Provider", value(Facet::Providers, &entry.provider)),
        (
            "Architectures",
            Some(match architectures {
                [] => html! { "all" },
                some => html! { (brief(&some.join(", "))) },
            }),
        ),
        ("Memory", memory.iter().find_map(|memory| text(memory))),
        ("Website", metadata.and_then(|metadata| link(&metadata.website))),
        ("Support", support.iter().find_map(|url| link(url))),
        ("Last modified", day(version.map_or(&entry.last_modified, |version| &version.last_modified))),
        (
            "Commit",
            Some(html! {
                @match commit_page(&snapshot.about.source, commit.as_str()) {
                    Some(page) => { a href=(page) rel="noopener noreferrer" { code { (commit.short()) } } }
                    None => { code { (commit.short()) } }
                }
            }),
        ),
    ];
    html! {
        aside.facts aria-label="Details" {
            h2 { "Details" }
            dl {
                @for (name, value) in rows.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                    div { dt { (name) } dd { (value) } }
                }
                (more_links.rows)
            }
            @if let Some(git) = git {
                h3 { "Git" }
                ul.remotes {
                    (Room(LIST_BYTES).fit(&git.remotes, |(name, remote)| html! { li { (short(name)) ": " (remote_link(remote)) } }).rows)
                    @if git.remotes.is_empty() && !git.url.is_empty() { li { (remote_link(&git.url)) } }
                    @if !git.revision.is_empty() { li { "Revision: " code { (brief(&git.revision)) } } }
                    @if !git.sub_dir.is_empty() { li { "Folder: " code { (brief(&git.sub_dir)) } } }
                }
            }
            @if !shown.tags().is_empty() {
                h3 { "Tags" }
                ul.tags aria-label="Tags" { (tags.rows) }
                (left_out(shown.tags().len() - tags.count))
            }
            @if entry.entry_type == EntryType::Stack && entry.versions.len() > 1 {
                p.side-note { (count(entry.versions.len(), "version", "versions")) " in this registry" }
            }
        }
    }
}
