//! The live release in memory, with prepared answers.
//!
//! Everything that requests need is computed here once per release; a request only looks up and
//! copies.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use devfile_registry::cache::{Cache, ETag};
use devfile_registry::diagnostic::Diagnostic;
use devfile_registry::digest::{CommitSha, Digest};
use devfile_registry::index::{Entry, EntryType};
use devfile_registry::release::{LiveIndex, Pending, PublishedVersion, Recent, Release, StoredFile};
use devfile_registry::starter::StarterProject;
use devfile_registry::{artifact, timestamp::Timestamp};

use crate::http::body::{Body, JSON};
use crate::release::recent::{RecentReleases, Unavailable};
use crate::release::repository::{Repositories, Repository};
use crate::view::browse::lineage::{DevfileSource, Lineage};
use crate::view::browse::viewer_index::ViewerIndex;
use crate::view::catalog::{Catalog, IndexKind, IndexSchema, Query};
use crate::view::icons::{Icons, data_uris};
use crate::view::versions::{self, Versioned};

/// One release in memory. Requests hold it by reference count, so that each answers from exactly
/// one (invariant 1).
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The `ETag` of `index.json` in the bucket.
    pub(crate) etag: ETag,
    /// Commit of the release.
    pub(crate) commit: CommitSha,
    /// The release as `/status` describes it.
    pub(crate) about: About,
    /// The entries, for filters and queries.
    pub(crate) catalog: Catalog,
    /// The entries, for the pages of the viewer.
    pub(crate) viewer_index: ViewerIndex,
    /// Warnings about files of the registry repository.
    pub(crate) warnings: Vec<Diagnostic>,
    /// `index.json` as it is in the bucket.
    pub(crate) index_json: Body,
    /// The unfiltered answers, by schema and kind.
    unfiltered: [[Body; 3]; 2],
    /// Devfiles by entry type and name, newest version first.
    devfiles: HashMap<(EntryType, String), Vec<DevfileVersion>>,
    /// Repositories of the OCI API by the folder of their stack.
    repositories: Repositories,
    /// Content of the previous release, for clients that have begun to pull from it.
    previous: PreviousRelease,
    /// The recent releases before that one, read on the first request for an unknown digest.
    recent: RecentReleases,
    /// Files in the folders of the stacks by path, including the archives of the artifacts.
    files: BTreeMap<String, StoredFile>,
    /// The icons in memory, by the URL in the index.
    pub(crate) icons: Icons,
    /// Folders of stacks' versions by name and version.
    folders: HashMap<(String, String), String>,
    /// Names and versions of stacks by the folders of the versions.
    versions_in: HashMap<String, (String, String)>,
    /// Names of stacks by their folders below `stacks/`, which may differ.
    stacks_in: HashMap<String, String>,
    /// The registry's own URL, if its devfiles name it.
    pub(crate) own_url: Option<String>,
    /// Content in memory, by digest.
    contents: HashMap<Digest, Bytes>,
    /// Parents and children of versions, computed on first use.
    lineage: OnceLock<Lineage>,
}

/// Content of the previous release alone, for clients that may still request it.
#[derive(Debug, Default)]
struct PreviousRelease {
    /// Its manifests with all their blobs.
    repositories: Repositories,
    /// Its content in memory.
    contents: HashMap<Digest, Bytes>,
}

/// A devfile in the answers of `/devfiles`.
#[derive(Debug)]
pub(crate) struct DevfileVersion {
    /// Its version; empty for a sample without versions.
    pub(crate) version: String,
    /// Its schema version.
    pub(crate) schema_version: String,
    /// Whether it is the answer to a request without a version.
    pub(crate) default: bool,
    /// The devfile.
    pub(crate) body: Body,
    /// Its starter projects, computed on first use.
    pub(crate) starters: OnceLock<Vec<StarterProject>>,
}

impl Versioned for DevfileVersion {
    fn version(&self) -> &str {
        &self.version
    }

