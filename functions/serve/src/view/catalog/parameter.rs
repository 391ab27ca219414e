//! The query parameters, each described once: the parser, the refusals and `/openapi.json` follow
//! from one table.

use serde_json::{Value, json};

use super::field::Field;
use super::schema::IndexSchema;

/// A query parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    /// Its name in the query string, case-sensitive.
    pub(super) name: &'static str,
    /// The schemas whose routes know it; the others ignore it like any unknown parameter.
    pub(super) known_to: &'static [IndexSchema],
    /// Its values and their effects.
    pub(super) kind: Kind,
    /// Its purpose, without its values.
    pub(super) description: &'static str,
}

/// The values of a parameter and their effects.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// One text, searched in a field.
    Text(Field),
    /// Texts, all searched in a field.
    Texts(Field, Repeats),
    /// Some of a few words, all searched in a field.
    Words(Field, &'static [&'static str], Repeats),
    /// The form of icons.
    Icon,
    /// Whether the entry is deprecated.
    Deprecated,
    /// Whether the version is the default one.
    Default,
    /// A limit of versions.
    Version(Bound),
    /// A limit of schema versions.
    SchemaVersion(Bound),
    /// A limit of days.
    LastModified(Bound),
}

/// Whether a text may stand twice in a list; the reference refuses it in some lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    Allowed,
    Refused,
}

/// The end of a range; both ends are part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Min,
    Max,
}

/// The only value of `icon`.
pub(super) const BASE64: &str = "base64";

/// Spellings of yes, those of the reference.
pub(super) const TRUE: [&str; 6] = ["true", "True", "TRUE", "t", "T", "1"];

/// Spellings of no, those of the reference.
pub(super) const FALSE: [&str; 6] = ["false", "False", "FALSE", "f", "F", "0"];

const BOTH: &[IndexSchema] = &[IndexSchema::V1, IndexSchema::V2];

/// Parameters about values that entries of index schema 1 do not show.
const V2: &[IndexSchema] = &[IndexSchema::V2];

const ARCHITECTURES: &[&str] = &["amd64", "arm64", "ppc64le", "s390x"];
const COMMAND_GROUPS: &[&str] = &["build", "run", "test", "debug", "deploy"];
const DEPLOYMENT_SCOPES: &[&str] = &["innerloop", "outerloop"];

