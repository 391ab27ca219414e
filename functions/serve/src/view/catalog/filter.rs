//! Which entries and versions a query keeps.

use std::ops::Range;

use devfile_registry::index::{Entry, EntryType, VersionEntry};
use devfile_registry::version::Version;
use jiff::civil::Date;

use super::column::{Column, Found};
use super::field::Field;
use super::parameter::Bound;
use super::query::Filter;
use super::schema::IndexSchema;
use crate::view::text::fold;

/// The folded tag that makes an entry deprecated.
const DEPRECATED: &str = "deprecated";

/// The values that filters search, made once for a release.
#[derive(Debug)]
pub(super) struct Facts {
    columns: Vec<Column>,
    entries: Vec<EntryFacts>,
    versions: Vec<VersionFacts>,
}

#[derive(Debug)]
struct EntryFacts {
    entry_type: EntryType,
    versions: Range<usize>,
    default_version: Option<usize>,
    deprecated: bool,
}

#[derive(Debug)]
struct VersionFacts {
    version: Option<Version>,
    schema_version: Option<Version>,
    last_modified: Date,
    default: bool,
}

impl Facts {
    /// The facts of an index. Versions are counted through the index, from its first entry to its last.
    pub(super) fn new(entries: &[Entry]) -> Self {
        let mut versions = 0;
        let facts = |entry: &Entry| {
            let start = versions;
            versions += entry.versions.len();
            EntryFacts {
                entry_type: entry.entry_type,
                versions: start..versions,
                default_version: entry.versions.iter().position(|version| version.default).map(|at| start + at),
                deprecated: is_deprecated(entry),
            }
        };
        Self {
            columns: Field::ALL.into_iter().map(|field| Column::new(field, entries)).collect(),
            entries: entries.iter().map(facts).collect(),
            versions: entries.iter().flat_map(|entry| &entry.versions).map(VersionFacts::new).collect(),
        }
    }

    /// The type of an entry, by its position.
    pub(super) fn entry_type(&self, position: usize) -> EntryType {
        self.entries[position].entry_type
    }

    /// Whether an entry is deprecated.
    pub(super) fn is_deprecated(&self, position: usize) -> bool {
        self.entries[position].deprecated
    }

    /// The number of an entry's versions.
    pub(super) fn versions(&self, position: usize) -> usize {
        self.entries[position].versions.len()
    }
}

impl VersionFacts {
    fn new(version: &VersionEntry) -> Self {
        Self {
            version: version.version.parse().ok(),
            schema_version: Version::of_schema(&version.schema_version).ok(),
            last_modified: version.last_modified.utc_day(),
            default: version.default,
        }
    }
}

/// Whether an entry is deprecated. The default version decides where the entry's own tags do not say it.
pub(crate) fn is_deprecated(entry: &Entry) -> bool {
    let default = entry.default_version().map_or(&[][..], |version| &version.tags);
    entry.tags.iter().chain(default).any(|tag| is_deprecated_tag(tag))
}

/// Whether a tag says that something is deprecated.
pub(crate) fn is_deprecated_tag(tag: &str) -> bool {
    fold(tag).contains(DEPRECATED)
}

/// The filters of one query, prepared for all entries.
#[derive(Debug)]
pub(super) struct FilterPlan<'a> {
    facts: &'a Facts,
    schema: IndexSchema,
    tests: Vec<Test<'a>>,
}

#[derive(Debug)]
enum Test<'a> {
    /// The matches of each text in the whole column.
    Texts(Field, &'a Column, Vec<Found>),
    Other(&'a Filter),
}

impl<'a> FilterPlan<'a> {
    /// Searches the columns for the texts of `filters`.
    pub(super) fn new(facts: &'a Facts, schema: IndexSchema, filters: &'a [Filter]) -> Self {
        let test = |filter: &'a Filter| match filter {
            Filter::Texts(field, texts) => {
                let column = &facts.columns[*field as usize];
                Test::Texts(*field, column, column.find_all(texts))
            }
            other => Test::Other(other),
        };
        Self { facts, schema, tests: filters.iter().map(test).collect() }
    }

    /// Whether `entry` matches; fills `matches` with those of its versions that do.
    ///
    /// In schema 2 a filter keeps the versions that meet it; if there is none but the entry's own field meets it, all;
    /// otherwise the entry is out. Several filters must all match. In schema 1 an entry has no versions.
    pub(super) fn keep(&self, entry: usize, matches: &mut Vec<usize>) -> bool {
        let EntryFacts { versions, .. } = &self.facts.entries[entry];
        matches.clear();
        if self.schema == IndexSchema::V1 {
            return self.tests.iter().all(|test| test.of_shown_entry(self.facts, entry));
        }
        matches.extend(versions.clone());
        let met = self.tests.iter().all(|test| {
            if versions.clone().any(|version| test.of_version(self.facts, version)) {
                matches.retain(|&version| test.of_version(self.facts, version));
                return true;
            }
            test.of_entry(self.facts, entry)
        });
        met && (versions.is_empty() || !matches.is_empty())
    }
}

