//! The facets that narrow the list, and the values that an entry has in each.

use devfile_registry::index::{Entry, EntryType};

use crate::view::catalog::{is_deprecated, is_deprecated_tag};

/// Something that the list can be narrowed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Facet {
    Types,
    Tags,
    Languages,
    Providers,
    Architectures,
    SchemaVersions,
    Deprecated,
}

/// Longest value of a facet, in bytes. A longer one is offered nowhere, and picking it picks nothing.
pub(crate) const VALUE_BYTES: usize = 100;

/// Most values of one facet that an entry has.
pub(super) const ENTRY_VALUES: usize = 100;

/// The number of facets.
pub(crate) const FACETS: usize = 7;

impl Facet {
    /// All facets, each at the position that its number names.
    pub(crate) const ALL: [Self; FACETS] = [
        Self::Types,
        Self::Tags,
        Self::Languages,
        Self::Providers,
        Self::Architectures,
        Self::SchemaVersions,
        Self::Deprecated,
    ];

    /// Its parameter in URLs.
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Self::Types => "types",
            Self::Tags => "tags",
            Self::Languages => "languages",
            Self::Providers => "providers",
            Self::Architectures => "architectures",
            Self::SchemaVersions => "schemaVersions",
            Self::Deprecated => "deprecated",
        }
    }

    /// Its name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Types => "Type",
            Self::Tags => "Tag",
            Self::Languages => "Language",
            Self::Providers => "Provider",
            Self::Architectures => "Architecture",
            Self::SchemaVersions => "Schema version",
            Self::Deprecated => "Deprecated",
        }
    }

    /// The facet of a parameter.
    pub(crate) fn from_parameter(parameter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.parameter() == parameter)
    }

    /// The values of an entry.
    pub(super) fn of(self, entry: &Entry) -> Vec<&str> {
        let some = |text: &'_ str| !text.trim().is_empty() && text.len() <= VALUE_BYTES;
        match self {
            Self::Types => vec![match entry.entry_type {
                EntryType::Stack => "Stack",
                EntryType::Sample => "Sample",
            }],
            Self::Tags => {
                entry.tags.iter().map(String::as_str).filter(|tag| some(tag) && !is_deprecated_tag(tag)).collect()
            }
            Self::Languages => vec![entry.language.as_str()].into_iter().filter(|text| some(text)).collect(),
            Self::Providers => vec![entry.provider.as_str()].into_iter().filter(|text| some(text)).collect(),
            Self::Architectures => entry.architectures.iter().map(String::as_str).filter(|text| some(text)).collect(),
            Self::SchemaVersions => {
                entry.versions.iter().map(|version| version.schema_version.as_str()).filter(|text| some(text)).collect()
            }
            Self::Deprecated => vec![if is_deprecated(entry) { "Yes" } else { "No" }],
        }
    }

    /// The meaning of an entry without a value: one without architectures runs on all of them.
    pub(super) fn nothing_is_all(self) -> bool {
        self == Self::Architectures
    }
}
