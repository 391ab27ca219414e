//! The rows of `last_modified.json` held against the versions of the repository.

use std::collections::{BTreeMap, BTreeSet};

use super::devfile::AllParents;
use super::extra::EXTRA_ENTRIES;
use super::last_modified::{PATH, Row, SAMPLE_WITHOUT_VERSION};
use super::parsed::Repository;
use super::part::Part;
use super::stack::{self, START, StackListing};
use crate::diagnostic::{Diagnostic, Position};
use crate::tree::Tree;
use crate::validate::{Unreachable, suggest};

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
        let listings: Vec<StackListing> = folders.into_iter().map(|folder| stack::list(tree, folder).0).collect();
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
        let quarantined = self.quarantined.iter().filter_map(|quarantined| match &quarantined.part {
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
    let position = position_of(name, source).unwrap_or(START);
    Some(Diagnostic::warning(PATH, "lastModified/unknown", message, hint).at(position))
}

/// The position of a text that was borrowed from its source; `None` for one in other memory.
fn position_of(text: &str, source: &[u8]) -> Option<Position> {
    let offset = (text.as_ptr() as usize).checked_sub(source.as_ptr() as usize)?;
    let before = std::str::from_utf8(source.get(..offset)?).ok()?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    let line_number = before.matches('\n').count() + 1;
    Some(Position { line: u32::try_from(line_number).ok()?, column: u32::try_from(line.chars().count()).ok()?.max(1) })
}
