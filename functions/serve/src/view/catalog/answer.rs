//! Putting an answer together.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::fragment::{EntryFragment, Fragment, IconData, Rendering};
use super::query::IconForm;

/// The entries that match a query, as slices of the rendered index.
///
/// The entity tag is made from the digests of the matches: another release that answers the same has the same tag,
/// and a client that has the answer already costs no body.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    slices: Vec<&'a [u8]>,
    digest: Sha256,
    whole: Option<&'a Bytes>,
}

impl Selection<'_> {
    /// The strong entity tag of the body, quoted.
    pub(crate) fn etag(&self) -> String {
        use std::fmt::Write as _;
        let mut etag = String::with_capacity(34);
        etag.push('"');
        for byte in &self.digest.clone().finalize()[..16] {
            // Writing to a string cannot fail.
            let _ = write!(etag, "{byte:02x}");
        }
        etag.push('"');
        etag
    }

    /// The body: a JSON array of the matches.
    pub(crate) fn body(&self) -> Bytes {
        match self.whole {
            Some(json) => json.clone(),
            None => self.slices.concat().into(),
        }
    }
}

/// Collects the matches of a rendering, entry by entry.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    rendering: &'a Rendering,
    icons: Option<&'a IconData>,
    selection: Selection<'a>,
    all: bool,
}

impl<'a> Collector<'a> {
    pub(super) fn new(rendering: &'a Rendering, icons: IconForm, data: &'a IconData) -> Self {
        Self {
            rendering,
            icons: (icons == IconForm::Data).then_some(data),
            selection: Selection { slices: vec![b"["], digest: Sha256::new(), whole: None },
            all: icons == IconForm::Urls,
        }
    }

    /// Leaves an entry out.
    pub(super) fn skip(&mut self) {
        self.all = false;
    }

    /// Adds an entry with these of its `versions` versions.
    pub(super) fn add(&mut self, entry: usize, matches: &[usize], versions: usize) {
        let rendering = self.rendering;
        let EntryFragment { head, tail } = &rendering.entries[entry];
        if self.selection.slices.len() > 1 {
            self.selection.slices.push(b",");
        }
        if matches.len() == versions && self.icons.is_none() {
            self.selection.slices.push(&rendering.json[head.range.start..tail.end]);
            self.digest(head);
            matches.iter().for_each(|&version| self.digest(&rendering.versions[version]));
            return;
        }
        self.all = false;
        self.write(head);
        for (position, &version) in matches.iter().enumerate() {
            if position > 0 {
                self.selection.slices.push(b",");
            }
            self.write(&rendering.versions[version]);
        }
        self.selection.slices.push(&rendering.json[tail.clone()]);
    }

    /// The entries that were added.
    pub(super) fn finish(mut self) -> Selection<'a> {
        self.selection.slices.push(b"]");
        self.selection.whole = self.all.then_some(&self.rendering.json);
        self.selection
    }

    /// A fragment, with the data of its icon if that is asked for and known.
    fn write(&mut self, fragment: &Fragment) {
        self.digest(fragment);
        let (json, slices) = (&self.rendering.json, &mut self.selection.slices);
        let Some((url, icons)) = fragment.icon.as_ref().zip(self.icons) else {
            slices.push(&json[fragment.range.clone()]);
            return;
        };
        let (data, digest) = icons.get(url.icon);
        self.selection.digest.update(digest);
        slices.extend([&json[fragment.range.start..url.range.start], data, &json[url.range.end..fragment.range.end]]);
    }

    fn digest(&mut self, fragment: &Fragment) {
        self.selection.digest.update(fragment.digest);
    }
}
