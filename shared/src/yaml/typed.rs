//! From the tree of a document to typed values, or diagnostics with their positions.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::{Node, read};
use crate::diagnostic::Diagnostic;
use crate::limits;

/// Reads the only document of a file.
///
/// # Errors
/// Everything that is wrong with its bytes.
pub fn parse(path: &str, bytes: &[u8]) -> Result<Node, Vec<Diagnostic>> {
    let reading = read(0, bytes);
    let problem =
        |fault: super::Fault| Diagnostic::error(path, fault.rule, fault.message, fault.hint).at(fault.position);
    let problems: Vec<Diagnostic> = reading.faults.into_iter().map(problem).collect();
    match reading.node {
        Some(node) if problems.is_empty() => Ok(node),
        _ => Err(problems),
    }
}

/// Reads a value of the document at `path`. Unknown keys are left alone.
///
/// # Errors
/// The first value that has the wrong type, or is nested deeper than [`limits::YAML_DEPTH`].
pub fn decode<T: DeserializeOwned>(path: &str, node: &Node) -> Result<T, Box<Diagnostic>> {
    if node.measure().depth > limits::YAML_DEPTH {
        let message = format!("this is nested deeper than {} levels", limits::YAML_DEPTH);
        let problem = Diagnostic::error(path, "yaml/depth", message, "nest less deeply");
        return Err(Box::new(problem.at(node.key_at.position)));
    }
    serde_path_to_error::deserialize(Value::from(node)).map_err(|error| {
        let at = find(node, error.path());
        let reason = error.inner().to_string();
        let hint = if reason.ends_with("expected a string") {
            "a text that looks like something else needs quotes"
        } else {
            ""
        };
        Box::new(Diagnostic::error(path, "yaml/type", reason, hint).at(at.file_position().position))
    })
}

/// The node that a path of serde leads to, as far as it goes.
fn find<'n>(root: &'n Node, path: &Path) -> &'n Node {
    let step = |node: &'n Node, segment: &Segment| match segment {
        Segment::Map { key } => node.get(key),
        Segment::Seq { index } => node.items().get(*index),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().try_fold(root, |node, segment| step(node, segment).ok_or(node)).unwrap_or_else(|node| node)
}

/// For `#[serde(deserialize_with)]`: a key without a value (`tags:`) counts as one that is not there.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn field_of_a_wrong_type_is_reported_at_its_position() {
        let node = parse("f", b"a: {x: [one, 2]}\nb:\n").unwrap();
        let problem = decode::<BTreeMap<String, BTreeMap<String, Vec<String>>>>("f", node.get("a").unwrap());
        assert!(problem.is_err());
        #[derive(Debug, serde::Deserialize)]
        struct Typed {
            #[serde(deserialize_with = "nullable")]
            b: Vec<String>,
        }
        assert!(decode::<Typed>("f", &node).unwrap().b.is_empty());
        let problem = decode::<BTreeMap<String, Option<BTreeMap<String, Vec<String>>>>>("f", &node).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "f:1:14: error[yaml/type]: invalid type: integer `2`, expected a string (a text that looks like something else needs quotes)"
        );
        let problems = parse("f", b"a: b\na: c\n").unwrap_err();
        assert_eq!((problems[0].rule.as_str(), problems[0].position.unwrap().line), ("yaml/duplicateKey", 2));
    }
}
