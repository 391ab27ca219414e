//! Names of repositories in the OCI registry.

use crate::artifact::CATALOG;

/// The repository of the index artifact and of the artifacts of documents.
pub(super) const INDEX_REPOSITORY: &str = "devfile-index";

/// Returns the repository of the artifacts of a stack.
pub(super) fn stack_repository(stack: &str) -> String {
    format!("{CATALOG}/{stack}")
}
