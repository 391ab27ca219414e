//! Putting an answer together.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::fragment::{EntryFragment, Fragment, IconData, Rendering};
use super::query::IconForm;

/// The entries that a query keeps, as pieces of the rendered index.
///
/// The entity tag is made from the digests of the matches: another release that answers the same has the same tag,
/// and a client that has the answer already costs no body.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    pieces: Vec<&'a [u8]>,
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
            None => self.pieces.concat().into(),
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
            selection: Selection { pieces: vec![b"["], digest: Sha256::new(), whole: None },
            all: icons == IconForm::Urls,
        }
    }

    /// Leaves an entry out.
    pub(super) fn skip(&mut self) {
        self.all = false;
    }

    /// Keeps an entry with these of its versions, which has `versions` of them in all.
    pub(super) fn keep(&mut self, entry: usize, kept: &[usize], versions: usize) {
        let rendering = self.rendering;
        let EntryFragment { head, tail } = &rendering.entries[entry];
        if self.selection.pieces.len() > 1 {
            self.selection.pieces.push(b",");
        }
        if kept.len() == versions && self.icons.is_none() {
            self.selection.pieces.push(&rendering.json[head.range.start..tail.end]);
            self.digest(head);
            kept.iter().for_each(|&version| self.digest(&rendering.versions[version]));
            return;
        }
        self.all = false;
        self.write(head);
        for (place, &version) in kept.iter().enumerate() {
            if place > 0 {
                self.selection.pieces.push(b",");
            }
            self.write(&rendering.versions[version]);
        }
        self.selection.pieces.push(&rendering.json[tail.clone()]);
    }

    /// The kept entries.
    pub(super) fn finish(mut self) -> Selection<'a> {
        self.selection.pieces.push(b"]");
        self.selection.whole = self.all.then_some(&self.rendering.json);
        self.selection
    }

    /// A fragment, with the data of its icon if that is asked for and known.
    fn write(&mut self, fragment: &Fragment) {
        self.digest(fragment);
        let (json, pieces) = (&self.rendering.json, &mut self.selection.pieces);
        let Some((url, icons)) = fragment.icon.as_ref().zip(self.icons) else {
            pieces.push(&json[fragment.range.clone()]);
            return;
        };
        let (data, digest) = icons.get(url.icon);
        self.selection.digest.update(digest);
        pieces.extend([&json[fragment.range.start..url.range.start], data, &json[url.range.end..fragment.range.end]]);
    }

    fn digest(&mut self, fragment: &Fragment) {
        self.selection.digest.update(fragment.digest);
    }
}
