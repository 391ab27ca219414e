//! The facets of a release: which entries have which values, and how many entries each value would show.

use std::cmp::Reverse;

use devfile_registry::index::Entry;

use super::facet::{ENTRY_VALUES, FACETS, Facet};
use super::query::ListQuery;
use crate::view::column::{Rows, Text, Texts};
use crate::view::text::fold;
use crate::view::versions::number as version_number;

/// A value of a facet.
#[derive(Debug)]
struct FacetValue {
    /// As first written in the index.
    label: String,
    /// As it is compared.
    folded: Box<str>,
}

/// The values of one facet, and which entries have which.
#[derive(Debug)]
struct FacetColumn {
    values: Vec<FacetValue>,
    /// Numbers of values, a row for each entry.
    rows: Rows,
    /// Numbers of values in the order in which they are offered. It is that of the whole release, so that a choice does
    /// not move when another is made.
    order: Vec<u32>,
}

/// All facets of a release.
#[derive(Debug)]
pub(crate) struct Facets {
    columns: [FacetColumn; FACETS],
}

/// A value as the list offers it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice<'a> {
    /// The value.
    pub(crate) label: &'a str,
    /// The number of entries that the list shows with it; other choices in this facet do not count.
    pub(crate) count: usize,
    /// Whether it is picked.
    pub(crate) picked: bool,
}

/// The entries that match a query, and the counts beside them.
#[derive(Debug)]
pub(crate) struct Narrowed {
    /// Entries by their position in the index.
    pub(crate) matches: Vec<usize>,
    counts: [Vec<usize>; FACETS],
    picked: [Vec<Option<u32>>; FACETS],
}

impl Narrowed {
    /// Whether an entry of the release has the picked value of a facet with a number.
    pub(crate) fn is_known(&self, facet: Facet, number: usize) -> bool {
        self.picked[facet as usize][number].is_some()
    }
}

impl FacetColumn {
    fn new(facet: Facet, entries: &[Entry]) -> Self {
        let (mut texts, mut rows) = (Texts::default(), Rows::default());
        for entry in entries {
            rows.push(facet.of(entry).into_iter().take(ENTRY_VALUES), &mut texts);
        }
        let value = |text: Text<'_>| FacetValue { label: text.written.trim().to_owned(), folded: text.folded };
        let mut column = Self { values: texts.into_distinct().map(value).collect(), rows, order: vec![] };
        column.order = column.ordered(facet);
        column
    }

    /// Values with most entries first, schema versions newest first.
    fn ordered(&self, facet: Facet) -> Vec<u32> {
        let mut totals = vec![0_usize; self.values.len()];
        self.rows.numbers().iter().for_each(|number| totals[*number as usize] += 1);
        let mut order: Vec<u32> = (0..).take(self.values.len()).collect();
        let value = |number: u32| &self.values[number as usize];
        match facet {
            Facet::SchemaVersions => {
                order.sort_by_cached_key(|number| Reverse(version_number(&value(*number).label)));
            }
            _ => order.sort_by_cached_key(|number| (Reverse(totals[*number as usize]), value(*number).folded.clone())),
        }
        order
    }

    fn number(&self, text: &str) -> Option<u32> {
        let folded = fold(text);
        let found = self.values.iter().position(|value| *value.folded == *folded)?;
        u32::try_from(found).ok()
    }
}

impl Facets {
    /// The facets of the entries of a release.
    pub(crate) fn new(entries: &[Entry]) -> Self {
        Self { columns: Facet::ALL.map(|facet| FacetColumn::new(facet, entries)) }
    }

    /// Whether some entry has a value.
    pub(crate) fn is_known(&self, facet: Facet, value: &str) -> bool {
        self.columns[facet as usize].number(value).is_some()
    }

    /// Narrows `candidates` to the choices of `query`: one of the picked values in each facet that has some.
    ///
    /// An entry that fails in one facet alone still counts for the values of that facet: it shows the result of another choice
    /// there would show.
    pub(crate) fn narrow(&self, candidates: impl Iterator<Item = usize>, query: &ListQuery) -> Narrowed {
        let picked = Facet::ALL.map(|facet| -> Vec<Option<u32>> {
            query.picked(facet).iter().map(|value| self.columns[facet as usize].number(value)).collect()
        });
        let mut narrowed = Narrowed {
            matches: Vec::new(),
            counts: Facet::ALL.map(|facet| vec![0; self.columns[facet as usize].values.len()]),
            picked,
        };
        for entry in candidates {
            let mut failed = Facet::ALL.into_iter().filter(|facet| !self.holds(*facet, entry, &narrowed.picked));
            match (failed.next(), failed.next()) {
                (None, _) => {
                    drop(failed);
                    narrowed.matches.push(entry);
                    Facet::ALL.into_iter().for_each(|facet| self.count(facet, entry, &mut narrowed.counts));
                }
                (Some(facet), None) => {
                    drop(failed);
                    self.count(facet, entry, &mut narrowed.counts);
                }
                _ => {}
            }
        }
        narrowed
    }

