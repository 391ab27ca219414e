//! The first page of a stack or sample: its purpose and the way to start.

use axum::body::Body;
use axum::http::Response;
use devfile_registry::release::StoredFile;
use maud::{Markup, html};

use super::budget::{LIST_BYTES, PageBudget, brief, left_out, short};
use super::detail::{Detail, Tab};
use super::devfile::{Command, Devfile};
use super::files::{self, FileTexts};
use super::install;
use super::link::{encoded, remote_link, safe_link, short_url};
use super::list::path_of;
use super::page::{Page, commit, day};
use super::readme::{self, Around};
use super::share;
use super::shown::Shown;
use super::source::git_of;
use super::tables;
use super::visit::{EntryQuery, Visit};
use crate::release::snapshot::Snapshot;
use crate::view::browse::facet::{Facet, VALUE_BYTES};
use crate::view::browse::lineage::Parent;
use crate::view::browse::query::ListQuery;
use crate::view::browse::viewer_index::title;

/// Kinds of command groups, in the order in which somebody needs them, with the words for them.
const GROUPS: [(&str, &str); 5] =
    [("build", "Build"), ("run", "Run"), ("test", "Test"), ("debug", "Debug"), ("deploy", "Deploy")];

/// Most images, ports and commands of a kind in the summary.
const SUMMARY: usize = 6;

/// The README that the page shows.
pub(super) fn wanted(snapshot: &Snapshot, query: &EntryQuery, (_, name): &(String, String)) -> Vec<StoredFile> {
    let Some(entry) = snapshot.entry(name, query.only) else { return Vec::new() };
    let shown = Shown::find(snapshot, &entry, &query.version);
    let readme = shown.and_then(|shown| files::readme_of(snapshot, &shown));
    readme.filter(|(_, file)| file.size <= readme::READ_BYTES).map(|(_, file)| file.clone()).into_iter().collect()
}

/// Answers with the page of a version.
pub(super) fn answer(visit: Visit<'_>, (registry, name): (String, String), texts: &FileTexts) -> Response<Body> {
    match Detail::find(visit, &registry, &name) {
        Ok(detail) if texts.is_incomplete => visit.current(&page(&detail, texts)),
        Ok(detail) => visit.found(&page(&detail, texts)),
        Err(missing) => *missing,
    }
}

fn page(detail: &Detail<'_>, texts: &FileTexts) -> Page {
    let devfile = detail.content.as_ref().and_then(|content| content.devfile.as_ref());
    let rest = detail.rest().filter(|_| detail.content.is_some());
    let use_it = install::section(detail, rest.as_deref());
    let body = html! {
        div.detail {
            div.content {
                @if detail.content.is_none() {
                    p.empty-note { "This registry does not hold the devfile itself; it is in the sample's Git repository." }
                } @else if devfile.is_none() {
                    p.empty-note { "The devfile cannot be read as one, so its commands and components are not listed." }
                }
                @if let Some(devfile) = devfile { (summary(detail, devfile)) }
                (family(detail))
                (readme_section(detail, texts))
                @if let Some(devfile) = devfile { (tables::starter_projects(devfile, rest.as_deref())) }
            }
            (facts(detail))
        }
        @if detail.visit.registry.is_live() { (share::section(detail)) }
    };
    detail.page(Tab::Overview, use_it, body)
}

