//! What is wrong with a devfile, all of it, with the place and what to do.
//!
//! [`devfile`] goes through these steps, and each adds to the findings:
//! - [`yaml`] reads the bytes into a tree whose keys and values know their places;
//! - `schema` holds it against the published JSON schema of its version;
//! - `flatten` brings in parents and plugins (`merge`), and `variables` replaces `{{name}}`;
//! - `rules` checks what a schema cannot express, with `quantity` and `uri` to read those.
//!
//! The rules and their names are described in `docs/validation.md`.

mod findings;
mod flatten;
mod merge;
mod quantity;
mod rules;
mod schema;
mod suggest;
mod uri;
mod variables;

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use self::findings::Findings;
use self::flatten::{Flattening, Origin};
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::yaml::{self, Node};

/// What is around a devfile: where its parents and plugins come from.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The files of the tree by path, as the devfile's own path is written.
    pub files: &'a (dyn Fn(&str) -> Option<Bytes> + Sync),
    /// Everything else.
    pub outside: &'a dyn Parents,
}

impl Surroundings<'_> {
    /// A devfile that stands alone: no files beside it, nothing reachable.
    pub const ALONE: Surroundings<'static> = Surroundings { files: &|_| None, outside: &Unreachable };
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// A parent or plugin that is not a file of the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outside {
    /// At an http or https address.
    Uri(String),
    /// A stack of a registry.
    Stack {
        /// Its name.
        id: String,
        /// Its version; none for the default one.
        version: Option<String>,
        /// The registry's address; none for the registry that the devfile belongs to.
        registry: Option<String>,
    },
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(uri) => f.write_str(uri),
            Self::Stack { id, version, registry } => {
                let version = version.as_deref().map_or(String::new(), |version| format!(":{version}"));
                let registry = registry.as_deref().unwrap_or("this registry");
                write!(f, "stack {id}{version} of {registry}")
            }
        }
    }
}

/// What became of looking for a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its bytes.
    Devfile(Bytes),
    /// It is certain that there is none, which is an error.
    Missing,
    /// It could not be asked for, with the reason; a warning.
    Unreachable(String),
}

/// Finds parents outside the tree.
pub trait Parents: Sync {
    /// The file of the tree that it is, when it is one.
    fn in_tree(&self, parent: &Outside) -> Option<String> {
        let _ = parent;
        None
    }

    /// Looks for one elsewhere.
    fn fetch(&self, parent: &Outside) -> Found {
        match parent {
            Outside::Stack { registry: None, .. } => Found::Missing,
            _ => Found::Unreachable("nothing is fetched here".to_owned()),
        }
    }
}

/// Fetches nothing, and knows no stacks of this registry.
#[derive(Debug, Clone, Copy)]
pub struct Unreachable;

impl Parents for Unreachable {}

/// A devfile with what is wrong with it.
#[derive(Debug)]
pub struct Checked {
    /// Its own problems, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// Those of its parents and plugins, which everything that refers to them has as well.
    pub of_parents: Vec<Diagnostic>,
    /// The devfile itself, without parents and with variables as written; none when it could not be read.
    pub document: Option<Node>,
}

impl Checked {
    /// Whether it can be published.
    pub fn is_valid(&self) -> bool {
        let mut all = self.diagnostics.iter().chain(&self.of_parents);
        all.all(|diagnostic| diagnostic.severity != Severity::Error)
    }

    /// The devfile as JSON.
    pub fn value(&self) -> Option<Value> {
        self.document.as_ref().map(Value::from)
    }

    /// The place of what a JSON pointer names; for a field that of its key.
    pub fn position(&self, pointer: &str) -> Option<Position> {
        Some(self.document.as_ref()?.pointer(pointer)?.key_at.position)
    }
}

/// Checks the devfile of a stack's version at a path of the tree.
pub fn devfile(path: &str, bytes: &[u8], around: &Surroundings<'_>) -> Checked {
    check(path, bytes, around, rules::check_metadata)
}

/// Checks the devfile of a sample, which needs no metadata: the sample's entry has them.
pub fn sample(path: &str, bytes: &[u8], around: &Surroundings<'_>) -> Checked {
    check(path, bytes, around, |_, _| {})
}

fn check(path: &str, bytes: &[u8], around: &Surroundings<'_>, check_metadata: fn(&Node, &mut Findings)) -> Checked {
    let mut findings = Findings::new(path);
    let document = flatten::check_alone(0, bytes, &mut findings);
    if let Some(document) = &document {
        let chain = vec![Origin::Tree(path.to_owned())];
        let mut flat = Flattening { around, findings: &mut findings, chain, read: 0 }.flatten(document);
        variables::replace(&mut flat.root, flat.complete, &mut findings);
        rules::Devfile::new(&flat.root, flat.complete).check(&mut findings);
        check_metadata(document, &mut findings);
    }
    let [diagnostics, of_parents] = findings.into_sorted();
    Checked { diagnostics, of_parents, document }
}

/// The text of a file in any of the encodings that a devfile may have, to show lines of it.
pub(crate) fn text_of(bytes: &[u8]) -> Option<String> {
    yaml::text_of(bytes).ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
