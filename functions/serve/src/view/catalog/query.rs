//! Query strings: reading and checking them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use axum::http::StatusCode;
use devfile_registry::version::Version;
use jiff::civil::Date;

use super::field::Field;
use super::parameter::{BASE64, Bound, FALSE, Kind, Parameter, Repeats, TRUE};
use super::schema::IndexSchema;
use crate::http::problem::Problem;
use crate::http::query::pairs;
use crate::view::text::fold;

/// A checked query of an index route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    pub(super) filters: Vec<Filter>,
    pub(super) icons: IconForm,
}

/// The form of icons in the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum IconForm {
    /// As URLs.
    #[default]
    Urls,
    /// As data URIs, where the data is known.
    Data,
}

/// One condition of a query; an answer holds the entries that meet all of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    /// Each of these folded texts stands in the field.
    Texts(Field, Vec<String>),
    /// The entry is deprecated, or is not.
    Deprecated(bool),
    /// The version is the default one, or is not.
    Default(bool),
    /// The version is on this side of a limit.
    Version(Bound, Version),
    /// The schema version is on this side of a limit.
    SchemaVersion(Bound, Version),
    /// The last change is on this side of a limit.
    LastModified(Bound, Date),
}

/// The reason why a query is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameter `{parameter}` {problem}; allowed values: {allowed}")]
pub struct BadParameter {
    parameter: &'static str,
    problem: &'static str,
    allowed: String,
}

impl BadParameter {
    /// The name of the parameter.
    pub(crate) fn parameter(&self) -> &'static str {
        self.parameter
    }
}

impl From<BadParameter> for Problem {
    fn from(bad: BadParameter) -> Self {
        let message = format!("the parameter {} is not valid", bad.parameter());
        Self::new(StatusCode::BAD_REQUEST, message).because(bad.to_string())
    }
}

impl Query {
    /// Reads a query string, still percent-encoded and without its question mark.
    ///
    /// Unknown parameters are ignored. Of several mistakes the one of the first parameter in the order of
    /// `/openapi.json` is named.
    ///
    /// # Errors
    /// A known parameter has an invalid value.
    pub fn parse(schema: IndexSchema, raw: &str) -> Result<Self, BadParameter> {
        let mut query = Self::default();
        for (parameter, values) in values_by_parameter(Parameter::of_schema(schema), raw) {
            check(parameter, &values)?;
            match filter(parameter, &values)? {
                Some(filter) => query.filters.push(filter),
                None => query.icons = IconForm::Data,
            }
        }
        Ok(query)
    }

    /// The number of texts that are searched.
    pub(super) fn texts(&self) -> usize {
        let texts = |filter: &Filter| if let Filter::Texts(_, texts) = filter { texts.len() } else { 0 };
        self.filters.iter().map(texts).sum()
    }

    /// Whether the answer is the whole index as it is.
    pub(crate) fn is_empty(&self) -> bool {
        self.filters.is_empty() && self.icons == IconForm::Urls
    }
}

/// The range of schema versions that a client of `/devfiles/{name}/{version}` can read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SchemaVersionRange(Vec<(Bound, Version)>);

impl SchemaVersionRange {
    /// Reads `minSchemaVersion` and `maxSchemaVersion` of a query string as [`Query::parse`] does.
    ///
    /// # Errors
    /// One of the two has an invalid value.
    pub(crate) fn parse(raw: &str) -> Result<Self, BadParameter> {
        let mut limits = Vec::new();
        for (parameter, values) in values_by_parameter(Parameter::of_devfiles(), raw) {
            check(parameter, &values)?;
            if let Some(Filter::SchemaVersion(bound, limit)) = filter(parameter, &values)? {
                limits.push((bound, limit));
            }
        }
        Ok(Self(limits))
    }

    /// Whether a version with this schema version is in the range. A text that is no version is in no range but the whole.
    pub(crate) fn admits(&self, schema_version: &str) -> bool {
        let version = Version::of_schema(schema_version).ok();
        self.0.iter().all(|(bound, limit)| version.as_ref().is_some_and(|version| bound.admits(version, limit)))
    }
}

impl Bound {
    /// Whether `value` is on this side of `limit`.
    pub(super) fn admits<T: Ord>(self, value: &T, limit: &T) -> bool {
        match self {
            Self::Min => value >= limit,
            Self::Max => value <= limit,
        }
    }
}

