//! Parents and plugins, each read and held against its schema once for all devfiles of a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::findings::Findings;
use super::flatten::{Origin, check_alone};
use super::surroundings::{Found, Outside, Surroundings};
use crate::diagnostic::Diagnostic;
use crate::yaml::Node;

/// The parents and plugins that the devfiles of one run name. Their content must not change while it is in use.
#[derive(Debug, Default)]
pub struct KnownParents(Mutex<HashMap<Origin, Arc<OnceLock<Parent>>>>);

/// A parent or plugin, by itself.
#[derive(Debug)]
pub(crate) enum Parent {
    /// A devfile.
    Read {
        /// As far as it could be read, in file 0.
        node: Option<Node>,
        /// Its problems, without a path.
        problems: Vec<Diagnostic>,
        /// Its length.
        bytes: usize,
    },
    /// It does not exist.
    Missing,
    /// It could not be asked for, with the reason.
    Unreachable(String),
}

impl KnownParents {
    /// Returns where a parent belongs, or is already. Threads that need it at once wait for the one that reads it.
    pub(super) fn get(&self, origin: &Origin) -> Arc<OnceLock<Parent>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(origin.clone()).or_default().clone()
    }
}

impl Parent {
    /// Reads a parent and holds it against the schema that it names.
    pub(super) fn read(origin: &Origin, around: &Surroundings<'_>) -> Self {
        let found = match origin {
            Origin::Tree(path) => (around.files)(path).map_or(Found::Missing, Found::Devfile),
            Origin::Web(url) => around.outside.fetch(&Outside::Uri(url.to_string())),
            Origin::Registry(stack) => around.outside.fetch(stack),
        };
        match found {
            Found::Devfile(bytes) => {
                let mut findings = Findings::new("");
                let node = check_alone(0, &bytes, &mut findings);
                let [problems, _] = findings.into_sorted();
                Self::Read { node, problems, bytes: bytes.len() }
            }
            Found::Missing => Self::Missing,
            Found::Unreachable(reason) => Self::Unreachable(reason),
        }
    }
}
