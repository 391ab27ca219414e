//! Metadata: the required fields of an index entry.

use crate::limits;
use crate::validate::findings::Findings;
use crate::validate::suggest;
use crate::yaml::{Data, Node};

const REQUIRED: [&str; 4] = ["name", "displayName", "language", "projectType"];

/// The fields that the devfile specification names.
const FIELDS: [&str; 14] = [
    "name",
    "version",
    "displayName",
    "description",
    "tags",
    "icon",
    "globalMemoryLimit",
    "projectType",
    "language",
    "website",
    "provider",
    "supportUrl",
    "architectures",
    "attributes",
];

/// Deepest value in metadata: it goes into the index, and readers of JSON stop at 128 levels.
const DEPTH: usize = 100;

/// Checks the metadata of the devfile itself; that of parents is not inherited.
pub(crate) fn check(root: &Node, findings: &mut Findings) {
    let metadata = root.get("metadata");
    let entries = metadata.map_or(&[][..], Node::entries);
    let at = metadata.map_or(root.key_at, |metadata| metadata.key_at);
    let mut reported = Vec::new();
    for (key, value) in entries.iter().filter(|(key, _)| !FIELDS.contains(&key.as_str())) {
        let same = FIELDS.into_iter().find(|field| field.eq_ignore_ascii_case(key));
        // Metadata is free-form: with many fields of its own, likeness is no sign of a slip.
        let few = entries.len() <= limits::REPORTED_PROBLEMS;
        let near = || if few { suggest::nearest(key, FIELDS) } else { None };
        let Some(field) = same.or_else(near) else { continue };
        let is_there = metadata.is_some_and(|metadata| metadata.get(field).is_some());
        if field.eq_ignore_ascii_case(key) {
            reported.push(field);
            let message = format!("`{key}` is written `{field}`");
            let hint = "some clients take it and others do not; write it in the right case";
            findings.error(value.key_at, "metadata/case", message, hint);
        } else if REQUIRED.contains(&field) && !is_there {
            reported.push(field);
            let message = format!("metadata.{field} is missing, and `{key}` is no field");
            findings.error(value.key_at, &format!("metadata/{field}"), message, format!("did you mean `{field}`?"));
        } else {
            let message = format!("metadata has no field `{key}`");
            findings.warning(value.key_at, "metadata/unknownField", message, format!("did you mean `{field}`?"));
        }
    }
    for field in REQUIRED.iter().filter(|field| !reported.contains(field)) {
        let value = metadata.and_then(|metadata| metadata.get(field));
        let rule = format!("metadata/{field}");
        match value.map(|value| (value.at, &value.data)) {
            Some((value_at, Data::Text(text))) if !text.is_empty() => {
                if text.trim().is_empty() {
                    let message = format!("metadata.{field} is blank");
                    findings.warning(value_at, &rule, message, "give it a text");
                }
            }
            // The schema has complained about these.
            Some((_, Data::Bool(_) | Data::Number(_) | Data::List(_) | Data::Map(_))) => {}
            _ => {
                let at = value.map_or(at, |value| value.key_at);
                let message = format!("metadata.{field} is missing or empty");
                findings.error(at, &rule, message, format!("add `{field}:` to the metadata"));
            }
        }
    }
    if metadata.is_some_and(|metadata| metadata.measure().depth > DEPTH) {
        let message = format!("metadata is nested deeper than {DEPTH} levels");
        findings.error(at, "metadata/depth", message, "nest less deeply; readers of the index cannot follow");
    }
}
