//! The settings of all fetches, and the steps from a tree to a complete repository.

use super::complete::Complete;
use super::icons::{self, Icons};
use super::offline::{self, Keep, Known, OfflineFetcher};
use super::run::Run;
use super::{samples, versions};
use crate::environment::Environment;
use crate::fetch::Rules;
use crate::git::{Client, GitCredentials};
use crate::limits;
use crate::public_url::PublicUrl;
use crate::release::{OfflineSettings, OfflineStacks, Pending, PendingReason, Plan, Release, Upstream};
use crate::settings;
use crate::starter::Remotes;
use crate::tree::Tree;

/// Fetches the upstream content of a repository.
#[derive(Debug)]
pub struct UpstreamFetcher {
    /// None: nothing is fetched.
    client: Option<Client>,
    /// The treatment of icons. None: only the index is wanted, which needs neither icons nor devfiles of samples.
    icons: Option<Icons>,
    offline: Option<OfflineFetcher>,
    /// Most bytes that one completion reads.
    pub(super) bytes: u64,
}

impl UpstreamFetcher {
    /// Connects nothing yet.
    pub fn new(client: Client, icons: Icons) -> Self {
        Self { client: Some(client), icons: Some(icons), ..Self::without_fetches() }
    }

    /// Publishes some stacks with all upstream content that their devfiles name, by the registry's own URL.
    pub fn offline(self, stacks: OfflineStacks, public_url: &PublicUrl) -> Self {
        let settings = OfflineSettings { public_url: public_url.to_string(), stacks };
        let offline = self.client.clone().map(|client| OfflineFetcher { settings, remotes: Remotes::new(client) });
        Self { offline, ..self }
    }

    /// Reads `FETCH`, `STRICT_ICONS`, `OFFLINE` with `PUBLIC_URL`, and the settings of [`Rules::from_environment`].
    pub fn from_environment(environment: &mut Environment, credentials: GitCredentials) -> Self {
        let fetch: bool = environment.or_default(&settings::FETCH);
        let strict: bool = environment.or_default(&settings::STRICT_ICONS);
        let rules = Rules::from_environment(environment);
        let client = Client::new(rules, credentials);
        let stacks = environment.optional(&settings::OFFLINE);
        let public_url: Option<PublicUrl> = environment.optional(&settings::PUBLIC_URL);
        if stacks.is_some() && !fetch {
            environment.reject("OFFLINE and FETCH=false exclude each other: offline stacks need fetches");
        }
        if stacks.is_some() && public_url.is_none() {
            environment.reject("OFFLINE needs PUBLIC_URL, which devfiles name in place of other hosts");
        }
        if !fetch {
            return Self::without_fetches();
        }
        let fetcher = Self::new(client, if strict { Icons::Strict } else { Icons::Lenient });
        match (stacks, public_url) {
            (Some(stacks), Some(public_url)) => fetcher.offline(stacks, &public_url),
            _ => fetcher,
        }
    }

    /// Fetches only the upstream content that the index depends on: parents, and versions in other Git repositories.
    pub fn of_index(client: Client) -> Self {
        Self { client: Some(client), icons: None, ..Self::without_fetches() }
    }

    /// Fetches nothing: upstream content stays as it was last published.
    pub fn without_fetches() -> Self {
        Self { client: None, icons: Some(Icons::Lenient), offline: None, bytes: limits::UPSTREAM_BYTES }
    }

    /// Settings of offline stacks; `None` when there are none.
    pub fn offline_settings(&self) -> Option<&OfflineSettings> {
        self.offline.as_ref().map(|offline| &offline.settings)
    }

    /// Reads a tree and fetches its upstream content. There is always a result; unavailable content is in its
    /// warnings.
    pub async fn complete(&self, mut tree: Tree, previous: Option<&Release>) -> Complete {
        let run = self.run(previous);
        let mut upstream = Upstream::default();
        let (mut repository, parents) = versions::bring_in(&run, &mut tree, &mut upstream).await;
        if let Some(icons) = self.icons {
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
        if run.client.is_none() {
            // Nothing was asked for, so nothing is known of it.
            repository.warnings.retain(|warning| !warning.rule.ends_with("/unreachable"));
        }
        repository.give_positions();
        repository.warnings.sort();
        repository.warnings.dedup();
        Complete { tree, repository, upstream, parents }
    }

    /// Fetches the upstream content of devfiles, if configured, and makes them name this registry. The warnings name content
    /// that does not arrive.
    ///
    /// # Errors
    /// Fails when the fetched content cannot be stored.
    pub async fn take_offline<K: Keep>(
        &self,
        complete: &mut Complete,
        plan: &Plan,
        previous: Option<&Release>,
        known: Known,
        keep: &K,
    ) -> Result<(), K::Error> {
        match &self.offline {
            Some(offline) => offline::take(offline, self.run(previous), complete, (plan, known), keep).await,
            None => Ok(()),
        }
    }

    fn run<'a>(&'a self, previous: Option<&'a Release>) -> Run<'a> {
        Run::new(self.client.as_ref(), previous, self.offline_settings(), self.bytes)
    }
}
