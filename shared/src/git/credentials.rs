//! Credentials of Git hosts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::{Host, Url};

use crate::environment::Environment;
use crate::secret::{Secret, SecretError};
use crate::settings;

/// The secret `GIT_CREDENTIALS`: a user and a secret for each of some hosts.
#[derive(Debug, Clone, Default)]
pub struct GitCredentials(Option<Secret>);

/// Authorizations by host. `Debug` shows the hosts alone.
///
/// Parsed from `HOST=USER:SECRET`, several separated by commas or white space. A host may have a port, which is then part of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Authorizations(Arc<BTreeMap<String, HeaderValue>>);

/// A text is not `HOST=USER:SECRET`. The message leaves out the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not HOST=USER:SECRET, several separated by commas")]
pub struct InvalidGitCredentials;

/// Credentials that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialsError {
    /// They cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// They are malformed.
    #[error("GIT_CREDENTIALS: {0}")]
    Malformed(#[from] InvalidGitCredentials),
}

impl GitCredentials {
    /// Reads where the credentials are; unset: there are none.
    pub fn from_environment(environment: &mut Environment) -> Self {
        let check = |text: &str| text.parse::<Authorizations>().map(drop);
        Self(Secret::from_environment(environment, &settings::GIT_CREDENTIALS, check))
    }

    /// Returns the authorizations of now.
    pub(super) async fn authorizations(&self) -> Result<Authorizations, CredentialsError> {
        match &self.0 {
            Some(secret) => Ok(secret.value().await?.parse()?),
            None => Ok(Authorizations::default()),
        }
    }

    /// Returns the `Authorization` header for a URL, or `None` when its host has no credentials.
    ///
    /// # Errors
    /// [`CredentialsError`]
    pub async fn authorization(&self, url: &Url) -> Result<Option<HeaderValue>, CredentialsError> {
        Ok(self.authorizations().await?.of(url))
    }

    /// Reads the credentials again because a host refused them. Returns whether there are others now.
    pub async fn is_renewed(&self) -> bool {
        match &self.0 {
            Some(secret) => secret.is_renewed().await,
            None => false,
        }
    }

    /// The header of basic authentication (RFC 7617), or `None` when the secret cannot stand in a header.
    pub fn basic(user: &str, secret: &str) -> Option<HeaderValue> {
        let mut header =
            HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

impl Authorizations {
    /// Returns the `Authorization` header for a URL, or `None` when its host has no credentials.
    pub(super) fn of(&self, url: &Url) -> Option<HeaderValue> {
        self.0.get(&host(url)?).cloned()
    }

    /// The names of the hosts, without their ports.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|host| match host.rsplit_once(':') {
            // The last colon of an IPv6 address without a port is within its brackets.
            Some((name, port)) if !port.ends_with(']') => name,
            _ => host,
        })
    }
}

/// The host of a URL, with its port if it is not that of the scheme.
fn host(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

impl FromStr for Authorizations {
    type Err = InvalidGitCredentials;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one = |text: &str| {
            let (named, credentials) = text.split_once('=')?;
            let (user, secret) = credentials.split_once(':')?;
            let url = Url::parse(&format!("https://{named}/")).ok()?;
            let is_host = matches!(url.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)));
            let is_plain = url.path() == "/" && url.username().is_empty() && !named.contains('/');
            let is_whole = is_host && is_plain && !secret.is_empty();
            Some((host(&url)?, GitCredentials::basic(user, secret).filter(|_| is_whole)?))
        };
        let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
        let all: Option<BTreeMap<_, _>> = parts.map(one).collect();
        Ok(Self(Arc::new(all.ok_or(InvalidGitCredentials)?)))
    }
}

impl fmt::Debug for Authorizations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_their_host_alone() {
        let credentials: Authorizations = "Git.example.org=ci:s3:cret, git.example.org:8443=other:x".parse().unwrap();
        let of = |url: &str| credentials.of(&url.parse().unwrap());
        assert_eq!(of("https://git.example.org/a/b").unwrap(), "Basic Y2k6czM6Y3JldA==");
        assert_eq!(of("https://git.example.org:8443/a/b").unwrap(), "Basic b3RoZXI6eA==");
        for url in ["https://git.example.org:444/a", "https://example.org/", "https://git.example.org.evil/"] {
            assert_eq!(of(url), None, "{url}");
        }
        let addresses: Authorizations = "[::1]=ci:x,[::2]:8443=ci:x,10.0.0.1:80=ci:x".parse().unwrap();
        assert_eq!(Vec::from_iter(addresses.hosts()), ["10.0.0.1", "[::1]", "[::2]"]);
        let shown = format!("{credentials:?} {:?}", of("https://git.example.org/"));
        assert!(!shown.contains("s3") && !shown.contains("Y2k6"), "{shown}");
    }

    #[test]
    fn text_that_is_no_credentials_is_refused() {
        for text in
            ["x", "host=user", "host=user:", "=user:secret", "https://host=user:secret", "host/path=user:secret"]
        {
            assert!(text.parse::<Authorizations>().is_err(), "{text}");
        }
        assert_eq!("".parse::<Authorizations>().unwrap().hosts().count(), 0);
    }
}
