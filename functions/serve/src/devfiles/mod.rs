//! `/devfiles/{name}[/{version}]`: the devfile of a stack or sample.

use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::Response;
use serde_json::{Value, json};

use crate::http::body::Caching;
use crate::http::problem::Problem;
use crate::release::snapshot::{DevfileVersion, Snapshot};
use crate::route::{Answer, Description, Event, Operation, RestAnswers, Route, name_schema, parameter};
use crate::state::Released;
use crate::view::catalog::{SchemaVersionRange, openapi_devfile_parameters};
use crate::view::versions::Wanted;

/// The group of these routes, and of the other files of stacks.
pub(crate) const TAG: (&str, &str) = ("devfiles", "Devfiles and the other files of stacks");

/// The routes.
pub(crate) fn routes() -> Vec<Route> {
    let operation = |id, summary, describe| Operation { id, tag: TAG.0, summary, describe };
    vec![
        Route::api(
            "/devfiles/{name}",
            operation("devfile", "The devfile of the default version", || describe(&[])),
            |released: Released, Path(name): Path<String>, request: Request| async move {
                answer(&released, &name, Wanted::Default, &request)
            },
        )
        .counted(Event::View),
        Route::api(
            "/devfiles/{name}/{version}",
            operation("devfileOfVersion", "The devfile of a version", || describe(&[version_parameter()])),
            |released: Released, Path((name, version)): Path<(String, String)>, request: Request| async move {
                answer(&released, &name, Wanted::named(&version), &request)
            },
        )
        .counted(Event::View),
    ]
}

fn describe(of_version: &[Value]) -> Description {
    let text = json!({"type": "string"});
    let mut answers = RestAnswers::of(Answer::content(200, "The devfile", "text/plain; charset=utf-8", text));
    answers.bad_parameters();
    answers.not_found();
    Description { parameters: parameters(of_version), answers: answers.conditional() }
}

/// The parameters of routes below `/devfiles`: the name, others in the path, and those of the query.
pub(crate) fn parameters(of_path: &[Value]) -> Vec<Value> {
    let name = parameter("name", "Name of a stack or sample; a stack is looked for first.", name_schema());
    [vec![name], of_path.to_vec(), openapi_devfile_parameters()].concat()
}

/// The version in the path of a route below `/devfiles`.
pub(crate) fn version_parameter() -> Value {
    let about = "A version, `default` or `latest`. The range of schema versions counts for `latest` alone.";
    parameter("version", about, name_schema())
}

fn answer(
    Released(snapshot): &Released,
    name: &str,
    wanted: Wanted<'_>,
    request: &Request,
) -> Result<Response<Body>, Problem> {
    let found = find(snapshot, name, wanted, request.uri().query().unwrap_or_default())?;
    Ok(found.body.answer(request.headers(), Caching::Minute))
}

/// The devfile of a version. The range of schema versions in the query counts for `latest` alone, and must be valid everywhere.
pub(crate) fn find<'s>(
    snapshot: &'s Snapshot,
    name: &str,
    wanted: Wanted<'_>,
    query: &str,
) -> Result<&'s DevfileVersion, Problem> {
    let range = SchemaVersionRange::parse(query)?;
    let versions = snapshot.devfiles(name);
    let versions = versions.ok_or_else(|| Problem::not_found(format!("there is no stack or sample `{name}`")))?;
    wanted
        .choose(versions, |version| range.admits(&version.schema_version))
        .ok_or_else(|| Problem::not_found(format!("`{name}` has no version `{wanted}` with a devfile here")))
}
