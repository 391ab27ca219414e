//! Facets: what the list can be narrowed by, and how many entries each value would show.

use std::collections::HashMap;

use devfile_registry::index::{Entry, EntryType};

use super::query::ListQuery;
use crate::view::catalog::{fold, is_deprecated};
use crate::view::versions::number as version_number;

/// Something that the list can be narrowed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Facet {
    Types,
    Tags,
    Languages,
    Providers,
    Architectures,
    SchemaVersions,
    Deprecated,
}

/// Longest value of a facet, in bytes. A longer one is offered nowhere, and picking it picks nothing.
pub(crate) const VALUE_BYTES: usize = 100;

/// Most values of one facet that an entry has.
const ENTRY_VALUES: usize = 100;

/// How many facets there are.
pub(crate) const FACETS: usize = 7;

impl Facet {
    /// All facets, each at the place that its number names.
    pub(crate) const ALL: [Self; FACETS] = [
        Self::Types,
        Self::Tags,
        Self::Languages,
        Self::Providers,
        Self::Architectures,
        Self::SchemaVersions,
        Self::Deprecated,
    ];

    /// Its parameter in URLs.
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Self::Types => "types",
            Self::Tags => "tags",
            Self::Languages => "languages",
            Self::Providers => "providers",
            Self::Architectures => "architectures",
            Self::SchemaVersions => "schemaVersions",
            Self::Deprecated => "deprecated",
        }
    }

    /// Its name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Types => "Type",
            Self::Tags => "Tag",
            Self::Languages => "Language",
            Self::Providers => "Provider",
            Self::Architectures => "Architecture",
            Self::SchemaVersions => "Schema version",
            Self::Deprecated => "Deprecated",
        }
    }

    /// The facet of a parameter.
    pub(crate) fn from_parameter(parameter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.parameter() == parameter)
    }

    fn of(self, entry: &Entry) -> Vec<&str> {
        let some = |text: &'_ str| !text.trim().is_empty() && text.len() <= VALUE_BYTES;
        match self {
            Self::Types => vec![match entry.entry_type {
                EntryType::Stack => "Stack",
                EntryType::Sample => "Sample",
            }],
            Self::Tags => {
                entry.tags.iter().map(String::as_str).filter(|tag| some(tag) && fold(tag) != "deprecated").collect()
            }
            Self::Languages => vec![entry.language.as_str()].into_iter().filter(|text| some(text)).collect(),
            Self::Providers => vec![entry.provider.as_str()].into_iter().filter(|text| some(text)).collect(),
            Self::Architectures => entry.architectures.iter().map(String::as_str).filter(|text| some(text)).collect(),
            Self::SchemaVersions => {
                entry.versions.iter().map(|version| version.schema_version.as_str()).filter(|text| some(text)).collect()
            }
            Self::Deprecated => vec![if is_deprecated(entry) { "Yes" } else { "No" }],
        }
    }

    /// What an entry without a value means: one without architectures runs on all of them.
    fn nothing_is_all(self) -> bool {
        self == Self::Architectures
    }
}

/// A value of a facet.
#[derive(Debug)]
struct Value {
    /// As first written in the index.
    label: String,
    /// As it is compared.
    folded: String,
}

/// The values of one facet, and which entries have which.
#[derive(Debug)]
struct Column {
    values: Vec<Value>,
    /// Numbers of values, entry by entry, each once.
    numbers: Vec<u32>,
    /// Where the numbers of each entry end.
    ends: Vec<usize>,
    /// Numbers of values in the order in which they are offered. It is that of the whole release, so that a choice does
    /// not move when another is made.
    order: Vec<u32>,
}

/// All facets of a release.
#[derive(Debug)]
pub(crate) struct Facets {
    columns: [Column; FACETS],
}

/// A value as the list offers it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice<'a> {
    /// The value.
    pub(crate) label: &'a str,
    /// How many entries the list shows with it, whatever else of this facet is picked.
    pub(crate) count: usize,
    /// Whether it is picked.
    pub(crate) picked: bool,
}

/// The entries that a query keeps, and the counts beside them.
#[derive(Debug)]
pub(crate) struct Narrowed {
    /// Entries by their place in the index.
    pub(crate) kept: Vec<usize>,
    counts: [Vec<usize>; FACETS],
    picked: [Vec<Option<u32>>; FACETS],
}

