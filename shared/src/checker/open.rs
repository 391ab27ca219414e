//! Registry repositories by the folder or URL that people write.

use crate::environment::Environment;
use crate::fetch::Rules;
use crate::git::{Client, GitCredentials, RepositoryUrl};
use crate::secret::Secret;
use crate::settings;
use crate::source::github::check_token;
use crate::source::{GitAccess, GitSource};

/// Whether a text names a repository on another machine, not a folder.
pub fn is_url(registry: &str) -> bool {
    registry.contains("://") || registry.contains('@')
}

/// Opens registry repositories, with the credentials and the rules of fetches that the environment has.
#[derive(Debug)]
pub struct Opener {
    rules: Rules,
    token: Option<Secret>,
    credentials: GitCredentials,
}

impl Opener {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// When a variable is malformed.
    pub fn of_process() -> anyhow::Result<Self> {
        let mut environment = Environment::of_process();
        let rules = Rules::from_environment(&mut environment);
        let token = Secret::from_environment(&mut environment, &settings::GITHUB_TOKEN, check_token);
        let credentials = GitCredentials::from_environment(&mut environment);
        environment.finish()?;
        Ok(Self { rules, token, credentials })
    }

    /// Reads the upstream content of repositories.
    pub fn client(&self) -> Client {
        Client::new(self.rules.clone(), self.credentials.clone())
    }

    /// Opens a repository on a Git host.
    pub fn git(&self, repository: RepositoryUrl) -> GitSource {
        let access = match &self.token {
            Some(token) => GitAccess::Token(token.clone()),
            None => GitAccess::of_host(&self.credentials, &repository),
        };
        GitSource::new(repository, access)
    }
}
