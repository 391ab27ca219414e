//! Answers of routes as `/openapi.json` describes them, put together from those that many routes share.

use serde_json::{Map, Value, json};

use super::schema::schema_of;
use crate::http::body::JSON;

/// An answer of a route.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    description: &'static str,
    content: Option<(&'static str, Value)>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Answer {
    /// An answer with a body.
    pub(crate) fn content(status: u16, description: &'static str, media_type: &'static str, schema: Value) -> Self {
        Self { content: Some((media_type, schema)), ..Self::plain(status, description) }
    }

    /// An answer without a body.
    pub(crate) fn plain(status: u16, description: &'static str) -> Self {
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
    pub(crate) fn with(mut self, name: &'static str, reference: &'static str) -> Self {
        self.headers.push((name, reference));
        self
    }

    /// The response object for GET.
    pub(crate) fn to_get(&self) -> Value {
        let mut object = self.to_head();
        if let Some((media_type, schema)) = &self.content {
            object["content"] = json!({*media_type: {"schema": schema}});
        }
        object
    }

    /// The response object for HEAD.
    pub(crate) fn to_head(&self) -> Value {
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
pub(crate) struct RestAnswers(Vec<Answer>);

impl RestAnswers {
    /// A route that needs a release to answer from.
    pub(crate) fn of(good: Answer) -> Self {
        let description = "There is no release to answer from yet, or too many requests wait";
        let none = Answer::content(503, description, JSON, schema_of("Error"));
        Self(vec![good, too_long(schema_of("Error")), with(none, &[CACHING, RETRY])])
    }

    /// A route that answers without a release, too.
    pub(crate) fn always(good: Answer) -> Self {
        Self(vec![good, too_long(schema_of("Error"))])
    }

    /// A parameter may have an invalid value.
    pub(crate) fn bad_parameters(&mut self) {
        let bad = Answer::content(400, "A parameter is invalid", JSON, schema_of("Error"));
        self.0.push(with(bad, &[CACHING]));
    }

    /// The requested content may be missing, or the path may not be one.
    pub(crate) fn not_found(&mut self) {
        let missing = Answer::content(404, "Not in the live release", JSON, schema_of("Error"));
        self.0.push(with(missing, &[CACHING]));
        if self.0.iter().all(|answer| answer.status != 400) {
            let bad = Answer::content(400, "The path is not well formed", JSON, schema_of("Error"));
            self.0.push(with(bad, &[CACHING]));
        }
    }

    /// The good answer has an entity tag.
    pub(crate) fn conditional(mut self) -> Vec<Answer> {
        self.0[0] = with(self.0[0].clone(), &[ETAG, CACHING]);
        self.0.push(with(Answer::plain(304, "The client has it"), &[ETAG, CACHING]));
        self.done()
    }

    /// The good answer may be larger than AWS Lambda takes.
    pub(crate) fn unbounded(&mut self) {
        let refused = "The answer is larger than AWS Lambda takes; accept a compressed one, or ask for less";
        let failed = "The answer is larger than AWS Lambda takes, compressed as well; ask for less";
        for (status, description) in [(406, refused), (500, failed)] {
            self.0.push(with(Answer::content(status, description, JSON, schema_of("Error")), &[CACHING]));
        }
    }

    /// The good answer may be at the store instead, when it is larger than AWS Lambda takes.
    pub(crate) fn stored(&mut self) {
        self.0.push(at_the_store());
    }

    /// The good answer is a file: ranges of it can be asked for, and it may be at the store.
    pub(crate) fn bytes(mut self) -> Vec<Answer> {
        self.0.push(part_of(&self.0[0]));
        self.0.extend(from_the_store(schema_of("Error"), schema_of("Error")));
        self.conditional()
    }

    /// The good answer is a file that another host has, or the store by now.
    pub(crate) fn fetched(mut self) -> Vec<Answer> {
        let slow = Answer::content(504, "The host that has it was too slow", JSON, schema_of("Error"));
        self.0.push(with(slow, &[CACHING]));
        self.bytes()
    }

    /// The answers in the order of their status.
    pub(crate) fn done(mut self) -> Vec<Answer> {
        self.0.sort_by_key(|answer| answer.status);
        self.0
    }
}

/// Answers of a route of the OCI API, put together step by step.
#[derive(Debug)]
pub(crate) struct OciAnswers(Vec<Answer>);

impl OciAnswers {
    pub(crate) fn of(good: Answer) -> Self {
        let none = Answer::content(503, "There is no release to answer from yet", JSON, schema_of("OciErrors"));
        Self(vec![
            with(good, &[CACHING, ("Docker-Distribution-Api-Version", "#/components/headers/ApiVersion")]),
            too_long(schema_of("OciErrors")),
            with(none, &[CACHING, RETRY]),
        ])
    }

    /// The good answer may have a link to the next page.
    pub(crate) fn paged(&mut self) {
        self.0[0] = with(self.0[0].clone(), &[("Link", "#/components/headers/Link")]);
    }

    pub(crate) fn bad_request(&mut self) {
        let bad = Answer::content(400, "A parameter is invalid", JSON, schema_of("OciErrors"));
        self.0.push(with(bad, &[CACHING]));
    }

    pub(crate) fn bad_digest(mut self) -> Self {
        self.bad_request();
        self
    }

    pub(crate) fn not_found(mut self) -> Self {
        let missing = Answer::content(404, "Not in the live release", JSON, schema_of("OciErrors"));
        self.0.push(with(missing, &[CACHING]));
        self
    }

    /// The good answer is named by a digest.
    pub(crate) fn digest(mut self) -> Self {
        let digest = ("Docker-Content-Digest", "#/components/headers/ContentDigest");
        self.0[0] = with(self.0[0].clone(), &[ETAG, digest]);
        self.0.push(with(Answer::plain(304, "The client has it"), &[ETAG, CACHING, digest]));
        self
    }

    /// The good answer is a blob: parts of it can be asked for, and it may be at the store.
    pub(crate) fn ranges(mut self) -> Self {
        self.0.push(part_of(&self.0[0]));
        self.0.extend(from_the_store(schema_of("OciErrors"), schema_of("OciErrors")));
        self
    }

    pub(crate) fn done(mut self) -> Vec<Answer> {
        self.0.sort_by_key(|answer| answer.status);
        self.0
    }
}

fn too_long(error: Value) -> Answer {
    with(Answer::content(414, "The path or query is too long", JSON, error), &[CACHING])
}

/// A range of the content of an answer.
fn part_of(good: &Answer) -> Answer {
    let partial = Answer { status: 206, description: "The range that was asked for", ..good.clone() };
    with(partial, &[("Content-Range", "#/components/headers/ContentRange")])
}

fn at_the_store() -> Answer {
    let answer = Answer::plain(307, "The content is at the store, under a URL that is valid for some minutes");
    with(answer, &[CACHING, ("Location", "#/components/headers/Location")])
}

/// The answers to requests for content that comes from the store.
fn from_the_store(range_error: Value, store_error: Value) -> [Answer; 3] {
    let out = Answer::content(416, "There is no such range", JSON, range_error);
    let failed = Answer::content(502, "The store fails, or its content is damaged", JSON, store_error);
    [
        at_the_store(),
        with(out, &[CACHING, ("Content-Range", "#/components/headers/ContentRange")]),
        with(failed, &[CACHING]),
    ]
}
