//! Media types that more than one layer names.

/// Media type of an OCI image manifest (OCI image specification 1.1).
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
