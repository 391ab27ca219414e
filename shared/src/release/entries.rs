//! The entries of the index as they stand in `index.json`: texts that need not be understood to be taken over.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::digest::Digest;
use crate::index::Entry;

/// The entries, stacks then samples, each as its JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entries(Arc<[Arc<RawValue>]>);

impl Entries {
    /// The JSON of some entries.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        entries.into_iter().map(text).collect()
    }

    /// The entries themselves.
    ///
    /// # Errors
    /// When a text is not that of an entry.
    pub fn read(&self) -> serde_json::Result<Vec<Entry>> {
        self.0.iter().map(|text| serde_json::from_str(text.get())).collect()
    }

    /// The texts, one an entry.
    pub(super) fn texts(&self) -> &[Arc<RawValue>] {
        &self.0
    }

    /// The digest of the whole list: of the texts, each with a line feed after it.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of_lines(self.0.iter().map(|text| text.get()))
    }
}

/// The JSON of one entry.
pub(super) fn text(entry: &Entry) -> Arc<RawValue> {
    // As everywhere: our types have string keys and write to memory.
    serde_json::value::to_raw_value(entry).expect("serializing to memory cannot fail").into()
}

impl FromIterator<Arc<RawValue>> for Entries {
    fn from_iter<I: IntoIterator<Item = Arc<RawValue>>>(texts: I) -> Self {
        Self(texts.into_iter().collect())
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|text| text.get()).eq(other.0.iter().map(|text| text.get()))
    }
}
