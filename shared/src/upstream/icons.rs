//! Icons of entries and versions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::image::media_type;
use super::run::{Run, each};
use super::unavailable::Unavailable;
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::digest::Digest;
use crate::fetch::Reason;
use crate::git::GitError;
use crate::limits;
use crate::release::{Icon, Pending, PendingReason, Upstream};
use crate::repository::{EXTRA_ENTRIES, Part, Repository, positions_in_extra_entries};
use crate::tree::Tree;
use crate::yaml;

/// Known icons that are asked for again in one run. Which ones depends on the content of the tree, so that each has its
/// turn now and then, and a refresh does not become slower with the number of icons.
const LOOKED_AT_AGAIN: usize = 8;

/// The severity of a broken icon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Icons {
    /// A warning.
    #[default]
    Lenient,
    /// An error: the entry stays as it was last published.
    Strict,
}

/// The position at which an icon is named.
#[derive(Debug)]
struct NamedIcon {
    part: Part,
    /// The name of its entry.
    entry: String,
    what: String,
    /// The file that names it: in `icon` or `metadata.icon`, or in the entry of `extraDevfileEntries.yaml`.
    path: String,
    url: String,
}

/// Fetches the icons that are new, and says which cannot be shown.
pub(super) async fn fetch(
    run: &Run<'_>,
    tree: &Tree,
    (repository, upstream): (&mut Repository, &mut Upstream),
    icons: Icons,
) {
    let named = named(repository);
    let mut urls: Vec<&str> = named.iter().map(|icon| icon.url.as_str()).filter(|url| !url.is_empty()).collect();
    urls.sort_unstable();
    urls.dedup();
    let again = fetch_again(run, tree, &urls);
    let results = each(&urls, |url| fetch_one(run, url, again.contains(url))).await;
    let mut broken = BTreeMap::new();
    for (url, (icon, problem)) in urls.iter().zip(results) {
        if let Some((icon, content)) = icon {
            upstream.contents.extend(content.map(|content| (icon.digest, content)));
            upstream.icons.insert((*url).to_owned(), icon);
        }
        broken.extend(problem.map(|problem| ((*url).to_owned(), problem)));
    }
    let positions = positions_in_extra_entries(tree);
    for icon in named {
        let reason = match broken.get(&icon.url) {
            Some(problem) => {
                if problem.is_temporary {
                    upstream.pending.add(Pending::of_part(&icon.part), PendingReason::Unreachable);
                }
                format!("the icon cannot be shown: {}", problem.reason)
            }
            None if icon.url.is_empty() => "there is no icon".to_owned(),
            None => continue,
        };
        let is_extra = icon.path == EXTRA_ENTRIES;
        let position = if is_extra { positions.get(&icon.entry).copied() } else { position(tree, &icon.path) };
        let hint = "name a PNG, JPEG, SVG, GIF or WebP that is on the internet over https";
        let message = format!("{}: {reason}", icon.what);
        let problem = Diagnostic::warning(icon.path, "index/icon", message, hint).at(position);
        match icons {
            Icons::Strict => {
                repository.quarantine(icon.part, vec![Diagnostic { severity: Severity::Error, ..problem }])
            }
            Icons::Lenient => repository.warnings.push(problem),
        }
    }
}

/// Every icon that the index would name, and every entry that has none; versions need no icon of their own.
fn named(repository: &Repository) -> Vec<NamedIcon> {
    let mut all = Vec::new();
    for stack in &repository.stacks {
        let part = Part::Stack { stack: stack.folder.clone() };
        let (entry, path) = (stack.fields.name.clone(), stack.defining_file());
        all.push(NamedIcon { part, what: format!("`{entry}`"), entry, path, url: stack.fields.icon.clone() });
        for version in stack.versions.iter().filter(|version| {
            let icon = &version.devfile.metadata.icon;
            !icon.is_empty() && *icon != stack.fields.icon
        }) {
            let number = version.folder.rsplit('/').next().unwrap_or_default().to_owned();
            let part = Part::Version { stack: stack.folder.clone(), version: number };
            let (entry, url) = (stack.fields.name.clone(), version.devfile.metadata.icon.clone());
            let what = format!("`{entry}` {}", version.devfile.version);
            let path = format!("{}/{}", version.folder, version.devfile_name());
            all.push(NamedIcon { part, entry, what, path, url });
        }
    }
    let samples = repository.samples.iter().map(|sample| (&sample.entry, true));
    for (entry, is_sample) in samples.chain(repository.extra_stacks.iter().map(|entry| (entry, false))) {
        let part = if is_sample { Part::Sample { name: entry.name.clone() } } else { Part::ExtraEntries };
        let versions = entry.versions.iter().map(|version| &version.icon).filter(|icon| !icon.is_empty());
        for url in std::iter::once(&entry.icon).chain(versions) {
            let (part, url, entry) = (part.clone(), url.clone(), entry.name.clone());
            all.push(NamedIcon { part, what: format!("`{entry}`"), entry, path: EXTRA_ENTRIES.to_owned(), url });
        }
    }
    all
}

/// Known icons whose turn it is.
fn fetch_again<'u>(run: &Run<'_>, tree: &Tree, urls: &[&'u str]) -> Vec<&'u str> {
    let known: Vec<&str> = urls.iter().copied().filter(|url| had(run, url).is_some()).collect();
    if known.len() <= LOOKED_AT_AGAIN {
        return known;
    }
    let bytes: usize = tree.iter().map(|(_, file)| file.content.len()).sum();
    known.iter().copied().cycle().skip(bytes % known.len()).take(LOOKED_AT_AGAIN).collect()
}

/// An icon, with its bytes if the release before does not have them.
type LoadedIcon = (Icon, Option<Bytes>);

/// The icon in the release before.
fn had(run: &Run<'_>, url: &str) -> Option<LoadedIcon> {
    run.previous?.content.icons.get(url).map(|icon| (icon.clone(), None))
}

/// Fetches an icon, or takes the known one; also returns why it cannot be shown in its present state.
async fn fetch_one(run: &Run<'_>, url: &str, again: bool) -> (Option<LoadedIcon>, Option<Unavailable>) {
    let had = had(run, url);
    if (had.is_some() && !again) || run.client.is_none() {
        return (had, None);
    }
    let known = had.as_ref().and_then(|(icon, _)| icon.etag.as_deref());
    match run.get(url, limits::ICON_BYTES, known).await {
        Ok(None) if had.is_some() => (had, None),
        Ok(None) => (None, Some(Unavailable::lasting("the answer was empty"))),
        Ok(Some((content, etag))) => match media_type(&content) {
            Some(media_type) => {
                let (media_type, digest) = (media_type.to_owned(), Digest::of(&content));
                let icon = Icon { media_type, digest, size: content.len() as u64, etag, named_by: BTreeSet::new() };
                (Some((icon, Some(content))), None)
            }
            None => (had, Some(Unavailable::lasting("this is not an image"))),
        },
        // An icon that was there before and is unreachable for now is nobody's mistake.
        Err(error) if had.is_some() && error.reason != Reason::NotFound => (had, None),
        Err(error) => (had, Some(GitError::from(error).into())),
    }
}

/// The position of an icon in its file, or of the metadata that lack it.
fn position(tree: &Tree, path: &str) -> Option<Position> {
    let document = yaml::parse(path, tree.get(path)?).ok()?;
    let icon = document.get("icon").or_else(|| document.at_path(&["metadata", "icon"]));
    let file_position = icon.map(|icon| icon.file_position()).or_else(|| Some(document.get("metadata")?.key_at));
    Some(file_position?.position)
}
