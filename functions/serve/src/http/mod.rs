//! HTTP without any registry: paths, queries, bodies and their codings, conditional requests, ranges, problems.

pub(crate) mod body;
pub(crate) mod content;
pub(crate) mod path;
pub(crate) mod problem;
pub(crate) mod query;
