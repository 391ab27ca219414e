//! The published JSON schemas of the devfile versions, and their errors worded so that an author can act on them.

use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError, Validator};
use serde_json::Value;

use super::findings::Findings;
use super::suggest::{self, quoted};
use crate::limits;
use crate::yaml::{Data, Node};

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The schema itself, to look things up in.
    value: Value,
    validator: Validator,
}

/// Each schema with the first version it is for.
static SCHEMAS: [(&str, LazyLock<Schema>); 4] = [
    ("2.0.0", LazyLock::new(|| Schema::compile(include_str!("schemas/2.0.0.json")))),
    ("2.1.0", LazyLock::new(|| Schema::compile(include_str!("schemas/2.1.0.json")))),
    ("2.2.0", LazyLock::new(|| Schema::compile(include_str!("schemas/2.2.0.json")))),
    ("2.2.2", LazyLock::new(|| Schema::compile(include_str!("schemas/2.2.2.json")))),
];

/// The schema versions, oldest first, and which of the schemas they have.
pub(crate) const VERSIONS: [(&str, usize); 6] =
    [("2.0.0", 0), ("2.1.0", 1), ("2.2.0", 2), ("2.2.1", 2), ("2.2.2", 3), ("2.3.0", 3)];

/// The meanings of the schemas' patterns, and the rule of a violation.
const PATTERNS: [(&str, &str, &str); 4] = [
    (
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "schema/pattern",
        "use lower-case letters, digits and dashes, with a letter or digit first and last",
    ),
    ("^([0-9]+)", "schema/metadataVersion", "write a version such as 1.2.3, a pre-release in lower case"),
    ("^(latest)|", "schema/parentVersion", "write a version such as 1.2.3, or latest"),
    ("^([2-9])", "schemaVersion/value", "write a version such as 2.3.0"),
];

impl Schema {
    fn compile(text: &str) -> Self {
        let value = serde_json::from_str(text).expect("the schemas are part of the program and are JSON");
        let validator = jsonschema::draft7::options().build(&value).expect("the schemas are valid schemas");
        Self { value, validator }
    }

    /// Returns the schema for a `schemaVersion`; a suffix after a dash does not matter.
    pub(crate) fn for_version(version: &str) -> Option<&'static Self> {
        let core = version.split('-').next()?;
        let (_, index) = VERSIONS.iter().find(|(known, _)| *known == core)?;
        SCHEMAS.get(*index).map(|(_, schema)| &**schema)
    }

    /// Reports the violations of a document; `value` is the same document.
    pub(crate) fn check(&self, root: &Node, value: &Value, findings: &mut Findings) {
        if !self.validator.is_valid(value) {
            for error in self.validator.iter_errors(value) {
                if findings.is_full() {
                    break;
                }
                self.explain(&error, root, findings);
            }
        }
        self.check_types_beyond(root, findings);
    }

    /// The types that clients decode to and the schemas do not ask for: ports of 64 bits, and metadata fields that
    /// only later schemas know.
    fn check_types_beyond(&self, root: &Node, findings: &mut Findings) {
        for (key, node) in root.get("metadata").map_or(&[][..], Node::entries) {
            let path = format!("/properties/metadata/properties/{key}/type").replace('~', "~0");
            let expected = latest().value.pointer(&path).filter(|_| self.value.pointer(&path).is_none());
            let fits = match (expected.and_then(Value::as_str), &node.data) {
                (None, _) | (_, Data::Null) | (Some("string"), Data::Text(_)) => true,
                (Some("array"), Data::List(items)) => items.iter().all(|item| item.text().is_some()),
                _ => false,
            };
            if !fits {
                let kind = expected.and_then(Value::as_str).map_or("another type", article);
                let message = format!("`{key}` has to be {kind}");
                findings.error(node.file_position(), "schema/type", message, quote_hint(node));
            }
        }
        let overrides = root.get("parent").map_or(&[][..], |parent| parent.items_of("components"));
        for component in root.items_of("components").iter().chain(overrides) {
            for (_, kind) in component.entries() {
                for port in kind.items_of("endpoints").iter().filter_map(|endpoint| endpoint.get("targetPort")) {
                    if matches!(&port.data, Data::Number(number) if number.as_i64().is_none()) {
                        let message = "a port is a whole number of at most 64 bits, without a point or an exponent";
                        findings.error(port.at, "schema/type", message, "");
                    }
                }
            }
        }
    }

    fn explain(&self, error: &ValidationError<'_>, root: &Node, findings: &mut Findings) {
        let pointer = error.instance_path().as_str();
        let Some(node) = root.pointer(pointer) else { return };
        let what = describe(node, pointer);
        // The path of the keyword without the keyword is the path of the schema it belongs to.
        let path = error.schema_path().as_str();
        let path = &path[..path.rfind('/').unwrap_or(0)];
        let known = || self.fields(path);
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                for key in unexpected.iter().take(limits::REPORTED_PROBLEMS) {
                    let at = node.get(key).map_or(node.key_at, |value| value.key_at);
                    let hint = schema_version_hint(path, key).unwrap_or_else(|| findings.hint(key, known()));
                    findings.error(at, "schema/unknownField", format!("{what} has no field `{key}`"), hint);
                }
            }
            ValidationErrorKind::Required { property } => {
                let property = property.as_str().unwrap_or_default();
                if !self.misspelt(node, path, property) {
                    let message = format!("`{property}` is missing in {what}");
                    findings.error(node.key_at, "schema/required", message, format!("add `{property}:`"));
                }
            }
            ValidationErrorKind::Type { kind } => {
                let expected = match kind {
                    TypeKind::Single(single) => article(single.as_str()).to_owned(),
                    TypeKind::Multiple(several) => suggest::quoted(several.iter().map(JsonType::as_str), "or"),
                };
                let message = format!("{what} has to be {expected}, and is {}", article(type_of(node)));
                findings.error(node.file_position(), "schema/type", message, quote_hint(node));
            }
            ValidationErrorKind::Pattern { pattern } => {
                let known = PATTERNS.iter().find(|(start, ..)| pattern.starts_with(start));
                let (_, rule, hint) = known.unwrap_or(&("", "schema/pattern", ""));
                let text = node.text().unwrap_or_default().escape_debug();
                findings.error(node.file_position(), rule, format!("{what} may not be `{text}`"), *hint);
            }
            ValidationErrorKind::MaxLength { limit } => {
                let length = node.text().unwrap_or_default().chars().count();
                let message = format!("{what} has {length} characters, {limit} are allowed");
                findings.error(node.file_position(), "schema/maxLength", message, "choose a shorter one");
            }
            ValidationErrorKind::Enum { options } => {
                let options = options.as_array().into_iter().flatten().filter_map(Value::as_str);
                let text = node.text().unwrap_or_default();
                let choices = quoted(options.clone(), "or");
                let hint = suggest::nearest(text, options).map(|near| format!("did you mean `{near}`?"));
                let message = format!("{what} is {choices}, not `{}`", text.escape_debug());
                findings.error(node.file_position(), "schema/enum", message, hint.unwrap_or_default());
            }
            ValidationErrorKind::UniqueItems => {
                findings.error(node.key_at, "schema/uniqueItems", format!("{what} has a value twice"), "keep one");
            }
            ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::OneOfMultipleValid { .. } => {
                self.explain_union(error.schema_path().as_str(), node, &what, findings);
            }
            _ => findings.error(node.file_position(), "schema/other", error.to_string(), ""),
        }
    }

    /// A union takes exactly one of several fields.
    fn explain_union(&self, path: &str, node: &Node, what: &str, findings: &mut Findings) {
        let branches = self.value.pointer(path).and_then(Value::as_array).into_iter().flatten();
        let choices: Vec<&str> = branches.filter_map(|branch| branch.pointer("/required/0")?.as_str()).collect();
        let present: Vec<_> = choices.iter().filter_map(|choice| Some(node.get(choice)?.key_at)).collect();
        let schema = &path[..path.rfind('/').unwrap_or(0)];
        if let Some(last) = present.iter().max().filter(|_| present.len() > 1) {
            let used = choices.iter().copied().filter(|choice| node.get(choice).is_some());
            let message = format!("{what} has {} at once", quoted(used, "and"));
            findings.error(*last, "schema/oneOf", message, "keep one of them");
        } else if node.is_map() && present.is_empty() && !choices.iter().any(|key| self.misspelt(node, schema, key)) {
            let message = match choices[..] {
                [only] => format!("`{only}` is missing in {what}"),
                _ => format!("{what} has none of {}", quoted(choices.iter().copied(), "and")),
            };
            findings.error(node.key_at, "schema/oneOf", message, "add one of them");
        }
    }

    /// The fields that an object may have.
    fn fields(&self, path: &str) -> impl Iterator<Item = &str> {
        let properties = self.value.pointer(&format!("{path}/properties")).and_then(Value::as_object);
        properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str))
    }

    /// Whether an unknown field of an object was meant to be this one, which is then not missing as well.
    fn misspelt(&self, node: &Node, path: &str, property: &str) -> bool {
        let fields: Vec<&str> = self.fields(path).collect();
        let mut unknown = node.entries().iter().map(|(key, _)| key.as_str()).filter(|key| !fields.contains(key));
        unknown.any(|key| suggest::nearest(key, fields.iter().copied()) == Some(property))
    }
}

