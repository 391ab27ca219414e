//! The JSON of an index in fragments, of which answers are composed.
//!
//! The whole index is rendered once for a release and shape. Every entry and version knows where it stands in that
//! text, where its icon stands, and the digest of its content, so an answer copies text and never serializes.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use devfile_registry::index::{Entry, V1Entry, to_compact_json};
use sha2::{Digest as _, Sha256};

/// The text between the fields of an entry and its first version.
const VERSIONS: &[u8] = b",\"versions\":[";

/// A digest of content, as far as an ETag needs it.
pub(super) type ContentDigest = [u8; 16];

/// An index as JSON, and where its parts stand.
#[derive(Debug)]
pub(super) struct Rendering {
    pub(super) json: Bytes,
    pub(super) entries: Vec<EntryFragment>,
    /// Those of all entries, one after the other; schema 1 has none.
    pub(super) versions: Vec<Fragment>,
}

/// A range of the JSON.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) range: Range<usize>,
    /// The URL of the entry's icon inside, where the icon's data is known; versions keep their URLs, as in the reference.
    pub(super) icon: Option<IconUrl>,
    pub(super) digest: ContentDigest,
}

/// An entry: the text before its first version, and the text after its last. The digest is that of both.
#[derive(Debug)]
pub(super) struct EntryFragment {
    pub(super) head: Fragment,
    pub(super) tail: Range<usize>,
}

/// The range of an icon's URL, without its quotation marks, and the number of the icon.
#[derive(Debug)]
pub(super) struct IconUrl {
    pub(super) range: Range<usize>,
    pub(super) icon: usize,
}

/// The captured icons.
#[derive(Debug)]
pub(super) struct IconData {
    numbers: BTreeMap<String, usize>,
    data: Vec<(Vec<u8>, ContentDigest)>,
}

impl IconData {
    /// Data URIs by URL.
    pub(super) fn new(icons: &BTreeMap<String, String>) -> Self {
        let in_json = |data: &String| {
            let quoted = to_compact_json(data);
            let data = quoted[1..quoted.len() - 1].to_vec();
            let digest = digest(&data);
            (data, digest)
        };
        Self { numbers: icons.keys().cloned().zip(0..).collect(), data: icons.values().map(in_json).collect() }
    }

    /// Bytes of the data of all icons.
    pub(super) fn bytes(&self) -> usize {
        self.data.iter().map(|(data, _)| data.len()).sum()
    }

    /// The data of an icon, to stand between quotation marks, and its digest.
    pub(super) fn get(&self, icon: usize) -> (&[u8], ContentDigest) {
        let (data, digest) = &self.data[icon];
        (data, *digest)
    }
}

impl Rendering {
    /// The index as index schema 1 shows it.
    ///
    /// The entries are as before when it returns; they are borrowed mutably to render them with parts left out.
    pub(super) fn v1(entries: &mut [Entry], icons: &IconData) -> Self {
        let mut page = ArrayWriter::new(icons);
        let mut fragments = Vec::with_capacity(entries.len());
        for entry in entries {
            page.separate();
            let head = page.write_entry(entry, |entry| to_compact_json(&V1Entry::from(entry)));
            let end = head.range.end;
            fragments.push(EntryFragment { head, tail: end..end });
        }
        Self { json: page.finish(), entries: fragments, versions: Vec::new() }
    }

    /// The index as index schema 2 shows it; the entries are as before when it returns.
    pub(super) fn v2(entries: &mut [Entry], icons: &IconData) -> Self {
        let mut page = ArrayWriter::new(icons);
        let mut fragments = Vec::with_capacity(entries.len());
        let mut all_versions = Vec::new();
        for entry in entries {
            page.separate();
            let versions = std::mem::take(&mut entry.versions);
            let mut head = page.write_entry(entry, to_compact_json);

            // `lastModified` is the last field and always there; `versions` stands right before it.
            let tail = [b",\"lastModified\":", to_compact_json(&entry.last_modified).as_slice(), b"}"].concat();
            debug_assert!(page.json.ends_with(&tail));
            page.json.truncate(page.json.len() - tail.len());
            if !versions.is_empty() {
                page.json.extend_from_slice(VERSIONS);
            }
            head.range.end = page.json.len();
            for (position, version) in versions.iter().enumerate() {
                if position > 0 {
                    page.separate();
                }
                all_versions.push(page.write(&to_compact_json(version), None));
            }
            let tail_start = page.json.len();
            if !versions.is_empty() {
                page.json.push(b']');
            }
            page.json.extend_from_slice(&tail);
            fragments.push(EntryFragment { head, tail: tail_start..page.json.len() });
            entry.versions = versions;
        }
        Self { json: page.finish(), entries: fragments, versions: all_versions }
    }

    /// The JSON of an entry, by its position.
    pub(super) fn entry(&self, position: usize) -> &[u8] {
        let EntryFragment { head, tail } = &self.entries[position];
        &self.json[head.range.start..tail.end]
    }

