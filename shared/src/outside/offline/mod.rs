//! Registries that need no other host: when a version is published, the starter projects and parents that its devfile names
//! elsewhere are fetched along, and its devfile names this registry in their place.
//!
//! What was fetched is put where everything of a release is, under its digest, before anything names it; the release has it as
//! files of the version's folder. `plan` says what a devfile names elsewhere, `parents` follows parents of parents; here is what
//! becomes of all that. A version whose devfile is as it was when it was last published is taken over, without a look at any
//! host: neither a branch that has moved nor a file that is another one changes what is published, until it is
//! [fetched again](Known::FetchedAgain) on purpose.

mod parents;
mod plan;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use self::parents::Parents;
use self::plan::Plan;
use super::{Complete, Run};
use crate::diagnostic::{Diagnostic, Position};
use crate::digest::Digest;
use crate::release::{
    self, Offline as Taken, OfflineSettings, OfflineStacks, OfflineVersion, Pending, PendingReason, PublishedVersion,
    Release, StoredFile,
};
use crate::repository::{Part, Stack, StackVersion};
use crate::starter::{Look, Origin, Remote, RemoteError, Remotes, Source, SourceKey};
use crate::tree::Tree;
use crate::yaml::edit::{Swap, swap};

/// Time for everything; a function has five minutes. What does not come in time is fetched by the next refresh.
const BUDGET: Duration = Duration::from_secs(180);

/// Projects that are fetched and packed at a time: each takes up to three times its size of the temporary folder.
const AT_ONCE: usize = 2;

/// The rule of stacks that are wanted offline and do not exist.
pub(crate) const UNKNOWN_STACKS: &str = "offline/stacks";

/// Where fetched content is put.
pub trait Keep: Sync {
    /// Why it was not.
    type Error: Send;

    /// Puts a file under its digest, to stay as long as a release names it.
    fn keep(&self, digest: Digest, file: &Path) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What is wanted, and how it is fetched.
#[derive(Debug)]
pub(super) struct Offline {
    pub(super) settings: OfflineSettings,
    pub(super) remotes: Remotes,
}

/// What becomes of what was fetched for the release before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It stays, as long as the devfile that names it is the same.
    Kept,
    /// It is fetched again.
    FetchedAgain,
}

/// Why something was not fetched.
#[derive(Debug, Clone)]
struct Trouble {
    reason: String,
    chance: Chance,
}

/// Whether another try may go better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Chance {
    /// Something has to be corrected.
    Never,
    /// The host may answer.
    Later,
}

/// A version that names something elsewhere.
struct Job {
    part: Part,
    stack: String,
    folder: String,
    /// Path of its devfile.
    path: String,
    content: Bytes,
    plan: Plan,
    /// Its last published state names this registry by the same URL, and lacks nothing.
    was_whole: bool,
    /// Files that were fetched for the same devfile before.
    had: BTreeMap<String, StoredFile>,
}

impl Job {
    /// Starter projects that were not fetched before.
    fn unfetched(&self) -> impl Iterator<Item = &plan::Starter> {
        self.plan.starters.iter().filter(|starter| !self.had.contains_key(&starter.file()))
    }
}

