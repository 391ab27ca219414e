//! The OCI registry: answers that no server should give.