/// Returns the known parameters of a query string, each with its values in order.
fn values_by_parameter(
    known: impl Iterator<Item = &'static Parameter>,
    raw: &str,
) -> impl Iterator<Item = (&'static Parameter, Vec<Cow<'_, str>>)> {
    let mut found: Vec<_> = known.map(|parameter| (parameter, Vec::new())).collect();
    for (name, value) in pairs(raw) {
        if let Some((_, values)) = found.iter_mut().find(|(parameter, _)| parameter.name == name) {
            values.push(value);
        }
    }
    found.into_iter().filter(|(_, values)| !values.is_empty())
}

/// Checks the rules for the values of every parameter.
fn check(parameter: &Parameter, values: &[Cow<'_, str>]) -> Result<(), BadParameter> {
    if values.iter().any(|value| value.is_empty()) {
        return Err(refuse(parameter, "is empty"));
    }
    if values.len() > 1 && !parameter.kind.is_list() {
        return Err(refuse(parameter, "is given more than once"));
    }
    if parameter.kind.repeats() == Repeats::Refused {
        let mut sorted: Vec<_> = values.iter().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(refuse(parameter, "has a value twice"));
        }
    }
    Ok(())
}

/// The filter that the checked values of a parameter ask for; `None` for `icon`, which filters nothing.
fn filter(parameter: &Parameter, values: &[Cow<'_, str>]) -> Result<Option<Filter>, BadParameter> {
    let bad = || refuse(parameter, "is invalid");
    let value = values.first().map_or("", |value| value.as_ref());
    // A second search for a text finds nothing else.
    let texts = || values.iter().map(|value| fold(value)).collect::<BTreeSet<_>>().into_iter().collect();
    Ok(Some(match parameter.kind {
        Kind::Text(field) | Kind::Texts(field, _) => Filter::Texts(field, texts()),
        Kind::Words(field, words, _) => {
            let all = values.iter().all(|value| words.contains(&value.as_ref()));
            all.then(|| Filter::Texts(field, texts())).ok_or_else(bad)?
        }
        Kind::Icon if value == BASE64 => return Ok(None),
        Kind::Icon => return Err(bad()),
        Kind::Deprecated => Filter::Deprecated(truth(value).ok_or_else(bad)?),
        Kind::Default => Filter::Default(truth(value).ok_or_else(bad)?),
        Kind::Version(bound) => Filter::Version(bound, version(value).ok_or_else(bad)?),
        Kind::SchemaVersion(bound) => Filter::SchemaVersion(bound, schema_version(value).ok_or_else(bad)?),
        Kind::LastModified(bound) => Filter::LastModified(bound, day(value).ok_or_else(bad)?),
    }))
}

fn refuse(parameter: &Parameter, problem: &'static str) -> BadParameter {
    BadParameter { parameter: parameter.name, problem, allowed: parameter.kind.allowed_values() }
}

fn truth(value: &str) -> Option<bool> {
    if TRUE.contains(&value) {
        Some(true)
    } else if FALSE.contains(&value) {
        Some(false)
    } else {
        None
    }
}

fn version(value: &str) -> Option<Version> {
    schema_version(value).filter(|version| version.pre_release().is_none())
}

fn schema_version(value: &str) -> Option<Version> {
    let version: Version = value.parse().ok()?;
    let known = matches!(version.parts(), 2 | 3) && matches!(version.pre_release(), None | Some("alpha"));
    known.then_some(version)
}

fn day(value: &str) -> Option<Date> {
    let shaped = value.len() == 10
        && value
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    shaped.then(|| value.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(raw: &str) -> Result<Query, BadParameter> {
        Query::parse(IndexSchema::V2, raw)
    }

    #[test]
    fn query_string_is_read_as_a_form() {
        let go = v2("name=go").unwrap();
        for same in ["name=g%6F", "n%61me=go", "&&name=+GO%20&", "bogus=1&name=go&tags[]=x", "name=go&NAME=java"] {
            assert_eq!(v2(same).unwrap(), go, "{same}");
        }
        for nothing in ["", "&&&", "=", "a;name=go", "name=go;b", "name=%zz", "name=%e", "name=%", "%6=go"] {
            assert!(v2(nothing).unwrap().is_empty(), "{nothing}");
        }
        assert_eq!(v2("name=%ff").unwrap().filters, [Filter::Texts(Field::Name, vec!["\u{fffd}".to_owned()])]);
        assert!(!v2("icon=base64").unwrap().is_empty());
    }

    #[test]
    fn value_that_a_parameter_does_not_take_is_refused() {
        for (raw, parameter) in [
            ("name=", "name"),
            ("name", "name"),
            ("name=go&name=", "name"),
            ("name=go&name=go", "name"),
            ("tags=&tags=a", "tags"),
            ("starterProjects=a&starterProjects=a", "starterProjects"),
            ("arch=amd64,arm64", "arch"),
            ("arch=AMD64", "arch"),
            ("commandGroups=run&commandGroups=run", "commandGroups"),
            ("linkNames=self&linkNames=self", "linkNames"),
            ("commandGroups=deb", "commandGroups"),
            ("deploymentScopes=foo", "deploymentScopes"),
            ("icon=BASE64", "icon"),
            ("deprecated=tRuE", "deprecated"),
            ("default=yes", "default"),
            ("minVersion=1", "minVersion"),
            ("minVersion=1.2.3.4", "minVersion"),
            ("minVersion=1.0-alpha", "minVersion"),
            ("maxVersion=v1.0", "maxVersion"),
            ("maxVersion=1.0%0A", "maxVersion"),
            ("minSchemaVersion=2.1%20", "minSchemaVersion"),
            ("minSchemaVersion=2.2.0-beta", "minSchemaVersion"),
            ("minLastModified=2023-02-29", "minLastModified"),
            ("minLastModified=2024-1-1", "minLastModified"),
            ("minLastModified=%2B024-01-01", "minLastModified"),
            ("maxLastModified=2024-01-01T00:00:00Z", "maxLastModified"),
            ("maxLastModified=foo&minVersion=abc", "minVersion"),
        ] {
            assert_eq!(v2(raw).unwrap_err().parameter(), parameter, "{raw}");
        }
    }

    #[test]
    fn value_that_a_parameter_takes_is_read() {
        for raw in [
            "tags=a&tags=a",
            "links=a&links=a",
            "arch=amd64&arch=s390x",
            "arch=amd64&arch=amd64",
            "attributeNames=a&attributeNames=a",
            "deprecated=T&default=0",
            "minVersion=01.0&maxVersion=999999999999999999999999999999999999999999.0",
            "minSchemaVersion=2.2.0-alpha&maxSchemaVersion=2.2-alpha",
            "minLastModified=0001-01-01&maxLastModified=2024-02-29",
        ] {
            assert!(v2(raw).is_ok(), "{raw}");
        }
    }

    #[test]
    fn repeated_text_is_searched_once() {
        let once = v2("tags=go&links=a").unwrap();
        assert_eq!(v2(&format!("links=a{}", "&tags=go&tags=+GO".repeat(500))).unwrap(), once);
        assert_eq!(once.texts(), 2);
    }

    #[test]
    fn query_in_schema_1_ignores_unknown_parameters() {
        let raw = "minVersion=abc&maxSchemaVersion=&default=x&commandGroups=x&deploymentScopes=x&minLastModified=x";
        assert!(Query::parse(IndexSchema::V1, raw).unwrap().is_empty());
    }

    #[test]
    fn error_of_an_invalid_value_names_the_valid_ones() {
        assert_eq!(
            v2("minVersion=abc").unwrap_err().to_string(),
            "the parameter `minVersion` is invalid; allowed values: a version of two or three numbers, such as 1.2 or \
             1.2.0"
        );
        assert_eq!(
            v2("arch=").unwrap_err().to_string(),
            "the parameter `arch` is empty; allowed values: amd64, arm64, ppc64le, s390x, repeatedly"
        );
    }

    #[test]
    fn range_of_schema_versions_admits_the_versions_within() {
        let range = SchemaVersionRange::parse("minSchemaVersion=2.1&maxSchemaVersion=2.2.0&name=").unwrap();
        for (version, inside) in [("2.1.0", true), ("2.2.0-alpha", true), ("2.2.1", false), ("", false)] {
            assert_eq!(range.admits(version), inside, "{version}");
        }
        assert!(SchemaVersionRange::parse("").unwrap().admits(""));
        assert!(SchemaVersionRange::parse("minSchemaVersion=abc").is_err());
    }

    proptest! {
        #[test]
        fn query_of_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let raw = String::from_utf8_lossy(&bytes);
            let _ = Query::parse(IndexSchema::V1, &raw);
            let _ = Query::parse(IndexSchema::V2, &raw);
        }

        #[test]
        fn known_parameter_with_any_value_never_panics(name in 0..32usize, value in "[%+;=&0-9a-zA-Z.é-]{0,12}") {
            let name = super::super::parameter::PARAMETERS[name].name;
            let raw = format!("{name}={value}");
            if let Err(bad) = v2(&raw) { prop_assert!(bad.to_string().contains(bad.parameter())); }
        }
    }
}
