//! Pictures: those that the release holds, by digest. A page never points to another host.

use std::collections::HashMap;

use devfile_registry::digest::Digest;
use devfile_registry::index::Entry;
use devfile_registry::limits::ICON_BYTES;
use devfile_registry::release::PublishedVersion;

/// Media types that browsers show as a picture.
const SHOWN: [&str; 6] = ["image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp", "image/x-icon"];

/// The icons of a release.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    by_url: HashMap<String, Digest>,
    /// Logos that lie beside a devfile, by the name of the stack; of several versions that of the first in the index.
    of_stacks: HashMap<String, Digest>,
    files: HashMap<Digest, (&'static str, u64)>,
}

impl Pictures {
    /// The icons of a release: those that its entries name by URL, else the logos among the files of its versions.
    pub(crate) fn new(named: &crate::view::icons::Icons, versions: &[PublishedVersion]) -> Self {
        let mut icons = Self::default();
        for (url, icon) in named {
            if icons.keep(icon.digest, &icon.media_type, icon.bytes.len() as u64) {
                icons.by_url.insert(url.clone(), icon.digest);
            }
        }
        for version in versions {
            let logos = ["logo.svg", "logo.png"].into_iter();
            let mut layers = logos.filter_map(|name| version.layers.iter().find(|layer| layer.title == name));
            if let Some(logo) = layers.next()
                && icons.keep(logo.digest, &logo.media_type, logo.size)
            {
                icons.of_stacks.entry(version.name.clone()).or_insert(logo.digest);
            }
        }
        icons
    }

    fn keep(&mut self, digest: Digest, media_type: &str, size: u64) -> bool {
        let shown = SHOWN.into_iter().find(|shown| *shown == media_type).filter(|_| size <= ICON_BYTES);
        self.files.extend(shown.map(|shown| (digest, (shown, size))));
        shown.is_some()
    }

    /// The path of the icon of an entry, if the release has one.
    pub(crate) fn of(&self, entry: &Entry) -> Option<String> {
        let digest = self.by_url.get(&entry.icon).or_else(|| self.of_stacks.get(&entry.name))?;
        Some(format!("/viewer/icons/{}", digest.hex()))
    }

    /// The media type and size of a picture.
    pub(crate) fn find(&self, digest: &Digest) -> Option<(&'static str, u64)> {
        self.files.get(digest).copied()
    }
}
