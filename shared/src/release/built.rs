//! A release that was just made, with what it is stored as.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::documents::{ByStack, Document, shards_for};
use super::entries::text;
use super::relatives::relatives;
use super::{Content, Entries, FORMAT, Offline, Outline, RULES, Relative, Release, StoredFile};
use crate::diagnostic::Diagnostic;
use crate::digest::{CommitSha, Digest};
use crate::repository::Quarantined;
use crate::source::Scope;

/// A release and the content that it is the first to have. Made upon the release before, it is as much of the release as was
/// read of that.
#[derive(Debug, Clone)]
pub struct Built {
    /// The release.
    pub release: Arc<Release>,
    /// Its name.
    pub name: Digest,
    /// The bytes of its outline, which are the release object.
    pub bytes: Bytes,
    /// The entries of the whole index.
    pub entries: Entries,
    /// Blobs by digest. Blobs of unchanged versions may be missing: the release before had them.
    pub contents: BTreeMap<Digest, Bytes>,
}

/// What is said of a release beside its content.
#[derive(Debug, Clone)]
pub struct About {
    /// The commit it follows from.
    pub commit_hash: CommitSha,
    /// URL of the registry repository.
    pub source: String,
    /// What was fetched so that its stacks need no other host.
    pub offline: Option<Offline>,
    /// What is not published as it stands in the repository.
    pub quarantined: Vec<Quarantined>,
    /// What should be looked at, beside the warnings of the content.
    pub warnings: Vec<Diagnostic>,
}

/// The release before, as far as it is needed to make the next one.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// The release, with at least the shards of the stacks in `scope`.
    pub release: &'a Release,
    /// The entries of its whole index.
    pub entries: &'a Entries,
    /// What is made anew.
    pub scope: &'a Scope,
}

impl Built {
    /// A whole release.
    pub fn whole(about: About, content: Content, contents: BTreeMap<Digest, Bytes>) -> Self {
        let by_stack = ByStack::new(&content);
        let stacks = by_stack.names();
        let count = shards_for(stacks.len());
        let shards = by_stack.shards(0..count, count);
        let common = by_stack.common();
        let entries: Entries = by_stack.entries().map(text).collect();
        let outline = about.outline(
            stacks,
            relatives(&content.versions, |_| true),
            &entries,
            shards.values().map(|document| document.file.clone()).collect(),
            common.file.clone(),
        );
        let documents = shards.into_values().chain([common]);
        Self::of(outline, content, entries, documents, contents)
    }

    /// A release that differs from the one before in the stacks in scope, and perhaps in what belongs to no stack. None when only
    /// the whole can tell what it is. The entries before must be those that the outline has the digest of.
    pub fn upon(base: &Base<'_>, about: About, content: Content, contents: BTreeMap<Digest, Bytes>) -> Option<Self> {
        let before = &base.release.outline;
        // Nothing says whether other stacks name what is not named here any more.
        if !urls(&base.release.content).is_subset(&urls(&content)) {
            return None;
        }
        let by_stack = ByStack::new(&content);
        let read = before.shards_of(&base.scope.stacks);
        let is_other = |folder: &String| !read.contains(&before.shard_of(folder));
        let others = before.stacks.iter().filter(|(folder, _)| is_other(folder));
        let mut stacks: BTreeMap<String, String> = others.map(|(f, name)| (f.clone(), name.clone())).collect();
        stacks.extend(by_stack.names());
        if shards_for(stacks.len()) != before.shards.len() {
            return None;
        }
        // Offline registries are told of stacks that they want and do not have.
        let is_gone = |stack: &String| before.stacks.contains_key(stack) && !stacks.contains_key(stack);
        if about.offline.is_some() && base.scope.stacks.iter().any(is_gone) {
            return None;
        }
        let in_scope = |folder: &str| base.scope.stacks.contains(folder);
        let mut relatives = relatives(&content.versions, in_scope);
        let others = before.relatives.iter().filter(|(folder, _)| !in_scope(folder));
        relatives.extend(others.map(|(folder, all)| (folder.clone(), all.clone())));

        let others: BTreeMap<&String, _> = before.stacks.keys().zip(base.entries.texts()).collect();
        let entry = |folder: &String| {
            by_stack.entry(folder).map(text).or_else(|| others.get(folder).map(|text| Arc::clone(text)))
        };
        let entries = stacks.keys().map(entry).collect::<Option<Vec<_>>>()?;
        let entries: Entries = entries.into_iter().chain(by_stack.other_entries().map(text)).collect();

        let made = by_stack.shards(read.iter().copied(), before.shards.len());
        let mut shards = before.shards.clone();
        for (number, document) in &made {
            shards[*number] = document.file.clone();
        }
        let common = by_stack.common();
        let outline = about.outline(stacks, relatives, &entries, shards, common.file.clone());
        let documents = made.into_values().chain([common]);
        Some(Self::of(outline, content, entries, documents, contents))
    }

    fn of(
        outline: Outline,
        content: Content,
        entries: Entries,
        documents: impl IntoIterator<Item = Document>,
        mut contents: BTreeMap<Digest, Bytes>,
    ) -> Self {
        let (name, bytes) = outline.to_bytes();
        let mut sizes = BTreeMap::new();
        for document in documents {
            sizes.insert(document.file.digest, document.file.size);
            contents.insert(document.file.digest, document.bytes);
        }
        let release = Arc::new(Release { outline, content, read_from: sizes });
        Self { release, name, bytes, entries, contents }
    }
}

impl About {
    fn outline(
        self,
        stacks: BTreeMap<String, String>,
        relatives: BTreeMap<String, BTreeSet<Relative>>,
        entries: &Entries,
        shards: Vec<StoredFile>,
        common: StoredFile,
    ) -> Outline {
        Outline {
            format: FORMAT,
            rules: RULES,
            commit_hash: self.commit_hash,
            source: self.source,
            offline: self.offline,
            quarantined: self.quarantined,
            warnings: self.warnings,
            stacks,
            relatives,
            entries: entries.digest(),
            shards,
            common,
        }
    }
}

/// What is fetched for the entries, versions and samples of a release: icons, and what their files are from.
fn urls(content: &Content) -> BTreeSet<&str> {
    let icons = content
        .stacks
        .iter()
        .flat_map(|entry| std::iter::once(&entry.icon).chain(entry.versions.iter().map(|version| &version.icon)))
        .filter(|url| !url.is_empty());
    let versions = content.versions.iter().filter_map(|version| version.fetched_from.as_ref());
    let samples = content.samples.iter().filter_map(|sample| sample.fetched_from.as_ref());
    icons.chain(versions).chain(samples).map(String::as_str).collect()
}