impl Test<'_> {
    /// Whether the entry's own field meets the filter.
    fn of_entry(&self, facts: &Facts, entry: usize) -> bool {
        match self {
            Self::Texts(field, column, found) => holds_all(*field, found, column.of_entry(entry)),
            Self::Other(Filter::Deprecated(wanted)) => facts.entries[entry].deprecated == *wanted,
            Self::Other(_) => false,
        }
    }

    /// Returns whether the schema 1 form of the entry meets the filter.
    fn of_shown_entry(&self, facts: &Facts, entry: usize) -> bool {
        let EntryFacts { entry_type, default_version, .. } = facts.entries[entry];
        match (self, default_version) {
            (Self::Texts(field, column, found), Some(version)) => {
                let shown = field.shown(entry_type, column.of_entry(entry), column.of_version(version));
                holds_all(*field, found, shown)
            }
            _ => self.of_entry(facts, entry),
        }
    }

    /// Whether the version's field meets the filter; `false` where versions have no such field.
    fn of_version(&self, facts: &Facts, version: usize) -> bool {
        let in_range = |limit: &Version, bound: &Bound, version: &Option<Version>| {
            version.as_ref().is_some_and(|version| bound.admits(version, limit))
        };
        let of_version = &facts.versions[version];
        match self {
            Self::Texts(field, column, found) => holds_all(*field, found, column.of_version(version)),
            Self::Other(Filter::Default(wanted)) => of_version.default == *wanted,
            Self::Other(Filter::Version(bound, limit)) => in_range(limit, bound, &of_version.version),
            Self::Other(Filter::SchemaVersion(bound, limit)) => in_range(limit, bound, &of_version.schema_version),
            Self::Other(Filter::LastModified(bound, limit)) => bound.admits(&of_version.last_modified, limit),
            Self::Other(Filter::Deprecated(_) | Filter::Texts(..)) => false,
        }
    }
}

