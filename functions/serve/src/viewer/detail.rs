//! The frame of the pages of a stack or sample: title, version and tabs around the content of one of them.

use std::sync::Arc;

use axum::http::Response;
use devfile_registry::index::{Entry, VersionEntry};
use maud::{Markup, html};

use super::budget::{self, brief, short};
use super::content::DevfileContent;
use super::files::{files_of, folder_of};
use super::link::{EntryPath, segment};
use super::list::{path_of, type_mark};
use super::page::{Glyph, Page, Section, glyph, icon};
use super::quarantine;
use super::shown::{Shown, sorted};
use super::source::{RepositoryLinks, git_of};
use super::visit::{EntryQuery, Visit};
use crate::config::Readers;
use crate::view::browse::viewer_index::title;

/// A version of an entry, with everything that its pages share.
#[derive(Debug)]
pub(super) struct Detail<'a> {
    /// The request.
    pub(super) visit: Visit<'a>,
    /// The version.
    pub(super) shown: Shown<'a>,
    /// The paths of its pages.
    pub(super) path: EntryPath<'a>,
    /// Its devfile, if the release has it.
    pub(super) content: Option<Arc<DevfileContent>>,
}

/// The pages of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    /// The way to start.
    Overview,
    /// The commands of the devfile.
    Commands,
    /// Its components.
    Components,
    /// Its text.
    Devfile,
    /// The files beside it.
    Files,
    /// The other versions.
    Versions,
}

impl Tab {
    const ALL: [Self; 6] =
        [Self::Overview, Self::Commands, Self::Components, Self::Devfile, Self::Files, Self::Versions];

    /// The end of its path.
    pub(super) fn below(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Commands => "/commands",
            Self::Components => "/components",
            Self::Devfile => "/devfile",
            Self::Files => "/files",
            Self::Versions => "/versions",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Commands => "Commands",
            Self::Components => "Components",
            Self::Devfile => "Devfile",
            Self::Files => "Files",
            Self::Versions => "Versions",
        }
    }
}

impl<'a> Detail<'a> {
    /// The version that a request asks for.
    ///
    /// # Errors
    /// The answer, when the registry, the entry or the version does not exist.
    pub(super) fn find(visit: Visit<'a>, registry: &str, name: &str) -> Result<Self, Box<Response<axum::body::Body>>> {
        let query = EntryQuery::parse(visit.query);
        let entry = visit.entry(registry, name, query.only)?;
        Ok(Self::of(visit, visit.version(entry, &query.version)?))
    }

    /// A version.
    pub(super) fn of(visit: Visit<'a>, shown: Shown<'a>) -> Self {
        let path = path_of(shown.entry, &visit.snapshot.viewer_index, visit.registry);
        let content = shown.text().map(|text| visit.viewer.rendered.content(text));
        Self { visit, shown, path, content }
    }