/// The images, ports and commands of a devfile, in few lines.
fn summary(detail: &Detail<'_>, devfile: &Devfile) -> Markup {
    let images = devfile.components.iter().filter_map(|component| Some(component.container.as_ref()?.image.as_str()));
    let images: Vec<&str> = images.filter(|image| !image.is_empty()).take(SUMMARY).collect();
    let ports = devfile.components.iter().flat_map(|component| component.endpoints());
    let ports: Vec<_> = ports.filter(|port| !port.target_port.is_empty()).take(SUMMARY).collect();
    let group = |kind: &str| -> Vec<&Command> {
        let is_of = |command: &&Command| {
            command.body().and_then(|body| body.group.as_ref()).is_some_and(|group| group.kind == kind)
        };
        devfile.commands.iter().filter(is_of).take(SUMMARY).collect()
    };
    let groups: Vec<_> =
        GROUPS.map(|(kind, word)| (word, group(kind))).into_iter().filter(|(_, all)| !all.is_empty()).collect();
    html! {
        @if !images.is_empty() || !ports.is_empty() || !groups.is_empty() {
            section aria-labelledby="contents" {
                h2 #contents { "In this devfile" }
                dl.wide {
                    @if !images.is_empty() {
                        div { dt { "Runs in" } dd { @for (position, image) in images.iter().enumerate() { @if position > 0 { br; } code { (short(image)) } } } }
                    }
                    @if !ports.is_empty() {
                        div { dt { "Ports" } dd {
                            @for (position, port) in ports.iter().enumerate() {
                                @if position > 0 { ", " } code { (short(&port.target_port)) } " " (short(&port.name))
                            }
                        } }
                    }
                    @for (word, commands) in groups {
                        div { dt { (word) } dd {
                            @for (position, command) in commands.into_iter().enumerate() { @if position > 0 { br; } (command_line(command)) }
                        } }
                    }
                }
                p.side-note { a href=(detail.path.below("/devfile", detail.version())) { "The devfile" } }
            }
        }
    }
}

fn command_line(command: &Command) -> Markup {
    let line = command.body().map_or("", |body| body.command_line.trim());
    let first = line.lines().next().unwrap_or_default();
    html! {
        @if first.is_empty() { code { (short(&command.id)) } } @else {
            code { (short(first)) @if first.len() < line.len() { " …" } }
        }
    }
}

/// The parent and the children of a version.
fn family(detail: &Detail<'_>) -> Markup {
    let (snapshot, entry) = (detail.visit.snapshot, detail.shown.entry);
    let only = Some(entry.entry_type);
    let Some(position) = snapshot.viewer_index.position(&entry.name, only) else { return html! {} };
    let lineage = snapshot.lineage(detail.visit.viewer.own_url().as_deref());
    let parent = lineage.parent(position, detail.shown.name());
    let link = |position: usize, version: &str| {
        let entry = snapshot.catalog.head(position);
        let path = path_of(&entry, &snapshot.viewer_index, detail.visit.registry).below("", version);
        html! { a href=(path) { (title(&entry)) @if !version.is_empty() { " " (short(version)) } } }
    };
    let own = detail.shown.name();
    let is_default = detail.shown.version.is_none_or(|version| version.default);
    let children =
        lineage.children(position).iter().filter(|child| child.of == own || (child.of.is_empty() && is_default));
    let all = children.clone().count();
    let rows = PageBudget(LIST_BYTES).fit(children, |child| html! { li { (link(child.position, &child.version)) } });
    html! {
        @if let Some(parent) = parent {
            section aria-labelledby="parent" {
                h2 #parent { "Parent" }
                p {
                    "Takes from "
                    @match parent {
                        Parent::Here { position, version } => { (link(*position, version)) }
                        Parent::External { name, url } => {
                            @match safe_link(url) {
                                Some(url) => { a href=(url) rel="noopener noreferrer nofollow" { (short_url(&brief(name))) } }
                                None => { code { (brief(name)) } }
                            }
                            @if name != url { " of " code { (brief(url)) } }
                        }
                        Parent::Unknown(name) => { code { (brief(name)) } ", which this registry does not list" }
                    }
                    ". The " a href=(detail.path.below("/flattened", detail.version())) { "flattened devfile" }
                    " shows the whole, with the origin of each line."
                }
            }
        }
        @if all > 0 {
            section aria-labelledby="used-by" {
                h2 #used-by { "Used by" }
                ul.children { (rows.rows) }
                (left_out(all - rows.count))
            }
        }
    }
}