impl Trouble {
    fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), chance: Chance::Never }
    }

    fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), chance: Chance::Later }
    }

    fn temporary(error: &io::Error) -> Self {
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

/// Fetches what the chosen stacks name elsewhere, and lets their devfiles name this registry.
pub(super) async fn take<K: Keep>(
    offline: &Offline,
    mut run: Run<'_>,
    complete: &mut Complete,
    (plan, known): (&release::Plan, Known),
    keep: &K,
) -> Result<(), K::Error> {
    run.deadline = Instant::now() + BUDGET;
    let mut taken = Taken { settings: offline.settings.clone(), lacking: BTreeSet::new() };
    let jobs = jobs(&offline.settings, complete, run.previous, known);
    if run.settled.is_none() {
        taken.lacking.extend(kept(complete, &offline.settings.stacks));
    }
    let zips = starters(offline, &jobs, run.deadline, keep).await?;
    let mut parents = Parents::new(&run, std::mem::take(&mut complete.parents), &offline.settings.public_url, keep);
    for job in jobs {
        let mut attempt = Attempt::new(&job, &offline.settings.public_url);
        for starter in &job.plan.starters {
            let had = job.had.get(&starter.file()).cloned().map(Ok);
            let zip = had.or_else(|| zips.get(&SourceKey::of(&starter.source)).cloned());
            let zip = zip.unwrap_or_else(|| Err(Trouble::passing("it was not fetched")));
            attempt.starter(starter, zip, &complete.tree);
        }
        if let Some(parent) = &job.plan.parent {
            let found = parents.take(&parent.target, |name| attempt.location(name)).await?;
            attempt.parent(parent.at, found, &complete.tree);
        }
        if attempt.failed == Some(Chance::Later) {
            taken.lacking.insert(job.stack.clone());
        }
        attempt.finish(complete);
    }
    let names = run.previous.map(|previous| &previous.outline.stacks);
    let warnings = unknown_stacks(&offline.settings.stacks, complete, plan, names);
    complete.repository.warnings.extend(warnings);
    for stack in &taken.lacking {
        complete.upstream.pending.add(Pending::of_stack(stack), PendingReason::Unreachable);
    }
    complete.upstream.offline = Some(taken);
    complete.repository.warnings.sort();
    complete.repository.warnings.dedup();
    Ok(())
}

/// Whether a release's versions name this registry by the same URL.
fn is_like(release: &Release, settings: &OfflineSettings) -> bool {
    let same_url = |offline: &Taken| offline.settings.public_url == settings.public_url;
    release.outline.offline.as_ref().is_some_and(same_url)
}

/// Takes over what is as it was, and lists what has to be fetched for.
fn jobs(settings: &OfflineSettings, complete: &mut Complete, previous: Option<&Release>, is_known: Known) -> Vec<Job> {
    let before = previous.map(Release::by_folder).unwrap_or_default();
    let is_like = previous.is_some_and(|previous| is_like(previous, settings));
    let lacks =
        |stack: &str| previous.and_then(|p| p.outline.offline.as_ref()).is_some_and(|o| o.lacking.contains(stack));
    let (mut jobs, mut same) = (Vec::new(), Vec::new());
    let chosen =
        complete.repository.stacks.iter().filter(|stack| settings.stacks.has([&stack.fields.name, &stack.folder]));
    for (stack, version) in chosen.flat_map(|stack| stack.versions.iter().map(move |version| (stack, version))) {
        let path = format!("{}/{}", version.folder, version.devfile_name());
        let Some(content) = complete.tree.get(&path).cloned() else { continue };
        let published = before.get(version.folder.as_str()).map(|(published, _)| *published);
        let known = published.and_then(|published| Some((published, published.offline.as_ref()?)));
        let known = known.filter(|(_, known)| is_known == Known::Kept && known.committed == Digest::of(&content));
        match known {
            Some((published, known)) if is_like && (known.missing.is_empty() || !lacks(&stack.folder)) => {
                same.push((version.folder.clone(), path, published.devfile.clone(), known.clone()));
            }
            _ => {
                let plan = Plan::of(&path, &content, &settings.public_url);
                let is_whole = |p: &PublishedVersion| p.offline.as_ref().is_none_or(|o| o.missing.is_empty());
                let was_whole = is_like && published.is_some_and(is_whole);
                let had = known.map(|(_, known)| known.files.clone()).unwrap_or_default();
                let (stack, folder, part) = (stack.folder.clone(), version.folder.clone(), part(stack, version));
                if !plan.is_empty() {
                    jobs.push(Job { part, stack, folder, path, content, plan, was_whole, had });
                }
            }
        }
    }
    for (folder, path, devfile, version) in same {
        complete.repository.warnings.extend(version.missing.iter().cloned());
        publish(complete, &folder, &path, devfile, version);
    }
    jobs
}

fn part(stack: &Stack, version: &StackVersion) -> Part {
    let listed = version.folder.strip_prefix(&format!("stacks/{}/", stack.folder));
    match listed {
        Some(listed) => Part::Version { stack: stack.folder.clone(), version: listed.to_owned() },
        None => Part::Stack { stack: stack.folder.clone() },
    }
}

/// Chosen stacks with versions that stay as they were published, when they were published in another way.
fn kept<'c>(complete: &'c Complete, chosen: &'c OfflineStacks) -> impl Iterator<Item = String> + 'c {
    let stacks = complete.repository.kept.iter().filter_map(|part| match part {
        Part::Version { stack, .. } | Part::Stack { stack } => Some(stack),
        _ => None,
    });
    stacks.filter(|stack| chosen.has([stack, stack])).cloned()
}

/// Warnings about chosen stacks that do not exist, neither among those that were read nor among those that are taken over.
fn unknown_stacks(
    chosen: &OfflineStacks,
    complete: &Complete,
    plan: &release::Plan,
    before: Option<&BTreeMap<String, String>>,
) -> Vec<Diagnostic> {
    let OfflineStacks::Named(chosen) = chosen else { return Vec::new() };
    let names = complete.repository.stacks.iter().map(|stack| stack.fields.name.as_str());
    let taken_over = plan.taken_over().filter_map(|folder| Some(before?.get(folder)?.as_str()));
    let folders = plan.listing().stacks.keys().map(String::as_str);
    let known: BTreeSet<&str> = names.chain(taken_over).chain(folders).collect();
    let unknown = chosen.iter().filter(|name| !known.contains(name.as_str()));
    let warning = |name: &String| {
        let message = format!("there is no stack `{name}`");
        Diagnostic::warning("OFFLINE", UNKNOWN_STACKS, message, "correct the setting OFFLINE")
    };
    unknown.map(warning).collect()
}

/// Fetches every source that is named and was not fetched before, once.
async fn starters<K: Keep>(
    offline: &Offline,
    jobs: &[Job],
    deadline: Instant,
    keep: &K,
) -> Result<HashMap<SourceKey, Result<StoredFile, Trouble>>, K::Error> {
    let all = jobs.iter().flat_map(Job::unfetched).map(|starter| &starter.source);
    let sources: HashMap<SourceKey, &Source> = all.map(|source| (SourceKey::of(source), source)).collect();
    let fetching = sources.into_iter().map(|(key, source)| async move {
        let late = || Trouble::passing(format!("{}: there was no time left for it", host(source)));
        let zip = match timeout_at(deadline, fetch(&offline.remotes, source)).await {
            Ok(Ok(zip)) => zip,
            Ok(Err(trouble)) => return Ok((key, Err(trouble))),
            Err(_) => return Ok((key, Err(late()))),
        };
        match stored(zip.path()).await {
            Ok(stored) => {
                keep.keep(stored.digest, zip.path()).await?;
                tracing::info!(host = host(source), bytes = stored.size, "fetched a starter project");
                Ok((key, Ok(stored)))
            }
            Err(error) => Ok((key, Err(Trouble::temporary(&error)))),
        }
    });
    // Boxed, because the compiler does not see otherwise that such a future may move between threads.
    let fetching: Vec<_> = fetching.map(FutureExt::boxed).collect();
    stream::iter(fetching).buffer_unordered(AT_ONCE).try_collect().await
}

async fn fetch(remotes: &Remotes, source: &Source) -> Result<tempfile::NamedTempFile, Trouble> {
    let remote = match &source.origin {
        Origin::Git { remote, revision } => Remote::Git(remote, revision),
        Origin::Zip(url) => Remote::Zip(url),
        Origin::File(path) => return Err(Trouble::lasting(format!("{path} is a file of the registry"))),
    };
    match remotes.look(remote, None).await? {
        Look::Changed(_, files) => Ok(remotes.zip(files, source.sub_dir.as_ref()).await?),
        Look::Unchanged => Err(Trouble::passing(format!("{}: its answer was empty", host(source)))),
    }
}

fn host(source: &Source) -> &str {
    match &source.origin {
        Origin::Git { remote, .. } => remote.host_str().unwrap_or_default(),
        Origin::Zip(url) => url.host_str().unwrap_or_default(),
        Origin::File(_) => "",
    }
}

/// Digest and length of a file.
async fn stored(path: &Path) -> io::Result<StoredFile> {
    Ok(StoredFile { digest: Digest::of_file(path).await?, size: tokio::fs::metadata(path).await?.len() })
}

/// A version on its way to be published with everything that it names elsewhere.
struct Attempt<'a> {
    job: &'a Job,
    public_url: &'a str,
    files: BTreeMap<String, StoredFile>,
    swaps: Vec<Swap>,
    missing: Vec<Diagnostic>,
    /// Whether something failed, and may not the next time.
    failed: Option<Chance>,
}

