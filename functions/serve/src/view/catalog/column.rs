//! One field of all entries and versions, folded and ready to be searched.

use devfile_registry::index::Entry;

use super::field::Field;
use crate::view::column::{Rows, Texts};

/// The texts of a field.
#[derive(Debug)]
pub(super) struct Column {
    texts: Vec<Box<str>>,
    entries: Rows,
    versions: Rows,
}

/// Whether a search found a text, by the number of the text.
#[derive(Debug, PartialEq, Eq)]
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
        let texts = texts.into_distinct().map(|text| text.folded).collect();
        Self { texts, entries: of_entries, versions: of_versions }
    }

    /// Looks for each of some texts; no entry or version is asked whether it holds more than these.
    ///
    /// A row must hold them all, so each text is searched only in the rows that hold the ones before it, and the search ends when
    /// no row is left. A query of a thousand short texts costs little more than one of as many as some row can hold.
    pub(super) fn find_all(&self, folded: &[String]) -> Vec<Found> {
        let mut all = Vec::with_capacity(folded.len());
        let mut rows: Option<Vec<&[u32]>> = None;
        for (position, text) in folded.iter().enumerate() {
            let found = match &rows {
                None => Found(self.texts.iter().map(|candidate| candidate.contains(text)).collect()),
                Some(rows) => self.find_in(rows, text),
            };
            let is_last = position + 1 == folded.len();
            if !is_last {
                match &mut rows {
                    None => rows = Some(self.rows().filter(|row| found.any_of(row)).collect()),
                    Some(rows) => rows.retain(|row| found.any_of(row)),
                }
            }
            all.push(found);
            if rows.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
        }
        all
    }

    fn find_in(&self, rows: &[&[u32]], text: &str) -> Found {
        let mut found = vec![None; self.texts.len()];
        for number in rows.iter().copied().flatten() {
            let position = *number as usize;
            found[position].get_or_insert_with(|| self.texts[position].contains(text));
        }
        Found(found.into_iter().map(|found| found.unwrap_or(false)).collect())
    }

    fn rows(&self) -> impl Iterator<Item = &[u32]> {
        self.entries.iter().chain(self.versions.iter())
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

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn count(column: &Column, text: &str) -> usize {
        column.find_all(&[text.to_owned()])[0].0.iter().filter(|found| **found).count()
    }

    #[test]
    fn column_keeps_each_text_once() {
        let column = Column::new(Field::Tags, &fixture::entries());
        let mut texts: Vec<_> = column.texts.iter().collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), column.texts.len());
        assert_eq!((count(&column, "go"), count(&column, "")), (1, column.texts.len()));
    }

    #[test]
    fn text_that_finds_nothing_ends_the_search() {
        let column = Column::new(Field::Tags, &fixture::entries());
        let texts = ["go", "nosuch", "go", "go"].map(str::to_owned);
        assert_eq!(column.find_all(&texts).len(), 2);
        assert_eq!(column.find_all(&texts[..1]).len(), 1);
    }

    #[test]
    fn text_is_searched_in_the_rows_that_match_those_before_it() {
        let entries = fixture::entries();
        let column = Column::new(Field::Tags, &entries);
        let asked = ["go", "deprecated"].map(str::to_owned);
        let all = column.find_all(&asked);
        for row in column.rows() {
            let holds = |text: &String| row.iter().any(|number| column.texts[*number as usize].contains(text.as_str()));
            assert_eq!(all.iter().all(|found| found.any_of(row)), asked.iter().all(holds), "{row:?}");
        }
    }

    /// As many short texts as a query has room for, all of which occur in a large index, and none of whose rows holds them all.
    #[test]
    fn thousand_texts_cost_no_more_than_those_that_a_row_can_hold() {
        let link = |number: u32| format!("https://links.example/{:08x}/{number}", number.wrapping_mul(0x9e37_79b9));
        let mut entries = fixture::entries();
        let version = entries[0].versions[0].clone();
        entries[0].versions = (0..10_000)
            .map(|number| devfile_registry::index::VersionEntry {
                links: [("self".to_owned(), link(number))].into(),
                ..version.clone()
            })
            .collect();
        let column = Column::new(Field::Links, &entries);
        let texts: Vec<String> = (0..1_020_u32).map(|number| format!("{number:02x}")).collect();
        let searched = column.find_all(&texts).len();
        assert!(searched < 100, "{searched}");
    }

    #[test]
    fn column_finds_a_text_by_a_part_of_it() {
        let entries = fixture::entries();
        let column = Column::new(Field::DisplayName, &entries);
        let found = &column.find_all(&["runtime".to_owned()])[0];
        let names: Vec<_> = (0..entries.len()).filter(|&entry| found.any_of(column.of_entry(entry))).collect();
        assert_eq!(names, [0, 1]);
    }
}
