//! The index routes: which entries and versions a query asks for, and the answer to it.
//!
//! Parameters are described in one table ([`parameter`]), from which the parser ([`query`]), the messages of refusals
//! and [`openapi_parameters`] follow.
//!
//! The rules are those of the reference server's index routes, but for the differences that the design names.

mod field;
mod parameter;
mod query;
mod text;

#[cfg(test)]
mod fixture;

pub(crate) use query::{BadParameter, Query, SchemaVersionRange};

use devfile_registry::index::EntryType;

use parameter::Parameter;

/// The shape of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum IndexSchema {
    /// `/index`: entries show their default version.
    V1,
    /// `/v2index`: entries hold their versions.
    V2,
}

/// Which entries an index route is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum IndexKind {
    /// Stacks; a route without a last part means these.
    Stack,
    /// Samples.
    Sample,
    /// Both, stacks first.
    All,
}

impl IndexKind {
    /// Every kind with its name in a path.
    pub(crate) const NAMES: [(&'static str, Self); 3] =
        [("stack", Self::Stack), ("sample", Self::Sample), ("all", Self::All)];

    /// The kind that the last part of a path names, case-sensitive.
    pub(crate) fn from_path(part: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(name, _)| *name == part).map(|(_, kind)| kind)
    }

    fn holds(self, entry_type: EntryType) -> bool {
        match self {
            Self::Stack => entry_type == EntryType::Stack,
            Self::Sample => entry_type == EntryType::Sample,
            Self::All => true,
        }
    }
}

/// The query parameters of the index routes of a schema, as OpenAPI 3.1 parameter objects.
pub(crate) fn openapi_parameters(schema: IndexSchema) -> Vec<serde_json::Value> {
    Parameter::of_schema(schema).map(Parameter::openapi).collect()
}

/// The query parameters of `/devfiles/{name}` and `/devfiles/{name}/{version}`, as OpenAPI 3.1 parameter objects.
pub(crate) fn openapi_devfile_parameters() -> Vec<serde_json::Value> {
    Parameter::of_devfiles().map(Parameter::openapi).collect()
}
