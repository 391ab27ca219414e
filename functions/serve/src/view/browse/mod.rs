//! The index of the viewer: facets, words, orders and pictures of the entries.

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
