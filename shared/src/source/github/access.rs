//! The credentials of calls: none, a token, or those of a GitHub App.

use std::fmt;

use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use octocrab::Octocrab;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::call::{Answer, Call, Failure, Repository, chain, once};
use crate::source::SourceError;
use crate::timestamp::Timestamp;

/// How long before its end a token is no longer used, in seconds: longer than any call takes.
const SPARE_SECONDS: i64 = 120;

/// Credentials for GitHub. `Debug` shows the kind alone.
#[derive(Clone)]
pub enum Credentials {
    /// Nothing: public repositories, 60 calls an hour.
    Anonymous,
    /// A personal access token, or the token of a workflow.
    Token(String),
    /// A GitHub App; its installation is looked up.
    App(AppKey),
}

/// The id and the private key of a GitHub App.
#[derive(Clone)]
pub struct AppKey {
    id: String,
    key: EncodingKey,
}

/// How long an App may be named by one of its own tokens, in seconds; GitHub permits ten minutes.
const APP_TOKEN_SECONDS: i64 = 540;

/// How far GitHub's clock may be behind, in seconds.
const CLOCK_SECONDS: i64 = 60;

/// Why an [`AppKey`] was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAppKey {
    /// Neither a number nor a client id.
    #[error(
        "the id of the GitHub App is neither an App ID (digits) nor a client ID (it begins with Iv); the App's settings show both"
    )]
    Id,
    /// Not a key.
    #[error(
        "the private key of the GitHub App is not an RSA key in PEM; use the file that GitHub generated for the App"
    )]
    Key,
}

impl AppKey {
    /// Takes the App's id or its client id, and the text of its `.pem` file.
    ///
    /// # Errors
    /// [`InvalidAppKey`] names the part that is wrong.
    pub fn parse(id: &str, pem: &str) -> Result<Self, InvalidAppKey> {
        let id = id.trim();
        let is_app = (1..=20).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
        let is_client = id.len() <= 64
            && id.starts_with("Iv")
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if !is_app && !is_client {
            return Err(InvalidAppKey::Id);
        }
        // Environment variables often carry the line ends of the file as `\n`.
        let pem = pem.replace("\\n", "\n");
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| InvalidAppKey::Key)?;
        Ok(Self { id: id.to_owned(), key })
    }

    /// A token by which the App names itself ("Generating a JSON Web Token (JWT) for a GitHub App"; either id may be the issuer).
    fn token(&self) -> Result<String, jsonwebtoken::errors::Error> {
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({ "iss": self.id, "iat": now.saturating_sub(CLOCK_SECONDS), "exp": now.saturating_add(APP_TOKEN_SECONDS) });
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Token(_) => f.write_str("Token(..)"),
            Self::App(key) => f.debug_tuple("App").field(key).finish(),
        }
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Uses a token, unless it cannot stand in a header.
pub(in crate::source) fn with_plain<T>(token: &str, with: impl FnOnce(&str) -> Option<T>) -> Result<T, SourceError> {
    let is_plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then(|| with(token)).flatten().ok_or_else(|| {
        let reason = "GITHUB_TOKEN has characters that no token has; set it again without quotes or spaces";
        SourceError::unavailable("the configuration of GitHub", reason)
    })
}

/// The clients that calls are made with.
pub(super) enum Access {
    /// No credentials.
    Anonymous(Octocrab),
    /// A token that does not change.
    Token(Octocrab),
    /// An App and the token of its installation, which GitHub gives for an hour.
    App { client: Octocrab, key: AppKey, installed: Box<Mutex<Option<Installed>>> },
}

/// The token of an installation.
#[derive(Clone)]
pub(in crate::source) struct InstallationToken(pub(in crate::source) String);

/// A client with the token of an installation.
pub(super) struct Installed {
    client: Octocrab,
    token: InstallationToken,
    expires_at: jiff::Timestamp,
}

impl Access {
    /// Fails when the token cannot stand in a header.
    pub(super) fn new(client: Octocrab, credentials: Credentials) -> Result<Self, SourceError> {
        match credentials {
            Credentials::Anonymous => Ok(Self::Anonymous(client)),
            Credentials::Token(token) => {
                with_plain(token.trim(), |t| client.user_access_token(t).ok()).map(Self::Token)
            }
            Credentials::App(key) => Ok(Self::App { client, key, installed: Box::default() }),
        }
    }