impl<'a> Attempt<'a> {
    fn new(job: &'a Job, public_url: &'a str) -> Self {
        let (files, swaps, missing) = (BTreeMap::new(), Vec::new(), job.plan.problems.clone());
        Self { job, public_url, files, swaps, missing, failed: None }
    }

    /// Where this registry has a file of the version's folder.
    fn location(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.public_url, self.job.folder)
    }

    fn starter(&mut self, starter: &plan::Starter, zip: Result<StoredFile, Trouble>, tree: &Tree) {
        let name = starter.file();
        match zip.and_then(|zip| self.add(name.clone(), zip, tree)) {
            Ok(()) => self.swaps.push(Swap {
                at: format!("/starterProjects/{}", starter.index),
                out: &["git", "zip", "subDir"],
                key: "zip",
                value: json!({"location": self.location(&name)}),
            }),
            Err(trouble) => {
                let what = format!("the starter project `{}`", starter.name);
                self.lacks("offline/starter", &what, trouble, starter.at);
            }
        }
    }

    fn parent(&mut self, at: Option<Position>, found: Result<parents::Ancestry, Trouble>, tree: &Tree) {
        let add = |ancestry: parents::Ancestry| {
            ancestry.files.into_iter().try_for_each(|(name, file)| self.add(name, file, tree))?;
            Ok((ancestry.uri, ancestry.notes))
        };
        match found.and_then(add) {
            Ok((uri, notes)) => {
                let out = &["uri", "id", "registryUrl", "version"];
                self.swaps.push(Swap { at: "/parent".to_owned(), out, key: "uri", value: json!(uri) });
                for note in notes {
                    self.missing.push(plan::warning(&self.job.path, "offline/parent", note, at));
                }
            }
            Err(trouble) => self.lacks("offline/parent", "the parent", trouble, at),
        }
    }

    fn add(&mut self, name: String, file: StoredFile, tree: &Tree) -> Result<(), Trouble> {
        if tree.get(&format!("{}/{name}", self.job.folder)).is_some() {
            return Err(Trouble::lasting(format!(
                "the folder has a file {name} already, which is for the fetched one"
            )));
        }
        self.files.insert(name, file);
        Ok(())
    }

    fn lacks(&mut self, rule: &str, what: &str, trouble: Trouble, at: Option<Position>) {
        self.failed = self.failed.max(Some(trouble.chance));
        let message = format!("{what} was not fetched: {}", trouble.reason);
        self.missing.push(plan::warning(&self.job.path, rule, message, at));
    }

    /// Publishes what there is, unless what was published before is more.
    fn finish(mut self, complete: &mut Complete) {
        let text = if self.swaps.is_empty() { Ok(None) } else { swap(&self.job.content, &self.swaps).map(Some) };
        let text = text.unwrap_or_else(|reason| {
            let message = format!("the devfile cannot name this registry: {reason}");
            self.missing.push(plan::warning(&self.job.path, "offline/devfile", message, None));
            self.files.clear();
            self.failed = self.failed.max(Some(Chance::Never));
            None
        });
        complete.repository.warnings.extend(self.missing.iter().cloned());
        if self.job.was_whole && self.failed.is_some() {
            // Its files are at hand, and not what is published: the next time they are to be had again.
            complete.upstream.versions.remove(&self.job.folder);
            complete.repository.keep(self.job.part.clone());
            return;
        }
        let committed = Digest::of(&self.job.content);
        let text = text.unwrap_or_else(|| String::from_utf8_lossy(&self.job.content).into_owned());
        let version = OfflineVersion { committed, files: self.files, missing: self.missing };
        publish(complete, &self.job.folder, &self.job.path, text, version);
    }
}

/// Gives a version its devfile and files.
fn publish(complete: &mut Complete, folder: &str, path: &str, devfile: String, version: OfflineVersion) {
    let devfile = Bytes::from(devfile);
    if complete.tree.replace(path, devfile.clone()).is_err() {
        // The tree is full to the last byte: the devfile stays as it is.
        return;
    }
    let versions = complete.repository.stacks.iter_mut().flat_map(|stack| &mut stack.versions);
    for read in versions.filter(|version| version.folder == folder) {
        let name = read.devfile_name().to_owned();
        for (_, file) in read.files.iter_mut().filter(|(path, _)| *path == name) {
            file.content = devfile.clone();
        }
    }
    complete.upstream.offline_versions.insert(folder.to_owned(), version);
}

#[cfg(test)]
pub(crate) mod tests;
