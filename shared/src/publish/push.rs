//! Writes to the OCI registry: artifacts of stack versions and of documents, and the index artifact.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::each::each;
use super::error::PublishError;
use super::index_artifact::{DocumentArtifact, INDEX_REPOSITORY, IndexArtifact, stack_repository};
use super::publisher::Publisher;
use crate::artifact;
use crate::cache::Bucket;
use crate::context;
use crate::digest::Digest;
use crate::registry::{Name, Registry};
use crate::release::{Built, Outline, PublishedVersion};
use crate::source::Source;

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
    /// Pushes the artifacts of those versions that their tags do not name: blobs, then manifests.
    ///
    /// A tag that is new is written at once, since nothing else refers to it; [`Publisher::move_tags`] moves the others.
    /// Stacks that `before` lacks have no blobs in the OCI registry either, so it is not asked for these.
    pub(super) async fn push_versions<'v>(
        &self,
        built: &Built,
        versions: impl IntoIterator<Item = &'v PublishedVersion>,
        before: Option<&Outline>,
    ) -> Result<Pushed<'v>, PublishError> {
        let tagged = each(versions, |version: &PublishedVersion| async move {
            let repository = stack_repository(&version.stack);
            Ok((version, self.registry.manifest_digest(&repository, Name::Tag(&version.version)).await?))
        });
        let (new, others): (Vec<_>, Vec<_>) = tagged.await?.into_iter().partition(|(_, tagged)| tagged.is_none());
        let new: Vec<&PublishedVersion> = new.into_iter().map(|(version, _)| version).collect();
        let moved = others.into_iter().filter(|(version, tagged)| *tagged != Some(version.manifest));
        let moved: Vec<&PublishedVersion> = moved.map(|(version, _)| version).collect();

        let config = (Digest::of(artifact::CONFIG), artifact::CONFIG.len() as u64);
        let blobs = new.iter().chain(&moved).flat_map(|version| {
            let layers = version.layers.iter().map(|layer| (layer.digest, layer.size)).chain([config]);
            layers.map(|(blob, size)| ((version.stack.as_str(), blob), size))
        });
        let blobs: BTreeMap<(&str, Digest), u64> = blobs.collect();
        let push = |((stack, blob), size)| async move {
            let (repository, content) = (stack_repository(stack), self.content(built, blob));
            if before.is_some_and(|before| before.stacks.contains_key(stack)) {
                return self.push_missing(&repository, blob, size, content).await;
            }
            self.registry.push_blob(&repository, blob, content.await?).await?;
            Ok(1)
        };
        let mut writes: u64 = each(blobs, push).await?.into_iter().sum();
        let names = new.iter().map(|version| (*version, Name::Tag(&version.version)));
        let names = names.chain(moved.iter().map(|version| (*version, Name::Digest(version.manifest))));
        let push = |(version, name)| async move {
            self.push_manifest_of(version, name).await?;
            context::count_artifact();
            Ok(())
        };
        writes += each(names, push).await?.len() as u64;
        Ok(Pushed { writes, new, moved })
    }

    /// Moves the tags of some versions to their artifacts, which are there, and returns how many.
    pub(super) async fn move_tags(&self, versions: &[&PublishedVersion]) -> Result<u64, PublishError> {
        let names = versions.iter().map(|version| (*version, Name::Tag(&version.version)));
        Ok(each(names, |(version, name)| self.push_manifest_of(version, name)).await?.len() as u64)
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

    /// Pushes the missing artifacts of documents, without the blobs that the release before `had`
    /// there. Returns them, and how much was written.
    pub(super) async fn push_documents<'d>(
        &self,
        built: &Built,
        artifacts: impl IntoIterator<Item = &'d DocumentArtifact>,
        had: &BTreeSet<Digest>,
    ) -> Result<(Vec<&'d DocumentArtifact>, u64), PublishError> {
        let missing = each(artifacts, |artifact| async move {
            let found = self.registry.manifest_digest(INDEX_REPOSITORY, Name::Tag(&artifact.tag)).await?;
            Ok((found != Some(artifact.digest)).then_some(artifact))
        });
        let missing: Vec<&DocumentArtifact> = missing.await?.into_iter().flatten().collect();
        if missing.is_empty() {
            return Ok((missing, 0));
        }
        let blobs = missing.iter().flat_map(|artifact| &artifact.blobs).map(|(blob, size)| (*blob, *size));
        let blobs: BTreeMap<Digest, u64> = blobs.filter(|(blob, _)| !had.contains(blob)).collect();
        let file_backed = built.release.file_backed();
        let (file_backed, in_memory): (Vec<_>, Vec<_>) =
            blobs.into_iter().partition(|(blob, _)| file_backed.contains(blob));
        let push = |(blob, size)| async move {
            self.push_missing(INDEX_REPOSITORY, blob, size, self.content(built, blob)).await
        };
        let mut pushed = each(in_memory, push).await?.into_iter().sum::<u64>();
        for (blob, size) in file_backed {
            pushed += self.push_missing_file_backed(blob, size).await?;
        }
        let tag = |artifact: &'d DocumentArtifact| async move {
            let name = Name::Tag(&artifact.tag);
            Ok(self.registry.push_manifest(INDEX_REPOSITORY, name, artifact.manifest.clone()).await?)
        };
        pushed += each(missing.iter().copied(), tag).await?.len() as u64;
        Ok((missing, pushed))
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
