//! The registry by the OCI distribution API.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Credentials, ErrorKind, Name, Registry, RegistryAddress, RegistryError};
use crate::artifact::MANIFEST_MEDIA_TYPE;
use crate::context;
use crate::digest::Digest;
use crate::telemetry::{Kind, Span};

/// Time for one call, its tries included.
const CALL_TIME: Duration = Duration::from_secs(60);

/// Time for a file, which may have 100 MiB.
const FILE_TIME: Duration = Duration::from_secs(150);

/// Time without a byte from the registry.
const SILENCE: Duration = Duration::from_secs(15);

/// Bytes of a file that are sent at a time.
const PIECE: usize = 64 << 10;

/// A registry that can be written.
#[derive(Clone)]
pub struct OciRegistry {
    /// Asks for manifests and blobs.
    reader: Client,
    /// Uploads. An anonymous one asks for no token, which would be a call before each of its calls.
    writer: Client,
    address: RegistryAddress,
    auth: RegistryAuth,
}

impl fmt::Debug for OciRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OciRegistry").field("address", &self.address).finish_non_exhaustive()
    }
}

impl OciRegistry {
    /// A client; nothing is sent yet.
    pub fn new(address: RegistryAddress, credentials: Option<Credentials>) -> Self {
        let protocol = if address.is_loopback() { ClientProtocol::Http } else { ClientProtocol::Https };
        let config = || ClientConfig {
            protocol: protocol.clone(),
            use_monolithic_push: true,
            connect_timeout: Some(Duration::from_secs(3)),
            read_timeout: Some(SILENCE),
            user_agent: concat!("devfile-registry/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let auth = match credentials {
            Some(Credentials { username, password }) => RegistryAuth::Basic(username, password),
            None => RegistryAuth::Anonymous,
        };
        Self { reader: Client::new(config()), writer: Client::new(config()), address, auth }
    }

    async fn log_in(&self, client: &Client) {
        if self.auth != RegistryAuth::Anonymous {
            client.store_auth_if_needed(&self.address.host, &self.auth).await;
        }
    }

    fn reference(&self, repository: &str, name: Name<'_>) -> Reference {
        let (host, repository) = (self.address.host.clone(), self.address.repository(repository));
        match name {
            Name::Tag(tag) => Reference::with_tag(host, repository, tag.to_owned()),
            Name::Digest(digest) => Reference::with_digest(host, repository, digest.to_string()),
        }
    }

    /// Calls until it works, it is clear that it will not, or the usual time is over.
    async fn attempt<T, F, R>(&self, operation: &'static str, image: &Reference, call: F) -> Result<T, RegistryError>
    where
        F: FnMut() -> R,
        R: Future<Output = Result<T, OciDistributionError>>,
    {
        self.attempt_within(CALL_TIME, operation, image, call).await
    }

    async fn attempt_within<T, F, R>(
        &self,
        time: Duration,
        operation: &'static str,
        image: &Reference,
        mut call: F,
    ) -> Result<T, RegistryError>
    where
        F: FnMut() -> R,
        R: Future<Output = Result<T, OciDistributionError>>,
    {
        let backoff =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(4).with_jitter();
        let passing = |error: &OciDistributionError| is_passing(error) || self.may_be_the_token(error);
        let patient = |error: &OciDistributionError, wait: Option<Duration>| {
            // The client does not show what `Retry-After` says; registries mean seconds by it.
            if is_limited(error) { wait.map(|wait| wait * 5) } else { wait }
        };
        let call = || self.as_span(operation, call());
        let result = tokio::time::timeout(time, call.retry(backoff).when(passing).adjust(patient)).await;
        let (reason, kind) = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => {
                (explain(&error), if is_not_found(&error) { ErrorKind::NotFound } else { ErrorKind::Other })
            }
            Err(_) => (format!("no answer within {} seconds", time.as_secs()), ErrorKind::Other),
        };
        let (registry, operation) = (self.address.to_string(), format!("{operation} {image}"));
        Err(RegistryError { registry, operation, reason, kind })
    }

    /// Makes a call a span. The client library lets no header through, so the trace ends with it.
    async fn as_span<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, OciDistributionError>>,
    ) -> Result<T, OciDistributionError> {
        let span = Span::begin(Kind::Client, operation, context::trace());
        span.rename(format_args!("OCI: {operation}"));
        span.set("server.address", self.address.host.as_str());
        let result = call.await;
        match &result {
            Err(error) if !is_not_found(error) => match status(error) {
                Some(status) => span.fail(status.to_string().as_str()),
                None => span.fail("_OTHER"),
            },
            _ => {}
        }
        result
    }
}

