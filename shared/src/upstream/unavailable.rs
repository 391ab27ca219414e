//! Why something from another host is missing.

use std::io;

use crate::git::GitError;
use crate::starter::RemoteError;

/// Why something from another host is missing, in words that everybody may read.
#[derive(Debug, Clone)]
pub(super) struct Unavailable {
    pub(super) reason: String,
    /// Whether a retry may succeed without a change in the repository.
    pub(super) is_temporary: bool,
}

impl Unavailable {
    pub(super) fn lasting(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), is_temporary: false }
    }

    pub(super) fn temporary(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), is_temporary: true }
    }

    /// The temporary folder failed.
    pub(super) fn not_stored(error: &io::Error) -> Self {
        tracing::warn!(%error, "the temporary folder failed");
        Self::temporary("the temporary folder failed")
    }
}

impl From<GitError> for Unavailable {
    fn from(error: GitError) -> Self {
        Self { reason: error.public(), is_temporary: error.is_temporary() }
    }
}

impl From<RemoteError> for Unavailable {
    fn from(error: RemoteError) -> Self {
        tracing::info!(%error, "a fetch failed");
        Self { reason: error.public(), is_temporary: !error.is_lasting() }
    }
}