    fn is_default(&self) -> bool {
        self.default
    }
}

/// The release in numbers and names.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct About {
    /// Its commit.
    pub(crate) commit_hash: CommitSha,
    /// The registry repository.
    pub(crate) source: String,
    /// Name of the release.
    pub(crate) release: Digest,
    /// The time of its publication.
    pub(crate) generated_at: Timestamp,
    /// Whether a rollback pinned it.
    pub(crate) pinned: bool,
    /// Paths that it changed.
    pub(crate) changed: BTreeSet<String>,
    /// Paths that it removed.
    pub(crate) removed: BTreeSet<String>,
    /// Releases that a rollback can make live, newest first, this one included.
    pub(crate) recent: Vec<Recent>,
    /// Number of stacks.
    pub(crate) stacks: usize,
    /// Number of samples.
    pub(crate) samples: usize,
    /// Number of published versions.
    pub(crate) versions: usize,
    /// Versions, stacks and samples that keep their last published state, with the reasons.
    pub(crate) quarantined: Vec<devfile_registry::repository::Quarantined>,
    /// The start of each quarantine by path, for a limited number of paths.
    pub(crate) quarantined_since: BTreeMap<String, Timestamp>,
    /// Stacks and entries that a later refresh retries, with the reasons.
    pub(crate) pending: Pending,
    /// Number of warnings.
    pub(crate) warnings: usize,
}

impl Snapshot {
    /// Computes all answers. `index_bytes` are the bytes of `index`; `icons` are the icons of the
    /// release that could be read.
    pub(crate) fn new(etag: ETag, index: LiveIndex, index_bytes: Bytes, release: Release, icons: Icons) -> Self {
        let Release { outline, content, .. } = release;
        let mut warnings: Vec<Diagnostic> = content.warnings.into_values().flatten().chain(outline.warnings).collect();
        warnings.sort();
        let count = |kind| content.stacks.iter().filter(|entry| entry.entry_type == kind).count();
        let about = About {
            commit_hash: index.commit_hash.clone(),
            source: index.source.clone(),
            release: index.release,
            generated_at: index.generated_at.clone(),
            pinned: index.pinned.into(),
            changed: index.changes.changed.clone(),
            removed: index.changes.removed.clone(),
            recent: index.recent.clone(),
            stacks: count(EntryType::Stack),
            samples: count(EntryType::Sample),
            versions: content.versions.len(),
            quarantined: outline.quarantined,
            quarantined_since: index.quarantined.clone(),
            pending: outline.pending,
            warnings: warnings.len(),
        };
        let recent = index.recent.iter().map(|recent| recent.release).filter(|release| *release != index.release);
        let recent = RecentReleases::new(recent, outline.shards.iter().map(|shard| shard.digest).collect());
        let versions = &content.versions;
        let mut entries = content.stacks;
        let data_uris = data_uris(&entries, &icons);
        let named = |version: &PublishedVersion| (version.name.clone(), version.version.clone());
        let folders = versions.iter().map(|version| (named(version), version.folder.clone())).collect();
        let versions_in = versions.iter().map(|version| (version.folder.clone(), named(version))).collect();
        let stacks_in = versions.iter().map(|version| (version.stack.clone(), version.name.clone())).collect();
        let catalog = || Catalog::new(&mut entries, &data_uris).within(&index_bytes);
        let (repositories, catalog) = join(|| repositories(versions), catalog);
        let unfiltered = || {
            [IndexSchema::V1, IndexSchema::V2].map(|schema| {
                [IndexKind::Stack, IndexKind::Sample, IndexKind::All]
                    .map(|kind| Body::new(JSON, catalog.select(schema, kind, &Query::default()).body()))
            })
        };
        let (viewer_index, unfiltered) =
            join(|| ViewerIndex::new(&entries, &icons, versions, &index.recent), unfiltered);
        let mut files = content.files;
        files.extend(versions.iter().filter_map(archive));
        let of_stacks = content.versions.into_iter();
        let of_stacks = of_stacks.map(|version| ((EntryType::Stack, version.name, version.version), version.devfile));
        let of_samples = content.samples.into_iter();
        let of_samples = of_samples.map(|sample| ((EntryType::Sample, sample.name, sample.version), sample.devfile));
        let (keys, texts): (Vec<_>, Vec<_>) = of_stacks.chain(of_samples).unzip();
        let texts: BTreeMap<(EntryType, String, String), Bytes> = keys.into_iter().zip(packed(texts)).collect();
        let contents = texts.values().map(|text| (Digest::of(text), text.clone()));
        let contents = contents
            .chain([(Digest::of(artifact::CONFIG), Bytes::from_static(artifact::CONFIG))])
            .chain(icons.values().map(|icon| (icon.digest, icon.bytes.clone())))
            .collect();
        Self {
            etag,
            commit: index.commit_hash,
            about,
            viewer_index,
            warnings,
            index_json: Body::new(JSON, index_bytes),
            devfiles: devfiles(&entries, &texts),
            unfiltered,
            catalog,
            repositories,
            previous: PreviousRelease::default(),
            recent,
            files,
            folders,
            versions_in,
            stacks_in,
            own_url: index.offline.map(|offline| offline.settings.public_url),
            icons,
            contents,
            lineage: OnceLock::new(),
        }
    }

