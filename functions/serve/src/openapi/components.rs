//! The schemas and headers that the rest of the document refers to.

use devfile_registry::index::Entry;
use devfile_registry::release::LiveIndex;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::oci::Code;
use crate::route::schema_of;

/// The parts that the rest of the document refers to.
pub(super) fn components() -> Value {
    json!({"schemas": schemas(), "headers": headers()})
}

/// Schemas: those of the index as its types are serialized, and those of errors.
fn schemas() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    generator.subschema_for::<Entry>();
    generator.subschema_for::<LiveIndex>();
    let mut schemas = generator.take_definitions(true);
    let codes = Code::ALL.map(Code::as_str);
    let text = json!({"type": "string"});
    let digest = json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"});
    let descriptor = json!({
        "type": "object",
        "required": ["mediaType", "digest", "size"],
        "properties": {
            "mediaType": text, "digest": digest, "size": {"type": "integer", "minimum": 0},
            "annotations": {"type": "object", "additionalProperties": text},
        },
    });
    let own = [
        ("Index", json!({"type": "array", "items": schema_of("Entry")})),
        (
            "Error",
            json!({
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": {"type": "string", "description": "The fault."},
                    "error": {"type": "string", "description": "Why, where there is more to say."},
                },
            }),
        ),
        (
            "OciErrors",
            json!({
                "type": "object",
                "required": ["errors"],
                "properties": {"errors": {"type": "array", "minItems": 1, "items": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {"code": {"type": "string", "enum": codes}, "message": text},
                }}},
            }),
        ),
        ("Descriptor", descriptor),
        (
            "Manifest",
            json!({
                "type": "object",
                "required": ["schemaVersion", "config", "layers"],
                "properties": {
                    "schemaVersion": {"type": "integer", "enum": [2]},
                    "config": schema_of("Descriptor"),
                    "layers": {"type": "array", "items": schema_of("Descriptor")},
                },
            }),
        ),
    ];
    schemas.extend(own.map(|(name, schema)| (name.to_owned(), schema)));
    Value::Object(schemas)
}

fn headers() -> Value {
    let always = |about: &str, schema: Value| json!({"description": about, "required": true, "schema": schema});
    let sometimes = |about: &str, schema: Value| json!({"description": about, "schema": schema});
    let text = || json!({"type": "string"});
    json!({
        "AnyOrigin": always("Scripts of every origin may read.", json!({"type": "string", "enum": ["*"]})),
        "NoSniff": always("Clients must not guess another media type.", json!({"type": "string", "enum": ["nosniff"]})),
        "Vary": always("The request headers that the answer depends on.", text()),
        "Commit": sometimes("The commit of the release that the answer is from.", json!({"type": "string", "pattern": "^[0-9a-f]{40,64}$"})),
        "Stale": sometimes("Seconds since the store last confirmed the release; only while it does not answer.", json!({"type": "integer", "minimum": 0})),
        "CacheControl": always("How long the answer may be kept.", text()),
        "ETag": always("Entity tag, for `If-None-Match`.", json!({"type": "string", "pattern": "^\"[^\"]+\"$"})),
        "RetryAfter": always("Seconds after which it is worth trying again.", json!({"type": "integer", "minimum": 0})),
        "Location": always("The URL of the content.", text()),
        "Link": sometimes("The next page (RFC 8288).", text()),
        "ContentDigest": always("Digest of the content.", json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})),
        "ContentRange": always("The range, and the length of the whole.", json!({"type": "string", "pattern": "^bytes ([0-9]+-[0-9]+|\\*)/[0-9]+$"})),
        "ApiVersion": always("The version of the distribution API.", json!({"type": "string", "enum": ["registry/2.0"]})),
    })
}