/// Whether every searched text stands in `texts`. Only a list of architectures that is empty means all.
fn holds_all(field: Field, found: &[Found], texts: &[u32]) -> bool {
    if texts.is_empty() {
        return field == Field::Architectures;
    }
    found.iter().all(|found| found.any_of(texts))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::names;
    use super::super::{IndexKind, IndexSchema};

    fn v2(query: &str) -> String {
        names(IndexSchema::V2, IndexKind::All, query)
    }

    fn v1(query: &str) -> String {
        names(IndexSchema::V1, IndexKind::All, query)
    }

    const ALL: &str = "go@2.10.0,2.9.0,1.2.0 java@1.3.0-rc,1.2.0 go@1.0.0,2.0.0 plain";

    #[test]
    fn query_in_schema_2_keeps_the_matching_versions() {
        for (query, expected) in [
            ("", ALL),
            ("name=GO", "go@2.10.0,2.9.0,1.2.0 go@1.0.0,2.0.0"),
            ("name=%20", ALL),
            ("displayName=runtime", "go@2.10.0,2.9.0,1.2.0 java@1.3.0-rc,1.2.0"),
            ("description=1.18", "go@1.2.0"),
            ("description=open%20source", "go@2.10.0,2.9.0,1.2.0"),
            ("attributeNames=CONTEXT&attributeNames=alpha", "java@1.3.0-rc,1.2.0"),
            ("attributeNames=%20", "java@1.3.0-rc,1.2.0"),
            ("tags=go", "go@2.10.0,2.9.0,1.2.0 go@1.0.0,2.0.0 plain"),
            ("tags=maven", "java@1.2.0"),
            ("tags=go&tags=deprecated", "go@2.9.0,1.2.0"),
            ("arch=amd64", "go@2.10.0,2.9.0,1.2.0 java@1.2.0 go@1.0.0,2.0.0 plain"),
            ("arch=amd64&arch=arm64", "go@2.10.0,2.9.0,1.2.0 go@1.0.0,2.0.0 plain"),
            ("iconUri=old", "go@2.9.0"),
            ("projectType=maven&language=JAVA", "java@1.3.0-rc,1.2.0"),
            ("minVersion=2.9", "go@2.10.0,2.9.0"),
            ("minVersion=1.3", "go@2.10.0,2.9.0 go@2.0.0"),
            ("maxVersion=1.3.0", "go@1.2.0 java@1.3.0-rc,1.2.0 go@1.0.0"),
            ("minVersion=1.2&maxVersion=1.2.0", "go@1.2.0 java@1.2.0"),
            ("minVersion=3.0&maxVersion=1.0", ""),
            ("minSchemaVersion=2.2.0", "go@2.10.0,2.9.0 go@1.0.0,2.0.0"),
            ("minSchemaVersion=2.2.0-alpha&maxSchemaVersion=2.2", "go@2.9.0 java@1.3.0-rc go@1.0.0,2.0.0"),
            ("deprecated=true", "java@1.3.0-rc,1.2.0"),
            ("deprecated=false", "go@2.10.0,2.9.0,1.2.0 go@1.0.0,2.0.0 plain"),
            ("default=true", "go@2.10.0 java@1.2.0 go@2.0.0"),
            ("default=false", "go@2.9.0,1.2.0 java@1.3.0-rc go@1.0.0"),
            ("resources=.tar", "go@2.10.0,2.9.0"),
            ("starterProjects=a&starterProjects=b", "java@1.2.0"),
            ("linkNames=docs", "go@1.2.0"),
            ("links=devfile-catalog", "go@2.10.0,2.9.0,1.2.0"),
            ("links=self", ""),
            ("commandGroups=deploy", "go@2.10.0"),
            ("deploymentScopes=innerloop", "java@1.2.0"),
            ("deploymentScopes=outerloop", ""),
            ("gitRemoteNames=origin", "go@1.0.0,2.0.0"),
            ("gitRemotes=git.example", "go@1.0.0,2.0.0"),
            ("gitUrl=plain", "plain"),
            ("gitRemoteName=origin", "go@1.0.0"),
            ("gitSubDir=app", "go@2.0.0"),
            ("gitRevision=main", "go@2.0.0"),
            ("provider=red%20hat", "go@2.10.0,2.9.0,1.2.0"),
            ("supportUrl=support.example", "java@1.3.0-rc,1.2.0"),
            ("minLastModified=2026-02-17", "go@2.10.0"),
            ("minLastModified=2026-02-18", ""),
            ("minLastModified=2024-01-02&maxLastModified=2024-02-29", "java@1.3.0-rc go@2.0.0"),
        ] {
            assert_eq!(v2(query), expected, "{query}");
        }
    }

    #[test]
    fn several_filters_keep_their_intersection() {
        for (query, expected) in [
            ("name=go&default=false&tags=deprecated", "go@2.9.0,1.2.0"),
            ("description=1.19&resources=archive.tar", "go@2.9.0"),
            ("description=1.19&default=true", ""),
            ("deprecated=true&default=true", "java@1.2.0"),
            ("icon=base64&default=true&language=go", "go@2.10.0 go@2.0.0"),
        ] {
            assert_eq!(v2(query), expected, "{query}");
        }
    }

    #[test]
    fn query_in_schema_1_keeps_the_matching_entries() {
        for (query, expected) in [
            ("", "go java go plain"),
            ("minVersion=abc", "go java go plain"),
            ("resources=archive.tar", "go"),
            ("links=devfile-catalog/go:2.10", "go"),
            ("linkNames=docs", ""),
            ("starterProjects=b", "java"),
            ("gitRevision=main", "go"),
            ("gitRevision=v1", ""),
            ("gitUrl=plain", "plain"),
            ("arch=arm64", "go go plain"),
            ("deprecated=true", "java"),
            ("description=1.18", ""),
        ] {
            assert_eq!(v1(query), expected, "{query}");
        }
        assert_eq!(names(IndexSchema::V1, IndexKind::Sample, "name=go"), "go");
        assert_eq!(names(IndexSchema::V2, IndexKind::Stack, "name=go"), "go@2.10.0,2.9.0,1.2.0");
    }
}
