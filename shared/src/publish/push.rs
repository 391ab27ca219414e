//! Writes to the OCI registry: artifacts of stack versions and of documents, and the index artifact.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;

use super::each::each;
use super::error::PublishError;
use super::index_artifact::{DocumentArtifact, INDEX_REPOSITORY, IndexArtifact, stack_repository};
use super::progress::PushedArtifacts;
use super::publisher::Publisher;
use crate::artifact;
use crate::cache::Bucket;
use crate::context;
use crate::digest::Digest;
use crate::registry::{Name, Registry};
use crate::release::{Built, Outline, PublishedVersion};
use crate::source::Source;

/// Artifacts of a batch: few, because an invocation that is stopped asks for the blobs of its last batch again, and several times
/// [`CONCURRENT_UPLOADS`](crate::limits::CONCURRENT_UPLOADS), because the three steps of a batch wait for each other.
const BATCH: usize = 64;

/// Artifacts that were pushed.
#[derive(Debug)]
pub(super) struct Pushed<'v> {
    /// Blobs and manifests written.
    pub(super) writes: u64,
    /// Versions whose tag is new.
    pub(super) new: Vec<&'v PublishedVersion>,
    /// Versions whose tag still names another artifact.
    pub(super) moved: Vec<&'v PublishedVersion>,
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Pushes the artifacts of those versions that their tags do not name: of one batch after the other blobs, then manifests.
    ///
    /// A tag that is new is written at once, since nothing else refers to it; [`Publisher::move_tags`] moves the others.
    /// Stacks that `before` lacks have no blobs in the OCI registry either, so it is not asked for these.
    pub(super) async fn push_versions<'v>(
        &self,
        built: &Built,
        versions: impl IntoIterator<Item = &'v PublishedVersion>,
        before: Option<&Outline>,
        known: &PushedArtifacts,
    ) -> Result<Pushed<'v>, PublishError> {
        let is_known = |version: &&PublishedVersion| {
            known.has_tag(&stack_repository(&version.stack), &version.version, version.manifest)
        };
        let versions: Vec<&PublishedVersion> = versions.into_iter().filter(|version| !is_known(version)).collect();
        let mut pushed = Pushed { writes: 0, new: Vec::new(), moved: Vec::new() };
        let mut sent = HashSet::new();
        for batch in versions.chunks(BATCH) {
            self.push_batch(built, batch, before, known, (&mut pushed, &mut sent)).await?;
        }
        Ok(pushed)
    }

    /// Pushes the artifacts of a batch of versions, without the blobs that were sent with batches before.
    async fn push_batch<'v>(
        &self,
        built: &Built,
        batch: &[&'v PublishedVersion],
        before: Option<&Outline>,
        known: &PushedArtifacts,
        (pushed, sent): (&mut Pushed<'v>, &mut HashSet<(&'v str, Digest)>),
    ) -> Result<(), PublishError> {
        let tagged = each(batch.iter().copied(), |version: &PublishedVersion| async move {
            let repository = stack_repository(&version.stack);
            let tagged = self.registry.manifest_digest(&repository, Name::Tag(&version.version)).await?;
            Ok((version, tagged))
        });
        let mut absent = Vec::new();
        for (version, tagged) in tagged.await? {
            let repository = stack_repository(&version.stack);
            match tagged {
                None => {
                    pushed.new.push(version);
                    absent.push((version, Name::Tag(&version.version)));
                }
                Some(tagged) if tagged == version.manifest => {
                    known.add_tag(&repository, &version.version, version.manifest);
                }
                Some(_) => {
                    pushed.moved.push(version);
                    if !known.has_manifest(&repository, version.manifest) {
                        absent.push((version, Name::Digest(version.manifest)));
                    }
                }
            }
        }
        let config = (Digest::of(artifact::CONFIG), artifact::CONFIG.len() as u64);
        let blobs = absent.iter().flat_map(|(version, _)| {
            let layers = version.layers.iter().map(|layer| (layer.digest, layer.size)).chain([config]);
            layers.map(|(blob, size)| ((version.stack.as_str(), blob), size))
        });
        let mut blobs: BTreeMap<(&str, Digest), u64> = blobs.collect();
        blobs.retain(|blob, _| sent.insert(*blob));
        let push = |((stack, blob), size)| async move {
            let (repository, content) = (stack_repository(stack), self.content(built, blob));
            let is_in_release = before.is_some_and(|before| before.stacks.contains_key(stack));
            let pushed = if is_in_release || known.had_repository(&repository) {
                self.push_missing(&repository, blob, size, content).await?
            } else {
                self.registry.push_blob(&repository, blob, content.await?).await?;
                1
            };
            known.add_blobs(&repository, pushed);
            Ok(pushed)
        };
        pushed.writes += each(blobs, push).await?.into_iter().sum::<u64>();
        let push = |(version, name): (&'v PublishedVersion, Name<'v>)| async move {
            self.push_manifest_of(version, name).await?;
            let repository = stack_repository(&version.stack);
            match name {
                Name::Tag(tag) => known.add_tag(&repository, tag, version.manifest),
                Name::Digest(digest) => known.add_manifest(&repository, digest),
            }
            context::count_artifact();
            Ok(())
        };
        pushed.writes += each(absent, push).await?.len() as u64;
        Ok(())
    }

    /// Moves the tags of some versions to their artifacts, which are there, and returns how many.
    pub(super) async fn move_tags(
        &self,
        versions: &[&PublishedVersion],
        known: &PushedArtifacts,
    ) -> Result<u64, PublishError> {
        let moved = each(versions.iter().copied(), |version: &PublishedVersion| async move {
            self.push_manifest_of(version, Name::Tag(&version.version)).await?;
            known.add_tag(&stack_repository(&version.stack), &version.version, version.manifest);
            Ok(())
        });
        Ok(moved.await?.len() as u64)
    }

    async fn push_manifest_of(&self, version: &PublishedVersion, name: Name<'_>) -> Result<(), PublishError> {
        let manifest = artifact::manifest(&version.layers);
        Ok(self.registry.push_manifest(&stack_repository(&version.stack), name, manifest).await?)
    }

    /// Pushes the config of all artifacts of the index repository, before all else: a registry may
    /// lose sight of a blob for a moment when it gets it a second time.
    pub(super) async fn push_index_config(&self) -> Result<u64, PublishError> {
        let config = async { Ok(Bytes::from_static(artifact::CONFIG)) };
        let (digest, size) = (Digest::of(artifact::CONFIG), artifact::CONFIG.len() as u64);
        self.push_missing(INDEX_REPOSITORY, digest, size, config).await
    }

    /// Pushes the layers of an index artifact that are not documents of the release, and returns
    /// how many were missing.
    pub(super) async fn push_index_blobs(&self, artifact: &IndexArtifact<'_>) -> Result<u64, PublishError> {
        let push = |(digest, content): (Digest, &Bytes)| {
            let content = content.clone();
            self.push_missing(INDEX_REPOSITORY, digest, content.len() as u64, async { Ok(content) })
        };
        Ok(each(artifact.documents, push).await?.into_iter().sum())
    }

    /// Tags an index artifact whose layers are there. The tag of the commit comes before `latest`.
    pub(super) async fn tag_index(&self, artifact: &IndexArtifact<'_>) -> Result<u64, PublishError> {
        for tag in artifact.tags {
            self.registry.push_manifest(INDEX_REPOSITORY, Name::Tag(tag), artifact.manifest.clone()).await?;
        }
        Ok(artifact.tags.len() as u64)
    }

    /// Pushes the missing artifacts of documents, one batch after the other, without the blobs that the release before `had`
    /// there. Returns them, and how much was written.
    pub(super) async fn push_documents<'d>(
        &self,
        built: &Built,
        artifacts: &'d [DocumentArtifact],
        had: &BTreeSet<Digest>,
        known: &PushedArtifacts,
    ) -> Result<(Vec<&'d DocumentArtifact>, u64), PublishError> {
        let is_known = |artifact: &&DocumentArtifact| known.has_tag(INDEX_REPOSITORY, &artifact.tag, artifact.digest);
        let artifacts: Vec<&DocumentArtifact> = artifacts.iter().filter(|artifact| !is_known(artifact)).collect();
        let (mut missing, mut pushed, mut sent) = (Vec::new(), 0, HashSet::new());
        for batch in artifacts.chunks(BATCH) {
            let found = each(batch.iter().copied(), |artifact: &'d DocumentArtifact| async move {
                let found = self.registry.manifest_digest(INDEX_REPOSITORY, Name::Tag(&artifact.tag)).await?;
                if found == Some(artifact.digest) {
                    known.add_tag(INDEX_REPOSITORY, &artifact.tag, artifact.digest);
                    return Ok(None);
                }
                Ok(Some(artifact))
            });
            let absent: Vec<&DocumentArtifact> = found.await?.into_iter().flatten().collect();
            pushed += self.push_document_batch(built, &absent, had, known, &mut sent).await?;
            missing.extend(absent);
        }
        Ok((missing, pushed))
    }

    /// Pushes artifacts of documents, without the blobs that were sent with batches before.
    async fn push_document_batch(
        &self,
        built: &Built,
        absent: &[&DocumentArtifact],
        had: &BTreeSet<Digest>,
        known: &PushedArtifacts,
        sent: &mut HashSet<Digest>,
    ) -> Result<u64, PublishError> {
        let blobs = absent.iter().flat_map(|artifact| &artifact.blobs).map(|(blob, size)| (*blob, *size));
        let mut blobs: BTreeMap<Digest, u64> = blobs.filter(|(blob, _)| !had.contains(blob)).collect();
        blobs.retain(|blob, _| sent.insert(*blob));
        let file_backed = built.release.file_backed();
        let (file_backed, in_memory): (Vec<_>, Vec<_>) =
            blobs.into_iter().partition(|(blob, _)| file_backed.contains(blob));
        let push = |(blob, size)| async move {
            let pushed = self.push_missing(INDEX_REPOSITORY, blob, size, self.content(built, blob)).await?;
            known.add_blobs(INDEX_REPOSITORY, pushed);
            Ok(pushed)
        };
        let mut pushed = each(in_memory, push).await?.into_iter().sum::<u64>();
        for (blob, size) in file_backed {
            let file = self.push_missing_file_backed(blob, size).await?;
            known.add_blobs(INDEX_REPOSITORY, file);
            pushed += file;
        }
        let tag = |artifact: &DocumentArtifact| {
            let (name, digest, manifest) = (artifact.tag.clone(), artifact.digest, artifact.manifest.clone());
            async move {
                self.registry.push_manifest(INDEX_REPOSITORY, Name::Tag(&name), manifest).await?;
                known.add_tag(INDEX_REPOSITORY, &name, digest);
                Ok(())
            }
        };
        Ok(pushed + each(absent.iter().copied(), tag).await?.len() as u64)
    }

    /// Pushes a blob unless the repository has it in its length, and returns the number of pushed blobs.
    pub(super) async fn push_missing(
        &self,
        repository: &str,
        blob: Digest,
        size: u64,
        content: impl Future<Output = Result<Bytes, PublishError>>,
    ) -> Result<u64, PublishError> {
        if self.registry.has_blob(repository, blob, size).await? {
            return Ok(0);
        }
        self.registry.push_blob(repository, blob, content.await?).await?;
        Ok(1)
    }
}
