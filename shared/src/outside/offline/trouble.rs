//! Why something was not fetched.

use std::io;

use crate::starter::RemoteError;

/// Why something was not fetched.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) reason: String,
    pub(super) chance: Chance,
}

/// Whether another try may go better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Chance {
    /// Something has to be corrected.
    Never,
    /// The host may answer.
    Later,
}

impl Trouble {
    pub(super) fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), chance: Chance::Never }
    }

    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), chance: Chance::Later }
    }

    pub(super) fn temporary(error: &io::Error) -> Self {
        tracing::warn!(%error, "the temporary folder failed");
        Self::passing("the temporary folder failed")
    }
}

impl From<RemoteError> for Trouble {
    fn from(error: RemoteError) -> Self {
        let chance = if error.is_lasting() { Chance::Never } else { Chance::Later };
        tracing::info!(%error, "a fetch failed");
        Self { reason: error.public(), chance }
    }
}
