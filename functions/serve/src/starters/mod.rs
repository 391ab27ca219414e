//! `/devfiles/{name}[/{version}]/starter-projects/{project}`: the files of a starter project, as a zip.
//!
//! `current` finds out which zip is the current one and makes it when there is none yet; this module answers with it.

mod current;

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_DISPOSITION, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use devfile_registry::cache::Cache;
use devfile_registry::fetch::Rules;
use devfile_registry::git::Client;
use devfile_registry::limits::{REDIRECT_BYTES, STARTER_MEMORY_BYTES};
use devfile_registry::logging::foreign;
use devfile_registry::starter::{Origin, Remotes, StarterProject, StarterSource, StarterStore, ZipKey};
use moka::future::Cache as Memory;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use url::Url;

use self::current::{Current, Currents, RequestedZip, SourceFreshness, StarterError};
use crate::config::LargeBlobs;
use crate::devfiles;
use crate::http::body::{Caching, header};
use crate::http::content::{Content, DOCKER_CONTENT_DIGEST, Delivery, offer_ranges};
use crate::http::problem::Problem;
use crate::release::blobs::{Blobs, URL_VALID, memory, unchecked};
use crate::release::snapshot::{DevfileVersion, Snapshot};
use crate::route::{
    Answer, Description, Event, Operation, RestAnswers, Route, name_schema, parameter, range_parameter,
};
use crate::state::{App, Released, STALE};
use crate::view::versions::Wanted;
use crate::workers;

/// The starter projects of a registry.
#[derive(Debug)]
pub(crate) struct Starters {
    currents: Currents,
    store: StarterStore,
    zips: Memory<ZipKey, Bytes>,
    large: LargeBlobs,
}

impl Starters {
    /// Fetches nothing yet.
    pub(crate) fn new(rules: Rules, large: LargeBlobs, cache: Cache) -> Self {
        let store = StarterStore::new(cache);
        let remotes = Remotes::new(Client::anonymous(rules));
        Self { currents: Currents::new(remotes, store.clone()), store, zips: memory(STARTER_MEMORY_BYTES), large }
    }