fn readme_section(detail: &Detail<'_>, texts: &FileTexts) -> Markup {
    let snapshot = detail.visit.snapshot;
    let Some((path, file)) = files::readme_of(snapshot, &detail.shown) else { return html! {} };
    let folder = files::folder_of(snapshot, &detail.shown).unwrap_or_default();
    let raw = format!("/{}", encoded(path));
    let render = |text: &str| {
        let (source, version) = (detail.source(), detail.version());
        let has = |path: &str| snapshot.file(path).is_some();
        let around = Around { path, folder, entry: &detail.path, version, source: source.as_ref(), has: &has };
        readme::render(text, &around).unwrap_or_default()
    };
    let html = texts.text(file).map(|text| {
        let key = (snapshot.about.release, format!("readme {} {path}", detail.shown.key()));
        detail.visit.viewer.rendered.section(key, || render(text))
    });
    html! {
        section.readme aria-label="README" {
            @match html {
                Some(html) if !html.is_empty() => { (readme::markup(&html)) }
                _ => { h2 { "README" } p { a href=(raw) { "README.md" } " is not shown here." } }
            }
        }
    }
}

/// The source folder, the editor and the form for a problem.
fn contribute(detail: &Detail<'_>) -> Markup {
    let links = [
        ("Source at this commit", detail.source_folder()),
        ("Edit", detail.edit()),
        ("Report a problem", detail.report()),
    ];
    html! {
        @if links.iter().any(|(_, link)| link.is_some()) {
            h3 { "Contribute" }
            ul.links {
                @for (name, link) in links.into_iter().filter_map(|(name, link)| Some((name, link?))) {
                    li { a href=(link) rel="noopener noreferrer nofollow" { (name) } }
                }
            }
        }
    }
}

/// The facts of the index about the version, one line each.
fn facts(detail: &Detail<'_>) -> Markup {
    let (snapshot, shown) = (detail.visit.snapshot, &detail.shown);
    let (entry, version) = (shown.entry, shown.version);
    let devfile = detail.content.as_ref().and_then(|content| content.devfile.as_ref());
    let metadata = devfile.map(|devfile| &devfile.metadata);
    let git = git_of(shown);
    let architectures = shown.either(|version| &version.architectures, &entry.architectures);
    let text = |text: &str| (!text.trim().is_empty()).then(|| html! { (brief(text)) });
    let value = |facet: Facet, value: &str| {
        if value.len() > VALUE_BYTES {
            return text(value);
        }
        text(value).map(|name| html! { a href=(ListQuery::only(facet, value).href()) { (name) } })
    };
    let link = |url: &str| {
        safe_link(url).map(|url| html! { a href=(url) rel="noopener noreferrer nofollow" { (short_url(url)) } })
    };
    let support = [entry.support_url.as_str(), metadata.map_or("", |metadata| &metadata.support_url)];
    let memory = [entry.global_memory_limit.as_str(), metadata.map_or("", |metadata| &metadata.global_memory_limit)];
    let links = version.into_iter().flat_map(|version| &version.links).chain(&entry.links);
    let more_links = links.filter(|(name, _)| *name != "self").filter_map(|(name, url)| Some((name, link(url)?)));
    let more_links =
        PageBudget(LIST_BYTES).fit(more_links, |(name, link)| html! { div { dt { (short(name)) } dd { (link) } } });
    let tags = shown.tags().iter().filter(|tag| tag.len() <= VALUE_BYTES);
    let tags = PageBudget(LIST_BYTES)
        .fit(tags, |tag| html! { li { a.tag href=(ListQuery::only(Facet::Tags, tag).href()) { (tag) } } });
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
        ("Commit", Some(commit(&snapshot.about.source, &snapshot.about.commit_hash))),
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
            (contribute(detail))
            @if let Some(git) = git {
                h3 { "Git" }
                ul.remotes {
                    (PageBudget(LIST_BYTES).fit(&git.remotes, |(name, remote)| html! { li { (short(name)) ": " (remote_link(remote)) } }).rows)
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
        }
    }
}
