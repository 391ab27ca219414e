//! `index.json`: the live release, and the recent ones.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::built::Built;
use super::content::{SampleDevfile, folders_by_name};
use super::entries::Entries;
use super::format::InvalidDocument;
use super::loaded::Release;
use super::offline::Offline;
use super::outline::Outline;
use crate::digest::{CommitSha, Digest};
use crate::index::{Entry, EntryType, VersionEntry, to_compact_json};
use crate::limits::{HISTORY_CHANGES, KEPT_RELEASES, KEPT_SECONDS, LISTED_CHANGES, LISTED_RELEASES};
use crate::timestamp::Timestamp;

/// The last field of `index.json`: the digest of all bytes before it. It shows a reader whether any byte changed, those of the
/// pin included.
const DIGEST: &str = ",\"digest\":\"";

/// The bytes after the digest.
const END: &str = "\"}";

/// `index.json`: names the live release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = with_digest)]
pub struct LiveIndex {
    /// Commit of the live release.
    pub commit_hash: CommitSha,
    /// URL of the registry repository.
    pub source: String,
    /// When the release was made live.
    pub generated_at: Timestamp,
    /// Name of the release: `releases/<hex>.json` in the bucket.
    pub release: Digest,
    /// Number of the rules that it was made by; 0 where older software did not say so.
    #[serde(default)]
    pub rules: u32,
    /// Number of stacks and samples that a later refresh tries again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pending: usize,
    /// Since when parts of the repository are quarantined, by their paths; the first [`LISTED_CHANGES`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quarantined: BTreeMap<String, Timestamp>,
    /// Whether the release stays until `unpin`.
    #[serde(default, skip_serializing_if = "Pin::is_following")]
    pub pinned: Pin,
    /// Its changes, the first [`LISTED_CHANGES`] of each kind.
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    pub changes: Changes,
    /// Releases that were live, the newest first, this one included: the last [`KEPT_RELEASES`] and all of the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<Recent>,
    /// The content that it has of other hosts, when that is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<Offline>,
    /// The entries, stacks then samples.
    #[schemars(with = "Vec<Entry>")]
    pub stacks: Entries,
}

/// Whether the live release follows the branch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "bool", into = "bool")]
pub enum Pin {
    /// It does.
    #[default]
    Following,
    /// Somebody chose it; it stays until `unpin`.
    Pinned,
}

/// A release that was live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recent {
    /// Its commit.
    pub commit_hash: CommitSha,
    /// Its name.
    pub release: Digest,
    /// When it was made live.
    pub generated_at: Timestamp,
    /// Its changes, the first [`HISTORY_CHANGES`] of each kind. Empty in releases of older software.
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    pub changes: Changes,
    /// The number of folders and samples that it changed or removed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parts: usize,
}

/// The changes of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// Folders of versions, stacks and samples that are new or different.
    pub changed: BTreeSet<String>,
    /// Those of the changed that the release before did not have; empty when there was none before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub added: BTreeSet<String>,
    /// Those that are gone.
    pub removed: BTreeSet<String>,
}

impl Pin {
    fn is_following(&self) -> bool {
        *self == Self::Following
    }
}

impl From<bool> for Pin {
    fn from(pinned: bool) -> Self {
        if pinned { Self::Pinned } else { Self::Following }
    }
}

impl From<Pin> for bool {
    fn from(pin: Pin) -> Self {
        pin == Pin::Pinned
    }
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    /// The first of each kind.
    pub(crate) fn first(&self, most: usize) -> Self {
        let first = |parts: &BTreeSet<String>| parts.iter().take(most).cloned().collect();
        Self { changed: first(&self.changed), added: first(&self.added), removed: first(&self.removed) }
    }
}

impl LiveIndex {
    /// The index of a release that goes live at a time, after another if there was one.
    pub fn of(built: &Built, at: Timestamp, changes: &Changes, before: Option<&Self>) -> Self {
        let outline = &built.release.outline;
        let this = Recent {
            commit_hash: outline.commit_hash.clone(),
            release: built.name,
            generated_at: at.clone(),
            changes: changes.first(HISTORY_CHANGES),
            parts: changes.changed.len() + changes.removed.len(),
        };
        Self {
            quarantined: quarantined_since(outline, &at, before),
            commit_hash: outline.commit_hash.clone(),
            source: outline.source.clone(),
            pinned: Pin::Following,
            changes: changes.first(LISTED_CHANGES),
            recent: recent(this, before),
            generated_at: at,
            release: built.name,
            rules: outline.rules,
            pending: outline.pending.len(),
            offline: outline.offline.clone(),
            stacks: built.entries.clone(),
        }
    }

