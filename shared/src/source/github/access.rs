//! The credentials of calls: none, a token, or those of a GitHub App.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use octocrab::Octocrab;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::call::{Call, CallAnswer, CallFailure, GitHubRepository, chain, once};
use crate::secret::Secret;
use crate::source::SourceError;
use crate::timestamp::Timestamp;

/// Seconds before its end at which a token is no longer used: longer than any call takes.
const SPARE_SECONDS: i64 = 120;

/// Credentials for GitHub. `Debug` shows the kind alone.
#[derive(Clone)]
pub enum GitHubCredentials {
    /// Nothing: public repositories, 60 calls an hour.
    Anonymous,
    /// A personal access token, or the token of a workflow.
    Token(Secret),
    /// A GitHub App; its installation is looked up.
    App(AppKey),
}

/// The id and the private key of a GitHub App.
#[derive(Clone)]
pub struct AppKey {
    id: String,
    key: Secret,
}

/// The life of an App's own tokens, in seconds; GitHub permits ten minutes.
const APP_TOKEN_SECONDS: i64 = 540;

/// The seconds by which GitHub's clock may be behind.
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
        let app = Self::new(id, Secret::fixed("GITHUB_APP_KEY", pem))?;
        Self::check(pem).map(|()| app)
    }

    /// Takes the App's id or its client id, and its key, which is read when it is used.
    ///
    /// # Errors
    /// [`InvalidAppKey::Id`].
    pub fn new(id: &str, key: Secret) -> Result<Self, InvalidAppKey> {
        let id = id.trim();
        let is_app = (1..=20).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
        let is_client = id.len() <= 64
            && id.starts_with("Iv")
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if !is_app && !is_client {
            return Err(InvalidAppKey::Id);
        }
        Ok(Self { id: id.to_owned(), key })
    }

    /// Checks the text of a `.pem` file.
    ///
    /// # Errors
    /// [`InvalidAppKey::Key`].
    pub fn check(pem: &str) -> Result<(), InvalidAppKey> {
        Self::signing_key(pem).map(drop)
    }

    fn signing_key(pem: &str) -> Result<EncodingKey, InvalidAppKey> {
        // Environment variables often carry the line ends of the file as `\n`.
        let pem = pem.replace("\\n", "\n");
        EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| InvalidAppKey::Key)
    }

    /// A token by which the App names itself ("Generating a JSON Web Token (JWT) for a GitHub App"; either id may be the issuer).
    async fn token(&self) -> Result<String, String> {
        let pem = self.key.value().await.map_err(|error| error.to_string())?;
        let key = Self::signing_key(&pem).map_err(|error| error.to_string())?;
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({ "iss": self.id, "iat": now.saturating_sub(CLOCK_SECONDS), "exp": now.saturating_add(APP_TOKEN_SECONDS) });
        let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key);
        token.map_err(|error| format!("cannot sign a token of the GitHub App: {error}"))
    }
}

impl fmt::Debug for GitHubCredentials {
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
        SourceError::setting(reason)
    })
}

/// Checks that a token can stand in a header.
///
/// # Errors
/// [`SourceError::Setting`] when it cannot.
pub fn check_token(token: &str) -> Result<(), SourceError> {
    with_plain(token.trim(), |_| Some(()))
}

/// Reads a token.
pub(in crate::source) async fn token_value(token: &Secret) -> Result<Arc<str>, SourceError> {
    token.value().await.map_err(SourceError::setting)
}

/// The clients that calls are made with.
pub(super) enum AuthorizedClients {
    /// No credentials.
    Anonymous(Octocrab),
    /// A token.
    Token(Octocrab, Secret),
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

impl AuthorizedClients {
    pub(super) fn new(client: Octocrab, credentials: GitHubCredentials) -> Self {
        match credentials {
            GitHubCredentials::Anonymous => Self::Anonymous(client),
            GitHubCredentials::Token(token) => Self::Token(client, token),
            GitHubCredentials::App(key) => Self::App { client, key, installed: Box::default() },
        }
    }

    /// The client for the next call.
    pub(super) async fn client(&self, repository: &GitHubRepository) -> Result<Octocrab, CallFailure> {
        match self {
            Self::Anonymous(client) => Ok(client.clone()),
            Self::Token(client, token) => {
                let token = token_value(token).await.map_err(CallFailure::Final)?;
                with_plain(token.trim(), |token| client.user_access_token(token).ok()).map_err(CallFailure::Final)
            }
            Self::App { .. } => Ok(self.installed(repository).await?.0),
        }
    }

