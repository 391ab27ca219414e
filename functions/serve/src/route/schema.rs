//! Parts of the descriptions of routes.

use serde_json::{Value, json};

/// A parameter in the path, as an OpenAPI object.
pub(crate) fn parameter(name: &str, about: &str, schema: Value) -> Value {
    json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
}

/// A parameter in the query, as an OpenAPI object.
pub(crate) fn query_parameter(name: &str, about: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "description": about, "schema": schema})
}

/// The header that asks for a range of bytes, as an OpenAPI object.
pub(crate) fn range_parameter() -> Value {
    json!({
        "name": "Range", "in": "header", "description": "One range of bytes; several at once are answered with all bytes.",
        "schema": {"type": "string"}, "example": "bytes=0-1023",
    })
}

/// A schema by the name that it has in the document.
pub(crate) fn schema_of(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Any name that a path can hold, but for those that mean the folder itself or the one above.
pub(crate) fn name_schema() -> Value {
    json!({"type": "string", "pattern": "^[a-zA-Z0-9_][a-zA-Z0-9._+-]*$"})
}
