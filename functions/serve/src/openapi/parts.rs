//! What routes share: answers, headers, schemas.

use devfile_registry::index::Entry;
use devfile_registry::release::LiveIndex;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::http::body::JSON;
use crate::oci::Code;

/// An answer of a route.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    description: &'static str,
    content: Option<(&'static str, Value)>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Answer {
    /// An answer with a body.
    pub(super) fn content(status: u16, description: &'static str, media_type: &'static str, schema: Value) -> Self {
        Self { content: Some((media_type, schema)), ..Self::plain(status, description) }
    }

    /// An answer without a body.
    pub(super) fn plain(status: u16, description: &'static str) -> Self {
        let headers = vec![
            ("Access-Control-Allow-Origin", "#/components/headers/AnyOrigin"),
            ("X-Content-Type-Options", "#/components/headers/NoSniff"),
            ("Vary", "#/components/headers/Vary"),
            ("Devfile-Registry-Commit", "#/components/headers/Commit"),
            ("Devfile-Registry-Stale", "#/components/headers/Stale"),
        ];
        Self { status, description, content: None, headers }
    }

    /// The same answer with a header, described by a reference.
    pub(super) fn with(mut self, name: &'static str, reference: &'static str) -> Self {
        self.headers.push((name, reference));
        self
    }

    /// The response object for GET.
    pub(super) fn to_get(&self) -> Value {
        let mut object = self.to_head();
        if let Some((media_type, schema)) = &self.content {
            object["content"] = json!({*media_type: {"schema": schema}});
        }
        object
    }

    /// The response object for HEAD.
    pub(super) fn to_head(&self) -> Value {
        let headers: Map<String, Value> =
            self.headers.iter().map(|(name, reference)| ((*name).to_owned(), json!({"$ref": reference}))).collect();
        json!({"description": self.description, "headers": headers})
    }
}

const CACHING: (&str, &str) = ("Cache-Control", "#/components/headers/CacheControl");
const ETAG: (&str, &str) = ("ETag", "#/components/headers/ETag");
const RETRY: (&str, &str) = ("Retry-After", "#/components/headers/RetryAfter");

fn with(answer: Answer, headers: &[(&'static str, &'static str)]) -> Answer {
    headers.iter().fold(answer, |answer, (name, reference)| answer.with(name, reference))
}

/// Answers of a route of the REST API, put together step by step.
#[derive(Debug)]
pub(super) struct RestAnswers(Vec<Answer>);

impl RestAnswers {
    /// A route that needs a release to answer from.
    pub(super) fn of(good: Answer) -> Self {
        let description = "There is no release to answer from yet, or too many requests wait";
        let none = Answer::content(503, description, JSON, schema_of("Error"));
        Self(vec![good, too_long(schema_of("Error")), with(none, &[CACHING, RETRY])])
    }

    /// A route that answers without a release, too.
    pub(super) fn always(good: Answer) -> Self {
        Self(vec![good, too_long(schema_of("Error"))])
    }

    /// A parameter may have a value that it does not take.
    pub(super) fn bad_parameters(&mut self) {
        let bad = Answer::content(400, "A parameter has a value that it does not take", JSON, schema_of("Error"));
        self.0.push(with(bad, &[CACHING]));
    }

    /// What is asked for may not be there, or the path may not be one.
    pub(super) fn not_found(&mut self) {
        let missing = Answer::content(404, "It is not in the live release", JSON, schema_of("Error"));
        self.0.push(with(missing, &[CACHING]));
        if self.0.iter().all(|answer| answer.status != 400) {
            let bad = Answer::content(400, "The path is not well formed", JSON, schema_of("Error"));
            self.0.push(with(bad, &[CACHING]));
        }
    }

    /// The good answer has an entity tag.
    pub(super) fn conditional(mut self) -> Vec<Answer> {
        self.0[0] = with(self.0[0].clone(), &[ETAG, CACHING]);
        self.0.push(with(Answer::plain(304, "The client has it"), &[ETAG, CACHING]));
        self.done()
    }

    /// The good answer is a file, which may be at the store.
    pub(super) fn bytes(mut self) -> Vec<Answer> {
        self.0.extend(from_the_store(schema_of("Error"), schema_of("Error")));
        self.conditional()
    }

    /// The good answer is a file that another host has, or the store by now.
    pub(super) fn fetched(mut self) -> Vec<Answer> {
        let slow = Answer::content(504, "The host that has it was too slow", JSON, schema_of("Error"));
        self.0.push(with(slow, &[CACHING]));
        self.bytes()
    }

    /// The answers in the order of their status.
    pub(super) fn done(mut self) -> Vec<Answer> {
        self.0.sort_by_key(|answer| answer.status);
        self.0
    }
}

