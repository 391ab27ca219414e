//! Parents and plugins, each read and held against its schema once for all devfiles of a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use url::Url;

use super::parents::Outside;
use super::reference::{is_web, path_from};
use crate::diagnostic::Diagnostic;
use crate::yaml::Node;

/// Where a devfile came from; relative references in it start there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// A file of the tree.
    Tree(String),
    /// A web address.
    Web(Url),
    /// A stack of a registry.
    Registry(Outside),
}

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

impl Origin {
    /// The origin that a `uri` in a devfile from here names.
    pub(super) fn join(&self, uri: &str) -> Option<Self> {
        if is_web(uri) {
            return Url::parse(uri).ok().map(Self::Web);
        }
        match self {
            Self::Tree(path) => path_from(path, uri).map(Self::Tree),
            Self::Web(url) => url.join(uri).ok().map(Self::Web),
            Self::Registry(_) => None,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tree(path) => f.write_str(path),
            Self::Web(url) => write!(f, "{url}"),
            Self::Registry(stack) => write!(f, "{stack}"),
        }
    }
}