    /// The same index, pinned or not.
    pub fn pinned(self, pinned: Pin) -> Self {
        Self { pinned, ..self }
    }

    /// Whether a commit is or was live.
    pub fn knows(&self, commit: &CommitSha) -> bool {
        self.commit_hash == *commit || self.recent.iter().any(|recent| recent.commit_hash == *commit)
    }

    /// The bytes of `index.json`.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = to_compact_json(self);
        // The brace that ends the object.
        bytes.pop();
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(format!("{DIGEST}{digest}{END}").as_bytes());
        bytes.into()
    }

    /// Reads `index.json`. One without a digest at its end was written by older software.
    ///
    /// # Errors
    /// [`InvalidDocument`] when it is not one, or not as it was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidDocument> {
        match digest_at_end(bytes) {
            Some((content, digest)) if Digest::of(content) != digest => Err(InvalidDocument::Digest(digest)),
            _ => Ok(serde_json::from_slice(bytes)?),
        }
    }

    /// Checks that it is the index of the release that it names.
    ///
    /// # Errors
    /// [`InvalidDocument::OtherRelease`] names the first field that differs.
    pub fn check(&self, outline: &Outline) -> Result<(), InvalidDocument> {
        let other = |what| Err(InvalidDocument::OtherRelease(what, self.release));
        if self.commit_hash != outline.commit_hash {
            other("commit")
        } else if self.source != outline.source {
            other("source")
        } else if self.offline != outline.offline {
            other("list of offline content")
        } else if self.stacks.digest() != outline.entries {
            other("list of entries")
        } else {
            Ok(())
        }
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Splits `index.json` into the bytes before its digest, and the digest.
fn digest_at_end(bytes: &[u8]) -> Option<(&[u8], Digest)> {
    let rest = bytes.strip_suffix(END.as_bytes())?;
    let (rest, digest) = rest.split_at_checked(rest.len().checked_sub(Digest::LENGTH)?)?;
    let digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
    Some((rest.strip_suffix(DIGEST.as_bytes())?, digest))
}

/// Adds the digest to the schema. It covers bytes, so it is no field of the type.
fn with_digest(schema: &mut schemars::Schema) {
    let digest = serde_json::json!({
        "description": "Digest of all bytes before this field, which is the last",
        "type": "string",
        "pattern": "^sha256:[0-9a-f]{64}$",
    });
    if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
        properties.insert("digest".to_owned(), digest);
    }
}

/// Since when each part that is quarantined has been so without a release between that published it.
fn quarantined_since(outline: &Outline, at: &Timestamp, before: Option<&LiveIndex>) -> BTreeMap<String, Timestamp> {
    let paths = outline.quarantined.iter().map(|quarantined| quarantined.part.path());
    let since = |path: String| {
        let known = before.and_then(|before| before.quarantined.get(&path)).unwrap_or(at).clone();
        (path, known)
    };
    paths.map(since).take(LISTED_CHANGES).collect()
}

fn recent(this: Recent, before: Option<&LiveIndex>) -> Vec<Recent> {
    let (name, now) = (this.release, this.generated_at.instant().as_second());
    let mut recent = vec![this];
    // When the one after it went live, a release stopped being live.
    let mut until = now;
    for old in before.map(|before| before.recent.as_slice()).unwrap_or_default() {
        let lately = now - until < KEPT_SECONDS;
        until = old.generated_at.instant().as_second();
        if old.release != name && recent.len() < LISTED_RELEASES && (recent.len() < KEPT_RELEASES || lately) {
            recent.push(old.clone());
        }
    }
    recent
}

impl Release {
    /// The differences from the release before: folders of versions, stacks and samples that are new or changed, and that are gone.
    /// Of both as much must have been read.
    pub fn changes_since(&self, previous: Option<&Self>) -> Changes {
        let (now, before) = (self.parts(), previous.map(Self::parts).unwrap_or_default());
        let is_added = |part: &String| previous.is_some() && !before.contains_key(part);
        Changes {
            changed: now.iter().filter(|(part, now)| before.get(*part) != Some(now)).map(|(p, _)| p.clone()).collect(),
            added: now.keys().filter(|part| is_added(part)).cloned().collect(),
            removed: before.into_keys().filter(|part| !now.contains_key(part)).collect(),
        }
    }

