//! Icons of a release in memory.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use devfile_registry::digest::Digest;
use devfile_registry::index::Entry;
use devfile_registry::limits::ICON_DATA_BYTES;

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
    fn data_uri(&self) -> String {
        format!("data:{};base64,{}", self.media_type, STANDARD.encode(&self.bytes))
    }

    /// Bytes of [`Image::data_uri`].
    fn data_uri_bytes(&self) -> usize {
        "data:;base64,".len() + self.media_type.len() + self.bytes.len().div_ceil(3) * 4
    }
}

/// The `data:` URIs of icons by URL. All that the entries would show of them together is at most [`ICON_DATA_BYTES`]: of a registry
/// with more, those that take the most are left out.
pub(crate) fn data_uris(entries: &[Entry], icons: &Icons) -> BTreeMap<String, String> {
    data_uris_within(ICON_DATA_BYTES, entries, icons)
}

fn data_uris_within(mut room: usize, entries: &[Entry], icons: &Icons) -> BTreeMap<String, String> {
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let urls = entries.iter().flat_map(|entry| entry.versions.iter().map(|version| &version.icon).chain([&entry.icon]));
    for url in urls {
        if let Some(icon) = icons.get(url) {
            *taken.entry(url).or_default() += icon.data_uri_bytes();
        }
    }
    let mut by_size: Vec<(usize, &str)> = taken.into_iter().map(|(url, bytes)| (bytes, url)).collect();
    by_size.sort_unstable();
    let fitting = by_size.iter().take_while(|(bytes, _)| {
        let left = room.checked_sub(*bytes);
        room = left.unwrap_or(0);
        left.is_some()
    });
    let data: BTreeMap<String, String> = fitting.map(|(_, url)| ((*url).to_owned(), icons[*url].data_uri())).collect();
    if data.len() < by_size.len() {
        tracing::warn!(limit = ICON_DATA_BYTES, "the icons of all entries take too much in one answer; some stay URLs");
    }
    data
}

#[cfg(test)]
mod tests {
    use devfile_registry::index::VersionEntry;

    use super::*;

    #[test]
    fn icons_beyond_the_room_of_an_answer_stay_urls() {
        let image = |length: usize| {
            let bytes = Bytes::from(vec![b'x'; length]);
            Image { media_type: "image/png".to_owned(), digest: Digest::of(&bytes), bytes }
        };
        let icons: Icons = [("small".to_owned(), image(30)), ("shared".to_owned(), image(300))].into();
        let entry = |icon: &str, versions: usize| Entry {
            icon: icon.to_owned(),
            versions: vec![VersionEntry { icon: icon.to_owned(), ..VersionEntry::default() }; versions],
            ..Entry::default()
        };
        let entries = [entry("small", 1), entry("shared", 9), entry("unknown", 0), entry("", 0)];
        let (small, shared) = (2 * icons["small"].data_uri().len(), 10 * icons["shared"].data_uri().len());
        for (room, known) in [
            (small + shared, &["shared", "small"][..]),
            (small + shared - 1, &["small"]),
            (small, &["small"]),
            (small - 1, &[]),
        ] {
            let data = data_uris_within(room, &entries, &icons);
            assert_eq!(data.keys().collect::<Vec<_>>(), known, "{room}");
            assert!(data.iter().all(|(url, data)| *data == icons[url].data_uri()));
        }
    }
}
