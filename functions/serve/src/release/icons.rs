//! The icons of a release, read once and held in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use devfile_registry::cache::Cache;
use devfile_registry::digest::Digest;
use devfile_registry::limits::{CONCURRENT_READS, ICON_MEMORY_BYTES};
use devfile_registry::release::Icon;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::release::blobs::{self, Damaged};
use crate::view::icons::{Icons, Image};

/// Longest wait of a new release for its icons. Icons that arrive later stay URLs.
const LOAD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the icons of a release, and reuses those of the previous one. An icon that is not an
/// image, exceeds the memory limit or cannot be read is left out, and the index shows its URL.
pub(crate) async fn load(
    icons: BTreeMap<String, Icon>,
    before: Option<&Icons>,
    cache: &Cache,
    damaged: &Damaged,
) -> Icons {
    let known = before.into_iter().flat_map(BTreeMap::values).map(|image| (image.digest, image.bytes.clone()));
    let mut contents: BTreeMap<Digest, Bytes> = known.collect();
    let mut wanted = BTreeMap::new();
    let mut budget = ICON_MEMORY_BYTES;
    for icon in icons.values().filter(|icon| is_image(&icon.media_type)) {
        if wanted.contains_key(&icon.digest) {
            continue;
        }
        let Some(left) = budget.checked_sub(icon.size) else {
            tracing::warn!(
                limit = ICON_MEMORY_BYTES,
                "the icons of this release exceed the memory limit; the index shows the URLs of the others"
            );
            break;
        };
        budget = left;
        wanted.insert(icon.digest, icon.size);
    }
    contents.retain(|digest, _| wanted.contains_key(digest));
    wanted.retain(|digest, _| !contents.contains_key(digest));

    let count = wanted.len();
    let reads = futures_util::stream::iter(wanted)
        .map(async |(digest, size)| (digest, blobs::checked(cache, damaged, digest, size).await));
    let mut reads = std::pin::pin!(reads.buffer_unordered(CONCURRENT_READS));
    let deadline = Instant::now() + LOAD_TIMEOUT;
    let mut read = 0;
    loop {
        match timeout_at(deadline, reads.next()).await {
            Ok(Some((digest, Ok(bytes)))) => {
                read += 1;
                contents.insert(digest, bytes);
            }
            Ok(Some((_, Err(error)))) => tracing::warn!(%error, "cannot read an icon; the index shows its URL"),
            Ok(None) => break,
            Err(_) => {
                tracing::warn!(
                    read,
                    of = count,
                    "the icons of this release are slow; the index shows the URLs of the others"
                );
                break;
            }
        }
    }
    let image = |icon: Icon| {
        let bytes = contents.get(&icon.digest).filter(|_| is_image(&icon.media_type))?.clone();
        Some(Image { media_type: icon.media_type, digest: icon.digest, bytes })
    };
    icons.into_iter().filter_map(|(url, icon)| Some((url, image(icon)?))).collect()
}

/// Returns whether a media type is an image type and safe in a header and a URI.
fn is_image(media_type: &str) -> bool {
    let subtype = media_type.strip_prefix("image/").unwrap_or_default();
    !subtype.is_empty() && subtype.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}
