//! The list of stacks and samples: search, filters, cards and pages.

use devfile_registry::index::{Entry, EntryType};
use devfile_registry::timestamp::Timestamp;
use maud::{Markup, html};

use super::budget::{brief, short};
use super::link::EntryPath;
use super::page::{Glyph, Page, RegistryInfo, Section, count, day, glyph, icon};
use crate::release::snapshot::Snapshot;
use crate::view::browse::facet::{Facet, VALUE_BYTES};
use crate::view::browse::facets::{Choice, Narrowed};
use crate::view::browse::query::{ListQuery, Sort};
use crate::view::browse::viewer_index::{ViewerIndex, title};
use crate::view::catalog::is_deprecated_tag;
use crate::view::text::fold;

/// Cards on a page, as existing viewers show them.
const PAGE: usize = 15;

/// Values of a facet that are shown at once, and most that are shown at all; search finds the others.
const FIRST: usize = 8;
const SHOWN: usize = 60;

/// Entries under "Recently updated".
const UPDATED: usize = 5;

/// Most suggestions for a search.
const SUGGESTED: usize = 8;

/// Tags on a card.
const TAGS: usize = 4;

/// The page that a query string asks for, at a moment: entries are new for a while.
pub(super) fn render(snapshot: &Snapshot, registry: RegistryInfo<'_>, raw: &str, now: jiff::Timestamp) -> Page {
    let viewer_index = &snapshot.viewer_index;
    let query = ListQuery::parse(raw, |facet, value| viewer_index.is_known(facet, value));
    let found = viewer_index.browse(&query);
    let pages = found.matches.len().div_ceil(PAGE).max(1);
    let query = query.on_page(query.page.min(pages));
    let about = &snapshot.about;
    let description = format!(
        "{} and {} for OpenShift, Kubernetes and local development, from {}.",
        count(about.stacks, "devfile stack", "devfile stacks"),
        count(about.samples, "sample", "samples"),
        registry.name
    );
    let main = html! {
        form.browse action="/viewer" method="get" autocomplete="off" data-live="browse" {
            div.hero { div.hero-inner {
                h1 { "Find a devfile" }
                p.lead {
                    "Ready-made development environments: "
                    (count(about.stacks, "stack", "stacks")) " and " (count(about.samples, "sample", "samples")) "."
                }
                div.searchbar role="search" {
                    label.hidden for="search" { "Search stacks and samples" }
                    (glyph(Glyph::Search))
                    input #search type="search" name="search" value=(query.search) maxlength="200" autocomplete="off" list="suggestions"
                        spellcheck="false" placeholder="Search by name, language, provider or tag" aria-controls="results"
                        aria-keyshortcuts="/";
                    datalist #suggestions data-part { @for text in suggestions(snapshot, &found, &query) { option value=(text) {} } }
                    button.primary type="submit" { "Search" }
                }
            } }
            // Screen readers announce the number of hits while somebody types.
            p.hidden #said role="status" {}
            div.columns {
                (filters(viewer_index, &found, &query))
                section.results #results aria-label="Results" data-part {
                    (toolbar(&query, &found, snapshot))
                    @if query.is_open() && query.page == 1 && found.matches.len() > PAGE { (updated(snapshot, registry)) }
                    @if found.matches.is_empty() {
                        (nothing(&query))
                    } @else {
                        ol.cards {
                            @for position in found.matches.iter().skip((query.page - 1) * PAGE).take(PAGE) {
                                li { (card(snapshot, *position, registry, now)) }
                            }
                        }
                        (pagination(&query, pages))
                    }
                }
            }
        }
    };
    let title = match query.search.as_str() {
        "" => "Browse".to_owned(),
        search => format!("Search for {search}"),
    };
    // Every narrowed list is the same few entries once more; search engines need only the whole.
    let canonical = query.is_open().then(|| query.href());
    Page { title, description, canonical, section: Section::Browse, main }
}

