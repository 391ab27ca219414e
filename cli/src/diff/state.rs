//! The two states of a comparison, which the command line names.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use devfile_registry::artifact::ARCHIVE;
use devfile_registry::checker::{Opener, is_url};
use devfile_registry::diff::{Artifact, FileDigests, Side};
use devfile_registry::digest::{CommitSha, Digest};
use devfile_registry::git::RepositoryUrl;
use devfile_registry::index::{Entry, EntryType};
use devfile_registry::limits;
use devfile_registry::release::{Built, Draft, Plan};
use devfile_registry::source::{LocalCommit, LocalSource, Scope, Source};
use devfile_registry::terminal::Progress;
use devfile_registry::upstream::UpstreamFetcher;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use url::Url;

use crate::command;
use crate::live::{Registry, artifact_of, layers, path_of, segment, unpacked};

/// Most requests a second to a live registry.
const RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

/// Requests to a live registry that wait for their answers at a time.
const CONCURRENT: usize = 8;

/// A state that a command line names.
#[derive(Debug, PartialEq, Eq)]
enum Location {
    /// A folder.
    Folder(PathBuf),
    /// A revision of the repository that a folder is in.
    Revision(PathBuf, String),
    /// The head of a branch on a Git host.
    Branch(RepositoryUrl),
    /// A commit on a Git host.
    Commit(RepositoryUrl, CommitSha),
    /// A live registry.
    Live(Url),
}

/// The states, with everything that the comparison needs.
#[derive(Debug)]
pub(super) struct States {
    pub(super) old: Side,
    pub(super) new: Side,
}

impl States {
    /// Reads both.
    pub(super) async fn read(options: &command::Diff) -> anyhow::Result<Self> {
        let (old, new): (Location, Location) = (options.old.parse()?, options.new.parse()?);
        let opener = Opener::of_process()?;
        let fetcher = if options.offline {
            UpstreamFetcher::without_fetches()
        } else {
            UpstreamFetcher::of_index(opener.client())
        };
        let progress = Progress::start("reading", Some(2));
        let before = release(&old, &opener, &fetcher, None).await?;
        progress.advance();
        let after = release(&new, &opener, &fetcher, before.as_ref()).await?;
        progress.advance();
        drop(progress);
        let side = |built: &Option<Built>| built.as_ref().map(|built| Side::of(&built.release));
        let (mut old, mut new) = (Half::of(old, side(&before)).await?, Half::of(new, side(&after)).await?);
        old.read_files(&new.side).await?;
        new.read_files(&old.side).await?;
        Ok(Self { old: old.side, new: new.side })
    }
}

impl FromStr for Location {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text.contains("://") {
            let url: Url = text.parse().with_context(|| format!("cannot read the URL {text}"))?;
            if matches!(url.path(), "" | "/") {
                return Ok(Self::Live(url));
            }
            // A user name before the host is refused when the URL is parsed.
            let (repository, revision) = match text.rsplit_once('@') {
                Some((repository, revision)) if repository.matches('/').count() > 2 => (repository, Some(revision)),
                _ => (text, None),
            };
            let repository: RepositoryUrl = repository.parse()?;
            return Ok(match revision {
                None => Self::Branch(repository),
                Some(revision) => match revision.parse() {
                    Ok(commit) => Self::Commit(repository, commit),
                    Err(_) => Self::Branch(repository.on_branch(revision)?),
                },
            });
        }
        let folder = Path::new(text);
        if folder.is_dir() {
            return Ok(Self::Folder(folder.to_owned()));
        }
        match text.rsplit_once('@') {
            Some((folder, revision)) if Path::new(folder).is_dir() => {
                Ok(Self::Revision(folder.into(), revision.to_owned()))
            }
            // For the message about a URL that cannot be read.
            _ if is_url(text) => Ok(Self::Branch(text.parse()?)),
            _ => bail!("cannot read {text}: there is no such folder; a URL begins with https://"),
        }
    }
}

/// The release of a repository at a location; `None` of a live registry. Quarantined parts stay as `before` has them.
async fn release(
    location: &Location,
    opener: &Opener,
    fetcher: &UpstreamFetcher,
    before: Option<&Built>,
) -> anyhow::Result<Option<Built>> {
    let built = match location {
        Location::Folder(folder) => build(&LocalSource::new(folder)?, None, fetcher, before).await?,
        Location::Revision(folder, revision) => {
            build(&LocalCommit::new(folder, revision)?, None, fetcher, before).await?
        }
        Location::Branch(repository) => build(&opener.git(repository.clone()), None, fetcher, before).await?,
        Location::Commit(repository, commit) => {
            build(&opener.git(repository.clone()), Some(commit), fetcher, before).await?
        }
        Location::Live(_) => return Ok(None),
    };
    Ok(Some(built))
}

async fn build(
    source: &impl Source,
    commit: Option<&CommitSha>,
    fetcher: &UpstreamFetcher,
    before: Option<&Built>,
) -> anyhow::Result<Built> {
    let commit = match commit {
        Some(commit) => commit.clone(),
        None => source.head().await?,
    };
    let tree = source.files(&commit, &Scope::All).await?;
    let previous = before.map(|built| built.release.as_ref());
    let complete = fetcher.complete(tree, previous).await;
    let plan = Plan::everything(source.listing(&commit).await?);
    let draft = Draft::new((&complete.repository, &complete.upstream), &complete.tree, previous, &plan);
    // Dates are not compared, so no history is read.
    Ok(draft.finish(commit, source.url(), &Default::default(), before.map(|built| &built.entries)))
}

