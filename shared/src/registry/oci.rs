//! The registry by the OCI distribution API 1.1.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, StatusCode};
use reqwest::{Body, Method, Response};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::answer::{CallError, body, checked, damaged, location, part, shortened, too_large};
use super::calls::{CALL_TIME, Calls, Subject};
use super::{Credentials, Name, Registry, RegistryAddress, RegistryError};
use crate::context;
use crate::digest::Digest;
use crate::error::chain;
use crate::limits;
use crate::media_type::MANIFEST_MEDIA_TYPE;

/// Time for a file, which may have 100 MiB.
const FILE_TIME: Duration = Duration::from_secs(150);

/// Bytes of a file that are sent at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// The header with the digest of the manifest that an answer has or would have.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A registry that can be written.
#[derive(Clone)]
pub struct OciRegistry {
    calls: Calls,
}

impl fmt::Debug for OciRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.calls.fmt(f)
    }
}

impl OciRegistry {
    /// A client; nothing is sent yet.
    pub fn new(address: RegistryAddress, credentials: Option<Credentials>) -> Self {
        Self { calls: Calls::new(address, credentials) }
    }

    async fn open_blob(&self, subject: &Subject, blob: Digest) -> Result<Response, CallError> {
        let request = self.calls.request(Method::GET, subject, &format!("blobs/{blob}"));
        self.calls.send(subject, request, StatusCode::OK).await
    }

    async fn ask_for_manifest(&self, subject: &Subject, name: Name<'_>, method: Method) -> Result<Response, CallError> {
        let request = self.calls.request(method, subject, &manifest_path(name)).header(ACCEPT, MANIFEST_MEDIA_TYPE);
        let answer = self.calls.send(subject, request, StatusCode::OK).await?;
        match text(&answer, CONTENT_TYPE) {
            Some(media_type) if !media_type.contains("json") => {
                let media_type = shortened(media_type);
                Err(CallError::Final(format!("the registry answered 200 with {media_type} in place of a manifest")))
            }
            _ => Ok(answer),
        }
    }

    async fn read_manifest(&self, subject: &Subject, name: Name<'_>) -> Result<Bytes, CallError> {
        let answer = self.ask_for_manifest(subject, name, Method::GET).await?;
        let claimed = text(&answer, CONTENT_DIGEST).and_then(|digest| digest.parse().ok());
        let manifest = body(answer, limits::MANIFEST_BYTES).await?;
        match (name, claimed) {
            (Name::Digest(digest), _) | (Name::Tag(_), Some(digest)) => checked(manifest, digest),
            (Name::Tag(_), None) => Ok(manifest),
        }
    }

    async fn read_to_file(&self, subject: &Subject, blob: Digest, limit: u64, into: &Path) -> Result<(), CallError> {
        let mut answer = self.open_blob(subject, blob).await?;
        let mut file = File::create(into).await.map_err(on_our_side)?;
        let mut read = 0_u64;
        while let Some(part) = part(&mut answer).await? {
            read = read.saturating_add(part.len() as u64);
            if read > limit {
                return Err(too_large(limit));
            }
            file.write_all(&part).await.map_err(on_our_side)?;
        }
        file.flush().await.map_err(on_our_side)?;
        if Digest::of_file(into).await.map_err(on_our_side)? == blob { Ok(()) } else { Err(damaged()) }
    }

    /// Uploads a blob in one piece ("Pushing a blob monolithically", by POST and then PUT).
    async fn upload(&self, subject: &Subject, blob: Digest, size: u64, content: Body) -> Result<(), CallError> {
        // Some registries want the length of an empty body.
        let begin = self.calls.request(Method::POST, subject, "blobs/uploads/").header(CONTENT_LENGTH, 0);
        let mut upload = location(&self.calls.push(subject, begin, StatusCode::ACCEPTED).await?)?;
        upload.query_pairs_mut().append_pair("digest", &blob.to_string());
        let request = self.calls.request_at(Method::PUT, upload).header(CONTENT_TYPE, "application/octet-stream");
        let request = request.header(CONTENT_LENGTH, size).body(content);
        match self.calls.send(subject, request, StatusCode::CREATED).await {
            // The registry has forgotten of the upload; another may do.
            Err(gone @ CallError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                Err(CallError::Broken(gone.to_string()))
            }
            uploaded => confirmed(&uploaded?, blob),
        }
    }
}

impl Registry for OciRegistry {
    fn address(&self) -> String {
        self.calls.address().to_string()
    }

    async fn manifest(&self, repository: &str, name: Name<'_>) -> Result<Option<Bytes>, RegistryError> {
        let subject = self.calls.subject("read the manifest", repository, name);
        self.calls.find(&subject, CALL_TIME, || self.read_manifest(&subject, name)).await
    }