    /// The client for the next call.
    pub(super) async fn client(&self, repository: &Repository) -> Result<Octocrab, Failure> {
        match self {
            Self::Anonymous(client) | Self::Token(client) => Ok(client.clone()),
            Self::App { .. } => Ok(self.installed(repository).await?.0),
        }
    }

    /// The token of the installation, for other protocols than the API.
    pub(super) async fn token(&self, repository: &Repository) -> Result<InstallationToken, Failure> {
        Ok(self.installed(repository).await?.1)
    }

    async fn installed(&self, repository: &Repository) -> Result<(Octocrab, InstallationToken), Failure> {
        let Self::App { client, key, installed } = self else {
            return Err(Failure::Final(SourceError::unavailable(&repository.url, "there is no GitHub App")));
        };
        let mut installed = installed.lock().await;
        let soon = jiff::Timestamp::now().as_second().saturating_add(SPARE_SECONDS);
        if let Some(known) = installed.as_ref().filter(|known| known.expires_at.as_second() > soon) {
            return Ok((known.client.clone(), known.token.clone()));
        }
        let of_app = |reason: String| Failure::Final(SourceError::unavailable(&repository.url, reason));
        let token = key.token().map_err(|error| of_app(format!("cannot sign a token of the GitHub App: {error}")))?;
        let app = client.user_access_token(token).map_err(|error| of_app(chain(&error)))?;
        let fresh = installed.insert(install(&app, repository).await?);
        Ok((fresh.client.clone(), fresh.token.clone()))
    }

    /// Forgets a token that GitHub refused. Tells whether there is any use in another attempt.
    pub(super) async fn refused(&self) -> bool {
        match self {
            Self::Anonymous(_) | Self::Token(_) => false,
            Self::App { installed, .. } => installed.lock().await.take().is_some(),
        }
    }
}

/// Finds the installation of the App on the repository and gets a token for this repository alone.
///
/// API: "Get a repository installation for the authenticated app", "Create an installation access token for an app"
/// (<https://docs.github.com/en/rest/apps/apps>). The first redirects from former names of the repository, the second refuses them;
/// then the repository is named by its number.
async fn install(app: &Octocrab, repository: &Repository) -> Result<Installed, Failure> {
    /// An installation or a repository.
    #[derive(Deserialize)]
    struct Found {
        id: u64,
    }
    let what = format!("the installation of the GitHub App on {}", repository.url);
    let found = once(app, &Call::get(&what, repository.route("/installation"))).await?;
    let Found { id } = found.json(&what).map_err(|error| match error {
        SourceError::NotFound(what) => {
            Failure::Final(SourceError::unavailable(&what, "the App is not installed there"))
        }
        error => Failure::Final(error),
    })?;
    let route = repository.api_route(&format!("/app/installations/{id}/access_tokens"));
    let by_name = json!({ "repositories": [repository.name] });
    let mut given = once(app, &Call::post(&what, route.clone(), by_name)).await?;
    if given.status() == StatusCode::UNPROCESSABLE_ENTITY {
        let metadata = json!({ "permissions": { "metadata": "read" } });
        let reader = once(app, &Call::post(&what, route.clone(), metadata)).await?;
        let reader = installed(app, &what, &reader)?;
        let found = once(&reader.client, &Call::get(&what, repository.route(""))).await?;
        let Found { id } = found.json(&what).map_err(Failure::Final)?;
        given = once(app, &Call::post(&what, route, json!({ "repository_ids": [id] }))).await?;
    }
    installed(app, &what, &given)
}

fn installed(app: &Octocrab, what: &str, given: &Answer) -> Result<Installed, Failure> {
    #[derive(Deserialize)]
    struct Token {
        token: String,
        expires_at: Timestamp,
    }
    let Token { token, expires_at } = given.json(what).map_err(Failure::Final)?;
    let client = app
        .user_access_token(token.clone())
        .map_err(|_| Failure::Final(SourceError::unavailable(what, "the token is not a header value")))?;
    Ok(Installed { client, token: InstallationToken(token), expires_at: expires_at.instant() })
}
