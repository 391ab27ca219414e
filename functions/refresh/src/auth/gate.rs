//! The gate: every request from outside passes it or is told nothing.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use devfile_registry::secret::Secret;
use jiff::Timestamp;

use super::Denied;
use super::keys::Discovery;
use super::oidc::{Caller, OidcVerifier};
use super::webhook::{Signature, WebhookSecret};

/// Header of GitHub's signature.
const SIGNATURE: &str = "x-hub-signature-256";

/// Who may come in.
#[derive(Debug, Default)]
pub struct Access {
    /// What GitHub signs webhooks with.
    pub secret: Option<Secret>,
    /// Which workflows may call.
    pub workflows: Option<OidcVerifier<Discovery>>,
}

/// Checks requests.
#[derive(Debug)]
pub(crate) struct Gate {
    access: Access,
}

/// How a request wants to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    /// By the signature of its body.
    Signature(Signature),
    /// By the token of a workflow.
    Token(&'a str),
}

impl Gate {
    pub(crate) fn new(access: Access) -> Self {
        Self { access }
    }

    /// The credential of a request, before its body is read: the only one, well-formed, and of a kind that is configured.
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when it carries nothing that could be good here.
    pub(crate) fn credential<'h>(&self, headers: &'h HeaderMap) -> Result<Credential<'h>, Denied> {
        match (only(headers, SIGNATURE)?, only(headers, AUTHORIZATION.as_str())?) {
            (Some(_), Some(_)) => Err(Denied::Unauthenticated("a signature and a token")),
            (Some(_), None) if self.access.secret.is_none() => Err(Denied::Unauthenticated("no secret is set")),
            (Some(signature), None) => Signature::parse(signature).map(Credential::Signature),
            (None, Some(authorization)) => match authorization.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    self.workflows().map(|_| Credential::Token(token.trim()))
                }
                _ => Err(Denied::Unauthenticated("no bearer token")),
            },
            (None, None) => Err(Denied::Unauthenticated("neither a signature nor a token")),
        }
    }

    /// Checks a signature over a body.
    pub(crate) async fn verify_signature(&self, signature: &Signature, body: &[u8]) -> Result<(), Denied> {
        let secret = self.access.secret.as_ref().ok_or(Denied::Unauthenticated("no secret is set"))?;
        match webhook_secret(secret).await?.verify(signature, body) {
            // GitHub may sign with a newer one already.
            Err(Denied::Unauthenticated(_)) if secret.is_renewed().await => {
                webhook_secret(secret).await?.verify(signature, body)
            }
            verified => verified,
        }
    }

    /// Checks the token of a workflow.
    pub(crate) async fn verify_token(&self, token: &str) -> Result<Caller, Denied> {
        self.workflows()?.verify(token, Timestamp::now()).await
    }

    fn workflows(&self) -> Result<&OidcVerifier<Discovery>, Denied> {
        self.access.workflows.as_ref().ok_or(Denied::Unauthenticated("tokens of workflows are not configured"))
    }
}

/// The secret of now.
async fn webhook_secret(secret: &Secret) -> Result<WebhookSecret, Denied> {
    let value = secret.value().await.map_err(|error| Denied::Undecided(error.to_string()))?;
    WebhookSecret::new(&value).map_err(|error| Denied::Undecided(error.to_string()))
}

/// The value of a header that must not be repeated.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Denied> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Denied::Unauthenticated("more than one credential")),
        (value, None) => Ok(value.map(|value| value.to_str().unwrap_or_default())),
    }
}
