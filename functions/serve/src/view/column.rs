//! Texts of an index, each folded and kept once, and rows that hold them by number.
//!
//! An index repeats itself: thousands of versions share a few hundred tags and resources. Filters and facets compare every distinct
//! text once, and rows by number.

use std::collections::HashMap;

use super::text::fold;

/// The numbers of the texts of each row, one row after the other.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    numbers: Vec<u32>,
    ends: Vec<u32>,
}

impl Rows {
    /// Adds a row, each of its texts once.
    pub(crate) fn push<'a>(&mut self, row: impl IntoIterator<Item = &'a str>, texts: &mut Texts<'a>) {
        let start = self.numbers.len();
        for text in row {
            let number = texts.number(text);
            if !self.numbers[start..].contains(&number) {
                self.numbers.push(number);
            }
        }
        self.ends.push(number(self.numbers.len()));
    }

    /// The numbers of the texts of a row.
    pub(crate) fn row(&self, row: usize) -> &[u32] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.numbers[start as usize..self.ends[row] as usize]
    }

    /// All rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.ends.len()).map(|row| self.row(row))
    }

    /// All numbers, as often as rows hold them.
    pub(crate) fn numbers(&self) -> &[u32] {
        &self.numbers
    }
}

/// Distinct texts while a column is built.
#[derive(Debug, Default)]
pub(crate) struct Texts<'a> {
    distinct: Vec<Text<'a>>,
    folded: HashMap<Box<str>, u32>,
    /// As written, so that a text that comes again is not folded again.
    written: HashMap<&'a str, u32>,
}

/// A distinct text.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    /// As it is compared.
    pub(crate) folded: Box<str>,
    /// As it was first written.
    pub(crate) written: &'a str,
}

impl<'a> Texts<'a> {
    fn number(&mut self, text: &'a str) -> u32 {
        *self.written.entry(text).or_insert_with(|| {
            *self.folded.entry(fold(text).into_boxed_str()).or_insert_with_key(|folded| {
                self.distinct.push(Text { folded: folded.clone(), written: text });
                number(self.distinct.len() - 1)
            })
        })
    }

    /// The texts, each at the position that its number names.
    pub(crate) fn into_distinct(self) -> impl Iterator<Item = Text<'a>> {
        self.distinct.into_iter()
    }
}

/// Every text takes bytes of a release that is read whole, and those are far below four thousand million.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_once_and_a_row_holds_it_once() {
        let (mut texts, mut rows) = (Texts::default(), Rows::default());
        rows.push(["Go", " go", "Rust"], &mut texts);
        rows.push([], &mut texts);
        rows.push(["RUST"], &mut texts);
        assert_eq!(rows.iter().collect::<Vec<_>>(), [&[0, 1][..], &[], &[1]]);
        assert_eq!(rows.numbers(), [0, 1, 1]);
        let distinct: Vec<_> = texts.into_distinct().map(|text| (text.folded.into_string(), text.written)).collect();
        assert_eq!(distinct, [("go".to_owned(), "Go"), ("rust".to_owned(), "Rust")]);
    }
}
