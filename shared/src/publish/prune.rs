//! Takes away what no reader and no rollback needs: old release objects, and blobs that no kept release names.
//!
//! The OCI registry keeps everything; it is the record, and rollbacks start there.

use std::collections::BTreeSet;

use super::upload::each;
use super::{PublishError, Publisher};
use crate::cache::{BLOBS, Bucket, RELEASES, Stat, blob_key, release_key};
use crate::digest::Digest;
use crate::limits::{self, KEPT_SECONDS, LISTED_RELEASES};
use crate::registry::Registry;
use crate::release::{FORMAT, InvalidDocument, LiveIndex, Outline};
use crate::source::Source;

/// Whether an object is so young that it will not be pruned for a while: a publication that finds it can rely on it. Half of the
/// time is for the publication.
pub(super) fn stays(stat: Stat, now: jiff::Timestamp) -> bool {
    age(stat, now) < KEPT_SECONDS / 2
}

/// How many seconds ago an object was written.
pub(super) fn age(stat: Stat, now: jiff::Timestamp) -> i64 {
    now.as_second() - stat.modified.as_second()
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Removes the release objects that `index.json` no longer lists and, when there are any, the blobs that only they name.
    /// Nothing that was written within the last hour goes: a publication may be about to name it. Says how many objects went.
    ///
    /// # Errors
    /// [`PublishError`] when the bucket fails, or a kept release cannot be read: then it is not known what it needs.
    pub async fn prune(&self) -> Result<usize, PublishError> {
        let Some(live) = self.live().await? else { return Ok(0) };
        let now = (self.clock)().instant();
        if is_full(&live.index, now) {
            return Ok(0);
        }
        let kept: BTreeSet<String> = live
            .index
            .recent
            .iter()
            .map(|recent| recent.release)
            .chain([live.index.release])
            .map(release_key)
            .collect();
        let old = |(key, stat): (String, Stat)| (age(stat, now) >= KEPT_SECONDS).then_some(key);
        let stored = self.bucket.list(RELEASES).await?;
        let releases: Vec<String> = stored.into_iter().filter(|(key, _)| !kept.contains(key)).filter_map(old).collect();
        if releases.is_empty() {
            return Ok(0);
        }
        let needed = self.needed(&live.index).await?;
        let blobs = self.bucket.list(BLOBS).await?;
        let blobs: Vec<String> = blobs.into_iter().filter(|(key, _)| !needed.contains(key)).filter_map(old).collect();
        // Blobs first: without its release object nobody would look for them again.
        each(&blobs, |key| async { Ok(self.bucket.delete(key).await?) }).await?;
        each(&releases, |key| async { Ok(self.bucket.delete(key).await?) }).await?;
        let pruned = blobs.len() + releases.len();
        tracing::info!(releases = releases.len(), blobs = blobs.len(), "pruned");
        Ok(pruned)
    }

    /// Keys of the blobs that the kept releases name.
    async fn needed(&self, index: &LiveIndex) -> Result<BTreeSet<String>, PublishError> {
        let (mut needed, mut read) = (BTreeSet::new(), BTreeSet::new());
        let names = index.recent.iter().map(|recent| recent.release).chain([index.release]);
        for name in names.collect::<BTreeSet<_>>() {
            // What is gone already needs nothing.
            let Some(object) = self.bucket.get(&release_key(name), limits::RELEASE_BYTES).await? else { continue };
            let outline = match Outline::from_bytes(name, &object.bytes) {
                Ok(outline) => outline,
                // Nobody can go back to it, and its readers were updated.
                Err(InvalidDocument::Format(format)) if format < FORMAT => {
                    tracing::warn!(release = %name, format, "a kept release is of an older format; what only it names is removed");
                    continue;
                }
                Err(reason) => return Err(PublishError::ForeignRelease(name, reason)),
            };
            // Most documents are those of other releases, too.
            let new: Vec<Digest> =
                outline.documents().into_keys().filter(|document| !read.contains(document)).collect();
            let documents = each(&new, |document| async move { Ok((*document, self.document(*document).await?)) });
            let mut found = Vec::new();
            for (document, content) in documents.await? {
                match content {
                    Some(content) => {
                        read.insert(document);
                        found.push((document, content));
                    }
                    None if name == index.release => return Err(PublishError::MissingBlob(document)),
                    None => {}
                }
            }
            let release = outline.with(found).map_err(|reason| PublishError::ForeignRelease(name, reason))?;
            needed.extend(release.blobs().into_keys().map(blob_key));
        }
        Ok(needed)
    }
}

/// Whether so many releases went live within the hour that the list of them may be cut off.
fn is_full(index: &LiveIndex, now: jiff::Timestamp) -> bool {
    let oldest = index.recent.last().map(|recent| recent.generated_at.instant().as_second());
    index.recent.len() >= LISTED_RELEASES && oldest.is_some_and(|oldest| now.as_second() - oldest < KEPT_SECONDS)
}
