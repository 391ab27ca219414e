//! Parents and plugins outside the tree, and their lookup.

use std::fmt;

use bytes::Bytes;

/// A parent or plugin that is not a file of the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExternalParent {
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

impl fmt::Display for ExternalParent {
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

/// The result of a search for a parent.
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
    fn in_tree(&self, parent: &ExternalParent) -> Option<String> {
        let _ = parent;
        None
    }

    /// Fetches one from its host.
    fn fetch(&self, parent: &ExternalParent) -> Found {
        match parent {
            ExternalParent::Stack { registry: None, .. } => Found::Missing,
            _ => Found::Unreachable("nothing is fetched here".to_owned()),
        }
    }
}

/// Fetches nothing, and knows no stacks of this registry.
#[derive(Debug, Clone, Copy)]
pub struct Unreachable;

impl Parents for Unreachable {}