/// All query parameters of the index routes, in the order of the reference's interface description.
pub(super) static PARAMETERS: [Parameter; 32] = [
    of(BOTH, "name", Kind::Text(Field::Name), "Keeps entries with this text in their name."),
    of(BOTH, "displayName", Kind::Text(Field::DisplayName), "Keeps entries with this text in their display name."),
    of(
        BOTH,
        "description",
        Kind::Text(Field::Description),
        "Keeps entries and versions with this text in their description.",
    ),
    of(
        BOTH,
        "attributeNames",
        Kind::Texts(Field::AttributeNames, Repeats::Allowed),
        "Keeps entries with each of these texts in the name of an attribute.",
    ),
    of(
        BOTH,
        "tags",
        Kind::Texts(Field::Tags, Repeats::Allowed),
        "Keeps entries and versions with each of these texts in a tag.",
    ),
    of(
        BOTH,
        "arch",
        Kind::Words(Field::Architectures, ARCHITECTURES, Repeats::Allowed),
        "Keeps entries and versions that run on all of these architectures; those that name none run on all.",
    ),
    of(
        BOTH,
        "icon",
        Kind::Icon,
        "Shows icons of entries as data URIs in place of their URLs, as far as their data is known.",
    ),
    of(BOTH, "iconUri", Kind::Text(Field::Icon), "Keeps entries and versions with this text in the URL of their icon."),
    of(BOTH, "projectType", Kind::Text(Field::ProjectType), "Keeps entries with this text in their project type."),
    of(BOTH, "language", Kind::Text(Field::Language), "Keeps entries with this text in their language."),
    of(V2, "minVersion", Kind::Version(Bound::Min), "Keeps this version and newer ones."),
    of(V2, "maxVersion", Kind::Version(Bound::Max), "Keeps this version and older ones."),
    of(
        V2,
        "minSchemaVersion",
        Kind::SchemaVersion(Bound::Min),
        "Keeps versions whose devfile has this schema version or a newer one.",
    ),
    of(
        V2,
        "maxSchemaVersion",
        Kind::SchemaVersion(Bound::Max),
        "Keeps versions whose devfile has this schema version or an older one.",
    ),
    of(BOTH, "deprecated", Kind::Deprecated, "Keeps entries that are deprecated, or those that are not."),
    of(V2, "default", Kind::Default, "Keeps default versions, or the others."),
    of(
        BOTH,
        "resources",
        Kind::Texts(Field::Resources, Repeats::Allowed),
        "Keeps entries and versions with each of these texts in the name of a resource.",
    ),
    of(
        BOTH,
        "starterProjects",
        Kind::Texts(Field::StarterProjects, Repeats::Refused),
        "Keeps entries and versions with each of these texts in the name of a starter project.",
    ),
    of(
        BOTH,
        "linkNames",
        Kind::Texts(Field::LinkNames, Repeats::Refused),
        "Keeps entries and versions with each of these texts in the name of a link.",
    ),
    of(
        BOTH,
        "links",
        Kind::Texts(Field::Links, Repeats::Allowed),
        "Keeps entries and versions with each of these texts in the URL of a link.",
    ),
    of(
        V2,
        "commandGroups",
        Kind::Words(Field::CommandGroups, COMMAND_GROUPS, Repeats::Refused),
        "Keeps entries and versions with commands of all of these groups.",
    ),
    of(
        V2,
        "deploymentScopes",
        Kind::Words(Field::DeploymentScopes, DEPLOYMENT_SCOPES, Repeats::Refused),
        "Keeps entries and versions that serve all of these deployment scopes.",
    ),
    of(
        BOTH,
        "gitRemoteNames",
        Kind::Texts(Field::GitRemoteNames, Repeats::Refused),
        "Keeps entries and versions with each of these texts in the name of a Git remote.",
    ),
    of(
        BOTH,
        "gitRemotes",
        Kind::Texts(Field::GitRemotes, Repeats::Allowed),
        "Keeps entries and versions with each of these texts in the URL of a Git remote.",
    ),
    of(
        BOTH,
        "gitUrl",
        Kind::Text(Field::GitUrl),
        "Keeps entries and versions with this text in the URL of their Git repository.",
    ),
    of(
        BOTH,
        "gitRemoteName",
        Kind::Text(Field::GitRemoteName),
        "Keeps entries and versions with this text in the name of the Git remote they use.",
    ),
    of(
        BOTH,
        "gitSubDir",
        Kind::Text(Field::GitSubDir),
        "Keeps entries and versions with this text in their folder inside the Git repository.",
    ),
    of(
        BOTH,
        "gitRevision",
        Kind::Text(Field::GitRevision),
        "Keeps entries and versions with this text in their Git revision.",
    ),
    of(BOTH, "provider", Kind::Text(Field::Provider), "Keeps entries with this text in their provider."),
    of(BOTH, "supportUrl", Kind::Text(Field::SupportUrl), "Keeps entries with this text in their support URL."),
    of(V2, "minLastModified", Kind::LastModified(Bound::Min), "Keeps versions changed on this day or later, in UTC."),
    of(V2, "maxLastModified", Kind::LastModified(Bound::Max), "Keeps versions changed on this day or earlier, in UTC."),
];

const fn of(known_to: &'static [IndexSchema], name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter { name, known_to, kind, description }
}

impl Repeats {
    /// JSON schema of a list of such values.
    fn list_of(self, item: Value) -> Value {
        match self {
            Self::Allowed => json!({"type": "array", "items": item}),
            Self::Refused => json!({"type": "array", "items": item, "uniqueItems": true}),
        }
    }
}

impl Parameter {
    /// The parameters that the routes of a schema know.
    pub(super) fn of_schema(schema: IndexSchema) -> impl Iterator<Item = &'static Self> {
        PARAMETERS.iter().filter(move |parameter| parameter.known_to.contains(&schema))
    }

    /// The parameters that `/devfiles/{name}` and `/devfiles/{name}/{version}` know.
    pub(super) fn of_devfiles() -> impl Iterator<Item = &'static Self> {
        PARAMETERS.iter().filter(|parameter| matches!(parameter.kind, Kind::SchemaVersion(_)))
    }

    /// The parameter as an OpenAPI 3.1 parameter object.
    pub(super) fn openapi(&self) -> Value {
        let mut object = json!({
            "name": self.name,
            "in": "query",
            "description": format!("{} Allowed values: {}.", self.description, self.kind.allowed_values()),
            "schema": self.kind.json_schema(),
        });
        if self.kind.is_list() {
            object["style"] = json!("form");
            object["explode"] = json!(true);
        }
        object
    }
}

