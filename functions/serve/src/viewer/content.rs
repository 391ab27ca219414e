//! Sections that follow from a devfile or a release alone. They are rendered once and kept, within a bound.

use std::sync::Arc;

use devfile_registry::digest::Digest;
use moka::sync::Cache;

use super::budget::Fitting;
use super::devfile::Devfile;
use super::{flow, highlight};

/// Most bytes of contents that are kept.
const KEPT: u64 = 2 << 20;

/// A devfile as pages show it.
#[derive(Debug)]
pub(super) struct DevfileContent {
    /// The text in colour, as far as a page shows it.
    pub(super) code: Fitting,
    /// Its parts, if it is a devfile.
    pub(super) devfile: Option<Devfile>,
    /// Which command runs on which component, as SVG.
    pub(super) picture: Option<String>,
}

/// Contents by the digest of their text, so those of versions that a release does not change outlive it.
#[derive(Debug)]
pub(super) struct Rendered {
    devfiles: Cache<Digest, Arc<DevfileContent>>,
    sections: Cache<SectionKey, Arc<String>>,
}

/// A section of a page that follows from a release alone: the release, and a name in it.
pub(super) type SectionKey = (Digest, String);

impl Rendered {
    pub(super) fn new() -> Self {
        let weight = |_: &Digest, content: &Arc<DevfileContent>| {
            // The parts hold the text once more, in small pieces.
            let bytes = content.code.rows.0.len() * 2 + content.picture.as_ref().map_or(0, String::len);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let length = |key: &SectionKey, html: &Arc<String>| u32::try_from(key.1.len() + html.len()).unwrap_or(u32::MAX);
        Self {
            devfiles: Cache::builder().max_capacity(KEPT).weigher(weight).build(),
            sections: Cache::builder().max_capacity(KEPT).weigher(length).build(),
        }
    }

    /// A section that follows from a release alone, rendered once.
    pub(super) fn section(&self, key: SectionKey, render: impl FnOnce() -> String) -> Arc<String> {
        self.sections.get_with(key, || Arc::new(render()))
    }

    /// The content of a text.
    pub(super) fn content(&self, text: &str) -> Arc<DevfileContent> {
        let digest = Digest::of(text.as_bytes());
        self.devfiles.get_with(digest, || Arc::new(DevfileContent::new(text)))
    }
}

impl DevfileContent {
    fn new(text: &str) -> Self {
        let devfile = Devfile::read(text);
        let picture = devfile.as_ref().and_then(flow::picture).map(maud::Markup::into_string);
        Self { code: highlight::yaml(text), devfile, picture }
    }
}