    /// Each part that can change by itself, with all that makes it.
    fn parts(&self) -> BTreeMap<String, ComparedPart<'_>> {
        let mut parts = BTreeMap::new();
        for (folder, (version, entry)) in self.by_folder() {
            parts.insert(folder.to_owned(), ComparedPart::Version(version.manifest, entry));
        }
        let mut devfiles: BTreeMap<&str, Vec<&SampleDevfile>> = BTreeMap::new();
        for sample in &self.content.samples {
            devfiles.entry(&sample.name).or_default().push(sample);
        }
        let folders = folders_by_name(&self.content.versions);
        for entry in &self.content.stacks {
            let (name, part) = match (entry.entry_type, folders.get(entry.name.as_str())) {
                // The versions are parts of their own.
                (EntryType::Stack, Some(folder)) => {
                    let entry = Entry { versions: Vec::new(), ..entry.clone() };
                    (format!("stacks/{folder}"), ComparedPart::Stack(Box::new(entry)))
                }
                (EntryType::Stack, None) => (format!("stacks/{}", entry.name), ComparedPart::Entry(entry, Vec::new())),
                (EntryType::Sample, _) => {
                    let devfiles = devfiles.remove(entry.name.as_str()).unwrap_or_default();
                    (format!("samples/{}", entry.name), ComparedPart::Entry(entry, devfiles))
                }
            };
            parts.entry(name).or_insert(part);
        }
        parts
    }
}

