//! The routes, one row each.

use devfile_registry::artifact::MANIFEST_MEDIA_TYPE;
use serde_json::{Value, json};

use super::Route;
use super::parts::{Answer, OciAnswers, RestAnswers, parameter, schema_of};
use crate::http::body::JSON;
use crate::oci::INDEX_MEDIA_TYPE;
use crate::view::catalog::{IndexKind, IndexSchema, openapi_devfile_parameters, openapi_parameters};

/// What routes are grouped by.
pub(super) const TAGS: [(&str, &str); 4] = [
    ("index", "What there is: stacks and samples with their versions"),
    ("devfiles", "Devfiles and the other files of stacks"),
    ("oci", "Artifacts of stacks, by the pull half of the OCI distribution specification 1.1"),
    ("service", "The service itself"),
];

/// All routes, in the order in which they are shown.
pub(super) fn all() -> Vec<Route> {
    [index(), devfiles(), oci(), service()].into_iter().flatten().collect()
}

fn route(
    tag: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    answers: Vec<Answer>,
) -> Route {
    Route { path, id, tag, summary, parameters, answers }
}

fn index() -> Vec<Route> {
    let row = |path, id, summary, schema, typed: bool| {
        let mut parameters = openapi_parameters(schema);
        let mut answers =
            RestAnswers::of(Answer::content(200, "The entries", JSON, json!({"$ref": "#/components/schemas/Index"})));
        answers.bad_parameters();
        if typed {
            parameters.push(parameter("type", "What entries there are in the answer.", kinds()));
            answers.not_found();
        }
        route("index", path, id, summary, parameters, answers.conditional())
    };
    let live = Answer::content(200, "The index of the live release", JSON, schema_of("LiveIndex"));
    vec![
        row("/index", "stacks", "Stacks, each with the fields of its default version", IndexSchema::V1, false),
        row("/index/{type}", "entries", "Entries, each with the fields of its default version", IndexSchema::V1, true),
        row("/v2index", "stacksWithVersions", "Stacks with their versions", IndexSchema::V2, false),
        row("/v2index/{type}", "entriesWithVersions", "Entries with their versions", IndexSchema::V2, true),
        route(
            "index",
            "/index.json",
            "liveIndex",
            "The index with the release that it is of",
            vec![],
            RestAnswers::of(live).conditional(),
        ),
    ]
}

fn kinds() -> Value {
    let names: Vec<&str> = IndexKind::NAMES.iter().map(|(name, _)| *name).collect();
    json!({"type": "string", "enum": names})
}

fn devfiles() -> Vec<Route> {
    let text = |about| Answer::content(200, about, "text/plain; charset=utf-8", json!({"type": "string"}));
    let name = || parameter("name", "Name of a stack or sample; a stack is looked for first.", name_schema());
    let devfile = |path, id, summary, more: Vec<Value>| {
        let parameters = [vec![name()], more, openapi_devfile_parameters()].concat();
        let mut answers = RestAnswers::of(text("The devfile"));
        answers.bad_parameters();
        answers.not_found();
        route("devfiles", path, id, summary, parameters, answers.conditional())
    };
    let version = parameter(
        "version",
        "A version, `default` or `latest`. The range of schema versions counts for `latest` alone.",
        name_schema(),
    );
    let file = |path, id, summary, folders: &[&'static str]| {
        let about = |folder: &&'static str| parameter(folder, "A folder below `stacks`.", name_schema());
        let mut parameters: Vec<Value> = folders.iter().map(about).collect();
        parameters.push(parameter("file", "A file, with its folders if it is deeper.", name_schema()));
        let content = json!({"description": "The file as it is committed"});
        let mut answers = RestAnswers::of(Answer::content(200, "The file", "*/*", content));
        answers.not_found();
        route("devfiles", path, id, summary, parameters, answers.bytes())
    };
    let starter = |path, id, more: Vec<Value>| {
        let project = parameter("starterProject", "Name of a starter project of the devfile.", name_schema());
        let parameters = [vec![name()], more, vec![project], openapi_devfile_parameters()].concat();
        let content = json!({"description": "A zip of the files"});
        let mut answers = RestAnswers::of(Answer::content(202, "The files", "application/zip", content));
        answers.bad_parameters();
        answers.not_found();
        route("devfiles", path, id, "The files of a starter project", parameters, answers.fetched())
    };
    vec![
        starter("/devfiles/{name}/starter-projects/{starterProject}", "starterProject", vec![]),
        starter(
            "/devfiles/{name}/{version}/starter-projects/{starterProject}",
            "starterProjectOfVersion",
            vec![version.clone()],
        ),
        devfile("/devfiles/{name}", "devfile", "The devfile of the default version", vec![]),
        devfile("/devfiles/{name}/{version}", "devfileOfVersion", "The devfile of a version", vec![version]),
        file("/stacks/{stack}/{file}", "file", "A file in the folder of a stack", &["stack"]),
        file(
            "/stacks/{stack}/{version}/{file}",
            "fileOfVersion",
            "A file in the folder of a version",
            &["stack", "version"],
        ),
    ]
}

