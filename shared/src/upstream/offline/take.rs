//! Fetches the upstream content of the chosen stacks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{Instant, timeout_at};

use super::job::{Job, Known, jobs};
use super::parents::{FetchedFiles, Keep};
use super::version_draft::VersionDraft;
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::release::{Offline as Taken, OfflineSettings, OfflineStacks, Pending, PendingReason, Plan, StoredFile};
use crate::repository::Part;
use crate::starter::{Origin, RemoteSource, Remotes, Revalidated, SourceKey, StarterSource};
use crate::upstream::complete::Complete;
use crate::upstream::run::Run;
use crate::upstream::unavailable::Unavailable;

/// Time for everything; a function has five minutes. The next refresh fetches the rest.
const BUDGET: Duration = Duration::from_secs(180);

/// Projects that are fetched and packed at a time: each takes up to three times its size of the temporary folder.
const AT_ONCE: usize = 2;

/// The stacks to fetch for, and the remotes to fetch from.
#[derive(Debug)]
pub(in crate::upstream) struct OfflineFetcher {
    pub(in crate::upstream) settings: OfflineSettings,
    pub(in crate::upstream) remotes: Remotes,
}

/// Fetches the upstream content of the chosen stacks, and makes their devfiles name this registry.
pub(in crate::upstream) async fn take<K: Keep>(
    offline: &OfflineFetcher,
    mut run: Run<'_>,
    complete: &mut Complete,
    (plan, known): (&Plan, Known),
    keep: &K,
) -> Result<(), K::Error> {
    run.deadline = Instant::now() + BUDGET;
    let mut taken = Taken { settings: offline.settings.clone(), lacking: BTreeSet::new() };
    let jobs = jobs(&offline.settings, complete, run.previous, known);
    if run.reusable.is_none() {
        taken.lacking.extend(retained_stacks(complete, &offline.settings.stacks));
    }
    let zips = starters(offline, &jobs, run.deadline, keep).await?;
    let mut parents =
        FetchedFiles::new(&run, std::mem::take(&mut complete.parents), &offline.settings.public_url, keep);
    for job in jobs {
        let mut draft = VersionDraft::new(&job, &offline.settings.public_url);
        for starter in &job.plan.starters {
            let had = job.had.get(&starter.file()).cloned().map(Ok);
            let zip = had.or_else(|| zips.get(&SourceKey::of(&starter.source)).cloned());
            let zip = zip.unwrap_or_else(|| Err(Unavailable::temporary("it was not fetched")));
            draft.starter(starter, zip, &complete.tree);
        }
        if let Some((parent, at)) = &job.plan.parent {
            let found = parents.take(parent, |name| draft.location(name)).await?;
            draft.parent(*at, found, &complete.tree);
        }
        if draft.may_pass {
            taken.lacking.insert(job.stack.clone());
        }
        draft.finish(complete);
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

/// Chosen stacks with versions that stay as they were published, when they were published in another way.
fn retained_stacks<'c>(complete: &'c Complete, chosen: &'c OfflineStacks) -> impl Iterator<Item = String> + 'c {
    let stacks = complete.repository.retained.iter().filter_map(|part| match part {
        Part::Version { stack, .. } | Part::Stack { stack } => Some(stack),
        _ => None,
    });
    stacks.filter(|stack| chosen.has([stack, stack])).cloned()
}

/// Warnings about chosen stacks that do not exist, neither among those that were read nor among those that are taken over.
fn unknown_stacks(
    chosen: &OfflineStacks,
    complete: &Complete,
    plan: &Plan,
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
        Diagnostic::warning("OFFLINE", "offline/stacks", message, "correct the setting OFFLINE")
    };
    unknown.map(warning).collect()
}

/// Fetches every source that is named and was not fetched before, once.
async fn starters<K: Keep>(
    offline: &OfflineFetcher,
    jobs: &[Job],
    deadline: Instant,
    keep: &K,
) -> Result<HashMap<SourceKey, Result<StoredFile, Unavailable>>, K::Error> {
    let all = jobs.iter().flat_map(Job::unfetched).map(|starter| &starter.source);
    let sources: HashMap<SourceKey, &StarterSource> = all.map(|source| (SourceKey::of(source), source)).collect();
    let fetching = sources.into_iter().map(|(key, source)| async move {
        let late = || Unavailable::temporary(format!("{}: there was no time left for it", host(source)));
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
            Err(error) => Ok((key, Err(Unavailable::not_stored(&error)))),
        }
    });
    // Boxed, because the compiler does not see otherwise that such a future may move between threads.
    let fetching: Vec<_> = fetching.map(FutureExt::boxed).collect();
    stream::iter(fetching).buffer_unordered(AT_ONCE).try_collect().await
}

async fn fetch(remotes: &Remotes, source: &StarterSource) -> Result<tempfile::NamedTempFile, Unavailable> {
    let remote = match &source.origin {
        Origin::Git { remote, revision } => RemoteSource::Git(remote, revision),
        Origin::Zip(url) => RemoteSource::Zip(url),
        Origin::File(path) => return Err(Unavailable::lasting(format!("{path} is a file of the registry"))),
    };
    match remotes.revalidate(remote, None).await? {
        Revalidated::Changed(_, files) => Ok(remotes.zip(files, source.sub_dir.as_ref()).await?),
        Revalidated::Unchanged => Err(Unavailable::temporary(format!("{}: its answer was empty", host(source)))),
    }
}

fn host(source: &StarterSource) -> &str {
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
