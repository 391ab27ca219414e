//! Authentication at GitHub: none, a token, or a GitHub App.

use std::fmt;

use octocrab::Octocrab;
use octocrab::auth::EncodingKey;
use octocrab::models::AppId;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::call::{Call, Failure, Routes, once, unavailable};
use crate::source::SourceError;
use crate::timestamp::Timestamp;

/// How long before its end a token is no longer used, in seconds: longer than any call takes.
const SPARE_SECONDS: i64 = 120;

/// The credentials of a [`GitHubSource`](super::GitHubSource). `Debug` shows the kind alone.
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
    id: u64,
    key: EncodingKey,
}

/// Why an [`AppKey`] was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAppKey {
    /// Not a number.
    #[error("the id of the GitHub App is not a number; it is shown in the App's settings as \"App ID\"")]
    Id,
    /// Not a key.
    #[error(
        "the private key of the GitHub App is not an RSA key in PEM; use the file that GitHub generated for the App"
    )]
    Key,
}

impl AppKey {
    /// Takes the App's id and the text of its `.pem` file.
    ///
    /// # Errors
    /// [`InvalidAppKey`] names the part that is wrong.
    pub fn parse(id: &str, pem: &str) -> Result<Self, InvalidAppKey> {
        let id = id.trim().parse().map_err(|_| InvalidAppKey::Id)?;
        // Environment variables often carry the line ends of the file as `\n`.
        let pem = pem.replace("\\n", "\n");
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| InvalidAppKey::Key)?;
        Ok(Self { id, key })
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

/// The clients that calls are made with.
pub(super) enum Access {
    /// No credentials.
    Anonymous(Octocrab),
    /// A token that does not change.
    Token(Octocrab),
    /// An App and the token of its installation, which GitHub gives for an hour.
    App { app: Octocrab, installed: Box<Mutex<Option<Installed>>> },
}

/// A client with the token of an installation.
pub(super) struct Installed {
    client: Octocrab,
    expires_at: jiff::Timestamp,
}

impl Access {
    /// None when the token cannot stand in a header.
    pub(super) fn new(client: Octocrab, credentials: Credentials) -> Option<Self> {
        match credentials {
            Credentials::Anonymous => Some(Self::Anonymous(client)),
            Credentials::Token(token) => {
                let token = token.trim();
                let plain = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
                Some(Self::Token(plain.then(|| client.user_access_token(token).ok())??))
            }
            Credentials::App(_) => Some(Self::App { app: client, installed: Box::default() }),
        }
    }

    /// The client for the next call.
    pub(super) async fn client(&self, routes: &Routes) -> Result<Octocrab, Failure> {
        match self {
            Self::Anonymous(client) | Self::Token(client) => Ok(client.clone()),
            Self::App { app, installed } => {
                let mut installed = installed.lock().await;
                let soon = jiff::Timestamp::now().as_second().saturating_add(SPARE_SECONDS);
                match &*installed {
                    Some(known) if known.expires_at.as_second() > soon => Ok(known.client.clone()),
                    _ => {
                        let fresh = install(app, routes).await?;
                        let client = fresh.client.clone();
                        *installed = Some(fresh);
                        Ok(client)
                    }
                }
            }
        }
    }

    /// Forgets a token that GitHub refused. Tells whether there is any use in another attempt.
    pub(super) async fn refused(&self) -> bool {
        match self {
            Self::Anonymous(_) | Self::Token(_) => false,
            Self::App { installed, .. } => installed.lock().await.take().is_some(),
        }
    }
}

pub(super) fn app_of(credentials: &Credentials) -> Option<(AppId, EncodingKey)> {
    match credentials {
        Credentials::App(app) => Some((AppId(app.id), app.key.clone())),
        _ => None,
    }
}

/// Finds the installation of the App on the repository and gets a token for this repository alone.
///
/// API: "Get a repository installation for the authenticated app", "Create an installation access token for an app"
/// (<https://docs.github.com/en/rest/apps/apps>).
async fn install(app: &Octocrab, routes: &Routes) -> Result<Installed, Failure> {
    #[derive(Deserialize)]
    struct Installation {
        id: u64,
    }
    #[derive(Deserialize)]
    struct Token {
        token: String,
        expires_at: Timestamp,
    }
    let what = format!("the installation of the GitHub App on {}", routes.repository().url());
    let found = once(app, &Call::get(&what, routes.repository_route("/installation"))).await?;
    let Installation { id } = found.json(&what).map_err(|error| match error {
        SourceError::NotFound(what) => Failure::Final(unavailable(&what, "the App is not installed there")),
        error => Failure::Final(error),
    })?;
    let route = routes.rest(&format!("/app/installations/{id}/access_tokens"));
    let scope = json!({ "repositories": [routes.repository().name()] });
    let given = once(app, &Call::post(&what, route, scope)).await?;
    let Token { token, expires_at } = given.json(&what).map_err(Failure::Final)?;
    let client = app
        .user_access_token(token)
        .map_err(|_| Failure::Final(unavailable(&what, "the token is not a header value")))?;
    Ok(Installed { client, expires_at: expires_at.instant() })
}
