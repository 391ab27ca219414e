//! Icons of a release in memory.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use devfile_registry::digest::Digest;

/// Icons by the URL that the index names, as far as they could be read.
pub(crate) type Icons = BTreeMap<String, Image>;

/// An icon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// Its media type, such as `image/svg+xml`.
    pub(crate) media_type: String,
    /// Digest of the bytes.
    pub(crate) digest: Digest,
    /// The bytes.
    pub(crate) bytes: Bytes,
}

impl Image {
    /// The icon as a `data:` URI (RFC 2397).
    pub(crate) fn data_uri(&self) -> String {
        format!("data:{};base64,{}", self.media_type, STANDARD.encode(&self.bytes))
    }
}
