//! The index of the viewer: facets, words, orders and pictures of the entries.
//!
//! - `query`: the state of the list, which is its URL; `viewer_index` answers it; start here
//! - `facet`, `facets`: the filters of the list, with counts; `search`, `aliases`: words, and other names of languages
//! - `history`: times of changes; `lineage`: parents and children; `pictures`: icons and logos of the release
//! - `text`: texts as far as they are shown

mod aliases;
pub(crate) mod facet;
pub(crate) mod facets;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod history;
pub(crate) mod lineage;
pub(crate) mod pictures;
pub(crate) mod query;
pub(crate) mod search;
pub(crate) mod text;
pub(crate) mod viewer_index;
