//! The index of the viewer, made once a release: facets, words, orders and icons.

use std::cmp::Reverse;
use std::collections::HashMap;

use devfile_registry::index::{Entry, EntryType};
use devfile_registry::release::{PublishedVersion, Recent};

use super::facet::Facet;
use super::facets::{Facets, Narrowed};
use super::history::History;
use super::pictures::Pictures;
use super::query::{ListQuery, Sort};
use super::search::Words;
use super::text::short;
use crate::view::text::fold;

/// The entries of a release, prepared for browsing, by their positions in the catalog.
#[derive(Debug)]
pub(crate) struct ViewerIndex {
    pub(crate) facets: Facets,
    pub(crate) pictures: Pictures,
    pub(crate) history: History,
    words: Words,
    /// Positions in the order of the display names.
    by_name: Vec<usize>,
    /// Positions in the order of the last change, newest first.
    by_change: Vec<usize>,
    /// Positions in the order of addition, newest first.
    by_age: Vec<usize>,
    /// Positions by name: of the stack, and of the sample.
    by_entry_name: HashMap<String, [Option<usize>; 2]>,
}

impl ViewerIndex {
    /// Prepares the entries of a release.
    pub(crate) fn new(
        entries: &[Entry],
        icons: &crate::view::icons::Icons,
        versions: &[PublishedVersion],
        recent: &[Recent],
    ) -> Self {
        let history = History::new(entries, versions, recent);
        let mut by_name: Vec<usize> = (0..entries.len()).collect();
        by_name.sort_by_cached_key(|position| {
            (fold(title(&entries[*position])), entries[*position].name.clone(), *position)
        });
        let mut by_change = by_name.clone();
        by_change.sort_by_key(|position| Reverse(history.entry(*position).updated));
        let mut by_age = by_name.clone();
        by_age.sort_by_key(|position| Reverse(history.entry(*position).added));
        let mut by_entry_name: HashMap<String, [Option<usize>; 2]> = HashMap::new();
        for (position, entry) in entries.iter().enumerate() {
            let positions = by_entry_name.entry(entry.name.clone()).or_default();
            positions[kind(entry.entry_type)].get_or_insert(position);
        }
        Self {
            facets: Facets::new(entries),
            pictures: Pictures::new(icons, versions),
            words: Words::new(entries),
            by_name,
            by_change,
            by_age,
            history,
            by_entry_name,
        }
    }

    /// The entries that a query asks for, in its order.
    pub(crate) fn browse(&self, query: &ListQuery) -> Narrowed {
        let order = match query.sort {
            Sort::Modified => &self.by_change,
            Sort::Newest => &self.by_age,
            Sort::Name | Sort::Relevance => &self.by_name,
        };
        if query.search.is_empty() {
            return self.facets.narrow(order.iter().copied(), query);
        }
        let scores = self.words.scores(&query.search, order.len());
        let mut narrowed = self.facets.narrow(order.iter().copied().filter(|position| scores[*position] > 0), query);
        if query.sort == Sort::Relevance {
            narrowed.matches.sort_by_key(|position| Reverse(scores[*position]));
        }
        narrowed
    }

    /// Positions in the order of the last change, newest first.
    pub(crate) fn by_change(&self) -> &[usize] {
        &self.by_change
    }

    /// Whether some entry has a value of a facet.
    pub(crate) fn is_known(&self, facet: Facet, value: &str) -> bool {
        self.facets.is_known(facet, value)
    }

    /// The position of an entry: of the type that is asked for, else of the stack, else of the sample.
    pub(crate) fn position(&self, name: &str, only: Option<EntryType>) -> Option<usize> {
        let positions = self.by_entry_name.get(name)?;
        match only {
            Some(only) => positions[kind(only)],
            None => positions[0].or(positions[1]),
        }
    }

    /// Whether a name alone does not lead to an entry, because a stack has the same name as this sample.
    pub(crate) fn is_shadowed(&self, entry: &Entry) -> bool {
        let positions = self.by_entry_name.get(&entry.name);
        entry.entry_type == EntryType::Sample && positions.is_some_and(|positions| positions[0].is_some())
    }

    /// The names of all entries.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_entry_name.keys().map(String::as_str)
    }
}

fn kind(entry_type: EntryType) -> usize {
    match entry_type {
        EntryType::Stack => 0,
        EntryType::Sample => 1,
    }
}

/// The name of an entry for people.
pub(crate) fn title(entry: &Entry) -> &str {
    short(if entry.display_name.trim().is_empty() { &entry.name } else { &entry.display_name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::browse::fixture;

    fn browsed(raw: &str) -> Vec<String> {
        let entries = fixture::entries();
        let viewer_index = ViewerIndex::new(&entries, &crate::view::icons::Icons::new(), &[], &[]);
        let query = ListQuery::parse(raw, |facet, value| viewer_index.is_known(facet, value));
        viewer_index.browse(&query).matches.into_iter().map(|position| title(&entries[position]).to_owned()).collect()
    }

    #[test]
    fn list_has_the_order_that_its_query_names() {
        assert_eq!(browsed(""), ["Forge", "Kiln", "Loom", "Loom shop", "Pot"]);
        assert_eq!(browsed("sort=modified"), ["Pot", "Kiln", "Loom", "Loom shop", "Forge"]);
        assert_eq!(browsed("sort=newest"), ["Pot", "Loom", "Loom shop", "Kiln", "Forge"]);
        assert_eq!(browsed("search=loom"), ["Loom", "Loom shop"]);
        assert_eq!(browsed("search=kiln"), ["Kiln", "Pot"], "the name counts for more than the description");
        assert_eq!(browsed("search=kiln&sort=modified"), ["Pot", "Kiln"]);
        assert_eq!(browsed("search=kiln&types=sample"), ["Pot"]);
    }

    #[test]
    fn a_stack_and_a_sample_may_share_a_name() {
        let entries = fixture::entries();
        let viewer_index = ViewerIndex::new(&entries, &crate::view::icons::Icons::new(), &[], &[]);
        assert_eq!(viewer_index.position("loom", None), Some(1));
        assert_eq!(viewer_index.position("loom", Some(EntryType::Sample)), Some(4));
        assert_eq!(viewer_index.position("pot", None), Some(3));
        assert_eq!(viewer_index.position("pot", Some(EntryType::Stack)), None);
        assert!(
            viewer_index.is_shadowed(&entries[4])
                && !viewer_index.is_shadowed(&entries[1])
                && !viewer_index.is_shadowed(&entries[3])
        );
    }
}