fn latest() -> &'static Schema {
    &SCHEMAS[SCHEMAS.len() - 1].1
}

/// The hint for a field that the same object has in another schema version.
fn schema_version_hint(path: &str, key: &str) -> Option<String> {
    let has = |(_, schema): &&(&str, LazyLock<Schema>)| schema.fields(path).any(|field| field == key);
    match SCHEMAS.iter().find(has)? {
        ("2.0.0", _) => Some(format!("`{key}` is in schema version 2.0.0 only")),
        (version, _) => Some(format!("`{key}` needs schemaVersion {version} or later")),
    }
}

/// Names an object or value for a message: `container`, component `runtime`, `the devfile`.
fn describe(node: &Node, pointer: &str) -> String {
    let mut tokens = pointer.rsplit('/').filter(|token| !token.is_empty());
    let Some(last) = tokens.next() else { return "the devfile".to_owned() };
    if last.parse::<usize>().is_err() {
        return format!("`{}`", last.replace("~1", "/").replace("~0", "~"));
    }
    let list = tokens.next().unwrap_or("items");
    let singular = list.strip_suffix('s').unwrap_or(list);
    match node.text_of("name").or_else(|| node.text_of("id")) {
        Some(name) => format!("{singular} `{name}`"),
        None => format!("an element of `{list}`"),
    }
}

fn type_of(node: &Node) -> &'static str {
    match node.data {
        Data::Null => "null",
        Data::Bool(_) => "boolean",
        Data::Number(_) => "number",
        Data::Text(_) => "string",
        Data::List(_) => "array",
        Data::Map(_) => "object",
    }
}

/// The JSON types in the words of YAML.
fn article(kind: &str) -> &'static str {
    match kind {
        "null" => "empty",
        "boolean" => "a boolean",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        _ => "a mapping",
    }
}

fn quote_hint(node: &Node) -> &'static str {
    match node.data {
        Data::Bool(_) => "put it in quotes if it is a text: clients read yes, no, on, off, y and n as booleans",
        Data::Number(_) => "put it in quotes if it is a text",
        Data::Null => "give it a value or delete the key",
        _ => "",
    }
}