    /// The JSON of an entry without its versions.
    pub(super) fn head(&self, position: usize) -> Vec<u8> {
        let EntryFragment { head, tail } = &self.entries[position];
        let (start, end) = (&self.json[head.range.clone()], &self.json[tail.clone()]);
        let start = start.strip_suffix(VERSIONS).unwrap_or(start);
        [start, end.strip_prefix(b"]").unwrap_or(end)].concat()
    }

    /// Keeps the JSON as a part of a text that has it, rather than a second time.
    pub(super) fn share(&mut self, text: &Bytes) {
        if let Some(start) = memchr::memmem::find(text, &self.json) {
            self.json = text.slice(start..start + self.json.len());
        }
    }
}

/// A JSON array while it is written.
struct ArrayWriter<'a> {
    json: Vec<u8>,
    icons: &'a IconData,
}

impl<'a> ArrayWriter<'a> {
    fn new(icons: &'a IconData) -> Self {
        Self { json: vec![b'['], icons }
    }

    /// Writes a comma unless the array has just begun.
    fn separate(&mut self) {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
    }

    fn write_entry(&mut self, entry: &mut Entry, render: impl Fn(&Entry) -> Vec<u8>) -> Fragment {
        let start = self.json.len();
        let text = render(entry);
        let url = std::mem::take(&mut entry.icon);
        let number = self.icons.numbers.get(&url).copied().filter(|_| !url.is_empty());
        let found = number.map(|number| {
            // The first byte that another icon changes is the first of the URL, for any content of the fields around it.
            entry.icon = if url.starts_with('-') { "+".to_owned() } else { "-".to_owned() };
            let at = start + text.iter().zip(render(entry)).take_while(|(a, b)| *a == b).count();
            let length = to_compact_json(&url).len() - 2;
            IconUrl { range: at..at + length, icon: number }
        });
        entry.icon = url;
        self.write(&text, found)
    }

    fn write(&mut self, text: &[u8], icon: Option<IconUrl>) -> Fragment {
        let start = self.json.len();
        self.json.extend_from_slice(text);
        Fragment { range: start..self.json.len(), icon, digest: digest(text) }
    }

    fn finish(mut self) -> Bytes {
        self.json.push(b']');
        self.json.into()
    }
}

fn digest(content: &[u8]) -> ContentDigest {
    let mut short = ContentDigest::default();
    short.copy_from_slice(&Sha256::digest(content)[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_whole_is_the_plain_rendering() {
        let mut entries = fixture::entries();
        let before = entries.clone();
        let icons = IconData::new(&fixture::icons());
        let (v1, v2) = (Rendering::v1(&mut entries, &icons), Rendering::v2(&mut entries, &icons));
        assert_eq!(entries, before);
        assert_eq!(v2.json, to_compact_json(&entries));
        let shown: Vec<_> = entries.iter().map(V1Entry::from).collect();
        assert_eq!(v1.json, to_compact_json(&shown));
        let none = Rendering::v2(&mut [], &icons);
        assert_eq!(none.json.as_ref(), b"[]");
    }

    #[test]
    fn json_that_stands_in_another_text_is_kept_once() {
        let mut rendering = Rendering::v2(&mut fixture::entries(), &IconData::new(&fixture::icons()));
        let text = Bytes::from([b"{\"stacks\":", rendering.json.as_ref(), b"}"].concat());
        let json = rendering.json.clone();
        rendering.share(&Bytes::from_static(b"{\"stacks\":[]}"));
        assert_eq!(rendering.json.as_ptr(), json.as_ptr());
        rendering.share(&text);
        assert_eq!(rendering.json, json);
        assert!(text.as_ptr_range().contains(&rendering.json.as_ptr()));
    }

    #[test]
    fn versions_and_icons_are_where_they_are_said_to_be() {
        let mut entries = fixture::entries();
        entries[2].icon = entries[0].versions[1].icon.clone();
        let icons = IconData::new(&fixture::icons());
        let rendering = Rendering::v2(&mut entries, &icons);
        let versions: Vec<_> = entries.iter().flat_map(|entry| &entry.versions).collect();
        for (version, fragment) in versions.iter().zip(&rendering.versions) {
            assert_eq!(rendering.json.slice(fragment.range.clone()), to_compact_json(version));
        }
        let icons = rendering.entries.iter().map(|entry| &entry.head);
        let found: Vec<_> = icons.filter_map(|fragment| fragment.icon.as_ref()).collect();
        let at = |icon: &IconUrl| String::from_utf8(rendering.json[icon.range.clone()].to_vec()).unwrap();
        let urls: Vec<_> = found.iter().map(|icon| at(icon)).collect();
        assert_eq!(
            urls,
            ["go.svg", "java.png", "old \\\"go\\\".svg"].map(|name| format!("https://icons.example/{name}"))
        );
    }
}
