//! Finds blobs of a release that the bucket lacks, or holds with other bytes than their digest says.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::compare_scope::{CompareScope, current_slice};
use super::each::each;
use super::error::PublishError;
use super::publisher::Publisher;
use super::retention::age;
use crate::cache::{BLOBS, Bucket, Stat, blob_key};
use crate::digest::Digest;
use crate::limits::{self, CHECKED_BLOBS, CHECKED_BYTES, KEPT_SECONDS};
use crate::registry::Registry;
use crate::release::Release;
use crate::source::Source;

impl CompareScope {
    /// Chooses the blobs to compare with their digests.
    ///
    /// An overwritten blob is young, so [`CompareScope::Slice`] takes those of the last hour, the newest
    /// first. The slices of the others find bytes that changed at rest.
    fn compared(self, blobs: Vec<(Digest, Stat)>, now: jiff::Timestamp) -> Vec<Digest> {
        if self == Self::All {
            return blobs.into_iter().map(|(digest, _)| digest).collect();
        }
        let (mut recent, old): (Vec<_>, Vec<_>) =
            blobs.into_iter().partition(|(_, stat)| age(*stat, now) < KEPT_SECONDS);
        recent.sort_by_key(|(_, stat)| Reverse(stat.modified));
        let recent = portions(recent).into_iter().next().unwrap_or_default();
        let mut old = portions(old);
        let old = if old.is_empty() { Vec::new() } else { old.swap_remove(current_slice(old.len(), now)) };
        recent.into_iter().chain(old).collect()
    }
}

/// Splits blobs into portions of [`CHECKED_BLOBS`] with [`CHECKED_BYTES`] at most, but one blob at least.
fn portions(blobs: Vec<(Digest, Stat)>) -> Vec<Vec<Digest>> {
    let mut portions: Vec<Vec<Digest>> = Vec::new();
    let mut bytes = 0;
    for (digest, stat) in blobs {
        bytes += stat.size;
        match portions.last_mut() {
            Some(portion) if portion.len() < CHECKED_BLOBS && bytes <= CHECKED_BYTES => portion.push(digest),
            _ => {
                bytes = stat.size;
                portions.push(vec![digest]);
            }
        }
    }
    portions
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Returns the blobs of a release that the bucket lacks, or has in another length.
    pub(super) async fn missing_blobs(&self, release: &Release) -> Result<BTreeSet<Digest>, PublishError> {
        Ok(missing(&release.blobs(), &self.bucket.list(BLOBS).await?))
    }

    /// Returns the missing blobs of a release, and the damaged ones among the compared blobs.
    /// Documents are not compared here, because [`Publisher::repair_bucket`] compares each.
    pub(super) async fn missing_or_damaged_blobs(
        &self,
        release: &Release,
        scope: CompareScope,
    ) -> Result<BTreeSet<Digest>, PublishError> {
        let stored = self.bucket.list(BLOBS).await?;
        let mut blobs = release.blobs();
        let mut wrong = missing(&blobs, &stored);
        blobs.retain(|digest, _| !wrong.contains(digest) && !release.read_from().contains_key(digest));
        let stats = blobs.into_keys().filter_map(|digest| Some((digest, *stored.get(&blob_key(digest))?)));
        let compared = scope.compared(stats.collect(), (self.clock)().instant());
        let file_backed = release.file_backed();
        let (file_backed, in_memory): (Vec<Digest>, Vec<Digest>) =
            compared.into_iter().partition(|blob| file_backed.contains(blob));
        let in_memory =
            each(in_memory, |blob| async move { Ok(self.verify_object(blob_key(blob), blob).await?.map(|_| blob)) });
        wrong.extend(in_memory.await?.into_iter().flatten());
        for blob in file_backed {
            if self.file_from_bucket(blob).await?.is_none() {
                wrong.insert(blob);
            }
        }
        Ok(wrong)
    }

    /// Compares an object of the bucket with its digest; returns the problem, if any.
    pub(super) async fn verify_object(&self, key: String, digest: Digest) -> Result<Option<String>, PublishError> {
        Ok(match self.bucket.get(&key, limits::TREE_BYTES).await? {
            Some(object) if Digest::of(&object.bytes) == digest => None,
            Some(_) => Some(format!("bucket: {key} does not have its digest")),
            None => Some(format!("bucket: {key} is missing")),
        })
    }
}

fn missing(blobs: &BTreeMap<Digest, u64>, stored: &BTreeMap<String, Stat>) -> BTreeSet<Digest> {
    let is_there =
        |(digest, size): &(&Digest, &u64)| stored.get(&blob_key(**digest)).is_some_and(|stat| stat.size == **size);
    blobs.iter().filter(|blob| !is_there(blob)).map(|(digest, _)| *digest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn blob(number: usize, size: u64, age: i64) -> (Digest, Stat) {
        let modified = jiff::Timestamp::from_second(NOW - age).unwrap();
        (Digest::of(&number.to_be_bytes()), Stat { size, modified })
    }

    fn compared(blobs: &[(Digest, Stat)], run: i64) -> Vec<Digest> {
        CompareScope::Slice.compared(blobs.to_vec(), jiff::Timestamp::from_second(NOW + run * 300).unwrap())
    }

    #[test]
    fn blob_written_lately_is_compared_at_once_in_a_registry_of_any_size() {
        let mut blobs: Vec<_> = (0..100 * CHECKED_BLOBS).map(|number| blob(number, 10, 100_000)).collect();
        blobs.extend((0..10 * CHECKED_BLOBS).map(|number| blob(1_000_000 + number, 10, 1_000)));
        let overwritten = blob(5_000_000, 10, 60);
        blobs.insert(7, overwritten);
        let compared = compared(&blobs, 0);
        assert!(compared.contains(&overwritten.0));
        assert_eq!(compared.len(), 2 * CHECKED_BLOBS);
    }

    #[test]
    fn every_old_blob_is_in_a_slice_and_no_slice_exceeds_the_limits() {
        let mut blobs: Vec<_> = (0..3 * CHECKED_BLOBS).map(|number| blob(number, 10, 100_000)).collect();
        // Some that do not fit into one slice together, and one that does not fit into any.
        blobs.extend((0..5).map(|number| blob(1_000_000 + number, CHECKED_BYTES / 2 + 1, 100_000)));
        blobs.push(blob(2_000_000, 2 * CHECKED_BYTES, 100_000));
        let mut seen = BTreeSet::new();
        for run in 0..10 {
            let compared = compared(&blobs, run);
            let bytes: u64 =
                blobs.iter().filter(|(digest, _)| compared.contains(digest)).map(|(_, stat)| stat.size).sum();
            assert!(compared.len() <= CHECKED_BLOBS && (bytes <= CHECKED_BYTES || compared.len() == 1));
            seen.extend(compared);
        }
        assert_eq!(seen.len(), blobs.len());
        let whole = CompareScope::All.compared(blobs.clone(), jiff::Timestamp::from_second(NOW).unwrap());
        assert_eq!(whole.len(), blobs.len());
    }
}
