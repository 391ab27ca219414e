//! Where fetched content is put.

use std::path::Path;

use crate::digest::Digest;

/// Where fetched content is put.
pub trait Keep: Sync {
    /// Why it was not.
    type Error: Send;

    /// Puts a file under its digest, to stay as long as a release names it.
    fn keep(&self, digest: Digest, file: &Path) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
