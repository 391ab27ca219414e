//! The OCI registry: the record of all artifacts and of the index.
//!
//! [`Registry`] is the interface that publishing uses, and [`Record`] a registry of either kind: `oci` at a server, or `layouts` in a
//! directory. Of `oci`, `calls` makes one call, `access` authenticates it, and `answer` reads its answer; `ecr` has the calls that Amazon ECR
//! wants beyond the specification.

#![warn(clippy::arithmetic_side_effects)]

mod access;
mod answer;
mod calls;
mod ecr;
mod layouts;
#[cfg(test)]
mod lies;
mod oci;
mod read_only;
mod record;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use bytes::Bytes;
use reqwest::Url;

use crate::digest::Digest;
use crate::secret::Secret;

use self::ecr::EcrHost;
pub use self::ecr::{EcrRepositories, EcrTags, InvalidEcrOption, KmsKey};
pub use layouts::ImageLayouts;
pub use oci::OciRegistry;
pub use read_only::ReadOnly;
pub use record::Record;

/// The address of a registry: a host with an optional port, and below it a namespace, as in `ghcr.io/acme/registry`.
///
/// Loopback hosts are spoken to in plain HTTP, all others in HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryAddress {
    host: String,
    namespace: Option<String>,
    /// The host as one of Amazon ECR.
    ecr: Option<EcrHost>,
    created: EcrRepositories,
    endpoint: Option<LoopbackEndpoint>,
}

/// An address of this machine at which a registry is reached in place of its host, in plain HTTP: `127.0.0.1:5000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopbackEndpoint(SocketAddr);

/// A text is not a [`LoopbackEndpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address and port of this machine")]
pub struct InvalidEndpoint;

impl FromStr for LoopbackEndpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback()).map(Self).ok_or(InvalidEndpoint)
    }
}

/// A text that is not a [`RegistryAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the address of an OCI registry; write host, host:port or host/namespace, without https://")]
pub struct InvalidAddress(String);

impl RegistryAddress {
    /// The same registry, reached at another address.
    #[must_use]
    pub fn at(self, endpoint: Option<LoopbackEndpoint>) -> Self {
        Self { endpoint, ..self }
    }

    /// The same registry, whose repositories are created in this way if it is one of Amazon ECR.
    #[must_use]
    pub fn creating(self, created: EcrRepositories) -> Self {
        Self { created, ..self }
    }

    fn is_loopback(&self) -> bool {
        let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name);
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn scheme(&self) -> &'static str {
        if self.is_loopback() { "http" } else { "https" }
    }

    /// Returns the beginning of its URLs.
    fn origin(&self) -> String {
        match self.endpoint {
            Some(LoopbackEndpoint(address)) => format!("http://{address}"),
            None => format!("{}://{}", self.scheme(), self.host),
        }
    }

    /// Whether a URL is at the registry itself.
    fn is_at(&self, url: &Url) -> bool {
        Url::parse(&self.origin()).is_ok_and(|here| here.origin() == url.origin())
    }

    fn repository(&self, name: &str) -> String {
        self.namespace.as_ref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
    }
}

impl FromStr for RegistryAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, namespace) = match text.split_once('/') {
            Some((host, namespace)) => (host, Some(namespace.to_owned())),
            None => (text, None),
        };
        let host_like = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        let name_like = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        let names = namespace.iter().flat_map(|namespace| namespace.split('/'));
        let well_formed = !host.is_empty()
            && host.chars().all(host_like)
            && host.split_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok())
            && names.into_iter().all(|name| !name.is_empty() && name.chars().all(name_like));
        if !well_formed {
            return Err(InvalidAddress(text.to_owned()));
        }
        Ok(Self {
            host: host.to_owned(),
            namespace,
            ecr: EcrHost::parse(host),
            created: EcrRepositories::default(),
            endpoint: None,
        })
    }
}

impl fmt::Display for RegistryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// The name of a manifest.
#[derive(Debug, Clone, Copy)]
pub enum Name<'a> {
    /// By a tag, which moves.
    Tag(&'a str),
    /// By its digest.
    Digest(Digest),
}

/// A call to the registry that failed.
#[derive(Debug, thiserror::Error)]
#[error("{registry} failed to {operation}: {reason}")]
pub struct RegistryError {
    registry: String,
    operation: String,
    reason: String,
    lacks_blobs: bool,
    is_rate_limited: bool,
}

impl RegistryError {
    /// An error of a registry.
    pub fn new(registry: impl Into<String>, operation: impl Into<String>, reason: impl Into<String>) -> Self {
        let (registry, operation, reason) = (registry.into(), operation.into(), reason.into());
        Self { registry, operation, reason, lacks_blobs: false, is_rate_limited: false }
    }

    /// The same error of a registry that refuses a manifest because it lacks blobs that the manifest names.
    pub fn lacking_blobs(self) -> Self {
        Self { lacks_blobs: true, ..self }
    }

