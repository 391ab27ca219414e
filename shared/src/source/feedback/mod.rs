//! Feedback to authors on their Git host: the outcome at a commit, and one comment on a proposal.
//!
//! - [`Feedback`]: that of one repository, on any host; start here
//! - [`CommitStatus`]: an outcome, in `status`
//! - `table`: the APIs of the hosts, a row each; `rest`: calls of them with `STATUS_TOKEN`

mod rest;
mod status;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;

use self::rest::Rest;
use self::status::shortened;
pub use self::status::{CommitState, CommitStatus, StatusContext};
use self::table::{ApiAnswer, GITHUB, HostApi, Write, message};
pub use self::table::{InvalidStatusToken, check_token};
use super::SourceError;
use super::github::GitHub;
use crate::digest::CommitSha;
use crate::git::RepositoryUrl;
use crate::secret::Secret;

/// The statuses and comments on a repository's host. Nothing is written without credentials, or when they lack a permission, which is
/// logged once.
#[derive(Debug)]
pub struct Feedback {
    /// The URL of the repository.
    repository: String,
    client: FeedbackClient,
    statuses_are_off: AtomicBool,
    comments_are_off: AtomicBool,
}

#[derive(Debug)]
enum FeedbackClient {
    /// With the credentials for GitHub's API.
    GitHub(Arc<GitHub>),
    /// With `STATUS_TOKEN`.
    Rest(Rest),
}

impl Feedback {
    /// Creates the feedback of a repository on GitHub, with the credentials for its API.
    pub fn on_github(github: Arc<GitHub>) -> Self {
        Self::new(github.url().to_owned(), FeedbackClient::GitHub(github))
    }

    /// Creates the feedback of a repository on another host. `token` is a secret `KIND:TOKEN`. Connects nothing yet.
    ///
    /// # Errors
    /// [`SourceError::Setting`] when the repository's URL is plain HTTP to another machine, which would show the token to the
    /// network, or there is no TLS.
    pub fn with_token(repository: &RepositoryUrl, token: Secret) -> Result<Self, SourceError> {
        let url = repository.url().as_str().to_owned();
        Ok(Self::new(url, FeedbackClient::Rest(Rest::new(repository, token)?)))
    }

    /// The same with another time for each call with a token, further attempts included; 20 s otherwise.
    pub fn with_budget(self, budget: Duration) -> Self {
        let client = match self.client {
            FeedbackClient::Rest(rest) => FeedbackClient::Rest(rest.with_budget(budget)),
            github => github,
        };
        Self { client, ..self }
    }

    fn new(repository: String, client: FeedbackClient) -> Self {
        Self { repository, client, statuses_are_off: AtomicBool::default(), comments_are_off: AtomicBool::default() }
    }

    /// Shows a status at a commit.
    ///
    /// # Errors
    /// [`SourceError`] when the host does not take it for another reason than a missing permission.
    pub async fn report(&self, commit: &CommitSha, status: &CommitStatus<'_>) -> Result<(), SourceError> {
        let what = format!("the status of {} in {}", commit.short(), self.repository);
        let description = shortened(status.description);
        let status = CommitStatus { description: &description, ..*status };
        let call = |api: &HostApi| Some(api.status(commit, &status, &self.repository));
        let Some((api, answer)) = self.write(&what, call).await? else { return Ok(()) };
        match answer.status() {
            status if status.is_success() => Ok(()),
            // GitLab refuses a state that the commit has already.
            StatusCode::BAD_REQUEST if message(answer.body()).contains("Cannot transition status") => Ok(()),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                self.denied(&self.statuses_are_off, "commit statuses", api.permission);
                Ok(())
            }
            _ => Err(unexpected(&what, api, &answer)),
        }
    }

    /// Writes a comment on a proposal, in place of the one with a known number if that is still there: a text by which one could be
    /// found, anybody can write. Returns the number of the comment; `None` when nothing may be written, or the host has no such API.
    ///
    /// # Errors
    /// [`SourceError`] when the host does not take it for another reason than a missing permission.
    pub async fn comment(&self, proposal: u64, known: Option<u64>, text: &str) -> Result<Option<u64>, SourceError> {
        #[derive(Deserialize)]
        struct Comment {
            id: u64,
        }
        let what = format!("the comment on proposal {proposal} of {}", self.repository);
        let mut answered = None;
        if let Some(id) = known {
            answered = self.write(&what, |api| Some(api.comments.as_ref()?.change(proposal, id, text))).await?;
            if matches!(&answered, Some((_, answer)) if answer.status().is_success()) {
                return Ok(known);
            }
            // Somebody removed it.
            answered = answered.filter(|(_, answer)| answer.status() != StatusCode::NOT_FOUND);
        }
        if answered.is_none() {
            answered = self.write(&what, |api| Some(api.comments.as_ref()?.create(proposal, text))).await?;
        }
        let Some((api, answer)) = answered else { return Ok(None) };
        match answer.status() {
            status if status.is_success() => serde_json::from_slice(answer.body())
                .map(|Comment { id }| Some(id))
                .map_err(|error| SourceError::not_written(what, format!("unexpected answer: {error}"))),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let permission = api.comments.as_ref().map(|comments| comments.permission).unwrap_or_default();
                self.denied(&self.comments_are_off, "comments on proposals", permission);
                Ok(None)
            }
            _ => Err(unexpected(&what, api, &answer)),
        }
    }

    /// Makes a call of the host's API. `None` without credentials, or when the API has no such call.
    async fn write(
        &self,
        what: &str,
        call: impl Fn(&HostApi) -> Option<Write>,
    ) -> Result<Option<ApiAnswer>, SourceError> {
        let answered = match &self.client {
            FeedbackClient::GitHub(github) => match call(&GITHUB).filter(|_| !github.is_anonymous()) {
                Some(Write { method, path, body }) => {
                    github.write(what, method, &path, body).await.map(|answer| Some((&GITHUB, answer)))
                }
                None => Ok(None),
            },
            FeedbackClient::Rest(rest) => rest.write(what, call).await,
        };
        answered.map_err(|error| error.on_write(what))
    }

    fn denied(&self, is_off: &AtomicBool, subject: &str, permission: &str) {
        if !is_off.swap(true, Ordering::Relaxed) {
            tracing::warn!(repository = self.repository, "{subject} are off: the credentials lack {permission}");
        }
    }
}

fn unexpected(what: &str, api: &HostApi, answer: &Response<Bytes>) -> SourceError {
    let (code, message) = (answer.status().as_u16(), message(answer.body()));
    SourceError::not_written(what, format!("{} answered {code} {message}", api.title).trim_end())
}
