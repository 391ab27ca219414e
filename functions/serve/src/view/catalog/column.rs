//! One field of all entries and versions, folded and ready to be searched.

use std::collections::HashMap;

use devfile_registry::index::Entry;

use super::field::Field;
use super::text::fold;

/// The texts of a field.
///
/// An index repeats itself: thousands of versions share a few hundred tags and resources. Each text is folded and kept
/// once, so a filter compares every distinct text once and every row by number.
#[derive(Debug)]
pub(super) struct Column {
    texts: Vec<Box<str>>,
    entries: Rows,
    versions: Rows,
}

/// The numbers of the texts of each row, one row after the other.
#[derive(Debug, Default)]
struct Rows {
    numbers: Vec<u32>,
    ends: Vec<u32>,
}

/// Whether a search found a text, by the number of the text.
#[derive(Debug)]
pub(super) struct Found(Vec<bool>);

impl Column {
    /// The texts of `field`, row by row in the order of the index.
    pub(super) fn new(field: Field, entries: &[Entry]) -> Self {
        let mut texts = Texts::default();
        let (mut of_entries, mut of_versions) = (Rows::default(), Rows::default());
        for entry in entries {
            of_entries.push(field.of_entry(entry), &mut texts);
            for version in &entry.versions {
                of_versions.push(field.of_version(version), &mut texts);
            }
        }
        Self { texts: texts.distinct, entries: of_entries, versions: of_versions }
    }

    /// All texts that hold `folded`.
    pub(super) fn find(&self, folded: &str) -> Found {
        Found(self.texts.iter().map(|text| text.contains(folded)).collect())
    }

    /// Looks for each of some texts. The search ends after the first text that finds nothing: no entry can hold them all.
    pub(super) fn find_all(&self, folded: &[String]) -> Vec<Found> {
        let mut all = Vec::with_capacity(folded.len());
        for text in folded {
            let found = self.find(text);
            let nothing = !found.0.contains(&true);
            all.push(found);
            if nothing {
                break;
            }
        }
        all
    }

    /// The texts of an entry.
    pub(super) fn of_entry(&self, entry: usize) -> &[u32] {
        self.entries.row(entry)
    }

    /// The texts of a version, counted through the index.
    pub(super) fn of_version(&self, version: usize) -> &[u32] {
        self.versions.row(version)
    }
}

impl Found {
    /// Whether one of `texts` was found.
    pub(super) fn any_of(&self, texts: &[u32]) -> bool {
        texts.iter().any(|text| self.0[*text as usize])
    }
}

impl Rows {
    fn push<'a>(&mut self, row: Vec<&'a str>, texts: &mut Texts<'a>) {
        self.numbers.extend(row.into_iter().map(|text| texts.number(text)));
        self.ends.push(number(self.numbers.len()));
    }

    fn row(&self, row: usize) -> &[u32] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.numbers[start as usize..self.ends[row] as usize]
    }
}

/// Distinct folded texts while a column is built.
#[derive(Default)]
struct Texts<'a> {
    distinct: Vec<Box<str>>,
    folded: HashMap<Box<str>, u32>,
    /// As written, so that a text that comes again is not folded again.
    written: HashMap<&'a str, u32>,
}

impl<'a> Texts<'a> {
    fn number(&mut self, text: &'a str) -> u32 {
        *self.written.entry(text).or_insert_with(|| {
            *self.folded.entry(fold(text).into_boxed_str()).or_insert_with_key(|folded| {
                self.distinct.push(folded.clone());
                number(self.distinct.len() - 1)
            })
        })
    }
}

/// Every text takes bytes of a release that is read whole, and those are far below four thousand million.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn keeps_each_text_once() {
        let column = Column::new(Field::Tags, &fixture::entries());
        let mut texts: Vec<_> = column.texts.iter().collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), column.texts.len());
        let found = |text| column.find(text).0.into_iter().filter(|found| *found).count();
        assert_eq!((found("go"), found("")), (1, column.texts.len()));
    }

    #[test]
    fn text_that_finds_nothing_ends_the_search() {
        let column = Column::new(Field::Tags, &fixture::entries());
        let texts = ["go", "nosuch", "go", "go"].map(str::to_owned);
        assert_eq!(column.find_all(&texts).len(), 2);
        assert_eq!(column.find_all(&texts[..1]).len(), 1);
    }

    #[test]
    fn finds_by_part_of_the_text() {
        let entries = fixture::entries();
        let column = Column::new(Field::DisplayName, &entries);
        let found = column.find("runtime");
        let names: Vec<_> = (0..entries.len()).filter(|&entry| found.any_of(column.of_entry(entry))).collect();
        assert_eq!(names, [0, 1]);
    }
}
