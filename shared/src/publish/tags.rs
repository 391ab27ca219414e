//! Tags of the OCI registry against the live release.

use std::collections::BTreeSet;

use super::each::each;
use super::error::{PublishError, RACES};
use super::index_artifact::{DocumentArtifact, INDEX_REPOSITORY, IndexArtifact, stack_repository};
use super::live::{Live, Loaded};
use super::progress::PushedArtifacts;
use super::publisher::Publisher;
use crate::cache::{Bucket, ETag};
use crate::registry::{Name, Registry};
use crate::release::PublishedVersion;
use crate::source::Source;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Returns whether the tags of some versions and those of the index artifact name the new live release.
    pub(super) async fn are_tags_in_place(
        &self,
        artifact: &IndexArtifact<'_>,
        moved: &[&PublishedVersion],
    ) -> Result<bool, PublishError> {
        let of_versions =
            moved.iter().map(|version| (stack_repository(&version.stack), version.version.as_str(), version.manifest));
        let of_index = artifact.tags.map(|tag| (INDEX_REPOSITORY.to_owned(), tag, artifact.digest));
        let tags = of_versions.chain(of_index);
        let in_place = each(tags, |(repository, tag, manifest)| async move {
            Ok(self.registry.manifest_digest(&repository, Name::Tag(tag)).await? == Some(manifest))
        });
        Ok(in_place.await?.into_iter().all(|is_in_place| is_in_place))
    }

    /// Moves the tags of some versions and those of the index artifact to the live release, until
    /// no other release goes live meanwhile.
    ///
    /// `seen` is the state of `index.json` that they match already.
    pub(super) async fn reconcile_tags(
        &self,
        mut seen: Option<ETag>,
        moved: &[&PublishedVersion],
    ) -> Result<(), PublishError> {
        let moved: BTreeSet<(&str, &str)> = moved.iter().map(|v| (v.stack.as_str(), v.version.as_str())).collect();
        for _ in 0..RACES {
            let Some(live) = self.live().await? else { return Ok(()) };
            if seen.as_ref() == Some(&live.object.etag) {
                return Ok(());
            }
            let Some(stored) = self.outline(&live.index).await? else { return Ok(()) };
            let stacks = moved.iter().map(|(stack, _)| (*stack).to_owned()).collect();
            let documents = stored.outline.documents_of(&stacks);
            let Some(loaded) = self.load(&stored, documents).await? else { return Ok(()) };
            let versions = loaded.release.content.versions.iter();
            let versions = versions.filter(|version| moved.contains(&(&version.stack, &version.version)));
            self.repair_tags(&live, &loaded, versions).await?;
            seen = Some(live.object.etag);
        }
        Err(PublishError::Races)
    }

    /// Repairs the tags of some versions, and those of the index artifact, that do not name the
    /// artifacts of the live release.
    ///
    /// Pushes the blobs and manifests that they need, and returns the repaired tags.
    pub(super) async fn repair_tags(
        &self,
        live: &Live,
        loaded: &Loaded,
        versions: impl IntoIterator<Item = &PublishedVersion>,
    ) -> Result<Vec<String>, PublishError> {
        let built = loaded.as_built(live.index.release);
        // Repairs ask the registry for everything.
        let known = PushedArtifacts::default();
        let pushed = self.push_versions(&built, versions, Some(&loaded.release.outline), &known).await?;
        self.move_tags(&pushed.moved, &known).await?;
        let line =
            |version: &&PublishedVersion| format!("registry: {}:{}", stack_repository(&version.stack), version.version);
        let mut repaired: Vec<String> = pushed.new.iter().chain(&pushed.moved).map(line).collect();
        let documents = DocumentArtifact::all(&loaded.release);
        self.push_index_config().await?;
        let (pushed, _) = self.push_documents(&built, &documents, &BTreeSet::new(), &known).await?;
        repaired.extend(pushed.into_iter().map(|artifact| format!("registry: {INDEX_REPOSITORY}:{}", artifact.tag)));
        let artifact = IndexArtifact::new(&live.index, &live.object.bytes, &loaded.release.outline, &loaded.bytes);
        let lagging = self.wrong_tags(&artifact).await?;
        if !lagging.is_empty() {
            self.push_index_blobs(&artifact).await?;
            self.tag_index(&artifact).await?;
        }
        repaired.extend(lagging.into_iter().map(|tag| format!("registry: {INDEX_REPOSITORY}:{tag}")));
        Ok(repaired)
    }

    /// Returns the tags of an index artifact that do not name it.
    pub(super) async fn wrong_tags<'a>(&self, artifact: &IndexArtifact<'a>) -> Result<Vec<&'a str>, PublishError> {
        let mut wrong = Vec::new();
        for tag in artifact.tags {
            if self.registry.manifest_digest(INDEX_REPOSITORY, Name::Tag(tag)).await? != Some(artifact.digest) {
                wrong.push(tag);
            }
        }
        Ok(wrong)
    }
}
