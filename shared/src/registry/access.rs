//! What shows to a registry who calls: tokens for its repositories, or a name and a password.
//!
//! Which of them a registry wants, it says itself; `oci-client` asks it and gets the tokens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::HeaderValue;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError::AuthenticationFailure;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use tokio::sync::OnceCell;

use super::calls::{CONNECT, Failure, SILENCE, USER_AGENT, shortened};
use super::{Credentials, RegistryAddress};
use crate::error::chain;

/// What is shown to one registry, and known of its tokens.
#[derive(Clone)]
pub(super) struct Access(Arc<Inner>);

struct Inner {
    address: RegistryAddress,
    credentials: Option<Credentials>,
    /// Whether it wants to be shown something. Without credentials nothing is, until it says so.
    is_wanted: AtomicBool,
    client: OnceLock<Client>,
    /// What is shown to it, by repositories.
    shown: Mutex<HashMap<String, Shown>>,
}

/// The value of an `Authorization` header, which the first who needs it gets; none when nothing is to be shown.
type Shown = Arc<OnceCell<Option<HeaderValue>>>;

impl Access {
    pub(super) fn new(address: &RegistryAddress, credentials: Option<Credentials>) -> Self {
        let is_wanted = AtomicBool::new(credentials.is_some());
        let (client, shown) = (OnceLock::new(), Mutex::default());
        Self(Arc::new(Inner { address: address.clone(), credentials, is_wanted, client, shown }))
    }

    /// What a call about a repository shows.
    pub(super) async fn of(&self, repository: &str) -> Result<Option<HeaderValue>, Failure> {
        if !self.0.is_wanted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let shown = Arc::clone(self.0.shown().entry(repository.to_owned()).or_default());
        shown.get_or_try_init(|| self.0.ask(repository)).await.cloned()
    }

    /// The registry refused what it was shown, so the next call asks for something new.
    pub(super) fn refused(&self, repository: &str, was_shown: Option<&HeaderValue>) {
        self.0.is_wanted.store(true, Ordering::Relaxed);
        let mut shown = self.0.shown();
        // Another call may have something new already.
        if shown.get(repository).and_then(|shown| shown.get()).is_some_and(|shown| shown.as_ref() == was_shown) {
            shown.remove(repository);
        }
    }
}

impl Inner {
    fn shown(&self) -> MutexGuard<'_, HashMap<String, Shown>> {
        // A panic while holding it leaves a consistent value behind.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets a token for a repository, if the registry gives any.
    async fn ask(&self, repository: &str) -> Result<Option<HeaderValue>, Failure> {
        let client = self.client.get_or_init(|| {
            let is_plain = self.address.is_loopback();
            Client::new(ClientConfig {
                protocol: if is_plain { ClientProtocol::Http } else { ClientProtocol::Https },
                connect_timeout: Some(CONNECT),
                read_timeout: Some(SILENCE),
                user_agent: USER_AGENT,
                ..ClientConfig::default()
            })
        });
        let (auth, operation) = match &self.credentials {
            Some(Credentials { username, password }) => {
                (RegistryAuth::Basic(username.clone(), password.clone()), RegistryOperation::Push)
            }
            None => (RegistryAuth::Anonymous, RegistryOperation::Pull),
        };
        let image = Reference::with_tag(self.address.host.clone(), repository.to_owned(), "latest".to_owned());
        let token = client.auth(&image, &auth, operation).await.map_err(|error| {
            let reason = match &error {
                AuthenticationFailure(said) if said.trim().is_empty() => "they may be wrong".to_owned(),
                AuthenticationFailure(said) => shortened(said),
                error => chain(error),
            };
            Failure::Broken(format!("no token can be had with these credentials: {reason}"))
        })?;
        let shown = match (token, &self.credentials) {
            (Some(token), _) => Some(format!("Bearer {token}")),
            (None, Some(credentials)) => Some(credentials.basic()),
            (None, None) => None,
        };
        let secret = |text: String| {
            let mut value = HeaderValue::try_from(text).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        Ok(shown.and_then(secret))
    }
}
