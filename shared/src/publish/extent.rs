//! How much a comparison of the stores covers: everything, or a turn that the clock chooses.

/// How much of the OCI registry is compared with the live release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// The index artifact, all documents, and a turn of the versions and blobs.
    ///
    /// A turn has at most [`COMPARED_VERSIONS`](crate::limits::COMPARED_VERSIONS) and
    /// [`COMPARED_BLOBS`](crate::limits::COMPARED_BLOBS). The clock chooses it, so that no state is
    /// kept between runs. Of the bucket, `bucket_blobs` chooses the blobs.
    Turn,
}

/// Length of a turn in seconds, the usual time between two runs of the schedule.
const TURN_SECONDS: i64 = 300;

impl Extent {
    /// Returns the elements to compare, `most` at most in a turn.
    pub(super) fn of<T>(self, all: &[T], most: usize, now: jiff::Timestamp) -> &[T] {
        let turns = all.len().div_ceil(most);
        if self == Self::Whole || turns <= 1 {
            return all;
        }
        all.chunks(most).nth(turn(turns, now)).unwrap_or(all)
    }
}

/// Returns the number of the current turn, out of `turns`.
pub(super) fn turn(turns: usize, now: jiff::Timestamp) -> usize {
    (now.as_second() / TURN_SECONDS).rem_euclid(turns as i64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::limits::COMPARED_VERSIONS;

    #[test]
    fn every_version_has_its_turn() {
        let versions: Vec<usize> = (0..2 * COMPARED_VERSIONS + 1).collect();
        let mut compared: BTreeSet<usize> = BTreeSet::new();
        for run in 0..3 {
            let now = jiff::Timestamp::from_second(1_000_000_007 + run * TURN_SECONDS).unwrap();
            let turn = Extent::Turn.of(&versions, COMPARED_VERSIONS, now);
            assert!(turn.len() <= COMPARED_VERSIONS);
            compared.extend(turn.iter().copied());
            assert_eq!(Extent::Whole.of(&versions, COMPARED_VERSIONS, now).len(), versions.len());
        }
        assert_eq!(compared.len(), versions.len());
        let (few, now) = (&versions[..COMPARED_VERSIONS], jiff::Timestamp::now());
        assert_eq!(Extent::Turn.of(few, COMPARED_VERSIONS, now).len(), COMPARED_VERSIONS);
    }
}