    /// Returns the snapshot with the artifacts of the previous release.
    pub(crate) fn after(self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        let alone = before.contents.iter().filter(|(digest, _)| !self.contents.contains_key(*digest));
        // Copied, so that the previous release can be freed.
        let contents = alone.map(|(digest, content)| (*digest, Bytes::copy_from_slice(content))).collect();
        let repositories = before.repositories.iter().filter_map(|(stack, repository)| {
            let alone = repository.without(self.repositories.get(stack));
            (!alone.manifests.is_empty()).then(|| (stack.clone(), alone))
        });
        Self { previous: PreviousRelease { repositories: repositories.collect(), contents }, ..self }
    }

    /// Compresses the most frequent answers.
    pub(crate) fn prepare(&self) {
        self.unfiltered.iter().flatten().chain([&self.index_json]).for_each(Body::prepare);
    }

    /// Returns the answer of an index route without filters.
    pub(crate) fn unfiltered(&self, schema: IndexSchema, kind: IndexKind) -> &Body {
        let schema = match schema {
            IndexSchema::V1 => 0,
            IndexSchema::V2 => 1,
        };
        let kind = match kind {
            IndexKind::Stack => 0,
            IndexKind::Sample => 1,
            IndexKind::All => 2,
        };
        &self.unfiltered[schema][kind]
    }

    /// Returns the devfiles of the stack with a name, or else of the sample, newest version first;
    /// `None` when there is neither.
    pub(crate) fn devfiles(&self, name: &str) -> Option<&[DevfileVersion]> {
        self.devfiles_of(EntryType::Stack, name).or_else(|| self.devfiles_of(EntryType::Sample, name))
    }

    /// Returns the devfiles of the entry with a type and a name, newest version first.
    pub(crate) fn devfiles_of(&self, entry_type: EntryType, name: &str) -> Option<&[DevfileVersion]> {
        self.devfiles.get(&(entry_type, name.to_owned())).map(Vec::as_slice)
    }

    /// Returns the entry with a name: of the requested type, else the stack, else the sample.
    pub(crate) fn entry(&self, name: &str, only: Option<EntryType>) -> Option<Entry> {
        Some(self.catalog.entry(self.viewer_index.position(name, only)?))
    }

    /// Returns the repository of a stack.
    pub(crate) fn repository(&self, stack: &str) -> Option<&Repository> {
        self.repositories.get(stack)
    }

    /// Returns whether this release, the previous one or a recent one has a repository of a stack.
    pub(crate) fn has_repository(&self, stack: &str) -> bool {
        self.repositories_of(stack).next().is_some()
    }