fn toolbar(query: &ListQuery, found: &Narrowed, snapshot: &Snapshot) -> Markup {
    let (hits, all) = (found.matches.len(), snapshot.catalog.len());
    html! {
        div.toolbar {
            h2 {
                @if query.is_open() { (count(all, "entry", "entries")) }
                @else { (hits) " of " (count(all, "entry", "entries")) }
            }
            div.sort {
                label for="sort" { "Sort by" }
                select #sort name="sort" data-submit {
                    @for (sort, name, label) in Sort::ALL {
                        @if sort != Sort::Relevance || !query.search.is_empty() {
                            option value=(name) selected[is_shown_as(query, sort)] { (label) }
                        }
                    }
                }
                button.plain.no-script type="submit" { "Sort" }
            }
        }
        @if !query.is_open() {
            ul.chosen aria-label="Chosen filters" {
                @if !query.search.is_empty() {
                    li { (chosen("Search", &query.search, &query.without_search())) }
                }
                @for facet in Facet::ALL {
                    @for value in query.picked(facet) {
                        li { (chosen(facet.title(), value, &query.without(facet, value))) }
                    }
                }
                li { a.clear href=(query.opened().href()) { "Clear all" } }
            }
        }
    }
}

/// Without a search there is no best match, and the list is in the order of the names.
fn is_shown_as(query: &ListQuery, sort: Sort) -> bool {
    query.sort == sort || sort == Sort::Name && query.sort == Sort::Relevance && query.search.is_empty()
}

fn chosen(name: &str, value: &str, without: &ListQuery) -> Markup {
    html! {
        a.chip href=(without.href()) aria-label={ "Remove " (name) ": " (value) } {
            span.name { (name) ":" } " " (value) " " span.cross aria-hidden="true" { "×" }
        }
    }
}

fn filters(viewer_index: &ViewerIndex, found: &Narrowed, query: &ListQuery) -> Markup {
    let picked: usize = Facet::ALL.into_iter().map(|facet| query.picked(facet).len()).sum();
    html! {
        aside.filters aria-label="Filters" {
            details.disclosure open {
                summary {
                    (glyph(Glyph::Filter)) "Filters"
                    @if picked > 0 { " " span.bubble { (picked) } }
                }
                div.facets #facets data-part {
                    @for facet in Facet::ALL {
                        (choices(facet, viewer_index.facets.choices(facet, found), found, query))
                    }
                    button.primary.no-script type="submit" { "Apply filters" }
                    a.primary.script.show-results href="#results" data-show-results { "Show " (count(found.matches.len(), "result", "results")) }
                }
            }
        }
    }
}

fn choices(facet: Facet, choices: Vec<Choice<'_>>, found: &Narrowed, query: &ListQuery) -> Markup {
    let has_choice = choices.len() > 1;
    let choices: Vec<Choice<'_>> = choices.into_iter().filter(|choice| choice.count > 0 || choice.picked).collect();
    let unknown: Vec<Choice<'_>> = (0..)
        .zip(query.picked(facet))
        .filter(|(number, _)| !found.is_known(facet, *number))
        .map(|(_, value)| Choice { label: value, count: 0, picked: true })
        .collect();
    let (first, rest): (Vec<_>, Vec<_>) = unknown
        .iter()
        .chain(&choices)
        .enumerate()
        .partition(|(position, choice)| choices.len() <= FIRST + 2 || *position < FIRST || choice.picked);
    let rest = &rest[..rest.len().min(SHOWN)];
    html! {
        // One value to choose from is no choice.
        @if (has_choice && !choices.is_empty()) || !unknown.is_empty() {
            fieldset {
                legend { (facet.title()) }
                @for (_, choice) in first { (checkbox(facet, choice)) }
                @if !rest.is_empty() {
                    details.more data-keep=(facet.parameter()) {
                        summary { (rest.len()) " more" }
                        @for (_, choice) in rest { (checkbox(facet, choice)) }
                    }
                }
            }
        }
    }
}

fn checkbox(facet: Facet, choice: &Choice<'_>) -> Markup {
    html! {
        label.choice {
            input type="checkbox" name=(facet.parameter()) value=(choice.label) checked[choice.picked] data-submit;
            span { (choice.label) }
            span.count { (choice.count) }
        }
    }
}

