//! Whether a publication may rely on an object that it finds in the bucket, although a prune may run beside it.

use std::time::Duration;

use super::error::PublishError;
use super::publisher::Publisher;
use crate::cache::{Bucket, PRUNE_KEY, Stat};
use crate::limits::{KEPT_SECONDS, PRUNE_SECONDS};
use crate::registry::Registry;
use crate::source::Source;

/// An object of the bucket, as a publication left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// It was not there before.
    New,
    /// It was there, and so old that a prune may remove it; it was written again.
    Renewed,
    /// It was there, and stays.
    Present,
}

impl Placed {
    /// Returns how many objects were written.
    pub(super) fn writes(self) -> u64 {
        u64::from(self != Self::Present)
    }

    /// Returns whether the publication found the object.
    pub(super) fn was_found(self) -> bool {
        self != Self::New
    }
}

/// Returns how many seconds ago an object was written.
pub(super) fn age(stat: Stat, now: jiff::Timestamp) -> i64 {
    now.as_second() - stat.modified.as_second()
}

/// Returns whether an object is so young that no prune removes it during a publication. Half of the
/// time is for the publication.
fn stays(stat: Stat, now: jiff::Timestamp) -> bool {
    age(stat, now) < KEPT_SECONDS / 2
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Decides how an object is placed. An existing one stays if no prune removes it before this publication is live.
    pub(super) async fn placing(&self, key: &str) -> Result<Placed, PublishError> {
        let now = (self.clock)().instant();
        Ok(match self.bucket.stat(key).await? {
            None => Placed::New,
            Some(stat) if stays(stat, now) => Placed::Present,
            Some(_) => Placed::Renewed,
        })
    }

    /// Waits until no prune runs that could remove an object which was old before this call.
    pub(super) async fn wait_for_prune(&self) -> Result<(), PublishError> {
        for _ in 0..PRUNE_SECONDS {
            match self.bucket.stat(PRUNE_KEY).await? {
                Some(stat) if age(stat, (self.clock)().instant()) < PRUNE_SECONDS => {}
                _ => return Ok(()),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }
}
