//! Reads a devfile by itself, and holds it against its schema.

use serde_json::Value;

use super::findings::Findings;
use super::known_parents::{DevfileOrigin, Parent};
use super::parents::{ExternalParent, Found};
use super::schema::Schema;
use super::surroundings::Surroundings;
use crate::yaml::{self, Data, Node};

/// Reads the bytes of a devfile; `file` is its number in positions. Returns `None` for other content.
pub(super) type Read = fn(file: u16, bytes: &[u8], findings: &mut Findings) -> Option<Node>;

/// A [`Read`] that checks nothing. A program that only uses this one has no schemas in it.
pub(super) fn parse(file: u16, bytes: &[u8], _: &mut Findings) -> Option<Node> {
    let reading = yaml::read(file, bytes);
    reading.node.filter(|node| reading.faults.is_empty() && node.is_map())
}

/// A [`Read`] that holds the devfile against the schema that it names, which is all that a parent has to satisfy alone.
pub(super) fn check(file: u16, bytes: &[u8], findings: &mut Findings) -> Option<Node> {
    let reading = yaml::read(file, bytes);
    reading.faults.into_iter().for_each(|fault| findings.fault(file, fault));
    let node = reading.node?;
    if !node.is_map() && !matches!(node.data, Data::Null) {
        findings.error(node.at, "yaml/root", "a devfile is a mapping", "begin with `schemaVersion:`");
        return None;
    }
    if let Some(schema) = schema_of(&node, findings) {
        schema.check(&node, &Value::from(&node), findings);
    }
    Some(node)
}

fn schema_of(node: &Node, findings: &mut Findings) -> Option<&'static Schema> {
    let known = || super::schema::VERSIONS.iter().map(|(version, _)| *version);
    let Some(version) = node.get("schemaVersion") else {
        let near = super::suggest::nearest("schemaVersion", node.entries().iter().map(|(key, _)| key.as_str()));
        let hint = near.map_or("add `schemaVersion: 2.3.0`".to_owned(), |near| format!("rename `{near}`"));
        findings.error(node.key_at, "schemaVersion/absent", "schemaVersion is missing", hint);
        return None;
    };
    let Some(text) = version.text() else {
        let hint = "write it as text with three numbers, such as 2.3.0";
        findings.error(version.file_position(), "schemaVersion/type", "schemaVersion has to be a text", hint);
        return None;
    };
    let schema = Schema::for_version(text);
    if schema.is_none() {
        let message = format!("there is no schema for version `{}`", text.escape_debug());
        let newest_first = known().rev();
        let hint = super::suggest::nearest(text.trim(), newest_first).map_or_else(
            || format!("use one of {}", super::suggest::quoted(known(), "or")),
            |near| format!("did you mean `{near}`?"),
        );
        findings.error(version.at, "schemaVersion/value", message, hint);
    }
    schema
}

/// Reads a parent from where it is.
pub(super) fn read_parent(origin: &DevfileOrigin, around: &Surroundings<'_>, read: Read) -> Parent {
    let found = match origin {
        DevfileOrigin::Tree(path) => (around.files)(path).map_or(Found::Missing, Found::Devfile),
        DevfileOrigin::Web(url) => around.external.fetch(&ExternalParent::Uri(url.to_string())),
        DevfileOrigin::Registry(stack) => around.external.fetch(stack),
    };
    match found {
        Found::Devfile(bytes) => {
            let mut findings = Findings::new("");
            let node = read(0, &bytes, &mut findings);
            let [problems, _] = findings.into_sorted();
            Parent::Read { node, problems, bytes: bytes.len() }
        }
        Found::Missing => Parent::Missing,
        Found::Unreachable(reason) => Parent::Unreachable(reason),
    }
}
