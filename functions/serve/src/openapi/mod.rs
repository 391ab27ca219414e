//! `/openapi.json`: the HTTP interface as an OpenAPI 3.1 document.
//!
//! The document follows from the code: routes from their [declarations](crate::route), query parameters from the table that checks
//! them, schemas of the index from the serialized types, error codes from the errors.

mod components;
#[cfg(test)]
mod page;

use std::sync::{Arc, OnceLock};

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::http::body::{Body, Caching, JSON};
use crate::route::{Answer, Declaration, Description, Operation, RestAnswers, Route};
use crate::{devfiles, index, oci, status};

/// The routes that are described, and the document once somebody has asked for it.
#[derive(Debug, Default)]
pub(crate) struct Interface {
    declarations: OnceLock<Vec<Declaration>>,
    document: OnceLock<Body>,
}

impl Interface {
    /// Takes the routes, all of them, once.
    pub(crate) fn describe(&self, routes: &[Route]) {
        self.declarations.get_or_init(|| routes.iter().map(|route| route.declaration).collect());
    }

    fn body(&self) -> &Body {
        self.document.get_or_init(|| {
            let declarations = self.declarations.get().map_or(&[][..], Vec::as_slice);
            Body::new(JSON, document(declarations).to_string().into())
        })
    }
}

/// The route of the document.
pub(crate) fn routes(interface: Arc<Interface>) -> Vec<Route> {
    let describe = || {
        let schema = json!({"type": "object", "required": ["openapi", "paths"]});
        let good = Answer::content(200, "This document", JSON, schema);
        Description { parameters: vec![], answers: RestAnswers::always(good).conditional() }
    };
    let operation = Operation { id: "openapi", tag: status::TAG.0, summary: "This description", describe };
    vec![Route::api("/openapi.json", operation, move |headers: HeaderMap| async move {
        interface.body().answer(&headers, Caching::Minute)
    })]
}

/// The OpenAPI document.
fn document(declarations: &[Declaration]) -> Value {
    let mut paths = Map::new();
    for declaration in declarations {
        let Some(operation) = &declaration.operation else { continue };
        let described = (operation.describe)();
        let methods = json!({"get": get(operation, &described), "head": head(operation, &described)});
        paths.insert(declaration.path.to_owned(), methods);
    }
    let tags = [index::TAG, devfiles::TAG, oci::TAG, status::TAG];
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
        "tags": tags.map(|(name, about)| json!({"name": name, "description": about})),
        "paths": paths,
        "components": components::components(),
    })
}

fn get(operation: &Operation, described: &Description) -> Value {
    let answers = described.answers.iter().map(|answer| (answer.status.to_string(), answer.to_get())).collect();
    of_method(operation, operation.id, &described.parameters, answers)
}

/// HEAD reads no content, so it has no range of it, is not led to the store, and does not fail with it; content of another host
/// must be fetched all the same.
fn head(operation: &Operation, described: &Description) -> Value {
    let (first, rest) = operation.id.split_at(1);
    let id = format!("head{}{rest}", first.to_uppercase());
    let parameters: Vec<Value> = described.parameters.iter().filter(|one| one["name"] != "Range").cloned().collect();
    let fetched = described.answers.iter().any(|answer| answer.status == 504);
    let of_content = |status| matches!(status, 206 | 307 | 416) || status == 502 && !fetched;
    let answers = described.answers.iter().filter(|answer| !of_content(answer.status));
    let answers = answers.map(|answer| (answer.status.to_string(), answer.to_head())).collect();
    of_method(operation, &id, &parameters, answers)
}

fn of_method(operation: &Operation, id: &str, parameters: &[Value], answers: Map<String, Value>) -> Value {
    json!({
        "operationId": id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": answers,
        "security": [],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn openapi_document_is_as_committed() {
        let declarations = crate::router::declarations().await;
        insta::assert_json_snapshot!("document", document(&declarations));
    }

    #[tokio::test]
    async fn page_of_the_interface_is_made_from_the_document() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/clients/api.md");
        let made = page::page(&document(&crate::router::declarations().await));
        // Snapshots are written anew by the same variable.
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            std::fs::write(&path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(committed == made, "run INSTA_UPDATE=always scripts/test openapi");
    }

    #[tokio::test]
    async fn references_lead_somewhere_and_operations_have_names_of_their_own() {
        let declarations = crate::router::declarations().await;
        let document = document(&declarations);
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
