//! Callers that may cause a refresh: a Git host with a signed webhook, or a workflow of the registry repository with an OIDC token.
//!
//! - [`webhook`]: the checks of webhooks
//! - [`oidc`]: the token of a workflow
//! - [`gate`]: which of the two a request comes with
//! - [`keys`]: the keys that such tokens are checked with

pub mod gate;
pub mod keys;
pub mod oidc;
pub mod webhook;

/// Why a caller is turned away. The reasons are for the log; the answer must not tell them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody knows who this is (401).
    #[error("not authenticated: {0}")]
    Unauthenticated(&'static str),
    /// It is known who this is, and that is not enough (403).
    #[error("not permitted: {0}")]
    Forbidden(&'static str),
    /// It cannot be found out now (503).
    #[error("it cannot be found out who this is: {0}")]
    Undecided(String),
}
