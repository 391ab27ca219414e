//! Permissions: tokens, and an App with its installation.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};

use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{self, Refusal};
use super::{Asked, GitHubState, lock};

/// The id of the stand-in's App.
pub const APP_ID: u64 = 1_234;

/// Its client id, which names it as well.
pub const CLIENT_ID: &str = "Iv23liAbCdEfGhIjKlMn";

/// The id of its installation on the repository.
const INSTALLATION: u64 = 77;

/// The permissions of callers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody may read; any token may write statuses.
    #[default]
    Public,
    /// Everybody may read; nobody may write statuses.
    ReadOnly,
    /// Only this token and those of the App's installation are good for anything.
    Private {
        /// The token.
        token: String,
    },
}

#[derive(Debug, Default)]
pub(super) struct Grants {
    pub(super) access: Access,
    pub(super) installation_tokens: HashSet<String>,
}

impl GitHubState {
    pub(super) fn is_private(&self) -> bool {
        matches!(lock(&self.grants).access, Access::Private { .. })
    }

    /// The same over Git's protocol, where GitHub asks for credentials instead.
    pub(super) fn may_fetch(&self, asked: &Asked) -> Result<(), Refusal> {
        self.may_read(asked).map_err(|_| unauthorized("Repository not found."))
    }

    /// A private repository is not there for others; a wrong token is refused.
    pub(super) fn may_read(&self, asked: &Asked) -> Result<(), Refusal> {
        let grants = lock(&self.grants);
        let token = bearer(asked);
        match (&grants.access, token) {
            (Access::Private { token }, Some(given))
                if *token == given || grants.installation_tokens.contains(&given) =>
            {
                Ok(())
            }
            (Access::Private { .. }, None) => Err(Refusal::not_found()),
            (Access::Private { .. }, Some(_)) => Err(unauthorized("Bad credentials")),
            (_, Some(given)) if given.starts_with("ghs_") && !grants.installation_tokens.contains(&given) => {
                Err(unauthorized("Bad credentials"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn may_write_statuses(&self, asked: &Asked) -> Result<(), Refusal> {
        bearer(asked).ok_or_else(Refusal::not_found)?;
        if lock(&self.grants).access == Access::ReadOnly {
            return Err(Refusal(StatusCode::FORBIDDEN, "Resource not accessible by integration".to_owned()));
        }
        Ok(())
    }

    /// "Get a repository installation for the authenticated app".
    pub(super) fn installation(&self, asked: &Asked) -> Result<Response, Refusal> {
        self.is_app(asked)?;
        Ok(reply::json(StatusCode::OK, &json!({ "id": INSTALLATION, "app_id": APP_ID })))
    }

    /// "Create an installation access token for an app".
    pub(super) fn give_token(&self, asked: &Asked, installation: &str) -> Result<Response, Refusal> {
        self.is_app(asked)?;
        if asked.method != Method::POST || installation != INSTALLATION.to_string() {
            return Err(Refusal::not_found());
        }
        let scope: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let own = self.name();
        let is_foreign = |names: &Vec<Value>| names.iter().any(|name| name.as_str() != Some(&own));
        let is_unknown = |ids: &Vec<Value>| ids.iter().any(|id| id.as_u64() != Some(self.repository_id));
        let by_name = scope["repositories"].as_array().is_some_and(is_foreign);
        if by_name || scope["repository_ids"].as_array().is_some_and(is_unknown) {
            let message = "There is at least one repository that does not exist or is not accessible";
            return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, message.to_owned()));
        }
        let token = random_token("ghs");
        lock(&self.grants).installation_tokens.insert(token.clone());
        let hour = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 3600).unwrap_or_default();
        Ok(reply::json(StatusCode::CREATED, &json!({ "token": token, "expires_at": hour.to_string() })))
    }

    /// The App signs a token with its own key, good for ten minutes at most.
    fn is_app(&self, asked: &Asked) -> Result<(), Refusal> {
        #[derive(Deserialize)]
        struct Claims {
            iss: Value,
            iat: i64,
            exp: i64,
        }
        let refused = || unauthorized("A JSON web token could not be decoded");
        let token = bearer(asked).ok_or_else(refused)?;
        let key = self.app.decoding()?;
        let claims = jsonwebtoken::decode::<Claims>(&token, &key, &Validation::new(Algorithm::RS256));
        let claims = claims.map_err(|_| refused())?.claims;
        let issued_by_app = [json!(APP_ID), json!(APP_ID.to_string()), json!(CLIENT_ID)].contains(&claims.iss);
        let now = jiff::Timestamp::now().as_second();
        if !issued_by_app || claims.iat > now || claims.exp > now + 600 {
            return Err(refused());
        }
        Ok(())
    }
}

/// A token that nobody guesses, for the life of a test.
pub(super) fn random_token(prefix: &str) -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{prefix}_{:016x}{:016x}", random(), random())
}

/// The token of a call: by itself, or over Git's protocol as the password of any user.
fn bearer(asked: &Asked) -> Option<String> {
    let value = asked.header(header::AUTHORIZATION);
    if let Some(basic) = value.strip_prefix("Basic ") {
        let decoded = String::from_utf8(BASE64_STANDARD.decode(basic).ok()?).ok()?;
        return Some(decoded.split_once(':')?.1.to_owned());
    }
    value.strip_prefix("Bearer ").or(value.strip_prefix("token ")).map(str::to_owned)
}

fn unauthorized(message: &str) -> Refusal {
    Refusal(StatusCode::UNAUTHORIZED, message.to_owned())
}
