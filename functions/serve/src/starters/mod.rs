//! `/devfiles/{name}[/{version}]/starter-projects/{project}`: the files of a starter project, as a zip.
//!
//! `current` finds out which zip is the current one and makes it when there is none yet; this module answers with it.

mod current;

use std::time::SystemTime;

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use devfile_registry::cache::Cache;
use devfile_registry::git::Client;
use devfile_registry::limits::{REDIRECT_BYTES, STARTER_MEMORY_BYTES};
use devfile_registry::starter::{Origin, Remotes, Source, StarterProject, StarterStore, ZipKey};
use moka::future::Cache as Memory;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

pub(crate) use self::current::StarterError;

use self::current::{Current, Currents, Freshness, Wanted};
use crate::config::{Config, LargeBlobs};
use crate::devfiles;
use crate::error::ApiError;
use crate::http::STALE;
use crate::http::body::{Caching, header};
use crate::http::content::{Content, DOCKER_CONTENT_DIGEST, Delivery, offer_ranges};
use crate::release::blobs::{Blobs, URL_VALID, memory};
use crate::release::snapshot::{DevfileVersion, Snapshot};
use crate::view::catalog::SchemaVersionRange;
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
    pub(crate) fn new(config: &Config, cache: Cache) -> Self {
        let store = StarterStore::new(cache);
        let remotes = Remotes::new(Client::anonymous(config.fetches.clone()));
        Self {
            currents: Currents::new(remotes, store.clone()),
            store,
            zips: memory(STARTER_MEMORY_BYTES),
            large: config.large_blobs,
        }
    }

    /// Answers a GET or HEAD for the starter project of a version: names of the stack or sample, the version and the project.
    pub(crate) async fn answer(
        &self,
        snapshot: &Snapshot,
        blobs: &Blobs,
        [name, version, project]: [&str; 3],
        request: &Parts,
    ) -> Result<Response<Body>, ApiError> {
        let range = SchemaVersionRange::parse(request.uri.query().unwrap_or_default())?;
        let devfile = devfiles::find(snapshot, name, version, &range)?;
        let missing = || ApiError::NotFound(format!("`{name}` has no starter project `{project}`"));
        let found = starters_of(devfile).iter().find(|starter| starter.name == project).ok_or_else(missing)?;
        let source = found.source.clone().map_err(|reason| ApiError::NoSource(project.to_owned(), reason))?;
        if let Some(current) = fetched_along(snapshot, [name, &devfile.version, project], &source) {
            return self.give(&current, project, request).await;
        }
        let wanted = match &source.origin {
            Origin::File(path) => {
                let folder = snapshot.folder(name, &devfile.version).unwrap_or_default();
                let lost =
                    || ApiError::NotFound(format!("the zip of the starter project `{project}` is not in the registry"));
                let file = snapshot.file(&format!("{folder}/{path}")).ok_or_else(lost)?;
                let bytes = match snapshot.content(&file.digest) {
                    Some(bytes) => bytes.clone(),
                    None => blobs.read(file.digest, file.size).await?,
                };
                Wanted::Here { source, digest: file.digest, bytes }
            }
            _ => Wanted::There { source },
        };
        let failed = |error| ApiError::Starter(project.to_owned(), error);
        let mut current = self.currents.find(&wanted).await.map_err(failed)?;
        let mut response = self.give(&current, project, request).await;
        if matches!(&response, Err(ApiError::Starter(_, error)) if error.is_gone()) {
            // Somebody emptied the bucket; the zip can be made again.
            self.currents.forget(&wanted).await;
            current = self.currents.find(&wanted).await.map_err(failed)?;
            response = self.give(&current, project, request).await;
        }
        let mut response = response?;
        if let Freshness::Stale { since } = current.freshness {
            let seconds = SystemTime::now().duration_since(since).unwrap_or_default().as_secs();
            response.headers_mut().insert(STALE, HeaderValue::from(seconds));
        }
        Ok(response)
    }

    async fn give(&self, current: &Current, project: &str, request: &Parts) -> Result<Response<Body>, ApiError> {
        let failed = |error: StarterError| ApiError::Starter(project.to_owned(), error.into());
        let (zip, size) = (current.zip, current.size);
        let digest = zip.digest();
        let content = Content { digest, size, media_type: "application/zip", caching: Caching::Minute };
        if let Some(response) = content.without_bytes(request) {
            return Ok(as_download(response, project));
        }
        let response = if size <= REDIRECT_BYTES {
            let bytes = self.zips.try_get_with(zip, current::read(&self.store, zip, size)).await;
            let bytes = bytes.map_err(|error| ApiError::Starter(project.to_owned(), error))?;
            content.delivered(Delivery::Bytes(bytes), &request.headers)?
        } else if self.large == LargeBlobs::Redirected {
            let url = self.store.presign(zip, &disposition(project), URL_VALID).await;
            let url = url.map_err(|error| failed(error.into()))?;
            content.delivered(Delivery::Elsewhere(url), &request.headers)?
        } else {
            let part = content.asked(&request.headers)?;
            let (first, last) = part.map_or((0, size - 1), |(first, last)| (first as u64, last as u64));
            let pieces = self.store.stream(zip, first, last).await.map_err(|error| failed(error.into()))?;
            content.streamed(part, pieces)
        };
        Ok(as_download(response, project))
    }
}

/// The zip of a starter project that was fetched when the release was made.
fn fetched_along(snapshot: &Snapshot, [name, version, project]: [&str; 3], source: &Source) -> Option<Current> {
    let Origin::Zip(location) = &source.origin else { return None };
    let path = format!("{}/{project}-offline.zip", snapshot.folder(name, version)?);
    let own = Url::parse(&format!("{}/{path}", snapshot.own_url.as_ref()?)).ok()?;
    let file = snapshot.file(&path).filter(|_| own == *location)?;
    Some(Current { zip: ZipKey::published(file.digest), size: file.size, freshness: Freshness::Fixed })
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