    /// The same error of a registry whose rate limit outlasts the call.
    #[must_use]
    pub fn rate_limited(self) -> Self {
        Self { is_rate_limited: true, ..self }
    }

    /// Whether the rate limit of the registry outlasts the call.
    pub fn is_rate_limited(&self) -> bool {
        self.is_rate_limited
    }

    /// Whether the registry refuses a manifest because it lacks blobs that the manifest names.
    pub fn lacks_blobs(&self) -> bool {
        self.lacks_blobs
    }
}

/// An OCI registry, as publishing uses it. Repositories are named without the namespace.
pub trait Registry: Send + Sync {
    /// The address, by which registries are distinguished.
    fn address(&self) -> String;

    /// Digest of the manifest with a name; none when there is no such manifest.
    fn manifest_digest(
        &self,
        repository: &str,
        name: Name<'_>,
    ) -> impl Future<Output = Result<Option<Digest>, RegistryError>> + Send;

    /// A manifest; none when there is no such manifest.
    fn manifest(
        &self,
        repository: &str,
        name: Name<'_>,
    ) -> impl Future<Output = Result<Option<Bytes>, RegistryError>> + Send;

    /// A blob of at most `limit` bytes, which are those of its digest; none when the repository has no such blob.
    fn blob(
        &self,
        repository: &str,
        blob: Digest,
        limit: u64,
    ) -> impl Future<Output = Result<Option<Bytes>, RegistryError>> + Send;

    /// Whether a repository has a blob, and in this length as far as the registry says one.
    fn has_blob(
        &self,
        repository: &str,
        blob: Digest,
        size: u64,
    ) -> impl Future<Output = Result<bool, RegistryError>> + Send;

    /// Whether a repository has a blob, with the bytes of its digest as far as the registry can say so without a download.
    fn is_intact(
        &self,
        repository: &str,
        blob: Digest,
        size: u64,
    ) -> impl Future<Output = Result<bool, RegistryError>> + Send {
        self.has_blob(repository, blob, size)
    }

    /// Uploads a blob, whether or not the registry has it.
    fn push_blob(
        &self,
        repository: &str,
        blob: Digest,
        content: Bytes,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// Reads a blob of at most `limit` bytes, which are those of its digest, into a file; false when the repository has no such blob.
    /// By way of memory, unless the registry knows better.
    fn blob_to_file(
        &self,
        repository: &str,
        blob: Digest,
        limit: u64,
        into: &Path,
    ) -> impl Future<Output = Result<bool, RegistryError>> + Send {
        async move {
            let Some(content) = self.blob(repository, blob, limit).await? else { return Ok(false) };
            let failed = |error: io::Error| {
                RegistryError::new("the temporary folder", format!("give the blob {blob}"), error.to_string())
            };
            tokio::fs::write(into, &content).await.map_err(failed)?;
            Ok(true)
        }
    }

    /// Uploads a blob from a file. By way of memory, unless the registry knows better.
    fn push_file(
        &self,
        repository: &str,
        blob: Digest,
        file: &Path,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send {
        async move {
            let failed = |error: io::Error| {
                RegistryError::new("the temporary folder", format!("take the blob {blob}"), error.to_string())
            };
            self.push_blob(repository, blob, tokio::fs::read(file).await.map_err(failed)?.into()).await
        }
    }

    /// Uploads a manifest under a name.
    fn push_manifest(
        &self,
        repository: &str,
        name: Name<'_>,
        manifest: Bytes,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send;
}

/// User name and password for a registry.
#[derive(Clone)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: Secret,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_a_registry_is_parsed_or_refused() {
        let address: RegistryAddress = "ghcr.io/acme/registry".parse().unwrap();
        assert_eq!(address.repository("devfile-index"), "acme/registry/devfile-index");
        assert!(!address.is_loopback());
        for loopback in ["127.0.0.1:5000", "localhost:5000", "localhost"] {
            assert!(loopback.parse::<RegistryAddress>().unwrap().is_loopback(), "{loopback}");
        }
        for bad in
            ["", "https://ghcr.io", "ghcr.io/", "ghcr.io/A", "ghcr.io/a//b", "host:port", "user@host", "ghcr.io/../x y"]
        {
            assert!(bad.parse::<RegistryAddress>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn endpoint_of_a_registry_is_on_this_machine() {
        let address: RegistryAddress = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/a".parse().unwrap();
        assert_eq!(address.origin(), "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com");
        let address = address.at("127.0.0.1:5000".parse().ok());
        assert_eq!(address.origin(), "http://127.0.0.1:5000");
        assert_eq!(address.to_string(), "123456789012.dkr.ecr.eu-central-1.amazonaws.com/a");
        for other in ["10.0.0.1:5000", "127.0.0.1", "localhost:5000", "http://127.0.0.1:5000", ""] {
            assert_eq!(other.parse::<LoopbackEndpoint>(), Err(InvalidEndpoint), "{other}");
        }
    }
}