    /// Answers a GET or HEAD for the starter project of a version: names of the stack or sample, the version and the project.
    async fn answer(
        &self,
        snapshot: &Snapshot,
        blobs: &Blobs,
        (name, version, project): (&str, Wanted<'_>, &str),
        request: &Parts,
    ) -> Result<Response<Body>, NoStarter> {
        let devfile = devfiles::find(snapshot, name, version, request.uri.query().unwrap_or_default())?;
        let missing = || Problem::not_found(format!("`{name}` has no starter project `{project}`"));
        let found = starters_of(devfile).iter().find(|starter| starter.name == project).ok_or_else(missing)?;
        let source = found.source.clone().map_err(|reason| {
            let message = format!("the starter project `{project}` has no source that can be fetched");
            Problem::new(StatusCode::BAD_REQUEST, message).because(reason.to_string())
        })?;
        if let Some(current) = fetched_along(snapshot, [name, &devfile.version, project], &source) {
            return self.give(&current, project, blobs, request).await;
        }
        let wanted = match &source.origin {
            Origin::File(path) => {
                let folder = snapshot.folder(name, &devfile.version).unwrap_or_default();
                let lost =
                    || Problem::not_found(format!("the zip of the starter project `{project}` is not in the registry"));
                let file = snapshot.file(&format!("{folder}/{path}")).ok_or_else(lost)?;
                let bytes = match snapshot.content(&file.digest) {
                    Some(bytes) => bytes.clone(),
                    None => blobs.read(file.digest, file.size).await.map_err(Problem::from)?,
                };
                RequestedZip::Here { source, digest: file.digest, bytes }
            }
            _ => RequestedZip::There { source },
        };
        let mut current = self.currents.find(&wanted).await?;
        let mut response = self.give(&current, project, blobs, request).await;
        if matches!(&response, Err(NoStarter::Zip(error)) if error.is_gone()) {
            // Somebody emptied the bucket; the zip can be made again.
            self.currents.forget(&wanted).await;
            current = self.currents.find(&wanted).await?;
            response = self.give(&current, project, blobs, request).await;
        }
        let mut response = response?;
        if let SourceFreshness::Stale { since } = current.freshness {
            let seconds = SystemTime::now().duration_since(since).unwrap_or_default().as_secs();
            response.headers_mut().insert(STALE, HeaderValue::from(seconds));
        }
        Ok(response)
    }

    async fn give(
        &self,
        current: &Current,
        project: &str,
        blobs: &Blobs,
        request: &Parts,
    ) -> Result<Response<Body>, NoStarter> {
        let failed = |error: StarterError| NoStarter::Zip(error.into());
        let (zip, size) = (current.zip, current.size);
        let digest = zip.digest();
        let content = Content { digest, size, media_type: "application/zip", caching: Caching::Minute };
        if let Some(response) = content.without_bytes(request) {
            return Ok(as_download(response, project));
        }
        let response = if size <= REDIRECT_BYTES {
            let bytes = self.zips.try_get_with(zip, current::read(&self.store, zip, size)).await;
            content.delivered(Delivery::Bytes(bytes?), &request.headers).map_err(Problem::from)?
        } else if self.large == LargeBlobs::Redirected {
            let url = self.store.presign(zip, &disposition(project), URL_VALID).await;
            let url = url.map_err(|error| failed(error.into()))?;
            content.delivered(Delivery::Redirect(url), &request.headers).map_err(Problem::from)?
        } else {
            let range = content.requested_range(&request.headers).map_err(Problem::from)?;
            let (first, last) = range.map_or((0, size - 1), |(first, last)| (first as u64, last as u64));
            let chunks = self.store.stream(zip, first, last).await.map_err(|error| failed(error.into()))?;
            let body = match (range, zip.content()) {
                (None, Some(digest)) => blobs.checked(digest, chunks),
                _ => unchecked(chunks),
            };
            content.delivered(Delivery::Stream(body), &request.headers).map_err(Problem::from)?
        };
        Ok(as_download(response, project))
    }
}

/// Why a request for a starter project has no better answer.
#[derive(Debug)]
enum NoStarter {
    /// There is no zip.
    Zip(Arc<StarterError>),
    /// Anything else.
    Other(Problem),
}

impl NoStarter {
    fn into_problem(self, project: &str) -> Problem {
        let error = match self {
            Self::Zip(error) => error,
            Self::Other(problem) => return problem,
        };
        tracing::warn!(starter = %foreign(project), %error, "cannot serve a starter project");
        let status = match error {
            _ if error.is_queued() => StatusCode::SERVICE_UNAVAILABLE,
            _ if error.is_slow() => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        Problem::new(status, format!("the starter project `{project}` cannot be fetched")).because(error.public())
    }
}

impl From<Arc<StarterError>> for NoStarter {
    fn from(error: Arc<StarterError>) -> Self {
        Self::Zip(error)
    }
}

impl From<Problem> for NoStarter {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

/// The routes.
pub(crate) fn routes(starters: Arc<Starters>) -> Vec<Route> {
    let operation =
        |id, describe| Operation { id, tag: devfiles::TAG.0, summary: "The files of a starter project", describe };
    let of_version = Arc::clone(&starters);
    vec![
        Route::api(
            "/devfiles/{name}/starter-projects/{starterProject}",
            operation("starterProject", || describe(&[])),
            |app: State<Arc<App>>,
             released: Released,
             Path((name, project)): Path<(String, String)>,
             request: Request| async move {
                respond(&starters, &app, &released, (&name, Wanted::Default, &project), request).await
            },
        )
        .counted(Event::StarterProject),
        Route::api(
            "/devfiles/{name}/{version}/starter-projects/{starterProject}",
            operation("starterProjectOfVersion", || describe(&[devfiles::version_parameter()])),
            |app: State<Arc<App>>,
             released: Released,
             Path((name, version, project)): Path<(String, String, String)>,
             request: Request| async move {
                respond(&of_version, &app, &released, (&name, Wanted::named(&version), &project), request).await
            },
        )
        .counted(Event::StarterProject),
    ]
}

fn describe(of_version: &[Value]) -> Description {
    let project = parameter("starterProject", "Name of a starter project of the devfile.", name_schema());
    let mut parameters = devfiles::parameters(&[of_version, &[project]].concat());
    parameters.push(range_parameter());
    let content = json!({"description": "A zip of the files"});
    let mut answers = RestAnswers::of(Answer::content(202, "The files", "application/zip", content));
    answers.bad_parameters();
    answers.not_found();
    Description { parameters, answers: answers.fetched() }
}

async fn respond(
    starters: &Starters,
    app: &App,
    Released(snapshot): &Released,
    wanted: (&str, Wanted<'_>, &str),
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (request, _) = request.into_parts();
    let answer = starters.answer(snapshot, &app.blobs, wanted, &request).await;
    answer.map_err(|error| error.into_problem(wanted.2))
}

/// The zip of a starter project that was fetched when the release was made.
fn fetched_along(snapshot: &Snapshot, [name, version, project]: [&str; 3], source: &StarterSource) -> Option<Current> {
    let Origin::Zip(location) = &source.origin else { return None };
    let path = format!("{}/{project}-offline.zip", snapshot.folder(name, version)?);
    let own = Url::parse(&format!("{}/{path}", snapshot.own_url.as_ref()?)).ok()?;
    let file = snapshot.file(&path).filter(|_| own == *location)?;
    Some(Current { zip: ZipKey::published(file.digest), size: file.size, freshness: SourceFreshness::Fixed })
}

fn starters_of(devfile: &DevfileVersion) -> &[StarterProject] {
    devfile.starters.get_or_init(|| {
        workers::run_now(|| StarterProject::all(devfile.body.bytes())).unwrap_or_else(|problem| {
            tracing::warn!(problem, "the starter projects of a devfile cannot be read");
            Vec::new()
        })
    })
}

/// The answer as the reference gives it: 202 for 200, and a name for the file.
fn as_download(mut response: Response<Body>, project: &str) -> Response<Body> {
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    let headers = response.headers_mut();
    // The entity tag names the content and is not the digest of its bytes.
    headers.remove(DOCKER_CONTENT_DIGEST);
    headers.insert(CONTENT_DISPOSITION, header(&disposition(project)));
    offer_ranges(response)
}

/// `Content-Disposition` (RFC 6266): the name of the project, with another form for names that do not fit into the first.
fn disposition(project: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    let name: String = project.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if name == project {
        format!("attachment; filename=\"{name}.zip\"")
    } else {
        let encoded = utf8_percent_encode(project, NON_ALPHANUMERIC);
        format!("attachment; filename=\"{name}.zip\"; filename*=UTF-8''{encoded}.zip")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_quoted() {
        assert_eq!(disposition("go-starter"), "attachment; filename=\"go-starter.zip\"");
        let cases = [
            ("a\"b", "a_b", "a%22b"),
            ("a\r\nx: y", "a__x_ y", "a%0D%0Ax%3A%20y"),
            ("é/..", "__..", "%C3%A9%2F%2E%2E"),
        ];
        for (name, plain, encoded) in cases {
            let expected = format!("attachment; filename=\"{plain}.zip\"; filename*=UTF-8''{encoded}.zip");
            assert_eq!(disposition(name), expected);
            assert!(HeaderValue::from_str(&expected).is_ok());
        }
    }
}
