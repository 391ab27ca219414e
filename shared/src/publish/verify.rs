//! Verification: compares every digest of the live release in both stores, and changes nothing.

use serde::Serialize;

use super::artifact_blobs::{NamedBlob, blobs_of};
use super::each::each;
use super::error::PublishError;
use super::index_artifact::{DocumentArtifact, INDEX_REPOSITORY, IndexArtifact, stack_repository};
use super::live::{Live, Loaded};
use super::publisher::Publisher;
use crate::artifact;
use crate::cache::{Bucket, blob_key, release_key};
use crate::digest::{CommitSha, Digest};
use crate::limits;
use crate::registry::{Name, Registry};
use crate::release::PublishedVersion;
use crate::source::Source;

/// The findings of [`Publisher::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Whether all is as it should be.
    pub intact: bool,
    /// Commit of the live release.
    pub commit_hash: CommitSha,
    /// Name of the live release.
    pub release: Digest,
    /// The amount of content that was read.
    pub checked: CheckedObjects,
    /// Differences from the live release. `restore` repairs the bucket; `reconcile` repairs the
    /// tags of the OCI registry and their artifacts.
    pub problems: Vec<String>,
}

/// The numbers of objects that were read and compared with their digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CheckedObjects {
    /// Objects in the bucket.
    pub bucket: usize,
    /// Tags, manifests and blobs in the OCI registry.
    pub registry: usize,
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Reads everything that the live release names, from both stores.
    ///
    /// # Errors
    /// [`PublishError`] when a server does not answer, or nothing is live.
    pub async fn verify(&self) -> Result<Verification, PublishError> {
        let live = self.live().await?.ok_or(PublishError::NothingLive)?;
        let index = &live.index;
        let mut checked = CheckedObjects { bucket: 2, registry: 0 };
        let mut problems = Vec::new();
        problems.extend(self.verify_object(release_key(index.release), index.release).await?);
        if let Some(loaded) = self.release(index).await? {
            let release = &loaded.release;
            if let Err(reason) = index.check(&release.outline) {
                problems.push(format!("bucket: index.json is not that of the release: {reason}"));
            }
            let (blobs, files) = (release.blobs(), release.file_backed());
            checked.bucket += blobs.len();
            let in_memory = blobs.into_keys().filter(|blob| !files.contains(blob));
            let in_memory = each(in_memory, |blob| self.verify_object(blob_key(blob), blob)).await?;
            problems.extend(in_memory.into_iter().flatten());
            for blob in &files {
                problems.extend(self.verify_file_backed(*blob).await?);
            }
            let mut blobs = blobs_of(release);
            checked.registry = 2 * release.content.versions.len() + 2 + release.read_from().len() + blobs.len();
            blobs.retain(|blob| !files.contains(&blob.digest));
            let versions = each(&release.content.versions, |version| self.verify_version(version)).await?;
            let blobs = each(&blobs, |blob: &NamedBlob| self.verify_blob(&blob.repository, blob.digest)).await?;
            problems.extend(versions.into_iter().chain(blobs).flatten());
            problems.extend(self.verify_index_artifact(&live, &loaded).await?);
        } else {
            problems.push(format!("registry: {INDEX_REPOSITORY}:{} has no release to check by", index.commit_hash));
        }
        for problem in &problems {
            tracing::warn!(problem, "not as it should be");
        }
        let (commit_hash, release) = (index.commit_hash.clone(), index.release);
        Ok(Verification { intact: problems.is_empty(), commit_hash, release, checked, problems })
    }

    /// Checks a file-backed blob in both stores.
    async fn verify_file_backed(&self, blob: Digest) -> Result<Vec<String>, PublishError> {
        let mut problems = Vec::new();
        let key = blob_key(blob);
        if self.file_from_bucket(blob).await?.is_none() {
            let state = if self.bucket.stat(&key).await?.is_some() { "does not have its digest" } else { "is missing" };
            problems.push(format!("bucket: {key} {state}"));
        }
        match self.file_from_registry(blob).await {
            Ok(Some(_)) => {}
            Ok(None) => problems.push(format!("registry: {INDEX_REPOSITORY}@{blob} is missing")),
            // As in `verify_blob`.
            Err(error @ (PublishError::Registry(_) | PublishError::DamagedArtifact { .. })) => {
                problems.push(format!("registry: {INDEX_REPOSITORY}@{blob}: {error}"));
            }
            Err(error) => return Err(error),
        }
        Ok(problems)
    }

    async fn verify_version(&self, version: &PublishedVersion) -> Result<Option<String>, PublishError> {
        let name = format!("{}:{}", stack_repository(&version.stack), version.version);
        let tag = Name::Tag(&version.version);
        let tagged = self.registry.manifest_digest(&stack_repository(&version.stack), tag).await?;
        if tagged != Some(version.manifest) {
            let found = tagged.map_or("nothing".to_owned(), |digest| digest.to_string());
            return Ok(Some(format!("registry: {name} names {found} in place of {}", version.manifest)));
        }
        let manifest =
            self.registry.manifest(&stack_repository(&version.stack), Name::Digest(version.manifest)).await?;
        let same = manifest.is_some_and(|bytes| bytes == artifact::manifest(&version.layers));
        Ok((!same).then(|| format!("registry: the manifest of {name} is not as published")))
    }

    async fn verify_blob(&self, repository: &str, blob: Digest) -> Result<Option<String>, PublishError> {
        // A registry that answers with other bytes has failed, and so has the check.
        Ok(match self.registry.blob(repository, blob, limits::RELEASE_BYTES).await {
            Ok(Some(_)) => None,
            Ok(None) => Some(format!("registry: {repository}@{blob} is missing")),
            Err(error) => Some(format!("registry: {repository}@{blob}: {error}")),
        })
    }

    async fn verify_index_artifact(&self, live: &Live, loaded: &Loaded) -> Result<Vec<String>, PublishError> {
        let artifact = IndexArtifact::new(&live.index, &live.object.bytes, &loaded.release.outline, &loaded.bytes);
        let wrong = |tag| format!("registry: {INDEX_REPOSITORY}:{tag} is not that of the live release");
        let mut problems: Vec<String> = self.wrong_tags(&artifact).await?.into_iter().map(wrong).collect();
        for artifact in DocumentArtifact::all(&loaded.release) {
            let tag = Name::Tag(&artifact.tag);
            if self.registry.manifest_digest(INDEX_REPOSITORY, tag).await? != Some(artifact.digest) {
                problems.push(format!("registry: {INDEX_REPOSITORY}:{} is not as published", artifact.tag));
            }
        }
        for document in [&live.object.bytes, &loaded.bytes] {
            problems.extend(self.verify_blob(INDEX_REPOSITORY, Digest::of(document)).await?);
        }
        Ok(problems)
    }
}
