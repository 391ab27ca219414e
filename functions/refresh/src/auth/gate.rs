//! The gate: every request from outside passes it or is told nothing.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::Timestamp;

use super::Denied;
use super::keys::Discovery;
use super::oidc::{Caller, OidcVerifier};
use super::webhook::WebhookSecret;

/// Header of GitHub's signature.
const SIGNATURE: &str = "x-hub-signature-256";

/// Who may come in.
#[derive(Debug, Default)]
pub struct Access {
    /// What GitHub signs webhooks with.
    pub secret: Option<WebhookSecret>,
    /// Which workflows may call.
    pub workflows: Option<OidcVerifier<Discovery>>,
}

/// Checks requests.
#[derive(Debug)]
pub(crate) struct Gate {
    access: Access,
}

/// How a request wants to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    /// By the signature of its body.
    Signature(&'a str),
    /// By the token of a workflow.
    Token(&'a str),
}

impl Gate {
    pub(crate) fn new(access: Access) -> Self {
        Self { access }
    }

    /// What a request carries, before its body is read.
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when it carries nothing that could be good here.
    pub(crate) fn credential<'h>(&self, headers: &'h HeaderMap) -> Result<Credential<'h>, Denied> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        if let Some(signature) = text(SIGNATURE) {
            let known = self.access.secret.is_some();
            return if known {
                Ok(Credential::Signature(signature))
            } else {
                Err(Denied::Unauthenticated("no secret is set"))
            };
        }
        let token = text(AUTHORIZATION.as_str()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        match token {
            Some(token) if self.access.workflows.is_some() => Ok(Credential::Token(token)),
            Some(_) => Err(Denied::Unauthenticated("tokens of workflows are not configured")),
            None => Err(Denied::Unauthenticated("neither a signature nor a token")),
        }
    }

    /// Checks a signature over a body.
    pub(crate) fn verify_signature(&self, signature: &str, body: &[u8]) -> Result<(), Denied> {
        let secret = self.access.secret.as_ref().ok_or(Denied::Unauthenticated("no secret is set"))?;
        secret.verify(signature, body)
    }

    /// Checks the token of a workflow.
    pub(crate) async fn verify_token(&self, token: &str) -> Result<Caller, Denied> {
        let workflows = self.access.workflows.as_ref();
        let workflows = workflows.ok_or(Denied::Unauthenticated("tokens of workflows are not configured"))?;
        workflows.verify(token, Timestamp::now()).await
    }
}
