//! `last_modified.json`: when each version last changed, as the reference's build writes it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::devfile::AllParents;
use super::extra::EXTRA_ENTRIES;
use super::parsed::Repository;
use super::part::Part;
use super::stack::{self, Listing, START};
use crate::diagnostic::{Diagnostic, Position};
use crate::timestamp::Timestamp;
use crate::tree::Tree;
use crate::validate::{Unreachable, suggest};

const PATH: &str = "last_modified.json";

/// What stands for the version of a sample that has none.
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    version: Cow<'a, str>,
    #[serde(default)]
    last_modified: Option<Timestamp>,
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

impl Repository {
    /// Warns of rows of `last_modified.json` that match nothing, and of versions that have no row in it.
    ///
    /// The tree has to be whole: in a part of it, most rows match nothing.
    pub fn check_dates(&mut self, tree: &Tree) {
        let Some(bytes) = tree.get(PATH) else { return };
        let Ok(file) = serde_json::from_slice::<BTreeMap<String, Vec<Row<'_>>>>(bytes) else { return };
        let lists = [("stacks", self.dated_stacks(tree)), ("samples", self.dated_samples())];
        for (list, named) in lists {
            let rows = file.get(list).map_or(&[][..], Vec::as_slice);
            self.warnings.extend(rows.iter().filter_map(|row| unmatched(row, list, &named, bytes)));
            let dated: BTreeSet<(&str, &str)> = rows
                .iter()
                .filter(|row| row.last_modified.is_some())
                .map(|row| (row.name.as_ref(), row.version.as_ref()))
                .collect();
            let versions = named.iter().flat_map(|(name, named)| named.versions.iter().map(move |v| (name, v)));
            for (name, (version, path)) in
                versions.filter(|(name, (v, _))| !dated.contains(&(name.as_str(), v.as_str())))
            {
                let message = format!("`{name}` {version} has no date in {PATH}");
                let hint = format!("add a row to its `{list}`; without one the date comes from the history");
                self.warnings.push(Diagnostic::warning(path, "lastModified/missing", message, hint).at(START));
            }
        }
        self.warnings.sort();
    }

    fn dated_stacks(&self, tree: &Tree) -> BTreeMap<String, Named> {
        let folders = tree.folders("stacks");
        let listings: Vec<Listing> = folders.into_iter().map(|folder| stack::list(tree, folder).0).collect();
        let parents = AllParents::new(tree, &listings, &Unreachable);
        let mut named: BTreeMap<String, Named> = BTreeMap::new();
        for listing in &listings {
            let name = parents.name_of(listing).unwrap_or_else(|| listing.folder.clone());
            let of_stack = named.entry(name).or_default();
            of_stack.listed.extend(listing.versions.iter().map(|version| version.number.clone()));
            let read: Vec<_> = self.stacks.iter().filter(|stack| stack.folder == listing.folder).collect();
            let versions = read.iter().flat_map(|stack| &stack.versions);
            of_stack.versions.extend(versions.map(|version| {
                let path = format!("{}/{}", version.folder, version.devfile_name());
                (version.devfile.version.as_str().to_owned(), path)
            }));
            // The devfile of a broken version may have any number.
            of_stack.is_partial |= of_stack.versions.len() < listing.versions.len();
        }
        named
    }

    fn dated_samples(&self) -> BTreeMap<String, Named> {
        let undated = || vec![SAMPLE_WITHOUT_VERSION.to_owned()];
        let samples = self.samples.iter().map(|sample| {
            let versions: Vec<String> = sample.entry.versions.iter().map(|version| version.version.clone()).collect();
            let versions = if versions.is_empty() { undated() } else { versions };
            let versions = versions.into_iter().map(|version| (version, EXTRA_ENTRIES.to_owned())).collect();
            (sample.entry.name.clone(), Named { versions, ..Named::default() })
        });
        let quarantined = self.quarantined.iter().filter_map(|held| match &held.part {
            Part::Sample { name } => Some((name.clone(), Named { is_partial: true, ..Named::default() })),
            _ => None,
        });
        samples.chain(quarantined).collect()
    }
}

/// A stack or sample, for comparison with the rows.
#[derive(Debug, Default)]
struct Named {
    /// Versions that can be published, each with the file to show.
    versions: BTreeMap<String, String>,
    /// Numbers in `stack.yaml`.
    listed: BTreeSet<String>,
    /// Whether it may have other versions.
    is_partial: bool,
}

/// Returns a warning of a row that matches nothing.
fn unmatched(row: &Row<'_>, list: &str, named: &BTreeMap<String, Named>, source: &[u8]) -> Option<Diagnostic> {
    let (name, version) = (row.name.as_ref(), row.version.as_ref());
    let of_name = named.get(name);
    if of_name.is_some_and(|of| of.is_partial || of.versions.contains_key(version) || of.listed.contains(version)) {
        return None;
    }
    let (message, hint) = match of_name {
        None if named.contains_key(version) => {
            let message = format!("`name` is `{name}` and `version` is `{version}` in this row");
            (message, "swap the two".to_owned())
        }
        None => {
            let message = format!("no entry of `{list}` has the name `{name}`");
            (message, suggest::hint(name, named.keys().map(String::as_str)))
        }
        Some(of) => {
            let message = format!("`{name}` has no version `{version}`");
            (message, suggest::hint(version, of.versions.keys().map(String::as_str)))
        }
    };
    let position = position_of(&row.name, source).unwrap_or(START);
    Some(Diagnostic::warning(PATH, "lastModified/unknown", message, hint).at(position))
}

/// The position of a text that was borrowed from its source.
fn position_of(text: &Cow<'_, str>, source: &[u8]) -> Option<Position> {
    let Cow::Borrowed(text) = text else { return None };
    let offset = (text.as_ptr() as usize).checked_sub(source.as_ptr() as usize)?;
    let before = std::str::from_utf8(source.get(..offset)?).ok()?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    let line_number = before.matches('\n').count() + 1;
    Some(Position { line: u32::try_from(line_number).ok()?, column: u32::try_from(line.chars().count()).ok()?.max(1) })
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
