//! Derived once per release: the index that is filtered and answered, and the index of the viewer.

pub(crate) mod browse;
pub(crate) mod catalog;
pub(crate) mod icons;
pub(crate) mod versions;
