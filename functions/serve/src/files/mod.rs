//! `/stacks/{stack}/[{version}/]{file}`: files of the stacks' folders as they are committed, the upstream content beside them,
//! and the archives of artifacts.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::Response;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use axum::http::request::Parts;
use devfile_registry::cache::blob_key;
use serde_json::json;

use crate::devfiles;
use crate::http::body::Caching;
use crate::http::content::{Content, Delivery, offer_ranges};
use crate::http::problem::Problem;
use crate::large_answers::Stored;
use crate::release::blobs::Blobs;
use crate::release::snapshot::Snapshot;
use crate::route::{Answer, Description, Operation, RestAnswers, Route, name_schema, parameter, range_parameter};
use crate::state::{App, Released};

const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";

/// The routes.
pub(crate) fn routes() -> Vec<Route> {
    let operation = |id, summary, describe| Operation { id, tag: devfiles::TAG.0, summary, describe };
    vec![
        Route::api(
            "/stacks/{stack}/{file}",
            operation("file", "A file in the folder of a stack", || describe(&["stack"])),
            |State(app): State<Arc<App>>,
             released: Released,
             Path((stack, file)): Path<(String, String)>,
             request: Request| async move {
                answer(&app, &released, &format!("stacks/{stack}/{file}"), request).await
            },
        ),
        Route::api(
            "/stacks/{stack}/{version}/{file}",
            operation("fileOfVersion", "A file in the folder of a version", || describe(&["stack", "version"])),
            |State(app): State<Arc<App>>,
             released: Released,
             Path((stack, version, file)): Path<(String, String, String)>,
             request: Request| async move {
                answer(&app, &released, &format!("stacks/{stack}/{version}/{file}"), request).await
            },
        )
        .with_rest(),
    ]
}

fn describe(folders: &[&str]) -> Description {
    let folder = |name: &&str| parameter(name, "A folder below `stacks`.", name_schema());
    let mut parameters: Vec<_> = folders.iter().map(folder).collect();
    parameters.push(parameter("file", "A file, with its folders if it is deeper.", name_schema()));
    parameters.push(range_parameter());
    let content = json!({"description": "The file as it is committed"});
    let mut answers = RestAnswers::of(Answer::content(200, "The file", "*/*", content));
    answers.not_found();
    Description { parameters, answers: answers.bytes() }
}

async fn answer(
    app: &App,
    Released(snapshot): &Released,
    path: &str,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (request, _) = request.into_parts();
    let mut response = file(snapshot, &app.blobs, path, &request).await?;
    // A file of a stack is shown, not run.
    let policy = HeaderValue::from_static("sandbox; default-src 'none'; style-src 'unsafe-inline'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(offer_ranges(response))
}

async fn file(snapshot: &Snapshot, blobs: &Blobs, path: &str, request: &Parts) -> Result<Response<Body>, Problem> {
    let file = snapshot.file(path).ok_or_else(|| Problem::not_found("there is no such file"))?;
    let media_type = media_type(path);
    let caching = if file.is_named_by(path) { Caching::Immutable } else { Caching::Minute };
    let content = Content { digest: file.digest, size: file.size, media_type, caching };
    if let Some(response) = content.without_bytes(request) {
        return Ok(response);
    }
    let delivery = match snapshot.content(&file.digest) {
        Some(bytes) => Delivery::Bytes(bytes.clone()),
        // Some readers of texts, of JSON and YAML above all, follow no redirects.
        None if media_type == TEXT => blobs.send(&content, &request.headers).await?,
        None => blobs.deliver(&content, &request.headers).await?,
    };
    let mut response = content.delivered(delivery, &request.headers)?;
    response.extensions_mut().insert(Stored(blob_key(file.digest)));
    Ok(response)
}

/// A media type that a browser shows, and never one that it runs.
fn media_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("zip" | "tar" | "gz" | "tgz" | "jar" | "vsx" | "vsix") => BINARY,
        _ => TEXT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_type_follows_from_the_name_of_a_file() {
        let cases = [
            ("stacks/go/1.0.0/logo.SVG", "image/svg+xml"),
            ("stacks/go/1.0.0/archive.tar", BINARY),
            ("stacks/go.zip/devfile.yaml", TEXT),
            ("stacks/go.zip/Dockerfile", TEXT),
            ("stacks/go/index.html", TEXT),
            ("stacks/go/page.js", TEXT),
        ];
        for (path, expected) in cases {
            assert_eq!(media_type(path), expected, "{path}");
        }
    }
}
