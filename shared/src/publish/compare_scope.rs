//! The scope of a comparison of the stores: everything, or a slice that the clock chooses.

/// The share of the stores that is compared with the live release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareScope {
    /// All of both stores.
    All,
    /// The index artifact, all documents, and a slice of the versions and blobs.
    ///
    /// A slice has at most [`COMPARED_VERSIONS`](crate::limits::COMPARED_VERSIONS) and
    /// [`COMPARED_BLOBS`](crate::limits::COMPARED_BLOBS). The clock chooses it, so that no state is
    /// kept between runs. Of the bucket, `bucket_blobs` chooses the blobs.
    Slice,
}

/// Seconds for which a slice is the current one: the usual time between two runs of the schedule.
const SLICE_SECONDS: i64 = 300;

impl CompareScope {
    /// Returns the elements to compare, `most` at most in a slice.
    pub(super) fn select<T>(self, all: &[T], most: usize, now: jiff::Timestamp) -> &[T] {
        let slices = all.len().div_ceil(most);
        if self == Self::All || slices <= 1 {
            return all;
        }
        all.chunks(most).nth(current_slice(slices, now)).unwrap_or(all)
    }
}

/// Returns the number of the current slice, out of `slices`.
pub(super) fn current_slice(slices: usize, now: jiff::Timestamp) -> usize {
    (now.as_second() / SLICE_SECONDS).rem_euclid(slices as i64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::limits::COMPARED_VERSIONS;

    #[test]
    fn every_version_is_in_a_slice() {
        let versions: Vec<usize> = (0..2 * COMPARED_VERSIONS + 1).collect();
        let mut compared: BTreeSet<usize> = BTreeSet::new();
        for run in 0..3 {
            let now = jiff::Timestamp::from_second(1_000_000_007 + run * SLICE_SECONDS).unwrap();
            let slice = CompareScope::Slice.select(&versions, COMPARED_VERSIONS, now);
            assert!(slice.len() <= COMPARED_VERSIONS);
            compared.extend(slice.iter().copied());
            assert_eq!(CompareScope::All.select(&versions, COMPARED_VERSIONS, now).len(), versions.len());
        }
        assert_eq!(compared.len(), versions.len());
        let (few, now) = (&versions[..COMPARED_VERSIONS], jiff::Timestamp::now());
        assert_eq!(CompareScope::Slice.select(few, COMPARED_VERSIONS, now).len(), COMPARED_VERSIONS);
    }
}
