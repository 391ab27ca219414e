//! The index routes: which entries and versions a query asks for, and the answer to it.
//!
//! A [`Catalog`] is made once for a release and answers from memory: texts are folded once ([`column`]), JSON is
//! rendered once ([`fragment`]), and a request finds, picks and copies. The memory of a request grows with its answer,
//! not with the index. Parameters are described in one table ([`parameter`]), from which the parser ([`query`]), the
//! messages of refusals and [`openapi_parameters`] follow.
//!
//! The rules are those of the reference server's index routes, but for the differences that the design names.

mod answer;
mod column;
mod field;
mod filter;
mod fragment;
mod parameter;
mod query;
mod schema;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;

pub(crate) use answer::Selection;
pub(crate) use filter::{is_deprecated, is_deprecated_tag};
pub(crate) use query::SchemaVersionRange;
pub use query::{BadParameter, Query};
pub(crate) use schema::IndexKind;
pub use schema::IndexSchema;

use std::collections::BTreeMap;

use bytes::Bytes;
use devfile_registry::index::Entry;

use answer::Collector;
use filter::{Facts, FilterPlan};
use fragment::{IconData, Rendering};
use parameter::Parameter;
use query::IconForm;

/// The entries of a release, ready to be asked for.
#[derive(Debug)]
pub(crate) struct Catalog {
    facts: Facts,
    icons: IconData,
    v1: Rendering,
    v2: Rendering,
}

impl Catalog {
    /// Prepares entries, in the order in which they are answered.
    ///
    /// `icons` holds the captured icons by their URL, each as the data URI that `icon=base64` shows
    /// (`data:image/svg+xml;base64,...`).
    ///
    /// The entries are as before when it returns; they are borrowed mutably to render them with parts left out.
    pub(crate) fn new(entries: &mut [Entry], icons: &BTreeMap<String, String>) -> Self {
        let icons = IconData::new(icons);
        Self {
            facts: Facts::new(entries),
            v1: Rendering::v1(entries, &icons),
            v2: Rendering::v2(entries, &icons),
            icons,
        }
    }

    /// Takes the JSON of the entries from `index.json` when that has it as answers do.
    pub(crate) fn within(mut self, index_json: &Bytes) -> Self {
        self.v2.share(index_json);
        self
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.v2.entries.len()
    }

    /// An entry by its position in the index, read from its JSON: thousands of them would take more memory than all else,
    /// and few are asked for at a time.
    ///
    /// # Panics
    /// When there is no such position.
    pub(crate) fn entry(&self, position: usize) -> Entry {
        serde_json::from_slice(self.v2.entry(position)).expect("the JSON was made from an entry")
    }

    /// The same without its versions, of which there may be hundreds.
    pub(crate) fn head(&self, position: usize) -> Entry {
        serde_json::from_slice(&self.v2.head(position)).expect("the JSON was made from an entry")
    }

    /// The number of an entry's versions.
    pub(crate) fn versions(&self, position: usize) -> usize {
        self.facts.versions(position)
    }

    /// Whether an entry is deprecated.
    pub(crate) fn is_deprecated(&self, position: usize) -> bool {
        self.facts.is_deprecated(position)
    }

    /// The work of a query, in bytes that could be compressed in the same time: for each text, a part of the index is searched.
    pub(crate) fn effort(&self, schema: IndexSchema, query: &Query) -> usize {
        let rendering = match schema {
            IndexSchema::V1 => &self.v1,
            IndexSchema::V2 => &self.v2,
        };
        let icons = if query.icons == IconForm::Data { self.icons.bytes() } else { 0 };
        (rendering.json.len() / 64).saturating_mul(query.texts().saturating_add(1)).saturating_add(icons)
    }

    /// The entries that match `query`: the entity tag at once, the body when it is wanted.
    pub(crate) fn select(&self, schema: IndexSchema, kind: IndexKind, query: &Query) -> Selection<'_> {
        let rendering = match schema {
            IndexSchema::V1 => &self.v1,
            IndexSchema::V2 => &self.v2,
        };
        let filter_plan = FilterPlan::new(&self.facts, schema, &query.filters);
        let mut collector = Collector::new(rendering, query.icons, &self.icons);
        let mut versions = Vec::new();
        for position in 0..self.len() {
            if kind.holds(self.facts.entry_type(position)) && filter_plan.keep(position, &mut versions) {
                let all = match schema {
                    IndexSchema::V1 => 0,
                    IndexSchema::V2 => self.facts.versions(position),
                };
                collector.add(position, &versions, all);
            } else {
                collector.skip();
            }
        }
        collector.finish()
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

#[cfg(test)]
mod tests;