impl Kind {
    /// Whether the parameter may be given several times.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Texts(..) | Self::Words(..))
    }

    /// Whether one value may be given several times.
    pub(super) fn repeats(self) -> Repeats {
        match self {
            Self::Texts(_, repeats) | Self::Words(_, _, repeats) => repeats,
            _ => Repeats::Refused,
        }
    }

    /// The allowed values, as the end of a sentence.
    pub(super) fn allowed_values(self) -> String {
        let list = |words: &[&str]| words.join(", ");
        match self {
            Self::Text(_) => "any text, once".to_owned(),
            Self::Texts(_, Repeats::Allowed) => "any text, repeatedly".to_owned(),
            Self::Texts(_, Repeats::Refused) => "any text, repeatedly, but none twice".to_owned(),
            Self::Words(_, words, Repeats::Allowed) => format!("{}, repeatedly", list(words)),
            Self::Words(_, words, Repeats::Refused) => {
                format!("{}, repeatedly, but none twice", list(words))
            }
            Self::Icon => BASE64.to_owned(),
            Self::Deprecated | Self::Default => format!("{}, {}", list(&TRUE), list(&FALSE)),
            Self::Version(_) => "a version of two or three numbers, such as 1.2 or 1.2.0".to_owned(),
            Self::SchemaVersion(_) => "a schema version, such as 2.2, 2.2.0 or 2.2.0-alpha".to_owned(),
            Self::LastModified(_) => "a day, such as 2026-02-18".to_owned(),
        }
    }

    /// JSON schema of exactly the accepted values.
    ///
    /// Digits are `[0-9]`, not `\d`: some validators read `\d` as the digits of every script.
    fn json_schema(self) -> Value {
        let text = json!({"type": "string", "minLength": 1});
        match self {
            Self::Text(_) => text,
            Self::Texts(_, repeats) => repeats.list_of(text),
            Self::Words(_, words, repeats) => repeats.list_of(json!({"type": "string", "enum": words})),
            Self::Icon => json!({"type": "string", "enum": [BASE64]}),
            Self::Deprecated | Self::Default => {
                let spellings = [TRUE, FALSE].concat();
                json!({"type": "string", "enum": spellings})
            }
            Self::Version(_) => json!({"type": "string", "pattern": r"^[0-9]+\.[0-9]+(\.[0-9]+)?$"}),
            Self::SchemaVersion(_) => {
                json!({"type": "string", "pattern": r"^[0-9]+\.[0-9]+(\.[0-9]+)?(-alpha)?$"})
            }
            Self::LastModified(_) => {
                json!({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_parameter_is_there_once() {
        let names: BTreeSet<_> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
        assert_eq!(names.len(), 32);
        assert_eq!(Parameter::of_schema(IndexSchema::V2).count(), 32);
        assert_eq!(Parameter::of_schema(IndexSchema::V1).count(), 23);
        assert_eq!(Parameter::of_devfiles().count(), 2);
    }

    #[test]
    fn every_field_can_be_asked_for() {
        let asked = |field| {
            PARAMETERS.iter().any(|parameter| match parameter.kind {
                Kind::Text(of) | Kind::Texts(of, _) | Kind::Words(of, ..) => of == field,
                _ => false,
            })
        };
        for field in Field::ALL {
            assert!(asked(field), "{field:?}");
        }
    }

    #[test]
    fn openapi_parameter_has_the_values_that_are_valid() {
        let by_name = |name| PARAMETERS.iter().find(|parameter| parameter.name == name).unwrap().openapi();
        assert_eq!(
            by_name("arch"),
            json!({
                "name": "arch",
                "in": "query",
                "description": "Keeps entries and versions that run on all of these architectures; those that name \
                                none run on all. Allowed values: amd64, arm64, ppc64le, s390x, repeatedly.",
                "schema": {
                    "type": "array",
                    "items": {"type": "string", "enum": ["amd64", "arm64", "ppc64le", "s390x"]}
                },
                "style": "form",
                "explode": true,
            })
        );
        assert_eq!(by_name("name")["schema"], json!({"type": "string", "minLength": 1}));
    }
}
