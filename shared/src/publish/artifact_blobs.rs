//! The blobs that artifacts of a release name in the OCI registry. Tags stay intact when blobs get
//! lost, so blobs are compared, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;

use super::compare_scope::CompareScope;
use super::each::each;
use super::error::PublishError;
use super::index_artifact::{DocumentArtifact, INDEX_REPOSITORY, LATEST, stack_repository};
use super::live::{Live, Loaded};
use super::publisher::Publisher;
use crate::artifact;
use crate::cache::Bucket;
use crate::digest::Digest;
use crate::registry::Registry;
use crate::release::{Built, Release};
use crate::source::Source;

/// Tags that a line about a blob names; the config of a stack's artifacts is in all of them.
const NAMED_TAGS: usize = 10;

/// A blob of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedBlob {
    pub(super) repository: String,
    pub(super) digest: Digest,
    size: u64,
    /// Tags of the artifacts that name it.
    tags: BTreeSet<String>,
}

impl fmt::Display for NamedBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<&str> = self.tags.iter().take(NAMED_TAGS).map(String::as_str).collect();
        write!(f, "{}@{} of {}", self.repository, self.digest, tags.join(", "))?;
        match self.tags.len().saturating_sub(NAMED_TAGS) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Every blob that the artifacts of a release name, by repository and digest, but for those of [`blobs_of_index`].
pub(super) fn blobs_of(release: &Release) -> Vec<NamedBlob> {
    let config = (Digest::of(artifact::CONFIG), artifact::CONFIG.len() as u64);
    let of_versions = release.content.versions.iter().flat_map(|version| {
        let layers = version.layers.iter().map(|layer| (layer.digest, layer.size));
        layers.chain([config]).map(move |blob| (stack_repository(&version.stack), blob, version.version.clone()))
    });
    let documents = DocumentArtifact::all(release);
    let of_documents = documents.iter().flat_map(|document| {
        let blobs = document.blobs.iter().map(|(digest, size)| (*digest, *size)).chain([config]);
        blobs.map(|blob| (INDEX_REPOSITORY.to_owned(), blob, document.tag.clone()))
    });
    let mut blobs: BTreeMap<(String, Digest), NamedBlob> = BTreeMap::new();
    let of_index = release.outline.documents().into_iter().chain([config]);
    let of_index = of_index.map(|document| (INDEX_REPOSITORY.to_owned(), document, LATEST.to_owned()));
    for (repository, (digest, size), tag) in of_versions.chain(of_documents).chain(of_index) {
        // An empty blob cannot get lost.
        if digest == config.0 || artifact::known(digest).is_none() {
            let blob = NamedBlob { repository: repository.clone(), digest, size, tags: BTreeSet::new() };
            blobs.entry((repository, digest)).or_insert(blob).tags.insert(tag);
        }
    }
    blobs.into_values().collect()
}

/// The blobs that the index artifact of the live release names beside the documents of the release,
/// with their content.
pub(super) fn blobs_of_index(live: &Live, loaded: &Loaded) -> Vec<(NamedBlob, Bytes)> {
    let blob = |content: &Bytes| {
        let (digest, size) = (Digest::of(content), content.len() as u64);
        (
            NamedBlob { repository: INDEX_REPOSITORY.to_owned(), digest, size, tags: [LATEST.to_owned()].into() },
            content.clone(),
        )
    };
    vec![blob(&live.object.bytes), blob(&loaded.bytes)]
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Pushes those of some blobs that the OCI registry lacks or has in another length, from the
    /// bucket, and returns them. In a comparison of the whole, a registry that has its blobs on this machine compares their bytes, too.
    ///
    /// # Errors
    /// [`PublishError::StuckBlob`], after all others are pushed, when an upload changes nothing.
    pub(super) async fn repair_blobs<'b>(
        &self,
        built: &Built,
        blobs: impl IntoIterator<Item = &'b NamedBlob>,
        scope: CompareScope,
    ) -> Result<Vec<&'b NamedBlob>, PublishError> {
        let compare = |blob: &'b NamedBlob| async move { Ok((!self.has(blob, scope).await?).then_some(blob)) };
        let wrong = each(blobs, compare).await?.into_iter().flatten();
        let file_backed = built.release.file_backed();
        let (file_backed, in_memory): (Vec<_>, Vec<_>) = wrong.partition(|blob| file_backed.contains(&blob.digest));
        let push = |blob: &'b NamedBlob| async move {
            let content = self.content(built, blob.digest).await?;
            self.registry.push_blob(&blob.repository, blob.digest, content).await?;
            Ok(blob)
        };
        let mut pushed = each(in_memory, push).await?;
        for blob in file_backed {
            self.push_file_backed(blob.digest).await?;
            pushed.push(blob);
        }
        let is_repaired = each(pushed.iter().copied(), |blob| self.has(blob, scope)).await?;
        let (repaired, stuck): (Vec<_>, Vec<_>) = pushed.into_iter().zip(is_repaired).partition(|(_, is)| *is);
        if let Some((blob, _)) = stuck.first() {
            for (blob, _) in &repaired {
                tracing::warn!(repaired = %blob, "repaired");
            }
            return Err(PublishError::StuckBlob(blob.to_string()));
        }
        Ok(repaired.into_iter().map(|(blob, _)| blob).collect())
    }

    async fn has(
        &self,
        NamedBlob { repository, digest, size, .. }: &NamedBlob,
        scope: CompareScope,
    ) -> Result<bool, PublishError> {
        Ok(match scope {
            CompareScope::All => self.registry.is_intact(repository, *digest, *size).await?,
            CompareScope::Slice => self.registry.has_blob(repository, *digest, *size).await?,
        })
    }
}
