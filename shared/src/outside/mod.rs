//! What a registry repository takes from elsewhere: remote parents, versions in other Git repositories, devfiles of samples,
//! icons, and for [offline registries](offline) starter projects.
//!
//! This is the one step between repository and release that asks the network, so everything after it is pure again. What the
//! release before had is not fetched again, all that is new is fetched at once, within [`Rules`](crate::fetch::Rules) and a
//! time for the whole; what does not arrive is a warning, and stays as it was last published.

mod icons;
mod image;
pub mod offline;
mod parents;
mod remote;
mod samples;
mod versions;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::offline::{Keep, Known, Offline};
use crate::diagnostic::Severity;
use crate::environment::Environment;
use crate::fetch::{Answer, FetchError, Reason, Request, Rules};
use crate::git::{Client, GitCredentials, GitError};
use crate::limits;
use crate::public_url::PublicUrl;
use crate::release::{OfflineSettings, OfflineStacks, Pending, PendingReason, Plan, Release, Upstream};
use crate::repository::Repository;
use crate::starter::Remotes;
use crate::tree::Tree;
use crate::validate;

/// Time for everything from elsewhere; a refresh has 25 s.
const BUDGET: Duration = Duration::from_secs(10);

/// Time for one fetch.
const ONE: Duration = Duration::from_secs(5);

/// What a broken icon is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Icons {
    /// A warning.
    #[default]
    Lenient,
    /// An error: the entry stays as it was last published.
    Strict,
}

/// What is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// What a release has.
    Release(Icons),
    /// What the index has: neither icons nor devfiles of samples.
    Index,
}

/// Fetches what a repository takes from elsewhere.
#[derive(Debug)]
pub struct Outside {
    /// None: nothing is fetched.
    client: Option<Client>,
    wanted: Wanted,
    offline: Option<Offline>,
}

/// A repository with everything around it.
#[derive(Debug)]
pub struct Complete {
    /// The files, with those of versions that live in other Git repositories.
    pub tree: Tree,
    /// What they mean.
    pub repository: Repository,
    /// What other hosts gave beside files.
    pub upstream: Upstream,
    /// Parents on other hosts, as far as they were asked for.
    parents: BTreeMap<validate::Outside, validate::Found>,
}

impl Outside {
    /// Connects nothing yet.
    pub fn new(client: Client, icons: Icons) -> Self {
        Self { client: Some(client), wanted: Wanted::Release(icons), offline: None }
    }

    /// Publishes some stacks with all that their devfiles name elsewhere, by the registry's own URL.
    pub fn offline(self, stacks: OfflineStacks, public_url: &PublicUrl) -> Self {
        let settings = OfflineSettings { public_url: public_url.to_string(), stacks };
        let offline = self.client.clone().map(|client| Offline { settings, remotes: Remotes::new(client) });
        Self { offline, ..self }
    }

    /// Reads `FETCH`, `STRICT_ICONS`, `OFFLINE` with `PUBLIC_URL`, `GIT_CREDENTIALS`, and what [`Rules::from_environment`] reads.
    pub fn from_environment(environment: &mut Environment) -> Self {
        let fetch = environment.or("FETCH", "true or false", true);
        let strict = environment.or("STRICT_ICONS", "true or false", false);
        let rules = Rules::from_environment(environment);
        let client = Client::new(rules, GitCredentials::from_environment(environment));
        let stacks = environment.optional("OFFLINE", "all, or names of stacks, separated by commas");
        let public_url: Option<PublicUrl> = environment.optional("PUBLIC_URL", "https:// and a host, without a path");
        if stacks.is_some() && !fetch {
            environment.reject("OFFLINE and FETCH=false exclude each other: what is offline is fetched first");
        }
        if stacks.is_some() && public_url.is_none() {
            environment.reject("OFFLINE needs PUBLIC_URL, which devfiles name in place of other hosts");
        }
        if !fetch {
            return Self::without_fetches();
        }
        let outside = Self::new(client, if strict { Icons::Strict } else { Icons::Lenient });
        match (stacks, public_url) {
            (Some(stacks), Some(public_url)) => outside.offline(stacks, &public_url),
            _ => outside,
        }
    }

    /// Fetches only what the index depends on: parents, and versions in other Git repositories.
    pub fn of_index(client: Client) -> Self {
        Self { client: Some(client), wanted: Wanted::Index, offline: None }
    }

    /// Fetches nothing: what is elsewhere stays as it was last published.
    pub fn without_fetches() -> Self {
        Self { client: None, wanted: Wanted::Release(Icons::Lenient), offline: None }
    }

    /// What is wanted of other hosts so that they are not needed; none: nothing.
    pub fn offline_settings(&self) -> Option<&OfflineSettings> {
        self.offline.as_ref().map(|offline| &offline.settings)
    }

    /// Reads a tree and fetches what it takes from elsewhere. There is always a result; what could not be had is in its
    /// warnings.
    pub async fn complete(&self, mut tree: Tree, previous: Option<&Release>) -> Complete {
        let run = self.run(previous);
        let mut upstream = Upstream::default();
        let (mut repository, parents) = versions::bring_in(&run, &mut tree, &mut upstream).await;
        if let Wanted::Release(icons) = self.wanted {
            samples::fetch(&run, &tree, &mut repository, &mut upstream.pending).await;
            icons::fetch(&run, &tree, (&mut repository, &mut upstream), icons).await;
        }
        if run.client.is_some() {
            let unreachable = repository.warnings.iter().filter(|warning| warning.rule.ends_with("/unreachable"));
            let subjects: Vec<String> = unreachable.map(|warning| Pending::of_path(&warning.path)).collect();
            for subject in subjects {
                upstream.pending.add(subject, PendingReason::Unreachable);
            }
        }
        repository.warnings.sort();
        repository.warnings.dedup();
        Complete { tree, repository, upstream, parents }
    }

