//! The list of a release that is in memory alone, for tests from outside of this crate.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use devfile_registry::cache::ETag;
use devfile_registry::index::Entry;
use devfile_registry::release::{About, Built, Changes, Content, LiveIndex, Pending, Plan};
use devfile_registry::source::Listing;
use devfile_registry::timestamp::Timestamp;

use super::list;
use super::page::RegistryInfo;
use crate::http::body::Caching;
use crate::release::snapshot::Snapshot;
use crate::view::icons::Icons;

/// The viewer's list over some entries.
pub struct Gallery(Snapshot);

impl fmt::Debug for Gallery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gallery").field(&self.0.about).finish()
    }
}

impl Gallery {
    /// Prepares entries.
    pub fn new(entries: Vec<Entry>) -> Self {
        let about = About {
            commit_hash: "0".repeat(40).parse().expect("forty digits"),
            source: String::new(),
            offline: None,
            quarantined: Vec::new(),
            warnings: Vec::new(),
            dependencies: BTreeMap::new(),
            pending: Pending::default(),
        };
        let content = Content { stacks: entries, ..Content::default() };
        let built = Built::new(&Plan::everything(Listing::default()), None, about, content, BTreeMap::new());
        let index = LiveIndex::of(&built, Timestamp::unknown(), &Changes::default(), None);
        let bytes = index.to_bytes();
        let release = Arc::unwrap_or_clone(built.release);
        Self(Snapshot::new(ETag::new("\"1\""), index, bytes, release, Icons::new()))
    }

    /// The list that a query string asks for, as HTML; `None` when it would be larger than a page may be.
    pub fn list(&self, query: &str) -> Option<String> {
        let registry =
            RegistryInfo { name: "Gallery", slug: "gallery", origin: None, caching: Caching::Private, frame: None };
        list::render(&self.0, registry, query, jiff::Timestamp::now()).document(registry)
    }
}