/// The type of an entry as a mark.
pub(super) fn type_mark(entry_type: EntryType) -> Markup {
    match entry_type {
        EntryType::Stack => html! { span.mark.stack { "Stack" } },
        EntryType::Sample => html! { span.mark.sample { "Sample" } },
    }
}

/// The path of an entry's pages.
pub(super) fn path_of<'a>(entry: &'a Entry, viewer_index: &ViewerIndex, registry: RegistryInfo<'a>) -> EntryPath<'a> {
    let only = viewer_index.is_shadowed(entry).then_some(entry.entry_type);
    EntryPath { registry: registry.slug, name: &entry.name, only }
}

/// The day of a change.
fn updated_day(moment: jiff::Timestamp) -> Option<Markup> {
    day(&Timestamp::from_instant(moment))
}

/// The entries that were changed last.
fn updated(snapshot: &Snapshot, registry: RegistryInfo<'_>) -> Markup {
    let viewer_index = &snapshot.viewer_index;
    let last = viewer_index.by_change().iter().take(UPDATED);
    html! {
        section.updated aria-labelledby="updated" {
            h2 #updated { "Recently updated" }
            ul {
                @for position in last {
                    @let entry = &snapshot.catalog.head(*position);
                    li {
                        a href=(path_of(entry, viewer_index, registry).page()) {
                            (title(entry))
                            @if let Some(day) = viewer_index.history.entry(*position).updated.and_then(updated_day) { (day) }
                        }
                    }
                }
            }
        }
    }
}

/// Texts that begin or go on as the search does: values of facets, then titles of hits.
fn suggestions(snapshot: &Snapshot, found: &Narrowed, query: &ListQuery) -> Vec<String> {
    let wanted = fold(&query.search);
    if wanted.is_empty() {
        return Vec::new();
    }
    let titles = found.matches.iter().map(|position| title(&snapshot.catalog.head(*position)).to_owned());
    let values = snapshot.viewer_index.facets.beginning(&wanted).map(str::to_owned);
    let mut texts: Vec<String> = Vec::new();
    for text in values.take(SUGGESTED / 2).chain(titles.take(SUGGESTED)) {
        let folded = fold(&text);
        if folded != wanted && texts.len() < SUGGESTED && texts.iter().all(|known| fold(known) != folded) {
            texts.push(text);
        }
    }
    texts
}

fn card(snapshot: &Snapshot, position: usize, registry: RegistryInfo<'_>, now: jiff::Timestamp) -> Markup {
    let (catalog, viewer_index) = (&snapshot.catalog, &snapshot.viewer_index);
    let (entry, times, versions) =
        (&catalog.head(position), viewer_index.history.entry(position), catalog.versions(position));
    let is_shown = |tag: &&String| !tag.trim().is_empty() && tag.len() <= VALUE_BYTES && !is_deprecated_tag(tag);
    let tags: Vec<&String> = entry.tags.iter().filter(is_shown).collect();
    html! {
        article.card {
            div.card-head {
                (icon(viewer_index.pictures.of(entry).as_deref(), title(entry), 44))
                div {
                    h3 { a href=(path_of(entry, viewer_index, registry).page()) { (title(entry)) } }
                    p.by {
                        (type_mark(entry.entry_type))
                        @if times.is_new(now) { span.mark.new { "New" } }
                        @if catalog.is_deprecated(position) { span.mark.deprecated { "Deprecated" } }
                        @if !entry.provider.trim().is_empty() { span.provider { (short(&entry.provider)) } }
                    }
                }
            }
            p.about { (brief(&entry.description)) }
            @if !tags.is_empty() {
                ul.tags aria-label="Tags" {
                    @for tag in tags.iter().take(TAGS) {
                        li { a.tag href=(ListQuery::only(Facet::Tags, tag).href()) { (tag) } }
                    }
                    @if tags.len() > TAGS { li.more { "+" (tags.len() - TAGS) } }
                }
            }
            p.card-foot {
                span {
                    (short(&entry.language))
                    @if versions > 1 {
                        @if !entry.language.trim().is_empty() { " · " }
                        (versions) " versions"
                    }
                }
                @if let Some(day) = times.updated.and_then(updated_day) { span { span.hidden { "Updated " } (day) } }
            }
        }
    }
}

