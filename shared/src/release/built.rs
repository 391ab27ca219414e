//! A new release, with its stored documents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::content::Content;
use super::dependencies::Dependency;
use super::documents::{ByStack, Document};
use super::entries::{Entries, text};
use super::format::{FORMAT, RULES, StoredFile};
use super::loaded::Release;
use super::offline::Offline;
use super::outline::Outline;
use super::pending::Pending;
use super::plan::Plan;
use crate::diagnostic::Diagnostic;
use crate::digest::{CommitSha, Digest};
use crate::repository::Quarantined;
use crate::source::{Listing, Scope};

/// A release and the content that it is the first to have. It has the reused content of the previous release as far as that was loaded.
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

/// Statements about a release, beside its content.
#[derive(Debug, Clone)]
pub struct About {
    /// The commit it follows from.
    pub commit_hash: CommitSha,
    /// URL of the registry repository.
    pub source: String,
    /// The content that was fetched so that its stacks need no other host.
    pub offline: Option<Offline>,
    /// The units that are not published as they stand in the repository.
    pub quarantined: Vec<Quarantined>,
    /// The warnings beside those of the content.
    pub warnings: Vec<Diagnostic>,
    /// The dependencies of the stacks that were read, by their folders.
    pub dependencies: BTreeMap<String, BTreeSet<Dependency>>,
    /// Pending subjects of the stacks that were read.
    pub pending: Pending,
}

impl Built {
    /// Puts a release together.
    ///
    /// `previous` is the release before, with at least [`Plan::documents`](super::Plan::documents), and the entries of its whole index: those
    /// that its outline has the digest of. `content` has all that was read, and of the release before all that was taken over and loaded; the
    /// rest of that is named as the release before has it.
    pub fn new(
        plan: &Plan,
        previous: Option<(&Release, &Entries)>,
        about: About,
        content: Content,
        mut contents: BTreeMap<Digest, Bytes>,
    ) -> Self {
        let by_stack = ByStack::new(&content);
        let before = previous.map(|(release, _)| &release.outline);
        let count = plan.shards();
        let mut stacks: BTreeMap<String, String> = by_stack.names();
        let mut shards: Vec<Option<StoredFile>> = vec![None; count];
        let mut texts: BTreeMap<&String, &Arc<RawValue>> = BTreeMap::new();
        if let (Scope::Some { stacks: read, .. }, Some((Release { outline: before, .. }, entries))) =
            (plan.scope(), previous)
        {
            let names =
                plan.taken_over().filter_map(|folder| Some((folder.clone(), before.stacks.get(folder)?.clone())));
            stacks.extend(names);
            texts.extend(before.stacks.keys().zip(entries.texts()));
            if count == before.shards.len() {
                let changed = before.shards_of(read);
                let unchanged = before.shards.iter().enumerate().filter(|(number, _)| !changed.contains(number));
                unchanged.for_each(|(number, shard)| shards[number] = Some(shard.clone()));
            }
        }
        let entry = |folder: &String| {
            by_stack.entry(folder).map(text).or_else(|| texts.get(folder).map(|text| Arc::clone(text)))
        };
        let entries: Entries = stacks.keys().filter_map(entry).chain(by_stack.other_entries().map(text)).collect();
        let missing = shards.iter().enumerate().filter(|(_, shard)| shard.is_none()).map(|(number, _)| number);
        let made = by_stack.shards(missing, count);
        let shards = shards.into_iter().enumerate();
        let shards =
            shards.filter_map(|(number, shard)| shard.or_else(|| Some(made.get(&number)?.file.clone()))).collect();
        let common = by_stack.common();
        let About { commit_hash, source, offline, quarantined, warnings, mut dependencies, mut pending } = about;
        if let (Scope::Some { .. }, Some(before)) = (plan.scope(), before) {
            let known = plan.taken_over().filter_map(|folder| before.dependencies.get_key_value(folder));
            dependencies.extend(known.map(|(folder, all)| (folder.clone(), all.clone())));
            plan.still_pending(before, &mut pending);
        }
        let outline = Outline {
            format: FORMAT,
            rules: RULES,
            commit_hash,
            source,
            offline,
            quarantined,
            warnings,
            stacks,
            ids: Listing { parents: Vec::new(), ..plan.listing().clone() },
            dependencies,
            pending,
            entries: entries.digest(),
            shards,
            common: common.file.clone(),
        };
        let (name, bytes) = outline.to_bytes();
        let mut read_from = BTreeMap::new();
        for Document { file, bytes } in made.into_values().chain([common]) {
            read_from.insert(file.digest, file.size);
            contents.insert(file.digest, bytes);
        }
        Self { release: Arc::new(Release { outline, content, read_from }), name, bytes, entries, contents }
    }
}
