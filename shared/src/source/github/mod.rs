//! A registry repository on GitHub or on a GitHub Enterprise server.
//!
//! - [`GitHubRepository`]: its address, parsed from what people write
//! - `access`: authentication; `call`: one call, within its limits; `api`: calls with retries
//! - `tarball`: the whole tree; `compare`: which files differ; `listing`: all names, and a few files
//! - `history`: dates; `status`: what became of a commit, told to GitHub

#![warn(clippy::arithmetic_side_effects)]

mod access;
mod api;
mod call;
mod compare;
mod history;
mod listing;
mod repository;
mod status;
mod tarball;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::sync::Mutex;

pub use access::{AppKey, Credentials, InvalidAppKey};
pub use listing::ListedFile;
pub use repository::{GitHubRepository, InvalidRepository};
pub use status::CommitState;

use self::api::Api;
use self::call::{Call, unavailable};
use self::repository::encode_path;
use super::{Comparison, File, Relation, Scope, Source, SourceError, Tree, TreePath};
use crate::digest::CommitSha;
use crate::timestamp::Timestamp;

/// Time for one call, further attempts included: a refresh answers after 25 s.
const BUDGET: Duration = Duration::from_secs(20);

/// Most files that are fetched one by one, eight at a time; a tarball of a whole repository takes about as long.
const FEW_FILES: usize = 64;

/// A registry repository on GitHub.
#[derive(Debug)]
pub struct GitHubSource {
    api: Api,
    url: String,
    default_branch: Mutex<Option<String>>,
    /// The last head seen, with its ETag. GitHub does not count an answer of 304 against the rate limit.
    seen: Mutex<Option<(HeaderValue, CommitSha)>>,
    statuses_are_off: AtomicBool,
}

impl GitHubSource {
    /// Connects nothing yet. Must be called within a Tokio runtime.
    ///
    /// `api_url` replaces the usual place of the repository's REST API; it must be https, or http on the own machine.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] when `api_url` or the token cannot be used.
    pub fn new(
        repository: GitHubRepository,
        api_url: Option<&str>,
        credentials: Credentials,
    ) -> Result<Self, SourceError> {
        let usual = repository.api_url();
        let url = repository.url();
        let api = Api::new(repository, api_url.unwrap_or(&usual), credentials, BUDGET)?;
        Ok(Self {
            api,
            url,
            default_branch: Mutex::default(),
            seen: Mutex::default(),
            statuses_are_off: AtomicBool::new(false),
        })
    }

    /// The same source with another time for each call, further attempts and waits included; 20 s otherwise. A tarball gets
    /// three times as much.
    pub fn with_budget(self, budget: Duration) -> Self {
        Self { api: self.api.with_budget(budget), ..self }
    }

    /// The address.
    pub fn repository(&self) -> &GitHubRepository {
        self.api.repository()
    }

    /// The monitored branch: that of the address, else the repository's default branch.
    ///
    /// API: "Get a repository" (<https://docs.github.com/en/rest/repos/repos>), once.
    ///
    /// # Errors
    /// [`SourceError`] when GitHub does not tell.
    pub async fn branch(&self) -> Result<String, SourceError> {
        #[derive(Deserialize)]
        struct Repository {
            default_branch: String,
        }
        if let Some(branch) = self.api.repository().branch() {
            return Ok(branch.to_owned());
        }
        let mut known = self.default_branch.lock().await;
        if let Some(branch) = &*known {
            return Ok(branch.clone());
        }
        let call = Call::get(&self.url, self.api.repository_route(""));
        let Repository { default_branch } = self.api.call(call).await?.json(&self.url)?;
        Ok(known.insert(default_branch).clone())
    }

    /// The files at a commit that [`Tree::wants`], by name, in one call. None when there are too many for GitHub to list.
    ///
    /// # Errors
    /// [`SourceError::Refused`] when one is a link or too large.
    pub async fn listing(&self, commit: &CommitSha) -> Result<Option<BTreeMap<TreePath, ListedFile>>, SourceError> {
        listing::list(&self.api, commit).await
    }

