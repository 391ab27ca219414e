//! Derived once per release: the index that is filtered and answered, and the index of the viewer.
//!
//! - `catalog`: the index of the REST API, with its filters
//! - `browse`: the index of the viewer: facets, search, history and lineage
//! - `versions`: the one chooser of versions
//! - `column` and `text`: texts as they are stored and compared; `icons`: icons as data

pub(crate) mod browse;
pub(crate) mod catalog;
pub(crate) mod column;
pub(crate) mod icons;
pub(crate) mod text;
pub(crate) mod versions;
