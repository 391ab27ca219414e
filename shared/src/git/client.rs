//! A client of Git hosts.

use std::sync::Arc;

use url::Url;

use super::credentials::GitCredentials;
use super::remote::Remote;
use crate::fetch::{Fetcher, Rules};

/// Opens repositories of any host, each with the credentials of its host.
#[derive(Debug, Clone)]
pub struct Client {
    fetcher: Arc<Fetcher>,
    credentials: GitCredentials,
}

impl Client {
    /// Connects nothing yet. A host that has credentials may have a private address, since the operator named it.
    pub fn new(mut rules: Rules, credentials: GitCredentials) -> Self {
        rules.trusted.extend(credentials.hosts().map(str::to_owned));
        Self { fetcher: Arc::new(Fetcher::new(rules)), credentials }
    }

    /// A client without credentials.
    pub fn anonymous(rules: Rules) -> Self {
        Self::new(rules, GitCredentials::default())
    }

    /// Opens a repository; connects nothing yet.
    pub fn repository(&self, url: &Url) -> Remote {
        Remote::new(&self.fetcher, url.clone(), self.credentials.authorization(url))
    }

    /// The fetcher, for what is not in a Git repository. It sends no credentials.
    pub fn fetcher(&self) -> &Arc<Fetcher> {
        &self.fetcher
    }
}