impl Narrowed {
    /// Whether an entry of the release has the picked value of a facet with a number.
    pub(crate) fn is_known(&self, facet: Facet, number: usize) -> bool {
        self.picked[facet as usize][number].is_some()
    }
}

impl Column {
    fn new(facet: Facet, entries: &[Entry]) -> Self {
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut column =
            Self { values: vec![], numbers: vec![], ends: Vec::with_capacity(entries.len()), order: vec![] };
        for entry in entries {
            let start = column.numbers.len();
            for text in facet.of(entry).into_iter().take(ENTRY_VALUES) {
                let folded = fold(text);
                let number = *known.entry(folded.clone()).or_insert_with(|| {
                    column.values.push(Value { label: text.trim().to_owned(), folded });
                    u32::try_from(column.values.len() - 1).unwrap_or(u32::MAX)
                });
                if !column.numbers[start..].contains(&number) {
                    column.numbers.push(number);
                }
            }
            column.ends.push(column.numbers.len());
        }
        column.order = column.ordered(facet);
        column
    }

    /// Values with most entries first, schema versions newest first.
    fn ordered(&self, facet: Facet) -> Vec<u32> {
        let mut totals = vec![0_usize; self.values.len()];
        self.numbers.iter().for_each(|number| totals[*number as usize] += 1);
        let mut order: Vec<u32> = (0..).take(self.values.len()).collect();
        let value = |number: u32| &self.values[number as usize];
        match facet {
            Facet::SchemaVersions => {
                order.sort_by_cached_key(|number| std::cmp::Reverse(version_number(&value(*number).label)));
            }
            _ => order.sort_by_cached_key(|number| {
                (std::cmp::Reverse(totals[*number as usize]), value(*number).folded.clone())
            }),
        }
        order
    }

    fn row(&self, entry: usize) -> &[u32] {
        let start = entry.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.numbers[start..self.ends[entry]]
    }

    fn number(&self, text: &str) -> Option<u32> {
        let folded = fold(text);
        let found = self.values.iter().position(|value| value.folded == folded)?;
        u32::try_from(found).ok()
    }
}

impl Facets {
    /// The facets of the entries of a release.
    pub(crate) fn new(entries: &[Entry]) -> Self {
        Self { columns: Facet::ALL.map(|facet| Column::new(facet, entries)) }
    }

    /// Whether some entry has a value.
    pub(crate) fn is_known(&self, facet: Facet, value: &str) -> bool {
        self.columns[facet as usize].number(value).is_some()
    }

    /// Narrows `candidates` by what `query` picks: one of the picked values in each facet that has some.
    ///
    /// An entry that fails in one facet alone still counts for the values of that facet: it is what another choice
    /// there would show.
    pub(crate) fn narrow(&self, candidates: impl Iterator<Item = usize>, query: &ListQuery) -> Narrowed {
        let picked = Facet::ALL.map(|facet| -> Vec<Option<u32>> {
            query.picked(facet).iter().map(|value| self.columns[facet as usize].number(value)).collect()
        });
        let mut narrowed = Narrowed {
            kept: Vec::new(),
            counts: Facet::ALL.map(|facet| vec![0; self.columns[facet as usize].values.len()]),
            picked,
        };
        for entry in candidates {
            let mut failed = Facet::ALL.into_iter().filter(|facet| !self.holds(*facet, entry, &narrowed.picked));
            match (failed.next(), failed.next()) {
                (None, _) => {
                    drop(failed);
                    narrowed.kept.push(entry);
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
        let row = self.columns[facet as usize].row(entry);
        picked.is_empty()
            || (row.is_empty() && facet.nothing_is_all())
            || row.iter().any(|number| picked.contains(&Some(*number)))
    }

    fn count(&self, facet: Facet, entry: usize, counts: &mut [Vec<usize>; FACETS]) {
        let (row, counts) = (self.columns[facet as usize].row(entry), &mut counts[facet as usize]);
        if row.is_empty() && facet.nothing_is_all() {
            counts.iter_mut().for_each(|count| *count += 1);
        }
        row.iter().for_each(|number| counts[*number as usize] += 1);
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
    use crate::viewer::fixture;

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
        (narrowed.kept.iter().map(|entry| entries[*entry].name.clone()).collect(), counts.join("\n"))
    }

    #[test]
    fn counts_of_everything() {
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
    fn one_of_a_facet_and_all_of_the_facets() {
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
