//! Authentication of triggers: a Git host with a signed webhook, or a workflow of the registry
//! repository with an OIDC token.
//!
//! - [`webhook`]: the checks of webhooks
//! - [`oidc`]: the token of a workflow
//! - [`gate`]: the choice between the two
//! - [`keys`]: the public keys of the tokens

pub mod gate;
pub mod keys;
pub mod oidc;
pub mod webhook;

/// The reason for rejecting a caller, for the log only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The caller is unknown (401).
    #[error("not authenticated: {0}")]
    Unauthenticated(&'static str),
    /// The caller is known and not permitted (403).
    #[error("not permitted: {0}")]
    Forbidden(&'static str),
    /// The identity of the caller cannot be verified now (503).
    #[error("the caller's identity could not be verified: {0}")]
    Undecided(String),
}
