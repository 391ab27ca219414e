//! The versions with upstream content, and the content that was fetched for them before.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::plan::{FetchPlan, Starter};
use crate::digest::Digest;
use crate::release::{Offline, OfflineSettings, PublishedVersion, Release, StoredFile};
use crate::repository::Part;
use crate::upstream::complete::Complete;

/// The use of content that was fetched for the release before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Known {
    /// It stays, as long as the devfile that names it is the same.
    #[default]
    Reused,
    /// It is fetched again.
    FetchedAgain,
}

/// A version that names upstream content.
pub(super) struct Job {
    pub(super) part: Part,
    pub(super) stack: String,
    pub(super) folder: String,
    /// Path of its devfile.
    pub(super) path: String,
    pub(super) content: Bytes,
    pub(super) plan: FetchPlan,
    /// Its last published state names this registry by the same URL, and lacks nothing.
    pub(super) was_whole: bool,
    /// Files that were fetched for the same devfile before.
    pub(super) had: BTreeMap<String, StoredFile>,
}

impl Job {
    /// Starter projects that were not fetched before.
    pub(super) fn unfetched(&self) -> impl Iterator<Item = &Starter> {
        self.plan.starters.iter().filter(|starter| !self.had.contains_key(&starter.file()))
    }
}

/// Takes over unchanged versions, and lists those that need a fetch.
pub(super) fn jobs(
    settings: &OfflineSettings,
    complete: &mut Complete,
    previous: Option<&Release>,
    is_known: Known,
) -> Vec<Job> {
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
        let known = known.filter(|(_, known)| is_known == Known::Reused && known.committed == Digest::of(&content));
        match known {
            Some((published, known)) if is_like && (known.missing.is_empty() || !lacks(&stack.folder)) => {
                same.push((version.folder.clone(), path, published.devfile.clone(), known.clone()));
            }
            _ => {
                let plan = FetchPlan::of(&path, &content, &settings.public_url);
                let is_whole = |p: &PublishedVersion| p.offline.as_ref().is_none_or(|o| o.missing.is_empty());
                let was_whole = is_like && published.is_some_and(is_whole);
                let had = known.map(|(_, known)| known.files.clone()).unwrap_or_default();
                let (stack, folder, part) = (stack.folder.clone(), version.folder.clone(), stack.part_of(version));
                if !plan.is_empty() {
                    jobs.push(Job { part, stack, folder, path, content, plan, was_whole, had });
                }
            }
        }
    }
    for (folder, path, devfile, version) in same {
        complete.repository.warnings.extend(version.missing.iter().cloned());
        complete.publish(&folder, &path, devfile, version);
    }
    jobs
}

/// Whether a release's versions name this registry by the same URL.
fn is_like(release: &Release, settings: &OfflineSettings) -> bool {
    let same_url = |offline: &Offline| offline.settings.public_url == settings.public_url;
    release.outline.offline.as_ref().is_some_and(same_url)
}
