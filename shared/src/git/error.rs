//! Why a Git repository could not be read.

use crate::fetch::FetchError;

/// A repository that could not be read. It names the host, never the URL, which may hold a secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitError {
    /// The host failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The host answered something else than version 2 of the protocol.
    #[error("{host} does not speak version 2 of the Git protocol: {reason}")]
    Protocol {
        /// The host.
        host: String,
        /// The fault of its answer.
        reason: &'static str,
    },
    /// The host refused, with a reason of its own.
    #[error("{host} refused the request: {reason}")]
    Refused {
        /// The host.
        host: String,
        /// Its reason, cut to 200 characters.
        reason: String,
    },
    /// The host does not have a commit, or not yet.
    #[error("{host}: the repository does not have the commit")]
    NoSuchCommit {
        /// The host.
        host: String,
    },
    /// There is no such branch or tag.
    #[error("{host}: the repository has no branch or tag `{name}`")]
    NoSuchRevision {
        /// The host.
        host: String,
        /// The branch or tag.
        name: String,
    },
    /// The repository has no commit.
    #[error("{0}: the repository has no commit")]
    Empty(String),
    /// An object cannot be read.
    #[error("object {id} cannot be read: {reason}")]
    Object {
        /// Its id, or the name of the pack.
        id: String,
        /// The fault.
        reason: String,
    },
    /// There is no folder of this name at the commit.
    #[error("the repository has no folder `{0}`")]
    NoSuchFolder(String),
    /// The objects take longer to read than there is time.
    #[error("the repository takes too long to read")]
    Slow,
    /// The repository has more than this software reads.
    #[error("the repository has more than {limit} {unit}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// The unit that is counted.
        unit: &'static str,
    },
    /// The temporary folder failed.
    #[error("cannot write to the temporary folder: {0}")]
    Temporary(String),
}

impl GitError {
    /// Whether a later attempt may succeed without a change of the repository or of its URL.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_temporary(),
            // A host that is overloaded, or has not stored a push everywhere yet, says so in its own words.
            Self::Protocol { .. } | Self::Refused { .. } | Self::NoSuchCommit { .. } => true,
            Self::Slow | Self::Temporary(_) => true,
            Self::NoSuchRevision { .. } | Self::Empty(_) | Self::NoSuchFolder(_) => false,
            Self::Object { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// The same in words that everybody may read: the host that was asked for, and none of the words of a server or library.
    pub fn public(&self) -> String {
        match self {
            Self::Fetch(error) => error.public(),
            Self::Refused { host, .. } => format!("{host}: it refused"),
            Self::Object { id, .. } => format!("object {id} cannot be read"),
            Self::Temporary(_) => "the temporary folder failed".to_owned(),
            error => error.to_string(),
        }
    }

    pub(super) fn temporary(error: &std::io::Error) -> Self {
        Self::Temporary(error.to_string())
    }

    pub(crate) fn object(id: impl ToString, reason: impl ToString) -> Self {
        Self::Object { id: id.to_string(), reason: reason.to_string() }
    }
}