    /// The version as links name it: nothing for the default one.
    pub(super) fn version(&self) -> &'a str {
        match self.shown.version {
            Some(version) if version.default => "",
            _ => self.shown.name(),
        }
    }

    /// The name of the entry, with the version unless it is the default one.
    pub(super) fn title(&self) -> String {
        match self.version() {
            "" => title(self.shown.entry).to_owned(),
            version => format!("{} {version}", title(self.shown.entry)),
        }
    }

    /// The path of the devfile in the REST API, which answers a name with the stack of that name.
    pub(super) fn rest(&self) -> Option<String> {
        (!self.visit.snapshot.viewer_index.is_shadowed(self.shown.entry)).then(|| rest_path(&self.shown))
    }

    /// The repository on its host that the files of the version are from.
    pub(super) fn source(&self) -> Option<RepositoryLinks> {
        match git_of(&self.shown) {
            Some(git) => RepositoryLinks::of_git(git),
            None => RepositoryLinks::of_release(self.visit.snapshot),
        }
    }

    /// The folder of the version at its commit.
    pub(super) fn source_folder(&self) -> Option<String> {
        match git_of(&self.shown) {
            Some(git) => RepositoryLinks::of_git(git)?.folder(&git.sub_dir),
            None => {
                RepositoryLinks::of_release(self.visit.snapshot)?.folder(folder_of(self.visit.snapshot, &self.shown)?)
            }
        }
    }

    /// The editor of the devfile.
    pub(super) fn edit(&self) -> Option<String> {
        let folder = folder_of(self.visit.snapshot, &self.shown).filter(|_| git_of(&self.shown).is_none())?;
        let mut names = files_of(self.visit.snapshot, &self.shown).map(|(path, _)| path);
        let name = names.find(|name| matches!(*name, "devfile.yaml" | ".devfile.yaml")).unwrap_or("devfile.yaml");
        RepositoryLinks::of_release(self.visit.snapshot)?.edit(&format!("{folder}/{name}"))
    }

    /// The form for a problem with the version.
    pub(super) fn report(&self) -> Option<String> {
        let (name, version) = (&self.shown.entry.name, self.shown.name());
        let subject = format!("{name} {version}: ");
        let commit = &self.visit.snapshot.about.commit_hash;
        let text = format!("{name} {version}, published from {commit}:\n\n");
        self.source()?.issue(&subject, &text)
    }

    /// The tabs with content.
    fn tabs(&self) -> impl Iterator<Item = (Tab, Option<usize>)> {
        let devfile = self.content.as_ref().and_then(|content| content.devfile.as_ref());
        let commands = devfile.map(|devfile| devfile.commands.len() + devfile.omitted.commands);
        let components = devfile.map(|devfile| devfile.components.len() + devfile.omitted.components);
        let versions = self.shown.entry.versions.len();
        let has_content = self.content.is_some();
        let has_files = folder_of(self.visit.snapshot, &self.shown).is_some();
        Tab::ALL.into_iter().filter_map(move |tab| match tab {
            Tab::Overview => Some((tab, None)),
            Tab::Commands => commands.filter(|count| *count > 0).map(|count| (tab, Some(count))),
            Tab::Components => components.filter(|count| *count > 0).map(|count| (tab, Some(count))),
            Tab::Devfile => has_content.then_some((tab, None)),
            Tab::Files => has_files.then_some((tab, None)),
            Tab::Versions => (versions > 1).then_some((tab, Some(versions))),
        })
    }

    /// A page: the part above the tabs, and the content of one of them.
    pub(super) fn page(&self, tab: Tab, above: Markup, body: Markup) -> Page {
        let (entry, registry) = (self.shown.entry, self.visit.registry);
        let version = self.version();
        let here = (tab != Tab::Overview).then(|| (tab.name(), None));
        let own = (tab != Tab::Overview).then(|| self.path.below("", version));
        let steps = [("Browse", Some("/viewer".to_owned())), (title(entry), own)];
        let steps: Vec<_> = steps.into_iter().chain(here).collect();
        let main = html! {
            div.narrow.detail-page {
                (crumbs(&steps))
                (self.head(tab))
                (quarantine::notice(self.visit.snapshot, entry))
                @if self.visit.viewer.readers == Readers::Owners { (quarantine::warnings(self.visit.snapshot, &self.shown)) }
                @if self.shown.is_deprecated() { (self.deprecated(tab)) }
                (above)
                nav.tabs aria-label="Pages of this version" {
                    ul {
                        @for (other, count) in self.tabs() {
                            li {
                                a href=(self.path.below(other.below(), version)) aria-current=[(other == tab).then_some("page")] {
                                    (other.name()) @if let Some(count) = count { " " span.side-note { (count) } }
                                }
                            }
                        }
                    }
                }
                (body)
            }
        };
        let page_title = match tab {
            Tab::Overview => self.title(),
            _ => format!("{} of {}", tab.name(), self.title()),
        };
        let description = match self.shown.description().trim() {
            "" => format!("{} in {}", title(entry), registry.name),
            text => brief(text).into_owned(),
        };
        let canonical = Some(self.path.below(tab.below(), version));
        Page { title: page_title, description, canonical, section: Section::Browse, main }
    }

    fn head(&self, tab: Tab) -> Markup {
        let entry = self.shown.entry;
        html! {
            header.entry {
                (icon(self.visit.snapshot.viewer_index.pictures.of(entry).as_deref(), title(entry), 64))
                div.entry-text {
                    h1 { (title(entry)) }
                    p.by {
                        (type_mark(entry.entry_type))
                        @if self.shown.is_deprecated() { span.mark.deprecated { "Deprecated" } }
                        code { (entry.name) }
                        @if !entry.provider.trim().is_empty() { span { "by " (short(&entry.provider)) } }
                    }
                    p.about { (brief(self.shown.description())) }
                }
                @if !entry.versions.is_empty() { (version_select(self, tab)) }
            }
        }
    }

    /// Says that the version is deprecated, and which one to take.
    fn deprecated(&self, tab: Tab) -> Markup {
        let others = sorted(self.shown.entry);
        let of = |version| Shown { entry: self.shown.entry, version: Some(version), devfile: None };
        let better = others.into_iter().find(|version| !of(version).is_deprecated());
        html! {
            p.notice {
                (glyph(Glyph::Warning))
                span {
                    "This version is deprecated: it still works, but its owners do not recommend it for new projects."
                    @if let Some(better) = better {
                        " " a href=(self.path.below(tab.below(), &better.version)) { "Use version " (better.version) } "."
                    }
                }
            }
        }
    }
}

fn version_select(detail: &Detail<'_>, tab: Tab) -> Markup {
    let path = &detail.path;
    html! {
        form.version action={ (path.path()) (tab.below()) } method="get" {
            @if let Some(only) = path.only { input type="hidden" name="type" value=(super::link::type_name(only)); }
            label for="version" { "Version" }
            div {
                select #version name="devfile-version" data-submit {
                    (options(detail.shown.entry, detail.shown.name()))
                }
                button.plain.no-script type="submit" { "Show" }
            }
        }
    }
}

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
    let fitting = budget::section(&sorted, option);
    let chosen = sorted[fitting.count..].iter().find(|version| version.version == chosen);
    html! { (fitting.rows) @if let Some(version) = chosen { (option(version)) } }
}

/// The path of the devfile in the REST API.
pub(super) fn rest_path(shown: &Shown<'_>) -> String {
    let name = segment(&shown.entry.name);
    match shown.name() {
        "" => format!("/devfiles/{name}"),
        version => format!("/devfiles/{name}/{}", segment(version)),
    }
}

/// The position of a page: links that lead to it, and itself.
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