impl OciRegistry {
    /// Trouble at the server of the tokens shows as a call without one.
    fn may_be_the_token(&self, error: &OciDistributionError) -> bool {
        let refused = match error {
            OciDistributionError::RequestError(error) => error.status().is_some_and(|status| status == 401),
            OciDistributionError::ServerError { code, .. } => *code == 401,
            OciDistributionError::UnauthorizedError { .. } => true,
            _ => false,
        };
        refused && self.auth != RegistryAuth::Anonymous
    }

    async fn read_blob(&self, image: &Reference, blob: Digest, limit: u64) -> Result<Bytes, OciDistributionError> {
        let descriptor = OciDescriptor { digest: blob.to_string(), ..OciDescriptor::default() };
        let mut stream = self.reader.pull_blob_stream(image, &descriptor).await?;
        let mut bytes = Vec::new();
        while let Some(part) = stream.stream.next().await {
            bytes.extend_from_slice(&part.map_err(OciDistributionError::from)?);
            if bytes.len() as u64 > limit {
                return Err(OciDistributionError::GenericError(Some(format!("it has more than {limit} bytes"))));
            }
        }
        Ok(bytes.into())
    }
}

impl OciRegistry {
    async fn read_to_file(
        &self,
        image: &Reference,
        blob: Digest,
        limit: u64,
        into: &Path,
    ) -> Result<(), OciDistributionError> {
        let descriptor = OciDescriptor { digest: blob.to_string(), ..OciDescriptor::default() };
        let mut stream = self.reader.pull_blob_stream(image, &descriptor).await?;
        let mut file = tokio::fs::File::create(into).await?;
        let mut read = 0;
        while let Some(part) = stream.stream.next().await {
            let part = part?;
            read += part.len() as u64;
            if read > limit {
                return Err(OciDistributionError::GenericError(Some(format!("it has more than {limit} bytes"))));
            }
            file.write_all(&part).await?;
        }
        Ok(file.flush().await?)
    }
}

/// A file piece by piece.
fn pieces(file: tokio::fs::File) -> impl Stream<Item = Result<Bytes, OciDistributionError>> + Send + 'static {
    stream::unfold(file, |mut file| async {
        let mut piece = BytesMut::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(piece.freeze()), file)),
            Err(error) => Some((Err(error.into()), file)),
        }
    })
}