    /// Reads the manifests and blobs of the recent releases from the bucket, once.
    ///
    /// # Errors
    /// The bucket fails.
    pub(crate) async fn read_recent(self: &Arc<Self>, cache: &Cache) -> Result<(), Unavailable> {
        let (snapshot, cache) = (Arc::clone(self), cache.clone());
        // The read continues for other requests when this client disconnects.
        let read = tokio::spawn(async move {
            let is_live = |stack: &str, manifest: &Digest| {
                snapshot.repository(stack).is_some_and(|repository| repository.manifests.contains_key(manifest))
            };
            snapshot.recent.read(&cache, is_live).await
        });
        read.await.unwrap_or(Err(Unavailable::Late))
    }

    /// Returns whether the recent releases were read.
    #[cfg(test)]
    pub(crate) fn has_read_recent(&self) -> bool {
        self.recent.is_read()
    }

    /// Returns a manifest of a stack by its digest.
    pub(crate) fn manifest(&self, stack: &str, digest: &Digest) -> Option<&Bytes> {
        self.repositories_of(stack).find_map(|repository| repository.manifests.get(digest))
    }

    /// Returns the size of a blob that a manifest of a stack names.
    pub(crate) fn blob_size(&self, stack: &str, digest: &Digest) -> Option<u64> {
        self.repositories_of(stack).find_map(|repository| repository.blobs.get(digest).copied())
    }

    fn repositories_of(&self, stack: &str) -> impl Iterator<Item = &Repository> {
        let known = [&self.repositories, &self.previous.repositories].into_iter();
        known.filter_map(move |all| all.get(stack)).chain(self.recent.repository(stack))
    }

    /// Returns all repositories by the folder of the stack.
    pub(crate) fn repositories(&self) -> impl Iterator<Item = &str> {
        self.repositories.keys().map(String::as_str)
    }

    /// Returns the folder of a version of a stack in the registry repository.
    pub(crate) fn folder(&self, stack: &str, version: &str) -> Option<&str> {
        self.folders.get(&(stack.to_owned(), version.to_owned())).map(String::as_str)
    }

    /// Returns the stack and version in a folder of the registry repository.
    pub(crate) fn version_in(&self, folder: &str) -> Option<(&str, &str)> {
        self.versions_in.get(folder).map(|(name, version)| (name.as_str(), version.as_str()))
    }

    /// Returns the name of the stack in a folder below `stacks/` of the registry repository.
    pub(crate) fn stack_in(&self, folder: &str) -> Option<&str> {
        self.stacks_in.get(folder).map(String::as_str)
    }

    /// Returns a file of the registry repository by its path.
    pub(crate) fn file(&self, path: &str) -> Option<&StoredFile> {
        self.files.get(path)
    }

    /// Returns the files below a folder of the registry repository, with their paths.
    pub(crate) fn files_below(&self, folder: &str) -> impl Iterator<Item = (&str, &StoredFile)> {
        // `0` follows `/` in ASCII, so the range has exactly the paths that start with `<folder>/`.
        let files = self.files.range(format!("{folder}/")..format!("{folder}0"));
        files.map(|(path, file)| (path.as_str(), file))
    }

    /// Returns the parents and children of versions. `public_url` is the registry's own address.
    pub(crate) fn lineage(&self, public_url: Option<&str>) -> &Lineage {
        self.lineage.get_or_init(|| {
            Lineage::new(
                &self.sources(),
                |name| self.viewer_index.position(name, None).map(|position| (position, self.catalog.entry(position))),
                |url| self.is_own_url(url, public_url),
            )
        })
    }

    /// Returns whether a URL is that of this registry: `public_url`, or the one in its devfiles.
    pub(crate) fn is_own_url(&self, url: &str, public_url: Option<&str>) -> bool {
        let mut own = [public_url, self.own_url.as_deref()].into_iter().flatten();
        own.any(|own| own.trim_end_matches('/') == url.trim_end_matches('/'))
    }

