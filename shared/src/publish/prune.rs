//! Removes objects that neither readers nor rollbacks need: old release objects, blobs that no retained
//! release names, and old zips of starter projects.
//!
//! A publication beside a prune may need objects that the prune is about to remove. Three rules keep such objects:
//! - A prune checks the age of an object again right before it removes it, and a publication writes an old object anew. A
//!   conditional removal would be no safer: an object that was written anew has the same bytes, and so the same entity tag.
//! - A prune announces itself. A publication that found objects in the bucket waits until no removal can be under way any more,
//!   and checks them before it commits.
//! - The publication that went live checks them once more.
//!
//! The OCI registry keeps everything; it is the record, and rollbacks start there.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::each::each;
use super::error::PublishError;
use super::publisher::Publisher;
use super::retention::age;
use crate::cache::{BLOBS, Bucket, Expect, PRUNE_KEY, RELEASES, STARTERS, Stat, Written, blob_key, release_key};
use crate::digest::Digest;
use crate::limits::{self, KEPT_SECONDS, KEPT_STARTER_SECONDS, LISTED_RELEASES, PRUNE_SECONDS};
use crate::registry::Registry;
use crate::release::{FORMAT, InvalidDocument, LiveIndex, Outline};
use crate::source::Source;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Removes the release objects that `index.json` no longer lists and, when there are any, the
    /// blobs that only they name. Keeps the content of previews, and ends expired ones. Keeps everything that was written within the last hour, because a
    /// publication may be about to name it. Removes old zips of starter projects, too, where the bucket
    /// has no rule that does so. Returns how many objects it removed.
    ///
    /// # Errors
    /// [`PublishError`] when the bucket fails, or a retained release cannot be read: its blobs are unknown then.
    pub async fn prune(&self) -> Result<usize, PublishError> {
        let age = jiff::SignedDuration::from_secs(KEPT_STARTER_SECONDS);
        let before = (self.clock)().instant().checked_sub(age).unwrap_or(jiff::Timestamp::MIN);
        let previews = self.prune_previews().await?;
        Ok(self.bucket.expire(STARTERS, before).await? + previews + self.prune_releases().await?)
    }

    async fn prune_releases(&self) -> Result<usize, PublishError> {
        let Some(live) = self.live().await? else { return Ok(0) };
        if self.old_releases(&live.index).await?.is_empty() || !self.announce_prune().await? {
            return Ok(0);
        }
        let began = Instant::now();
        let pruned = self.prune_announced(began).await;
        self.bucket.delete(PRUNE_KEY).await?;
        pruned
    }

    /// Announces a prune; false when another one runs.
    async fn announce_prune(&self) -> Result<bool, PublishError> {
        let expect = match self.bucket.stat(PRUNE_KEY).await? {
            None => Expect::Absent,
            Some(stat) if age(stat, (self.clock)().instant()) < PRUNE_SECONDS => return Ok(false),
            // That one was stopped.
            Some(_) => Expect::Anything,
        };
        let note = Bytes::from(format!("{{\"began_at\":\"{}\"}}", (self.clock)()));
        Ok(self.bucket.put_if(PRUNE_KEY, note, expect).await? != Written::Lost)
    }

    /// The rest of [`Publisher::prune`]. It reads `index.json` again: a publication that went live
    /// before the announcement did not wait.
    async fn prune_announced(&self, began: Instant) -> Result<usize, PublishError> {
        let Some(live) = self.live().await? else { return Ok(0) };
        let releases = self.old_releases(&live.index).await?;
        if releases.is_empty() {
            return Ok(0);
        }
        let needed = self.needed(&live.index).await?;
        let now = (self.clock)().instant();
        let blobs = self.bucket.list(BLOBS).await?;
        let is_old = |(key, stat): &(String, Stat)| age(*stat, now) >= KEPT_SECONDS && !needed.contains(key);
        let blobs: Vec<String> = blobs.into_iter().filter(is_old).map(|(key, _)| key).collect();
        // Blobs first: without its release object, no prune would look for them again.
        let blobs = self.remove_old(&blobs, began).await?;
        let releases = self.remove_old(&releases, began).await?;
        tracing::info!(releases, blobs, "pruned");
        Ok(blobs + releases)
    }

    /// Keys of the release objects that are old and not listed; none when the list is incomplete.
    async fn old_releases(&self, index: &LiveIndex) -> Result<Vec<String>, PublishError> {
        let now = (self.clock)().instant();
        if is_full(index, now) {
            return Ok(Vec::new());
        }
        let previews = self.previewed_releases().await?;
        let retained =
            index.recent.iter().map(|recent| recent.release).chain([index.release]).chain(previews).map(release_key);
        let retained: BTreeSet<String> = retained.chain([PRUNE_KEY.to_owned()]).collect();
        let stored = self.bucket.list(RELEASES).await?;
        let is_old = |(key, stat): &(String, Stat)| age(*stat, now) >= KEPT_SECONDS && !retained.contains(key);
        Ok(stored.into_iter().filter(is_old).map(|(key, _)| key).collect())
    }

    /// Removes objects that are still old, as long as there is time, and returns how many those were.
    async fn remove_old(&self, keys: &[String], began: Instant) -> Result<usize, PublishError> {
        let until = began + Duration::from_secs(PRUNE_SECONDS.unsigned_abs() / 2);
        let removed = each(keys, |key| async move {
            let stat = self.bucket.stat(key).await?;
            let is_old = stat.is_some_and(|stat| age(stat, (self.clock)().instant()) >= KEPT_SECONDS);
            if !is_old || Instant::now() >= until {
                return Ok(0);
            }
            self.bucket.delete(key).await?;
            Ok(1)
        });
        Ok(removed.await?.into_iter().sum())
    }

    /// Keys of the blobs that the retained releases name.
    async fn needed(&self, index: &LiveIndex) -> Result<BTreeSet<String>, PublishError> {
        let (mut needed, mut read) = (BTreeSet::new(), BTreeSet::new());
        let previews = self.previewed_releases().await?;
        let names = index.recent.iter().map(|recent| recent.release).chain([index.release]).chain(previews);
        for name in names.collect::<BTreeSet<_>>() {
            let Some(object) = self.bucket.get(&release_key(name), limits::RELEASE_BYTES).await? else {
                if name == index.release {
                    return Err(PublishError::live_release_missing(index));
                }
                // A release that is gone already needs nothing.
                continue;
            };
            let outline = match Outline::from_bytes(name, &object.bytes) {
                Ok(outline) => outline,
                // Nobody can go back to it, and its readers were updated.
                Err(InvalidDocument::Format(format)) if format < FORMAT => {
                    tracing::warn!(release = %name, format, "a retained release is of an older format; content that only it names is removed");
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
