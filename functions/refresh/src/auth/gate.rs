//! The gate: every request from outside passes it or learns nothing.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use devfile_registry::secret::Secret;
use jiff::Timestamp;

use super::Denied;
use super::keys::Discovery;
use super::oidc::{Caller, OidcVerifier};
use super::webhook::{Proof, Scheme, WebhookSecret};

/// The permitted callers.
#[derive(Debug, Default)]
pub struct Access {
    /// The secret of the webhook signatures.
    pub secret: Option<Secret>,
    /// The workflows that may call.
    pub workflows: Option<OidcVerifier<Discovery>>,
}

/// Checks requests.
#[derive(Debug)]
pub(crate) struct Gate {
    access: Access,
}

/// The credential of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    /// The proof of the body.
    Proof(Proof),
    /// The token of a workflow.
    Token(&'a str),
}

impl Gate {
    pub(crate) fn new(access: Access) -> Self {
        Self { access }
    }

    /// Returns the credential of a request before its body is read: a proof of one of these
    /// schemes, or a token. It must be the only one, well-formed, and of a configured kind.
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when the request has no such credential.
    pub(crate) fn credential<'h>(&self, headers: &'h HeaderMap, schemes: &[Scheme]) -> Result<Credential<'h>, Denied> {
        if let Some(proof) = self.proof(headers, schemes)? {
            return Ok(Credential::Proof(proof));
        }
        let authorization = only(headers, AUTHORIZATION.as_str())?;
        let authorization = authorization.ok_or(Denied::Unauthenticated("neither a signature nor a token"))?;
        match authorization.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                self.workflows().map(|_| Credential::Token(token.trim()))
            }
            _ => Err(Denied::Unauthenticated("no bearer token")),
        }
    }

    /// Returns the proof of a delivery before its body is read, or `None` when it has none of these
    /// schemes.
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when the proof is malformed, not the only credential, or no secret is set.
    pub(crate) fn proof(&self, headers: &HeaderMap, schemes: &[Scheme]) -> Result<Option<Proof>, Denied> {
        for scheme in schemes {
            let Some(value) = only(headers, scheme.header())? else { continue };
            if headers.contains_key(AUTHORIZATION) {
                return Err(Denied::Unauthenticated("a signature and a token"));
            }
            if self.access.secret.is_none() {
                return Err(Denied::Unauthenticated("no secret is set"));
            }
            return scheme.read(value, headers).map(Some);
        }
        Ok(None)
    }

    /// Checks the proof of a body.
    pub(crate) async fn verify_proof(&self, proof: &Proof, body: &[u8]) -> Result<(), Denied> {
        let secret = self.access.secret.as_ref().ok_or(Denied::Unauthenticated("no secret is set"))?;
        match webhook_secret(secret).await?.verify(proof, body) {
            // The host may already sign with a newer secret.
            Err(Denied::Unauthenticated(_)) if secret.is_renewed().await => {
                webhook_secret(secret).await?.verify(proof, body)
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

/// Reads the current secret.
async fn webhook_secret(secret: &Secret) -> Result<WebhookSecret, Denied> {
    let value = secret.value().await.map_err(|error| Denied::Undecided(error.to_string()))?;
    WebhookSecret::new(&value).map_err(|error| Denied::Undecided(error.to_string()))
}

/// Returns the value of a header that must not be repeated.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Denied> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Denied::Unauthenticated("more than one credential")),
        (value, None) => Ok(value.map(|value| value.to_str().unwrap_or_default())),
    }
}
