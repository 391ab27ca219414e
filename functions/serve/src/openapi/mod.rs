//! `/openapi.json`: the HTTP interface as an OpenAPI 3.1 document.
//!
//! The document follows from the code: query parameters from the table that checks them ([`crate::view::catalog`]), schemas of
//! what the index holds from the types that are serialized, error codes from the errors. [`routes`] has one row a route;
//! [`parts`] has the answers and headers that rows share.

mod parts;
mod routes;

use serde_json::{Map, Value, json};

use parts::Answer;

/// A route, as clients see it. GET and HEAD are described from it.
#[derive(Debug)]
struct Route {
    path: &'static str,
    /// Name of its GET operation, for programs that are generated from the document.
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    answers: Vec<Answer>,
}

/// The OpenAPI document.
pub(crate) fn document() -> Value {
    let mut paths = Map::new();
    for route in routes::all() {
        paths.insert(route.path.to_owned(), json!({"get": get(&route), "head": head(&route)}));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Devfile registry",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Stacks and samples of a devfile registry, and the artifacts of stacks by the OCI pull API",
            "description": "Every route takes GET and HEAD, and OPTIONS from browsers of any origin. Unknown query parameters are \
                            ignored. An answer is from one release, which `Devfile-Registry-Commit` names.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": routes::TAGS.iter().map(|(name, about)| json!({"name": name, "description": about})).collect::<Vec<_>>(),
        "paths": paths,
        "components": parts::components(),
    })
}

fn get(route: &Route) -> Value {
    let answers = route.answers.iter().map(|answer| (answer.status.to_string(), answer.to_get())).collect();
    operation(route, route.id, &route.parameters, answers)
}

/// HEAD reads no content, so it has no range of it, is not led to the store, and does not fail with it; what another host has
/// must be fetched all the same.
fn head(route: &Route) -> Value {
    let (first, rest) = route.id.split_at(1);
    let id = format!("head{}{rest}", first.to_uppercase());
    let parameters: Vec<Value> = route.parameters.iter().filter(|one| one["name"] != "Range").cloned().collect();
    let fetched = route.answers.iter().any(|answer| answer.status == 504);
    let of_content = |status| matches!(status, 206 | 307 | 416) || status == 502 && !fetched;
    let answers = route.answers.iter().filter(|answer| !of_content(answer.status));
    let answers = answers.map(|answer| (answer.status.to_string(), answer.to_head())).collect();
    operation(route, &id, &parameters, answers)
}

fn operation(route: &Route, id: &str, parameters: &[Value], answers: Map<String, Value>) -> Value {
    json!({
        "operationId": id,
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": parameters,
        "responses": answers,
        "security": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_is_as_committed() {
        insta::assert_json_snapshot!("document", document());
    }

    #[test]
    fn references_lead_somewhere_and_operations_have_names_of_their_own() {
        let document = document();
        let mut references = Vec::new();
        collect(&document, "$ref", &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let mut ids = Vec::new();
        collect(&document, "operationId", &mut ids);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    fn collect<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get(name).and_then(Value::as_str));
                members.values().for_each(|member| collect(member, name, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, name, found)),
            _ => {}
        }
    }
}
