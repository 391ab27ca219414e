//! `/openapi.json`: the routes of the registry API, from the same tables that check the parameters.

use serde_json::{Value, json};

use crate::catalog::{self, IndexKind, IndexSchema};
use crate::starters;

/// The OpenAPI 3.1 document.
pub(crate) fn document() -> Value {
    let json_answer = |description: &str| json!({"description": description, "content": {"application/json": {}}});
    let get = |summary: &str, parameters: Vec<Value>, ok: Value| {
        json!({"get": {
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": ok,
                "304": {"description": "the client has it"},
                "400": json_answer("a parameter has a value that it does not take"),
                "404": json_answer("there is nothing here"),
                "503": json_answer("nothing is published yet"),
            },
        }})
    };
    let path = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    let kinds: Vec<&str> = IndexKind::NAMES.iter().map(|(name, _)| *name).collect();
    let kind = json!({"name": "type", "in": "path", "required": true, "schema": {"type": "string", "enum": kinds}});
    let devfile = json!({"description": "the devfile", "content": {"text/plain": {"schema": {"type": "string"}}}});
    let mut paths = serde_json::Map::new();
    for (route, schema) in [("/index", IndexSchema::V1), ("/v2index", IndexSchema::V2)] {
        let parameters = catalog::openapi_parameters(schema);
        let typed = parameters.iter().cloned().chain([kind.clone()]).collect();
        paths.insert(route.into(), get("Stacks", parameters, json_answer("entries")));
        paths.insert(format!("{route}/{{type}}"), get("Entries of a type", typed, json_answer("entries")));
    }
    for route in ["/devfiles/{name}", "/devfiles/{name}/{version}"] {
        let mut parameters = catalog::openapi_devfile_parameters();
        parameters.push(path("name"));
        if route.contains("{version}") {
            parameters.push(path("version"));
        }
        paths.insert(route.into(), get("A devfile", parameters, devfile.clone()));
    }
    starters::describe(&mut paths);
    for (route, summary) in [("/health", "Health"), ("/status", "What is served"), ("/index.json", "The live index")] {
        paths.insert(route.into(), get(summary, Vec::new(), json_answer(summary)));
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Devfile registry", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0"}},
        "paths": paths,
    })
}