/// One of the states, and the registry to read more of it from.
struct Half {
    side: Side,
    registry: Option<Registry>,
}

impl Half {
    async fn of(location: Location, side: Option<Side>) -> anyhow::Result<Self> {
        match (side, location) {
            (None, Location::Live(url)) => {
                let registry = Registry::new(&url, RATE)?;
                Ok(Self { side: live(&registry).await?, registry: Some(registry) })
            }
            (side, _) => Ok(Self { side: side.unwrap_or_default(), registry: None }),
        }
    }

    /// Reads the files of the artifacts that differ from those of the other side.
    async fn read_files(&mut self, other: &Side) -> anyhow::Result<()> {
        let Some(registry) = &self.registry else { return Ok(()) };
        let unread: Vec<(String, String)> = self.side.unread(other).cloned().collect();
        let links: Vec<_> = unread
            .into_iter()
            .filter_map(|key| {
                let entry = self.side.entries.iter().find(|entry| entry.name == key.0 && is_stack(entry))?;
                let version = entry.versions.iter().find(|version| version.version == key.1)?;
                let (repository, _) = artifact_of(version)?;
                let manifest = self.side.artifacts.get(&key)?.manifest;
                Some((key, repository.to_owned(), manifest))
            })
            .collect();
        let progress = Progress::start("reading artifacts", Some(links.len() as u64));
        let progress = &progress;
        let read = links.into_iter().map(|(key, repository, manifest)| async move {
            let files = files(registry, &repository, manifest).await;
            progress.advance();
            files.map(|files| (key, files))
        });
        let read: Vec<_> = stream::iter(read).buffer_unordered(CONCURRENT).try_collect().await?;
        for (key, files) in read {
            if let Some(artifact) = self.side.artifacts.get_mut(&key) {
                artifact.files = Some(files);
            }
        }
        Ok(())
    }
}

fn is_stack(entry: &Entry) -> bool {
    entry.entry_type == EntryType::Stack
}

/// The state of a live registry, but for the files of its artifacts.
async fn live(registry: &Registry) -> anyhow::Result<Side> {
    let entries = registry.entries().await?;
    let versions = entries.iter().filter(|entry| is_stack(entry)).flat_map(|entry| {
        entry.versions.iter().filter_map(|version| {
            let (repository, tag) = artifact_of(version)?;
            Some(((entry.name.clone(), version.version.clone()), repository.to_owned(), tag.to_owned()))
        })
    });
    let versions: Vec<_> = versions.collect();
    let progress = Progress::start("reading manifests", Some(versions.len() as u64));
    let progress = &progress;
    let read = versions.into_iter().map(|(key, repository, tag)| async move {
        let answer = registry.manifest(&repository, &tag).await;
        progress.advance();
        let answer = answer.with_context(|| format!("cannot read {repository}:{tag} of {}", registry.url()))?;
        // Without a manifest there are no files to compare.
        let found = (answer.status == 200).then(|| Artifact { manifest: Digest::of(&answer.body), files: None });
        Ok::<_, anyhow::Error>(found.map(|artifact| (key, artifact)))
    });
    let artifacts: Vec<_> = stream::iter(read).buffer_unordered(CONCURRENT).try_collect().await?;
    Ok(Side { entries, artifacts: artifacts.into_iter().flatten().collect(), ..Side::default() })
}

/// The files of an artifact, those of its archive among them.
async fn files(registry: &Registry, repository: &str, manifest: Digest) -> anyhow::Result<FileDigests> {
    let cannot = || format!("cannot read {repository}@{manifest} of {}", registry.url());
    let answer = registry.manifest(repository, &manifest.to_string()).await.with_context(cannot)?;
    let layers = layers(&answer.body).with_context(|| format!("{}: this is no manifest", cannot()))?;
    let mut files = FileDigests::new();
    for layer in layers {
        if layer.title != ARCHIVE {
            files.insert(layer.title, layer.digest);
            continue;
        }
        let path = format!("/v2/{}/blobs/{}", path_of(repository), segment(&layer.digest.to_string()));
        let cannot = || format!("cannot read the blob {} of {}", layer.digest, registry.url());
        let archive = registry.get(&path, limits::TREE_BYTES).await.with_context(cannot)?;
        if archive.status != 200 {
            bail!("{}: its status is {}", cannot(), archive.status);
        }
        files.extend(unpacked(&archive.body).with_context(cannot)?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_distinguished_by_their_form() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_str().unwrap();
        let sha = "1".repeat(40);
        let url = || "https://git.example.org/acme/registry".parse::<RepositoryUrl>().unwrap();
        for (text, expected) in [
            (here.to_owned(), Location::Folder(here.into())),
            (format!("{here}@main~2"), Location::Revision(here.into(), "main~2".to_owned())),
            (url().url().to_string(), Location::Branch(url())),
            (format!("{}@{sha}", url().url()), Location::Commit(url(), sha.parse().unwrap())),
            (format!("{}@next", url().url()), Location::Branch(url().on_branch("next").unwrap())),
            (
                "https://registry.example.org".to_owned(),
                Location::Live("https://registry.example.org".parse().unwrap()),
            ),
        ] {
            assert_eq!(text.parse::<Location>().unwrap(), expected, "{text}");
        }
        for text in ["nowhere", "nowhere@main", "git@example.org:acme/registry", "https://a:b@example.org/acme/x"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
