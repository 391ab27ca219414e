//! Commit statuses: the outcome of a commit, shown by its Git host.
//!
//! - [`CommitStatuses`]: those of one repository, on any host; start here
//! - `table`: the APIs of the hosts other than GitHub, a row each; `rest`: calls of them

mod rest;
mod table;

use std::sync::Arc;

pub use self::rest::RestStatuses;
pub use self::table::{InvalidStatusToken, check_token};
use super::SourceError;
pub use super::github::CommitState;
use super::github::GitHub;
use crate::digest::CommitSha;

/// The commit statuses of a repository.
#[derive(Debug)]
pub enum CommitStatuses {
    /// Those of GitHub, with the credentials for its API.
    GitHub(Arc<GitHub>),
    /// Those of another host, with `STATUS_TOKEN`.
    Rest(RestStatuses),
}

impl CommitStatuses {
    /// Shows a state at a commit. Does nothing without the permission to, which is logged once.
    ///
    /// `description` is shortened to 140 characters; `target_url` is the link behind it.
    ///
    /// # Errors
    /// [`SourceError`] when the host does not take it for another reason.
    pub async fn report(
        &self,
        commit: &CommitSha,
        state: CommitState,
        description: &str,
        target_url: Option<&str>,
    ) -> Result<(), SourceError> {
        match self {
            Self::GitHub(github) => github.report_status(commit, state, description, target_url).await,
            Self::Rest(statuses) => statuses.report(commit, state, description, target_url).await,
        }
    }
}