fn nothing(query: &ListQuery) -> Markup {
    let relax: Vec<(String, ListQuery)> = Facet::ALL
        .into_iter()
        .flat_map(|facet| query.picked(facet).iter().map(move |value| (facet, value)))
        .map(|(facet, value)| (format!("{} “{value}”", facet.title().to_lowercase()), query.without(facet, value)))
        .collect();
    html! {
        div.empty {
            h3 { "Nothing matches all of this" }
            @if relax.is_empty() {
                p { "No name, language, provider, description or tag has the words “" (query.search) "”, not even with a typo. Fewer or other words may help." }
            } @else {
                p { "Leave one of these out to see more:" }
                ul {
                    @if !query.search.is_empty() {
                        li { a href=(query.without_search().href()) { "the search for “" (query.search) "”" } }
                    }
                    @for (name, without) in relax.into_iter().take(FIRST) { li { a href=(without.href()) { "the " (name) } } }
                }
            }
            p { a href=(query.opened().href()) { "Show everything" } }
        }
    }
}

/// Pages that are linked: the first, the last and those around the current one; 0 stands for a gap.
fn linked_pages(page: usize, pages: usize) -> Vec<usize> {
    let mut linked = Vec::new();
    for number in 1..=pages {
        if number == 1 || number == pages || number.abs_diff(page) <= 1 || (pages <= 7) {
            linked.push(number);
        } else if linked.last() != Some(&0) {
            linked.push(0);
        }
    }
    linked
}

fn pagination(query: &ListQuery, pages: usize) -> Markup {
    let page = query.page;
    html! {
        @if pages > 1 {
            nav.pages aria-label="Pages" {
                @if page > 1 { a.step rel="prev" href=(query.on_page(page - 1).href()) { "Previous" } }
                ol {
                    @for number in linked_pages(page, pages) {
                        li {
                            @if number == 0 { span.gap aria-hidden="true" { "…" } }
                            @else {
                                a href=(query.on_page(number).href()) aria-label={ "Page " (number) }
                                    aria-current=[(number == page).then_some("page")] { (number) }
                            }
                        }
                    }
                }
                @if page < pages { a.step rel="next" href=(query.on_page(page + 1).href()) { "Next" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use devfile_registry::release::Changes;

    use super::*;
    use crate::http::body::Caching;
    use crate::view::icons::Icons;
    use crate::viewer::fixture;

    #[test]
    fn entry_is_marked_as_new_for_thirty_days_after_the_release_that_added_it() {
        let mut snapshot = fixture::snapshot();
        let mut release = snapshot.about.recent[0].clone();
        let part: BTreeSet<String> = ["samples/pot".to_owned()].into();
        release.changes = Changes { changed: part.clone(), added: part, ..Changes::default() };
        release.parts = 1;
        snapshot.viewer_index = ViewerIndex::new(&fixture::entries(), &Icons::new(), &[], &[release]);
        let registry =
            RegistryInfo { name: "Clay", slug: "clay", origin: None, caching: Caching::Private, frame: None };
        for (now, marks) in [("2025-11-30T09:00:00Z", 1), ("2025-12-02T09:00:00Z", 0)] {
            let page = render(&snapshot, registry, "", now.parse().unwrap());
            assert_eq!(page.main.into_string().matches(">New<").count(), marks, "{now}");
        }
    }

    #[test]
    fn list_links_the_pages_around_the_current_one() {
        for (page, pages, linked) in [
            (1, 1, vec![1]),
            (3, 7, vec![1, 2, 3, 4, 5, 6, 7]),
            (1, 9, vec![1, 2, 0, 9]),
            (5, 9, vec![1, 0, 4, 5, 6, 0, 9]),
            (9, 9, vec![1, 0, 8, 9]),
        ] {
            assert_eq!(linked_pages(page, pages), linked, "{page} of {pages}");
        }
    }
}