    fn holds(&self, facet: Facet, entry: usize, picked: &[Vec<Option<u32>>; FACETS]) -> bool {
        let picked = &picked[facet as usize];
        let row = self.columns[facet as usize].rows.row(entry);
        picked.is_empty()
            || (row.is_empty() && facet.nothing_is_all())
            || row.iter().any(|number| picked.contains(&Some(*number)))
    }

    fn count(&self, facet: Facet, entry: usize, counts: &mut [Vec<usize>; FACETS]) {
        let (row, counts) = (self.columns[facet as usize].rows.row(entry), &mut counts[facet as usize]);
        if row.is_empty() && facet.nothing_is_all() {
            counts.iter_mut().for_each(|count| *count += 1);
        }
        row.iter().for_each(|number| counts[*number as usize] += 1);
    }

    /// Languages, tags and providers with a word that begins with a folded text, those of most entries first.
    pub(crate) fn beginning<'a>(&'a self, wanted: &str) -> impl Iterator<Item = &'a str> {
        let columns = [Facet::Languages, Facet::Tags, Facet::Providers]
            .into_iter()
            .map(move |facet| &self.columns[facet as usize]);
        columns.flat_map(move |column| {
            let values = column.order.iter().map(|number| &column.values[*number as usize]);
            let begins = move |value: &&FacetValue| {
                value.folded.match_indices(wanted).any(|(at, _)| at == 0 || value.folded[..at].ends_with(' '))
            };
            values.filter(begins).map(|value| value.label.as_str())
        })
    }

    /// The values of a facet to choose from.
    pub(crate) fn choices<'a>(&'a self, facet: Facet, narrowed: &Narrowed) -> Vec<Choice<'a>> {
        let column = &self.columns[facet as usize];
        let picked = &narrowed.picked[facet as usize];
        let choice = |number: &u32| Choice {
            label: &column.values[*number as usize].label,
            count: narrowed.counts[facet as usize][*number as usize],
            picked: picked.contains(&Some(*number)),
        };
        column.order.iter().map(choice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::browse::fixture;

    fn shown(query: &str) -> (Vec<String>, String) {
        let entries = fixture::entries();
        let facets = Facets::new(&entries);
        let query = ListQuery::parse(query, |facet, value| facets.is_known(facet, value));
        let narrowed = facets.narrow(0..entries.len(), &query);
        let counts = Facet::ALL.map(|facet| {
            let choices = facets.choices(facet, &narrowed);
            let texts = choices.iter().map(|choice| {
                let mark = if choice.picked { "*" } else { "" };
                format!("{mark}{}:{}", choice.label, choice.count)
            });
            format!("{}[{}]", facet.parameter(), texts.collect::<Vec<_>>().join(" "))
        });
        (narrowed.matches.iter().map(|entry| entries[*entry].name.clone()).collect(), counts.join("\n"))
    }

    #[test]
    fn query_without_filters_counts_every_value() {
        let (names, counts) = shown("");
        assert_eq!(names, ["kiln", "loom", "forge", "pot", "loom"]);
        insta::assert_snapshot!(counts, @"
        types[Stack:3 Sample:2]
        tags[Cloth:2 Python:2 Iron:1 Markdown:1 Shop:1]
        languages[Python:2 Rust:2 C:1]
        providers[Potters:2 Weavers:1]
        architectures[amd64:5 arm64:5]
        schemaVersions[2.3.0:1 2.2.2:1 2.2.0:2 2.1.0:1]
        deprecated[No:4 Yes:1]
        ");
    }

    #[test]
    fn entry_needs_one_picked_value_of_each_facet() {
        for (query, names) in [
            ("types=stack", vec!["kiln", "loom", "forge"]),
            ("types=stack,sample&tags=python", vec!["kiln", "pot"]),
            ("tags=Python,Cloth", vec!["kiln", "loom", "pot", "loom"]),
            ("tags=PYTHON&types=Sample", vec!["pot"]),
            ("tags=nowhere", vec![]),
            ("architectures=arm64", vec!["kiln", "loom", "forge", "pot", "loom"]),
            ("architectures=s390x", vec!["loom", "forge", "pot", "loom"]),
            ("architectures=nowhere", vec!["loom", "forge", "pot", "loom"]),
            ("schemaVersions=2.2.0", vec!["kiln", "pot"]),
            ("deprecated=Yes", vec!["forge"]),
            ("deprecated=No&types=stack", vec!["kiln", "loom"]),
            ("tags=Deprecated", vec!["forge"]),
        ] {
            assert_eq!(shown(query).0, names, "{query}");
        }
    }

    #[test]
    fn a_count_is_what_the_choice_would_show() {
        let entries = fixture::entries();
        let facets = Facets::new(&entries);
        for base in ["", "types=stack", "languages=Python", "deprecated=No&architectures=amd64"] {
            let query = ListQuery::parse(base, |_, _| true);
            let narrowed = facets.narrow(0..entries.len(), &query);
            for facet in Facet::ALL.into_iter().filter(|facet| query.picked(*facet).is_empty()) {
                for choice in facets.choices(facet, &narrowed) {
                    let more = format!("{base}&{}={}", facet.parameter(), choice.label.replace(' ', "+"));
                    assert_eq!(shown(&more).0.len(), choice.count, "{more}");
                }
            }
        }
    }
}
