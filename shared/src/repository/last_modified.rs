//! `last_modified.json`: when each version last changed, as the reference's build writes it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::diagnostic::{Diagnostic, Position};
use crate::timestamp::Timestamp;
use crate::tree::Tree;

pub(super) const PATH: &str = "last_modified.json";

/// The text that stands for the version of a sample that has none.
pub const SAMPLE_WITHOUT_VERSION: &str = "undefined";

/// Dates of versions, by name and version.
#[derive(Debug, Default)]
pub struct Dates {
    stacks: Table,
    samples: Table,
}

/// Rows of name, version and date, in the order of names and versions. Of most of many rows nobody asks.
#[derive(Debug, Default)]
struct Table(Vec<(String, String, Timestamp)>);

/// A row of the file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row<'a> {
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) version: Cow<'a, str>,
    #[serde(default)]
    pub(super) last_modified: Option<Timestamp>,
}

impl Dates {
    /// The date of a stack's version.
    pub fn stack(&self, name: &str, version: &str) -> Option<&Timestamp> {
        self.stacks.get(name, version)
    }

    /// The date of a sample's version; one without versions has [`SAMPLE_WITHOUT_VERSION`].
    pub fn sample(&self, name: &str, version: &str) -> Option<&Timestamp> {
        self.samples.get(name, version)
    }
}

impl Table {
    fn new(rows: Vec<Row<'_>>) -> Self {
        let dated = |row: Row<'_>| Some((row.name.into_owned(), row.version.into_owned(), row.last_modified?));
        let mut rows: Vec<_> = rows.into_iter().filter_map(dated).collect();
        rows.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        Self(rows)
    }

    /// The date in the last of the rows of a version.
    fn get(&self, name: &str, version: &str) -> Option<&Timestamp> {
        let end = self.0.partition_point(|row| (row.0.as_str(), row.1.as_str()) <= (name, version));
        let (last_name, last_version, date) = self.0.get(end.checked_sub(1)?)?;
        (last_name == name && last_version == version).then_some(date)
    }
}

/// Reads the file, if it is in the tree.
pub(super) fn parse(tree: &Tree) -> Result<Dates, Box<Diagnostic>> {
    let Some(bytes) = tree.get(PATH) else { return Ok(Dates::default()) };
    let mut file: BTreeMap<String, Vec<Row<'_>>> = serde_json::from_slice(bytes).map_err(|error| {
        let position = Position { line: error.line() as u32, column: error.column().max(1) as u32 };
        let hint = "write it anew, or remove it: then dates come from the history of the repository";
        Box::new(Diagnostic::error(PATH, "lastModified/json", error.to_string(), hint).at(position))
    })?;
    let mut table = |name: &str| Table::new(file.remove(name).unwrap_or_default());
    Ok(Dates { stacks: table("stacks"), samples: table("samples") })
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn dates_are_those_of_the_last_row() {
        let row = |name: &str, version: &str, day: u8| {
            format!(r#"{{"name": "{name}", "version": "{version}", "lastModified": "2026-01-{day:02}T00:00:00Z"}}"#)
        };
        let rows = [row("loom", "2.0.0", 1), row("kiln", "1.0.0", 2), row("loom", "1.0.0", 3), row("loom", "2.0.0", 4)];
        let undated = r#"{"name": "a\u006evil", "version": "1.0.0"}, {"name": "anvil", "version": "2.0.0", "lastModified": null}"#;
        let file = format!(r#"{{"stacks": [{undated}, {}], "others": []}}"#, rows.join(","));
        let dates = parse(&tree(&[("last_modified.json", &file)])).unwrap();
        let day = |name: &str, version: &str| dates.stack(name, version).map(|date| date.utc_day().day());
        for (name, version, expected) in [
            ("loom", "2.0.0", Some(4)),
            ("loom", "1.0.0", Some(3)),
            ("kiln", "1.0.0", Some(2)),
            ("anvil", "1.0.0", None),
            ("anvil", "2.0.0", None),
            ("loom", "1.5.0", None),
            ("zither", "1.0.0", None),
        ] {
            assert_eq!(day(name, version), expected, "{name} {version}");
        }
        assert!(dates.sample("loom", "2.0.0").is_none());
        assert_eq!(parse(&tree(&[])).unwrap().stack("loom", "2.0.0"), None);
    }
}