impl Registry for OciRegistry {
    async fn manifest(&self, repository: &str, name: Name<'_>) -> Result<Option<Bytes>, RegistryError> {
        let image = self.reference(repository, name);
        let call = || self.reader.pull_manifest_raw(&image, &self.auth, &[MANIFEST_MEDIA_TYPE]);
        match self.attempt("read the manifest", &image, call).await {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn blob(&self, repository: &str, blob: Digest, limit: u64) -> Result<Option<Bytes>, RegistryError> {
        let image = self.reference(repository, Name::Digest(blob));
        self.log_in(&self.reader).await;
        let operation = "read the blob";
        match self.attempt(operation, &image, || self.read_blob(&image, blob, limit)).await {
            Ok(bytes) if Digest::of(&bytes) == blob => Ok(Some(bytes)),
            Ok(_) => Err(RegistryError::new(
                self.address.to_string(),
                format!("{operation} {image}"),
                "its bytes do not have that digest",
            )),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn manifest_digest(&self, repository: &str, name: Name<'_>) -> Result<Option<Digest>, RegistryError> {
        let image = self.reference(repository, name);
        let call = || self.reader.fetch_manifest_digest(&image, &self.auth);
        match self.attempt("look for the manifest", &image, call).await {
            Ok(digest) => Ok(digest.parse().ok()),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn blob_exists(&self, repository: &str, blob: Digest) -> Result<bool, RegistryError> {
        let image = self.reference(repository, Name::Digest(blob));
        let digest = blob.to_string();
        self.log_in(&self.writer).await;
        match self.attempt("look for the blob", &image, || self.writer.blob_exists(&image, &digest)).await {
            Ok(exists) => Ok(exists),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn push_blob(&self, repository: &str, blob: Digest, content: Bytes) -> Result<(), RegistryError> {
        let image = self.reference(repository, Name::Digest(blob));
        let digest = blob.to_string();
        self.log_in(&self.writer).await;
        let operation = "take the blob";
        if content.is_empty() {
            // The usual way refuses to send nothing.
            let call = || self.writer.push_blob_stream(&image, futures_util::stream::empty(), &digest, Some(0));
            return self.attempt(operation, &image, call).await.map(|_| ());
        }
        let call = || self.writer.push_blob(&image, content.clone(), &digest);
        self.attempt(operation, &image, call).await?;
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
        let image = self.reference(repository, Name::Digest(blob));
        self.log_in(&self.reader).await;
        let call = || self.read_to_file(&image, blob, limit, into);
        match self.attempt_within(FILE_TIME, "read the blob", &image, call).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn push_file(&self, repository: &str, blob: Digest, file: &Path) -> Result<(), RegistryError> {
        let image = self.reference(repository, Name::Digest(blob));
        let digest = blob.to_string();
        self.log_in(&self.writer).await;
        let call = || async {
            let file = tokio::fs::File::open(file).await?;
            let size = file.metadata().await?.len();
            self.writer.push_blob_stream(&image, pieces(file), &digest, Some(size)).await?;
            Ok(size)
        };
        let size = self.attempt_within(FILE_TIME, "take the blob", &image, call).await?;
        context::count_bytes(size as usize);
        Ok(())
    }

    async fn push_manifest(&self, repository: &str, name: Name<'_>, manifest: Bytes) -> Result<(), RegistryError> {
        let image = self.reference(repository, name);
        let media_type = http::HeaderValue::from_static(MANIFEST_MEDIA_TYPE);
        self.log_in(&self.writer).await;
        let call = || self.writer.push_manifest_raw(&image, manifest.clone(), media_type.clone());
        self.attempt("take the manifest", &image, call).await?;
        context::count_bytes(manifest.len());
        if matches!(name, Name::Digest(_)) {
            context::count_artifact();
        }
        Ok(())
    }
}

/// Whether a call may work a moment later.
fn is_passing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::RequestError(error) => {
            error.status().is_none_or(|status| status.is_server_error() || status == 429)
        }
        OciDistributionError::ServerError { code, .. } => *code >= 500 || *code == 429,
        // A download that ended early or arrived damaged.
        OciDistributionError::IoError(_) | OciDistributionError::DigestError(_) => true,
        error => is_limited(error),
    }
}

/// The status that the registry refused with, as far as the client library shows it.
fn status(error: &OciDistributionError) -> Option<u16> {
    match error {
        OciDistributionError::RequestError(error) => error.status().map(|status| status.as_u16()),
        OciDistributionError::ServerError { code, .. } => Some(*code),
        _ => None,
    }
}

/// Whether the registry wants fewer calls.
fn is_limited(error: &OciDistributionError) -> bool {
    use oci_client::errors::OciErrorCode::Toomanyrequests;
    match error {
        OciDistributionError::RequestError(error) => error.status().is_some_and(|status| status == 429),
        OciDistributionError::ServerError { code, .. } => *code == 429,
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| error.code == Toomanyrequests)
        }
        _ => false,
    }
}

fn is_not_found(error: &OciDistributionError) -> bool {
    use oci_client::errors::OciErrorCode::{BlobUnknown, ManifestUnknown, NameUnknown, NotFound};
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RequestError(error) => error.status().is_some_and(|status| status == 404),
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| matches!(error.code, BlobUnknown | ManifestUnknown | NameUnknown | NotFound)),
        _ => false,
    }
}

/// The chain of reasons, down to the refused connection.
fn explain(error: &OciDistributionError) -> String {
    let mut reasons = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reasons.push(error.to_string());
        cause = error.source();
    }
    reasons.dedup();
    reasons.join(": ")
}