/// The compared properties of a part.
#[derive(Debug, PartialEq)]
enum ComparedPart<'a> {
    /// The digest of its manifest, and its entry.
    Version(Digest, &'a VersionEntry),
    Stack(Box<Entry>),
    Entry(&'a Entry, Vec<&'a SampleDevfile>),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{About, Content, Pending, Plan};
    use super::*;
    use crate::repository::{Part, Quarantined};

    fn release(number: u64) -> Built {
        let about = About {
            commit_hash: format!("{number:040x}").parse().unwrap(),
            source: "https://example.org/registry".into(),
            offline: None,
            quarantined: Vec::new(),
            warnings: Vec::new(),
            dependencies: BTreeMap::new(),
            pending: Pending::default(),
        };
        let plan = Plan::everything(Default::default());
        Built::new(&plan, None, about, Content::default(), BTreeMap::new())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_instant(jiff::Timestamp::from_second(seconds).unwrap())
    }

    /// Releases that went live one after the other, each so many seconds after the one before.
    fn after(count: u64, seconds: i64) -> LiveIndex {
        let mut live: Option<LiveIndex> = None;
        for number in 0..count {
            let at = at(number as i64 * seconds);
            live = Some(LiveIndex::of(&release(number), at, &Changes::default(), live.as_ref()));
        }
        live.unwrap()
    }

    #[test]
    fn recent_releases_are_the_last_and_all_of_the_last_hour() {
        assert_eq!(after(50, 7200).recent.len(), KEPT_RELEASES);
        // One a minute: 59 of them stopped being live less than an hour ago, and one is live.
        assert_eq!(after(100, 60).recent.len(), 61);
        assert_eq!(after(500, 1).recent.len(), LISTED_RELEASES);
        let commits: Vec<_> =
            after(3, 60).recent.iter().map(|recent| recent.commit_hash.as_str()[39..].to_owned()).collect();
        assert_eq!(commits, ["2", "1", "0"]);
    }

    #[test]
    fn a_release_that_is_live_again_is_listed_once() {
        let before = after(3, 60);
        let live = LiveIndex::of(&release(0), at(1000), &Changes::default(), Some(&before));
        assert_eq!(live.recent.len(), 3);
        let again = Recent { generated_at: at(1000), ..before.recent[2].clone() };
        assert_eq!(live.recent[0], again);
        assert!(live.knows(&before.commit_hash));
    }

    #[test]
    fn recent_release_lists_what_it_changed_and_counts_the_rest() {
        let names = |count: usize| (0..count).map(|number| format!("stacks/{number:03}")).collect();
        let changes = Changes { changed: names(30), added: names(25), removed: names(2) };
        let first = LiveIndex::of(&release(0), at(0), &changes, None);
        let second =
            LiveIndex::of(&release(1), at(60), &Changes { changed: names(1), ..Changes::default() }, Some(&first));
        let second = LiveIndex::from_bytes(&second.to_bytes()).unwrap();
        let listed = |recent: &Recent| {
            let Changes { changed, added, removed } = &recent.changes;
            [changed.len(), added.len(), removed.len(), recent.parts]
        };
        assert_eq!(listed(&second.recent[0]), [1, 0, 0, 1]);
        assert_eq!(listed(&second.recent[1]), [HISTORY_CHANGES, HISTORY_CHANGES, 2, 32]);
    }

    #[test]
    fn quarantined_part_has_the_time_of_the_first_release_that_quarantined_it() {
        let quarantined = |number: u64, parts: &[&str]| {
            let mut built = release(number);
            let part = |stack: &&str| Part::Stack { stack: (*stack).to_owned() };
            let quarantined =
                parts.iter().map(|stack| Quarantined { part: part(stack), problems: Vec::new() }).collect();
            Arc::make_mut(&mut built.release).outline.quarantined = quarantined;
            built
        };
        let after = |built: &Built, seconds, before: Option<&LiveIndex>| {
            LiveIndex::of(built, at(seconds), &Changes::default(), before)
        };
        let first = after(&quarantined(0, &["loom"]), 0, None);
        let second = after(&quarantined(1, &["kiln", "loom"]), 60, Some(&first));
        let second = LiveIndex::from_bytes(&second.to_bytes()).unwrap();
        let expected = [("stacks/kiln".to_owned(), at(60)), ("stacks/loom".to_owned(), at(0))];
        assert_eq!(second.quarantined, BTreeMap::from(expected));
        let third = after(&quarantined(2, &[]), 120, Some(&second));
        let fourth = after(&quarantined(3, &["loom"]), 180, Some(&third));
        assert_eq!(fourth.quarantined, BTreeMap::from([("stacks/loom".to_owned(), at(180))]));
    }

    #[test]
    fn index_with_any_byte_changed_is_refused() {
        let bytes = after(2, 60).pinned(Pin::Pinned).to_bytes();
        assert_eq!(LiveIndex::from_bytes(&bytes).unwrap().to_bytes(), bytes);
        let text = std::str::from_utf8(&bytes).unwrap();
        let of_digest = text.len() - Digest::LENGTH - END.len() - DIGEST.len();
        for at in 0..of_digest {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert!(LiveIndex::from_bytes(&changed).is_err(), "byte {at} of {text}");
        }
        for end in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            assert!(LiveIndex::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn index_of_another_release_is_refused() {
        let built = release(1);
        let index = LiveIndex::of(&built, at(0), &Changes::default(), None);
        index.check(&built.release.outline).unwrap();
        let entry = serde_json::value::to_raw_value(&serde_json::json!({"name": "other"})).unwrap();
        let changed = [
            ("commit", LiveIndex { commit_hash: release(2).release.outline.commit_hash.clone(), ..index.clone() }),
            ("source", LiveIndex { source: "https://example.org/other".into(), ..index.clone() }),
            ("entries", LiveIndex { stacks: [entry.into()].into_iter().collect(), ..index }),
        ];
        for (what, index) in changed {
            let error = index.check(&built.release.outline).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn an_index_without_the_new_fields_is_read() {
        let mut document = serde_json::to_value(LiveIndex::of(&release(0), at(0), &Changes::default(), None)).unwrap();
        document.as_object_mut().unwrap().retain(|name, _| !["recent", "rules"].contains(&name.as_str()));
        let names: Vec<_> = document.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["commit_hash", "source", "generated_at", "release", "stacks"]);
        let read = LiveIndex::from_bytes(document.to_string().as_bytes()).unwrap();
        assert_eq!((read.pinned, read.recent.len(), read.rules), (Pin::Following, 0, 0));
        assert!(
            LiveIndex::from_bytes(&serde_json::to_vec(&document).unwrap()).is_ok(),
            "older software writes no digest"
        );
        let pinned = read.pinned(Pin::Pinned).to_bytes();
        assert!(pinned.starts_with(b"{") && std::str::from_utf8(&pinned).unwrap().contains("\"pinned\":true"));
    }
}
