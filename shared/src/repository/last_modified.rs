//! `last_modified.json`: when each version last changed, as the reference's build writes it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::diagnostic::{Diagnostic, Position};
use crate::source::Tree;
use crate::timestamp::Timestamp;

/// What stands for the version of a sample that has none.
pub const SAMPLE_WITHOUT_VERSION: &str = "undefined";

/// Dates of versions, by name and version.
#[derive(Debug, Default)]
pub struct Dates {
    stacks: BTreeMap<(String, String), Timestamp>,
    samples: BTreeMap<(String, String), Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    last_modified: Option<Timestamp>,
}

impl Dates {
    /// The date of a stack's version.
    pub fn stack(&self, name: &str, version: &str) -> Option<&Timestamp> {
        self.stacks.get(&(name.to_owned(), version.to_owned()))
    }

    /// The date of a sample's version; one without versions has [`SAMPLE_WITHOUT_VERSION`].
    pub fn sample(&self, name: &str, version: &str) -> Option<&Timestamp> {
        self.samples.get(&(name.to_owned(), version.to_owned()))
    }
}

/// Reads the file, if it is in the tree.
pub(super) fn parse(tree: &Tree) -> Result<Dates, Box<Diagnostic>> {
    const PATH: &str = "last_modified.json";
    let Some(bytes) = tree.get(PATH) else { return Ok(Dates::default()) };
    let mut file: BTreeMap<String, Vec<Row>> = serde_json::from_slice(bytes).map_err(|error| {
        let position = Position { line: error.line() as u32, column: error.column().max(1) as u32 };
        let hint = "write it anew, or remove it: then dates come from the history of the repository";
        Box::new(Diagnostic::error(PATH, "lastModified/json", error.to_string(), hint).at(position))
    })?;
    let mut table = |name: &str| {
        let rows = file.remove(name).unwrap_or_default().into_iter();
        rows.filter_map(|row| Some(((row.name, row.version), row.last_modified?))).collect()
    };
    Ok(Dates { stacks: table("stacks"), samples: table("samples") })
}