/// What a name can be; what a path cannot hold, and the names that mean the folder itself or the one above, are left out.
fn name_schema() -> Value {
    json!({"type": "string", "pattern": "^[a-zA-Z0-9_][a-zA-Z0-9._+-]*$"})
}

fn oci() -> Vec<Route> {
    let stack = || parameter("stack", "Folder of a stack.", name_schema());
    let digest = || json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"});
    let page = || {
        let query =
            |name, about, schema: Value| json!({"name": name, "in": "query", "description": about, "schema": schema});
        vec![
            query("n", "Most names in the answer.", json!({"type": "integer", "minimum": 0})),
            query("last", "The name after which the answer begins.", json!({"type": "string"})),
        ]
    };
    let names = |member: &str| {
        let list = json!({"type": "array", "items": {"type": "string"}});
        json!({"type": "object", "required": [member], "properties": {"name": {"type": "string"}, member: list}})
    };
    let document = |about, schema| OciAnswers::of(Answer::content(200, about, JSON, schema));
    let list = |path, id, summary, member, parameters: Vec<Value>| {
        let mut answers = document("Names, sorted", names(member));
        answers.paged();
        answers.bad_request();
        route("oci", path, id, summary, [parameters, page()].concat(), answers.not_found().done())
    };
    let tag = json!({"type": "string", "pattern": "^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$"});
    let reference = parameter("reference", "A tag or a digest.", json!({"anyOf": [tag, digest()]}));
    let manifest =
        Answer::content(200, "The manifest", MANIFEST_MEDIA_TYPE, json!({"$ref": "#/components/schemas/Manifest"}));
    let blob = json!({"description": "The bytes of the blob"});
    let blob = Answer::content(200, "The blob", "application/octet-stream", blob);
    let referrers =
        Answer::content(200, "Nothing refers to artifacts here", INDEX_MEDIA_TYPE, json!({"type": "object"}));
    let artifact_type = json!({"name": "artifactType", "in": "query", "description": "Keeps referrers of this type.",
                               "schema": {"type": "string"}});
    vec![
        route(
            "oci",
            "/v2/",
            "ociVersion",
            "Says that there is an OCI registry",
            vec![],
            document("There is", json!({"type": "object"})).done(),
        ),
        list("/v2/_catalog", "repositories", "Repositories, one for each stack", "repositories", vec![]),
        list(
            "/v2/devfile-catalog/{stack}/tags/list",
            "tags",
            "Tags of a repository: the versions of the stack",
            "tags",
            vec![stack()],
        ),
        route(
            "oci",
            "/v2/devfile-catalog/{stack}/manifests/{reference}",
            "manifest",
            "A manifest, for requests without `Accept` or with one that names its type",
            vec![stack(), reference],
            OciAnswers::of(manifest).not_found().bad_digest().digest().done(),
        ),
        route(
            "oci",
            "/v2/devfile-catalog/{stack}/blobs/{digest}",
            "blob",
            "A blob; one of more than 4 MiB may be a redirect to the store",
            vec![stack(), parameter("digest", "Digest of the blob.", digest()), range()],
            OciAnswers::of(blob).not_found().bad_digest().digest().ranges().done(),
        ),
        route(
            "oci",
            "/v2/devfile-catalog/{stack}/referrers/{digest}",
            "referrers",
            "What refers to a manifest",
            vec![stack(), parameter("digest", "Digest of a manifest.", digest()), artifact_type],
            OciAnswers::of(referrers).not_found().bad_digest().done(),
        ),
    ]
}

fn range() -> Value {
    json!({
        "name": "Range", "in": "header", "description": "One range of bytes; several at once are answered with all bytes.",
        "schema": {"type": "string", "pattern": "^bytes=([0-9]+-[0-9]*|-[0-9]+)$"},
    })
}

fn service() -> Vec<Route> {
    let found = Answer::plain(302, "To `/index`, or for browsers to `/viewer`")
        .with("Location", "#/components/headers/Location");
    let health = json!({"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}});
    let health = Answer::content(200, "A release is served", JSON, health);
    let status = Answer::content(200, "What is served", JSON, crate::status::schema());
    let openapi =
        Answer::content(200, "This document", JSON, json!({"type": "object", "required": ["openapi", "paths"]}));
    vec![
        route(
            "service",
            "/",
            "root",
            "Leads to the index, browsers to the viewer",
            vec![],
            RestAnswers::always(found).done(),
        ),
        route(
            "service",
            "/health",
            "health",
            "Whether there is a release to answer from",
            vec![],
            RestAnswers::of(health).done(),
        ),
        route(
            "service",
            "/status",
            "status",
            "What is served and how fresh it is",
            vec![],
            RestAnswers::always(status).done(),
        ),
        route(
            "service",
            "/openapi.json",
            "openapi",
            "This description",
            vec![],
            RestAnswers::always(openapi).conditional(),
        ),
    ]
}