    /// Fetches what devfiles name elsewhere, if that is wanted, and lets them name this registry. What does not arrive is in the
    /// warnings.
    ///
    /// # Errors
    /// When what was fetched cannot be put anywhere.
    pub async fn take_offline<K: Keep>(
        &self,
        complete: &mut Complete,
        plan: &Plan,
        previous: Option<(&Release, Known)>,
        keep: &K,
    ) -> Result<(), K::Error> {
        match &self.offline {
            Some(offline) => {
                let (previous, known) =
                    previous.map_or((None, Known::Kept), |(previous, known)| (Some(previous), known));
                offline::take(offline, self.run(previous), complete, (plan, known), keep).await
            }
            None => Ok(()),
        }
    }

    fn run<'a>(&'a self, previous: Option<&'a Release>) -> Run<'a> {
        let is_alike = |previous: &&Release| {
            previous.outline.offline.as_ref().map(|offline| &offline.settings) == self.offline_settings()
        };
        Run {
            client: self.client.as_ref(),
            previous,
            settled: previous.filter(is_alike),
            deadline: Instant::now() + BUDGET,
            down: Mutex::default(),
            bytes_left: Arc::new(AtomicU64::new(limits::UPSTREAM_BYTES)),
            packs: Semaphore::new(limits::CONCURRENT_PACKS),
        }
    }
}

impl Icons {
    fn severity(self) -> Severity {
        match self {
            Self::Lenient => Severity::Warning,
            Self::Strict => Severity::Error,
        }
    }
}

/// One completion.
#[derive(Debug)]
struct Run<'a> {
    client: Option<&'a Client>,
    previous: Option<&'a Release>,
    /// The same, when its versions would be published in the same way now.
    settled: Option<&'a Release>,
    deadline: Instant,
    /// Hosts that have no address or take no connection; they are not asked again.
    down: Mutex<HashMap<String, Reason>>,
    /// Bytes that may still be read from other Git repositories.
    bytes_left: Arc<AtomicU64>,
    /// Packs that may be under way.
    packs: Semaphore,
}

/// What a fetch brought.
#[derive(Debug)]
enum Brought {
    /// The known state is still the state.
    Same,
    /// Content, and the entity tag of its state.
    Content(Bytes, Option<String>),
}

impl Run<'_> {
    /// Takes the memory for some bytes out of the budget; whether there was enough.
    fn takes(&self, bytes: usize) -> bool {
        let take = |left: u64| left.checked_sub(bytes as u64);
        self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Fetches one URL; the error is for people.
    async fn get(&self, url: &str, limit: u64, known: Option<&str>) -> Result<Brought, FetchError> {
        let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let error = |reason| FetchError { host: host.clone(), redirected_from: None, reason };
        let client = self.client.ok_or_else(|| error(Reason::NotAllowed("nothing is fetched here")))?;
        if let Some(reason) = self.down(&host) {
            return Err(error(reason));
        }
        let time = ONE.min(self.deadline.saturating_duration_since(Instant::now()));
        let brought = async {
            match client.fetcher().get(&Request { url, limit, time, known }).await? {
                Answer::NotModified => Ok(Brought::Same),
                Answer::Found(body) => {
                    let etag = body.etag.clone();
                    let content = body.bytes().await?;
                    if !self.takes(content.len()) {
                        return Err(error(Reason::BudgetSpent(limits::UPSTREAM_BYTES)));
                    }
                    Ok(Brought::Content(content, etag))
                }
            }
        };
        let brought: Result<Brought, FetchError> = brought.await;
        if let Err(error) = &brought {
            // The report and the public pages have no more than its public words.
            tracing::info!(%error, "a fetch failed");
            self.note(error);
        }
        brought
    }

    /// Why a host is not asked again, if it is not.
    fn down(&self, host: &str) -> Option<Reason> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    /// Remembers a host that has no address or takes no connection.
    fn note(&self, error: &FetchError) {
        if error.redirected_from.is_none() && matches!(error.reason, Reason::Unresolved | Reason::Refused(_)) {
            let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
            down.insert(error.host.clone(), error.reason.clone());
        }
    }

    /// The same for a Git repository; passes the result on.
    fn note_down<T>(&self, result: Result<T, GitError>) -> Result<T, GitError> {
        if let Err(GitError::Fetch(error)) = &result {
            self.note(error);
        }
        result
    }
}

/// Does something for each item, [`limits::CONCURRENT_FETCHES`] at a time, and gives the results in the order of the items.
async fn each<T, O, F: Future<Output = O>>(items: impl IntoIterator<Item = T>, work: impl Fn(T) -> F) -> Vec<O> {
    let tasks: Vec<F> = items.into_iter().map(work).collect();
    stream::iter(tasks).buffered(limits::CONCURRENT_FETCHES).collect().await
}

#[cfg(test)]
mod tests;
