//! Parents and plugins, each read, held against its schema and flattened once for all devfiles of a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use url::Url;

use super::findings::ReadFile;
use super::parents::ExternalParent;
use super::reference::{is_web, path_from};
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::yaml::Node;

/// The origin of a devfile; relative references in it start there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum DevfileOrigin {
    /// A file of the tree.
    Tree(String),
    /// A web address.
    Web(Url),
    /// A stack of a registry.
    Registry(ExternalParent),
}

/// The parents and plugins that the devfiles of one run name. Their content must not change while it is in use.
#[derive(Debug, Default)]
pub struct KnownParents {
    read: Mutex<HashMap<DevfileOrigin, Arc<OnceLock<Parent>>>>,
    flat: Mutex<FlatParents>,
}

/// Flattened parents, and the nodes and bytes of text in all of them.
#[derive(Debug, Default)]
struct FlatParents {
    by_origin: HashMap<DevfileOrigin, Option<Arc<FlatParent>>>,
    nodes: usize,
    bytes: usize,
}

/// A parent with everything that it takes from others, without any problem.
#[derive(Debug)]
pub(super) struct FlatParent {
    /// The whole; positions count `files`.
    pub(super) root: Node,
    /// The parent itself, and the files that it takes from.
    pub(super) files: Vec<ReadFile>,
    /// Their origins.
    pub(super) origins: Vec<DevfileOrigin>,
    /// The number of devfiles above each other in it.
    pub(super) generations: usize,
    /// Bytes of the files.
    pub(super) bytes: usize,
}

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
    pub(super) fn get(&self, origin: &DevfileOrigin) -> Arc<OnceLock<Parent>> {
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(origin.clone()).or_default().clone()
    }

    /// Returns a flattened parent; `Some(None)` for one that cannot be shared, `None` for one that nobody flattened yet.
    pub(super) fn flat(&self, origin: &DevfileOrigin) -> Option<Option<Arc<FlatParent>>> {
        let flat = self.flat.lock().unwrap_or_else(PoisonError::into_inner);
        flat.by_origin.get(origin).cloned()
    }

    /// Keeps a flattened parent, if there is room for it, and returns it as it is stored. Threads that flatten one at once do so
    /// without waiting for each other: parents that name each other would never end.
    pub(super) fn keep(&self, origin: DevfileOrigin, parent: Option<FlatParent>) -> Option<Arc<FlatParent>> {
        let size = parent.as_ref().map(|parent| parent.root.measure());
        let mut flat = self.flat.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = flat.by_origin.get(&origin) {
            return known.clone();
        }
        let (nodes, bytes) = size.map_or((0, 0), |size| (size.nodes, size.bytes));
        let has_room =
            flat.nodes + nodes <= limits::FLAT_PARENTS_NODES && flat.bytes + bytes <= limits::FLAT_PARENTS_BYTES;
        let stored = parent.filter(|_| has_room).map(Arc::new);
        if stored.is_some() {
            flat.nodes += nodes;
            flat.bytes += bytes;
        }
        flat.by_origin.insert(origin, stored.clone());
        stored
    }
}

impl DevfileOrigin {
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

impl std::fmt::Display for DevfileOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tree(path) => f.write_str(path),
            Self::Web(url) => write!(f, "{url}"),
            Self::Registry(stack) => write!(f, "{stack}"),
        }
    }
}
