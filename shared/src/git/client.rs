//! A client of Git hosts.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;
use url::Url;

use super::credentials::{Authorizations, GitCredentials};
use super::remote::Remote;
use crate::fetch::{FetchAnswer, FetchError, Fetcher, Reason, Request, Rules};

/// Opens repositories of any host, each with the credentials of its host.
#[derive(Clone)]
pub struct Client {
    rules: Rules,
    credentials: GitCredentials,
    /// The authorizations of the last call, and the fetcher that trusts their hosts.
    last: Arc<Mutex<Option<Authorized>>>,
}

/// Authorizations, and the fetcher that trusts their hosts.
type Authorized = (Authorizations, Arc<Fetcher>);

impl Client {
    /// Connects nothing yet. A host that has credentials may have a private address, since the operator named it.
    pub fn new(rules: Rules, credentials: GitCredentials) -> Self {
        Self { rules, credentials, last: Arc::default() }
    }

    /// A client without credentials.
    pub fn anonymous(rules: Rules) -> Self {
        Self::new(rules, GitCredentials::default())
    }

    /// Opens a repository with the credentials of now; connects nothing yet.
    ///
    /// # Errors
    /// [`FetchError`] when the credentials cannot be read.
    pub async fn repository(&self, url: &Url) -> Result<Remote, FetchError> {
        let (authorizations, fetcher) = self.open(url.host_str()).await?;
        Ok(Remote::new(&fetcher, url.clone(), authorizations.of(url)))
    }

    /// Fetches a file that is not in a Git repository. It sends no credentials.
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn get(&self, request: &Request<'_>) -> Result<FetchAnswer, FetchError> {
        let host = Url::parse(request.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        self.open(host.as_deref()).await?.1.get(request).await
    }

    async fn open(&self, host: Option<&str>) -> Result<(Authorizations, Arc<Fetcher>), FetchError> {
        let authorizations = self.credentials.authorizations().await.map_err(|error| FetchError {
            host: host.unwrap_or_default().to_owned(),
            redirected_from: None,
            reason: Reason::Credentials(error.to_string()),
        })?;
        let mut last = self.last.lock().await;
        match last.as_ref() {
            Some(last) if last.0 == authorizations => Ok(last.clone()),
            _ => {
                let mut rules = self.rules.clone();
                rules.trusted.extend(authorizations.hosts().map(str::to_owned));
                Ok(last.insert((authorizations, Arc::new(Fetcher::new(rules)))).clone())
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}