    /// The contents of a few files of a listing, one call each.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] when a blob is not in the repository.
    pub async fn files(
        &self,
        listed: &BTreeMap<TreePath, ListedFile>,
    ) -> Result<BTreeMap<TreePath, File>, SourceError> {
        listing::fetch(&self.api, listed).await
    }

    /// Shows a state at a commit on GitHub. Does nothing without the permission to, which is logged once.
    ///
    /// `description` is shortened to 140 characters.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] when GitHub does not take it for another reason.
    pub async fn report_status(
        &self,
        commit: &CommitSha,
        state: CommitState,
        description: &str,
        target_url: Option<&str>,
    ) -> Result<(), SourceError> {
        status::report(&self.api, &self.statuses_are_off, commit, state, description, target_url).await
    }

    /// API: "Get a reference" (<https://docs.github.com/en/rest/git/refs>).
    async fn branch_head(&self, branch: &str) -> Result<CommitSha, SourceError> {
        #[derive(Deserialize)]
        struct Reference {
            r#ref: String,
            object: Object,
        }
        #[derive(Deserialize)]
        struct Object {
            sha: CommitSha,
        }
        let what = format!("the branch {branch} of {}", self.url);
        let mut call = Call::get(&what, self.api.repository_route(&format!("/git/ref/heads/{}", encode_path(branch))));
        let seen = self.seen.lock().await.clone();
        if let Some((etag, _)) = &seen {
            call = call.with(header::IF_NONE_MATCH, etag.clone());
        }
        let answer = self.api.call(call).await?;
        if let (StatusCode::NOT_MODIFIED, Some((_, commit))) = (answer.status(), seen) {
            return Ok(commit);
        }
        let reference: Reference = answer.json(&what)?;
        if reference.r#ref != format!("refs/heads/{branch}") {
            return Err(unavailable(&what, format!("GitHub answered with {}", reference.r#ref)));
        }
        let commit = reference.object.sha;
        *self.seen.lock().await = answer.header(header::ETAG).map(|etag| (etag.clone(), commit.clone()));
        Ok(commit)
    }
}

impl Source for GitHubSource {
    fn url(&self) -> &str {
        &self.url
    }

    async fn head(&self) -> Result<CommitSha, SourceError> {
        let branch = self.branch().await?;
        let head = self.branch_head(&branch).await;
        if let Err(SourceError::NotFound(_)) = head {
            // It may have been renamed; the next look asks for its name again.
            self.default_branch.lock().await.take();
        }
        head
    }

    async fn tree(&self, commit: &CommitSha) -> Result<Tree, SourceError> {
        tarball::download(&self.api, commit).await
    }

    /// One call for the list of files and one for each file, as long as they are few.
    async fn part(&self, commit: &CommitSha, scope: &Scope) -> Result<Option<Tree>, SourceError> {
        let Some(mut listed) = self.listing(commit).await? else { return Ok(None) };
        listed.retain(|path, _| scope.wants(path.as_str()));
        if listed.len() > FEW_FILES {
            return Ok(None);
        }
        let mut tree = Tree::default();
        for (path, file) in self.files(&listed).await? {
            tree.insert(path, file)?;
        }
        Ok(Some(tree))
    }

    /// None of the files when 300 or more changed, or the target does not descend from the base: GitHub does not tell them.
    async fn compare(&self, base: &CommitSha, target: &CommitSha) -> Result<Comparison, SourceError> {
        if base == target {
            return Ok(Comparison { relation: Relation::Same, changed: Some(BTreeSet::new()) });
        }
        compare::compare(&self.api, base, target).await
    }

    async fn last_modified(
        &self,
        commit: &CommitSha,
        paths: &[String],
    ) -> Result<BTreeMap<String, Timestamp>, SourceError> {
        history::last_modified(&self.api, commit, paths).await
    }
}