/// Answers of a route of the OCI API, put together step by step.
#[derive(Debug)]
pub(super) struct OciAnswers(Vec<Answer>);

impl OciAnswers {
    pub(super) fn of(good: Answer) -> Self {
        let none = Answer::content(503, "There is no release to answer from yet", JSON, schema_of("OciErrors"));
        Self(vec![
            with(good, &[CACHING, ("Docker-Distribution-Api-Version", "#/components/headers/ApiVersion")]),
            too_long(schema_of("OciErrors")),
            with(none, &[CACHING]),
        ])
    }

    /// The good answer may have a link to the next page.
    pub(super) fn paged(&mut self) {
        self.0[0] = with(self.0[0].clone(), &[("Link", "#/components/headers/Link")]);
    }

    pub(super) fn bad_request(&mut self) {
        let bad = Answer::content(400, "A value cannot be meant", JSON, schema_of("OciErrors"));
        self.0.push(with(bad, &[CACHING]));
    }

    pub(super) fn bad_digest(mut self) -> Self {
        self.bad_request();
        self
    }

    pub(super) fn not_found(mut self) -> Self {
        let missing = Answer::content(404, "It is not in the live release", JSON, schema_of("OciErrors"));
        self.0.push(with(missing, &[CACHING]));
        self
    }

    /// The good answer is named by a digest.
    pub(super) fn digest(mut self) -> Self {
        let digest = ("Docker-Content-Digest", "#/components/headers/ContentDigest");
        self.0[0] = with(self.0[0].clone(), &[ETAG, digest]);
        self.0.push(with(Answer::plain(304, "The client has it"), &[ETAG, CACHING, digest]));
        self
    }

    /// The good answer is a blob: parts of it can be asked for, and it may be at the store.
    pub(super) fn ranges(mut self) -> Self {
        let range = ("Content-Range", "#/components/headers/ContentRange");
        let mut part = self.0[0].clone();
        part.status = 206;
        part.description = "The part that was asked for";
        self.0.push(with(part, &[range]));
        self.0.extend(from_the_store(schema_of("OciErrors"), schema_of("OciErrors")));
        self
    }

    pub(super) fn done(mut self) -> Vec<Answer> {
        self.0.sort_by_key(|answer| answer.status);
        self.0
    }
}

fn too_long(error: Value) -> Answer {
    with(Answer::content(414, "The path or query is too long", JSON, error), &[CACHING])
}

/// What can happen to content that comes from the store.
fn from_the_store(range_error: Value, store_error: Value) -> [Answer; 3] {
    let out = Answer::content(416, "There is no such range", JSON, range_error);
    let failed = Answer::content(502, "The store fails, or what it holds is damaged", JSON, store_error);
    let elsewhere = Answer::plain(307, "The content is at the store, under a URL that is valid for some minutes");
    [
        with(elsewhere, &[CACHING, ("Location", "#/components/headers/Location")]),
        with(out, &[CACHING, ("Content-Range", "#/components/headers/ContentRange")]),
        with(failed, &[CACHING]),
    ]
}

/// A part of a path.
pub(super) fn parameter(name: &str, about: &str, schema: Value) -> Value {
    json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
}

/// A schema by the name that it has in the document.
pub(super) fn schema_of(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// What the rest of the document refers to.
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
                    "status": {"type": "string", "description": "What is wrong."},
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
        "NoSniff": always("The media type is as it is said.", json!({"type": "string", "enum": ["nosniff"]})),
        "Vary": always("The request headers that the answer depends on.", text()),
        "Commit": sometimes("The commit of the release that the answer is from.", json!({"type": "string", "pattern": "^[0-9a-f]{40,64}$"})),
        "Stale": sometimes("There while the store does not answer: seconds since it was last asked.", json!({"type": "integer", "minimum": 0})),
        "CacheControl": always("How long the answer may be kept.", text()),
        "ETag": always("Entity tag, for `If-None-Match`.", json!({"type": "string", "pattern": "^\"[^\"]+\"$"})),
        "RetryAfter": always("Seconds after which it is worth trying again.", json!({"type": "integer", "minimum": 0})),
        "Location": always("Where it is.", text()),
        "Link": sometimes("The next page (RFC 8288).", text()),
        "ContentDigest": always("Digest of the content.", json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})),
        "ContentRange": always("Which bytes of how many.", json!({"type": "string", "pattern": "^bytes ([0-9]+-[0-9]+|\\*)/[0-9]+$"})),
        "ApiVersion": always("Says that this is a registry.", json!({"type": "string", "enum": ["registry/2.0"]})),
    })
}