    async fn manifest_digest(&self, repository: &str, name: Name<'_>) -> Result<Option<Digest>, RegistryError> {
        let subject = self.calls.subject("check the manifest", repository, name);
        let check = || async {
            let answer = self.ask_for_manifest(&subject, name, Method::HEAD).await?;
            match text(&answer, CONTENT_DIGEST).and_then(|digest| digest.parse().ok()) {
                Some(digest) => Ok(digest),
                // Registries should send it, but need not.
                None => Ok(Digest::of(&self.read_manifest(&subject, name).await?)),
            }
        };
        self.calls.find(&subject, CALL_TIME, check).await
    }

    async fn blob(&self, repository: &str, blob: Digest, limit: u64) -> Result<Option<Bytes>, RegistryError> {
        let subject = self.calls.subject("read the blob", repository, Name::Digest(blob));
        let read = || async { checked(body(self.open_blob(&subject, blob).await?, limit).await?, blob) };
        self.calls.find(&subject, CALL_TIME, read).await
    }

    async fn has_blob(&self, repository: &str, blob: Digest, size: u64) -> Result<bool, RegistryError> {
        let subject = self.calls.subject("check the blob", repository, Name::Digest(blob));
        let check = || async {
            let request = self.calls.request(Method::HEAD, &subject, &format!("blobs/{blob}"));
            let answer = self.calls.send(&subject, request, StatusCode::OK).await?;
            // Registries should send it, but need not.
            Ok(text(&answer, CONTENT_LENGTH).is_none_or(|length| length.parse() == Ok(size)))
        };
        Ok(self.calls.find(&subject, CALL_TIME, check).await?.unwrap_or(false))
    }

    async fn push_blob(&self, repository: &str, blob: Digest, content: Bytes) -> Result<(), RegistryError> {
        let subject = self.calls.subject("take the blob", repository, Name::Digest(blob));
        let size = content.len() as u64;
        let push = || self.upload(&subject, blob, size, content.clone().into());
        self.calls.run(&subject, CALL_TIME, push).await?;
        context::count_bytes(content.len());
        Ok(())
    }

    async fn blob_to_file(
        &self,
        repository: &str,
        blob: Digest,
        limit: u64,
        into: &Path,
    ) -> Result<bool, RegistryError> {
        let subject = self.calls.subject("read the blob", repository, Name::Digest(blob));
        let read = || self.read_to_file(&subject, blob, limit, into);
        Ok(self.calls.find(&subject, FILE_TIME, read).await?.is_some())
    }

    async fn push_file(&self, repository: &str, blob: Digest, file: &Path) -> Result<(), RegistryError> {
        let subject = self.calls.subject("take the blob", repository, Name::Digest(blob));
        let push = || async {
            let file = File::open(file).await.map_err(on_our_side)?;
            let size = file.metadata().await.map_err(on_our_side)?.len();
            self.upload(&subject, blob, size, Body::wrap_stream(pieces(file))).await?;
            Ok(size)
        };
        let size = self.calls.run(&subject, FILE_TIME, push).await?;
        context::count_bytes(size as usize);
        Ok(())
    }

    async fn push_manifest(&self, repository: &str, name: Name<'_>, manifest: Bytes) -> Result<(), RegistryError> {
        let subject = self.calls.subject("take the manifest", repository, name);
        let push = || async {
            let request = self.calls.request(Method::PUT, &subject, &manifest_path(name));
            let request = request.header(CONTENT_TYPE, MANIFEST_MEDIA_TYPE).body(manifest.clone());
            match self.calls.push(&subject, request, StatusCode::CREATED).await {
                // The blobs were there. Another process uploads one again, and the registry cannot find it meanwhile.
                Err(CallError::Refused { status, said, .. }) if said.contains("BLOB_UNKNOWN") => {
                    Err(CallError::LacksBlobs(format!("the registry answered {}: {said}", status.as_u16())))
                }
                pushed => confirmed(&pushed?, Digest::of(&manifest)),
            }
        };
        self.calls.run(&subject, CALL_TIME, push).await?;
        context::count_bytes(manifest.len());
        Ok(())
    }
}

fn manifest_path(name: Name<'_>) -> String {
    match name {
        Name::Tag(tag) => format!("manifests/{tag}"),
        Name::Digest(digest) => format!("manifests/{digest}"),
    }
}

/// A header of an answer, if it is text.
fn text(answer: &Response, name: HeaderName) -> Option<&str> {
    answer.headers().get(name)?.to_str().ok()
}

/// Checks that a registry took the content sent, as far as it says. It may use another algorithm.
fn confirmed(answer: &Response, sent: Digest) -> Result<(), CallError> {
    match text(answer, CONTENT_DIGEST) {
        Some(claimed) if claimed.starts_with("sha256:") && claimed != sent.to_string() => {
            Err(CallError::Broken(format!("the registry took {} in place of {sent}", shortened(claimed))))
        }
        _ => Ok(()),
    }
}

fn on_our_side(error: std::io::Error) -> CallError {
    CallError::Final(chain(&error))
}

/// A file piece by piece.
fn pieces(file: File) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::unfold(file, |mut file| async {
        let mut piece = BytesMut::with_capacity(CHUNK_BYTES);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(piece.freeze()), file)),
            Err(error) => Some((Err(error), file)),
        }
    })
}
