//! The icons of a release in memory, read once per release.

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

/// Longest that a new release waits for its icons. It is served without those that are late.
const LOAD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the icons of a release; those that the release before has too are taken from there. What is not an image, does not
/// fit into memory or cannot be read is left out: the index then shows its URL.
pub(crate) async fn load(
    icons: BTreeMap<String, Icon>,
    before: Option<&Icons>,
    cache: &Cache,
    damaged: &Damaged,
) -> Icons {
    let known = before.into_iter().flat_map(BTreeMap::values).map(|image| (image.digest, image.bytes.clone()));
    let mut contents: BTreeMap<Digest, Bytes> = known.collect();
    let mut wanted = BTreeMap::new();
    let mut room = ICON_MEMORY_BYTES;
    for icon in icons.values().filter(|icon| is_image(&icon.media_type)) {
        if wanted.contains_key(&icon.digest) {
            continue;
        }
        let Some(left) = room.checked_sub(icon.size) else {
            tracing::warn!(limit = ICON_MEMORY_BYTES, "the icons of this release take too much memory; some stay URLs");
            break;
        };
        room = left;
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
            Ok(Some((_, Err(error)))) => tracing::warn!(%error, "an icon cannot be read; its URL stays"),
            Ok(None) => break,
            Err(_) => {
                tracing::warn!(read, of = count, "the icons of this release are slow; the URLs of the others stay");
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

/// Whether a media type is that of an image and can stand in a header and in a URI.
fn is_image(media_type: &str) -> bool {
    let subtype = media_type.strip_prefix("image/").unwrap_or_default();
    !subtype.is_empty() && subtype.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}