    /// Returns all devfiles with the positions of their entries, in the order of the index.
    fn sources(&self) -> Vec<DevfileSource<'_>> {
        let places =
            self.devfiles.keys().filter_map(|key| Some((self.viewer_index.position(&key.1, Some(key.0))?, key)));
        let entries: BTreeMap<usize, &(EntryType, String)> = places.collect();
        let sources = entries.into_iter().flat_map(|(position, (kind, name))| {
            self.devfiles_of(*kind, name).unwrap_or_default().iter().filter_map(move |devfile| {
                let folder = match kind {
                    EntryType::Stack => self.folder(name, &devfile.version).unwrap_or_default(),
                    EntryType::Sample => "",
                };
                let text = std::str::from_utf8(devfile.body.bytes()).ok()?;
                Some(DevfileSource { position, version: &devfile.version, folder, text })
            })
        });
        sources.collect()
    }

    /// Returns content that is in memory.
    pub(crate) fn content(&self, digest: &Digest) -> Option<&Bytes> {
        self.contents.get(digest).or_else(|| self.previous.contents.get(digest))
    }
}

/// Runs the first function on another thread and the second on this one.
fn join<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        (first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), second)
    })
}

fn devfiles(
    entries: &[Entry],
    texts: &BTreeMap<(EntryType, String, String), Bytes>,
) -> HashMap<(EntryType, String), Vec<DevfileVersion>> {
    const YAML: &str = "text/plain; charset=utf-8";
    let body = |kind, name: &str, version: &str| {
        Some(Body::new(YAML, texts.get(&(kind, name.to_owned(), version.to_owned()))?.clone()))
    };
    let mut all = HashMap::new();
    for entry in entries {
        let mut versions: Vec<DevfileVersion> = entry
            .versions
            .iter()
            .filter_map(|version| {
                Some(DevfileVersion {
                    version: version.version.clone(),
                    schema_version: version.schema_version.clone(),
                    default: version.default,
                    body: body(entry.entry_type, &entry.name, &version.version)?,
                    starters: OnceLock::new(),
                })
            })
            .collect();
        versions::sort(&mut versions);
        let only = body(entry.entry_type, &entry.name, "").map(|body| DevfileVersion {
            version: String::new(),
            schema_version: String::new(),
            default: true,
            body,
            starters: OnceLock::new(),
        });
        versions.extend(only);
        all.insert((entry.entry_type, entry.name.clone()), versions);
    }
    all
}

/// Returns the archive of an artifact as a file in the folder of its version, the reference's path
/// for it.
fn archive(version: &PublishedVersion) -> Option<(String, StoredFile)> {
    let layer = version.layers.iter().find(|layer| layer.title == artifact::ARCHIVE)?;
    let file = StoredFile { digest: layer.digest, size: layer.size };
    Some((format!("{}/{}", version.folder, artifact::ARCHIVE), file))
}

fn repositories(versions: &[PublishedVersion]) -> Repositories {
    let mut repositories = Repositories::new();
    let manifests = packed(versions.iter().map(|version| artifact::manifest(&version.layers)));
    for (version, manifest) in versions.iter().zip(manifests) {
        let repository = repositories.entry(version.stack.clone()).or_default();
        repository.tags.insert(version.version.clone(), version.manifest);
        repository.add(version, manifest);
    }
    repositories
}

/// Copies thousands of texts into one buffer and returns the range of each. Otherwise each text
/// would keep the buffer in memory from which it was read.
fn packed<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Vec<Bytes> {
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for text in texts {
        all.extend_from_slice(text.as_ref());
        ends.push(all.len());
    }
    let (all, mut start) = (Bytes::from(all.into_boxed_slice()), 0);
    ends.into_iter().map(|end| all.slice(std::mem::replace(&mut start, end)..end)).collect()
}

/// A snapshot that requests share.
pub(crate) type Shared = Arc<Snapshot>;