    /// The token of the installation, for other protocols than the API.
    pub(super) async fn token(&self, repository: &GitHubRepository) -> Result<InstallationToken, CallFailure> {
        Ok(self.installed(repository).await?.1)
    }

    async fn installed(&self, repository: &GitHubRepository) -> Result<(Octocrab, InstallationToken), CallFailure> {
        let Self::App { client, key, installed } = self else {
            return Err(CallFailure::Final(SourceError::unavailable(&repository.url, "there is no GitHub App")));
        };
        let mut installed = installed.lock().await;
        let soon = jiff::Timestamp::now().as_second().saturating_add(SPARE_SECONDS);
        if let Some(known) = installed.as_ref().filter(|known| known.expires_at.as_second() > soon) {
            return Ok((known.client.clone(), known.token.clone()));
        }
        let of_app = |reason: String| CallFailure::Final(SourceError::unavailable(&repository.url, reason));
        let as_app = async || {
            let token = key.token().await.map_err(of_app)?;
            client.user_access_token(token).map_err(|error| of_app(chain(&error)))
        };
        let mut app = install(&as_app().await?, repository).await;
        if matches!(app, Err(CallFailure::Final(_))) && key.key.is_renewed().await {
            app = install(&as_app().await?, repository).await;
        }
        let fresh = installed.insert(app?);
        Ok((fresh.client.clone(), fresh.token.clone()))
    }

    /// Forgets a token that GitHub refused. Tells whether there is any use in another attempt.
    pub(super) async fn refused(&self) -> bool {
        match self {
            Self::Anonymous(_) => false,
            Self::Token(_, token) => token.is_renewed().await,
            Self::App { installed, .. } => installed.lock().await.take().is_some(),
        }
    }
}

/// Finds the installation of the App on the repository and gets a token for this repository alone.
///
/// API: "Get a repository installation for the authenticated app", "Create an installation access token for an app"
/// (<https://docs.github.com/en/rest/apps/apps>). The first redirects from former names of the repository, the second refuses them;
/// then the repository is named by its number.
async fn install(app: &Octocrab, repository: &GitHubRepository) -> Result<Installed, CallFailure> {
    /// An installation or a repository.
    #[derive(Deserialize)]
    struct ApiObject {
        id: u64,
    }
    let what = format!("the installation of the GitHub App on {}", repository.url);
    let found = once(app, &Call::get(&what, repository.route("/installation"))).await?;
    let ApiObject { id } = found.json(&what).map_err(|error| match error {
        SourceError::NotFound(what) => {
            CallFailure::Final(SourceError::unavailable(&what, "the App is not installed there"))
        }
        error => CallFailure::Final(error),
    })?;
    let route = repository.api_route(&format!("/app/installations/{id}/access_tokens"));
    let by_name = json!({ "repositories": [repository.name] });
    let mut answer = once(app, &Call::post(&what, route.clone(), by_name)).await?;
    if answer.status() == StatusCode::UNPROCESSABLE_ENTITY {
        let metadata = json!({ "permissions": { "metadata": "read" } });
        let reader = once(app, &Call::post(&what, route.clone(), metadata)).await?;
        let reader = installed(app, &what, &reader)?;
        let found = once(&reader.client, &Call::get(&what, repository.route(""))).await?;
        let ApiObject { id } = found.json(&what).map_err(CallFailure::Final)?;
        answer = once(app, &Call::post(&what, route, json!({ "repository_ids": [id] }))).await?;
    }
    installed(app, &what, &answer)
}

fn installed(app: &Octocrab, what: &str, answer: &CallAnswer) -> Result<Installed, CallFailure> {
    #[derive(Deserialize)]
    struct TokenAnswer {
        token: String,
        expires_at: Timestamp,
    }
    let TokenAnswer { token, expires_at } = answer.json(what).map_err(CallFailure::Final)?;
    let client = app
        .user_access_token(token.clone())
        .map_err(|_| CallFailure::Final(SourceError::unavailable(what, "the token is not a header value")))?;
    Ok(Installed { client, token: InstallationToken(token), expires_at: expires_at.instant() })
}
