//! All problems of a devfile, each with its position and its remedy.
//!
//! [`devfile`] goes through these steps, and each adds to the findings:
//! - [`yaml`] reads the bytes into a tree whose keys and values know their positions;
//! - `schema` holds it against the published JSON schema of its version (`alone` does both, for parents once a run);
//! - `flatten` brings in parents and plugins (`merge`), and `variables` replaces `{{name}}`;
//! - `rules` checks the rules that a schema cannot express, with `quantity` and `uri` to read those.
//!
//! The rules and their names are described in `docs/stack-authors/validation.md`.

mod alone;
mod findings;
mod flatten;
mod known_parents;
mod merge;
mod parents;
mod quantity;
mod reference;
mod rules;
mod schema;
pub(crate) mod suggest;
mod surroundings;
mod uri;
mod variables;

use serde_json::Value;

use self::findings::Findings;
use self::flatten::Flattening;
use self::known_parents::DevfileOrigin;
pub use self::known_parents::KnownParents;
pub use self::parents::{ExternalParent, Found, Parents, Unreachable};
pub use self::reference::{Reference, is_web, path_from};
pub use self::surroundings::Surroundings;
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::yaml::{self, Node};

/// A devfile with its problems.
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

    /// Returns the position of the node at a JSON pointer; for a field that of its key.
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
    let document = alone::check(0, bytes, &mut findings);
    if let Some(document) = &document {
        let origin = DevfileOrigin::Tree(path.to_owned());
        let mut flat = Flattening::new(origin, around, alone::check, &mut findings).flatten(document.clone());
        variables::replace(&mut flat.root, flat.complete, &mut findings);
        rules::check(&flat.root, flat.complete, &mut findings);
        check_metadata(document, &mut findings);
    }
    let [diagnostics, of_parents] = findings.into_sorted();
    Checked { diagnostics, of_parents, document }
}

/// A devfile with everything that it takes from its parents and plugins.
#[derive(Debug)]
pub struct Flattened {
    /// The whole; the position of each node names the file that it is from.
    pub root: Node,
    /// The files by the numbers in positions; the devfile itself is the first.
    pub files: Vec<String>,
    /// Whether every parent and plugin could be read.
    pub is_complete: bool,
}

/// Brings in the parents and plugins of the devfile at a path of the tree, without checking it; `None` when it is no devfile.
pub fn flatten(path: &str, bytes: &[u8], around: &Surroundings<'_>) -> Option<Flattened> {
    let mut findings = Findings::new(path);
    let root = alone::parse(0, bytes, &mut findings)?;
    let flat = Flattening::new(DevfileOrigin::Tree(path.to_owned()), around, alone::parse, &mut findings).flatten(root);
    Some(Flattened { root: flat.root, files: findings.into_paths(), is_complete: flat.complete })
}

/// The text of a file in any of the encodings that a devfile may have, to show lines of it.
pub(crate) fn text_of(bytes: &[u8]) -> Option<String> {
    yaml::text_of(bytes).ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
