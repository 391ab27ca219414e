//! From a repository to a release, in two steps with the dates of the history between them.

mod dates;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;

use super::built::{About, Built};
use super::content::{Content, Facts, Icon, PublishedVersion, SampleDevfile, files_below, folders_by_name};
use super::dependencies::{Dependency, dependencies};
use super::documents::stack_of;
use super::entries::Entries;
use super::entry::{facts, stack_entry, version_entry};
use super::format::{RULES, StoredFile};
use super::loaded::Release;
use super::offline::Offline;
use super::pending::Pending;
use super::plan::Plan;
use super::upstream::Upstream;
use super::warnings;
use crate::artifact::{self, Layer};
use crate::diagnostic::Diagnostic;
use crate::digest::{CommitSha, Digest};
use crate::index::{Entry, EntryType, VersionEntry};
use crate::limits;
use crate::repository::{self, Part, Quarantined, Repository, SampleOrigin, Stack, StackVersion};
use crate::source::EXTRA_ENTRIES;
use crate::timestamp::Timestamp;
use crate::tree::Tree;

/// A release that waits for dates.
#[derive(Debug)]
pub struct Draft<'a> {
    repository: &'a Repository,
    upstream: &'a Upstream,
    previous: Option<&'a Release>,
    /// The parts to build; all others are taken over from the release before.
    plan: &'a Plan,
    /// Versions of the release before, by their folder.
    before: BTreeMap<&'a str, (&'a PublishedVersion, &'a VersionEntry)>,
    files: BTreeMap<String, StoredFile>,
    /// New content by digest, without that of unchanged versions.
    contents: BTreeMap<Digest, Bytes>,
    /// Layers by the folder of the version.
    layers: BTreeMap<String, Vec<Layer>>,
    /// Warnings beside those of the repository.
    warnings: Vec<Diagnostic>,
    /// Pending subjects.
    pending: Pending,
    /// The dependencies of the stacks that were read.
    dependencies: BTreeMap<String, BTreeSet<Dependency>>,
    /// Folders whose files are those of the release before, with their entry there.
    unchanged: BTreeMap<String, &'a VersionEntry>,
}

impl<'a> Draft<'a> {
    /// Builds the artifacts of everything that the plan makes anew and that changed since `previous`, which has at least the documents
    /// that the plan needs.
    pub fn new(
        (repository, upstream): (&'a Repository, &'a Upstream),
        tree: &Tree,
        previous: Option<&'a Release>,
        plan: &'a Plan,
    ) -> Self {
        let mut draft = Self {
            repository,
            upstream,
            previous,
            plan,
            before: previous.map(Release::by_folder).unwrap_or_default(),
            dependencies: dependencies(repository, tree),
            files: BTreeMap::new(),
            contents: BTreeMap::from([(Digest::of(artifact::CONFIG), Bytes::from_static(artifact::CONFIG))]),
            layers: BTreeMap::new(),
            warnings: Vec::new(),
            pending: upstream.pending.clone(),
            unchanged: BTreeMap::new(),
        };
        for (path, file) in tree.below("stacks") {
            let digest = Digest::of(&file.content);
            let path = format!("stacks/{path}");
            draft.files.insert(path, StoredFile { digest, size: file.content.len() as u64 });
            draft.contents.insert(digest, file.content.clone());
        }
        for (folder, offline) in &upstream.offline_versions {
            let files = offline.files.iter().map(|(name, file)| (format!("{folder}/{name}"), file.clone()));
            draft.files.extend(files);
        }
        draft.contents.extend(upstream.contents.clone());
        for version in repository.stacks.iter().flat_map(|stack| &stack.versions) {
            draft.add_artifact(version);
        }
        draft
    }

    fn add_artifact(&mut self, version: &StackVersion) {
        let same_files = |previous: &Release| {
            files_below(&previous.content.files, &version.folder).eq(files_below(&self.files, &version.folder))
        };
        if let Some((before, entry)) = self.before.get(version.folder.as_str())
            && self.previous.is_some_and(same_files)
        {
            self.unchanged.insert(version.folder.clone(), entry);
            // Other rules may have made other layers of the same files.
            if self.previous.is_some_and(|previous| previous.outline.rules == RULES) {
                self.layers.insert(version.folder.clone(), before.layers.clone());
                return;
            }
        }
        let (layers, contents): (Vec<_>, Vec<_>) = artifact::layers(&version.files).into_iter().unzip();
        self.contents.extend(layers.iter().map(|layer: &Layer| layer.digest).zip(contents));
        self.layers.insert(version.folder.clone(), layers);
    }

    /// Puts the release together. `history` has the dates of [`Draft::undated`] paths, as far as there are any; `entries` are those of
    /// the release before.
    pub fn finish(
        mut self,
        commit: CommitSha,
        source: &str,
        history: &BTreeMap<String, Timestamp>,
        entries: Option<&Entries>,
    ) -> Built {
        self.note_undated(history);
        let (about, content) = self.put_together(commit, source, history);
        Built::new(self.plan, self.previous.zip(entries), about, content, self.contents)
    }

    fn put_together(&self, commit: CommitSha, source: &str, history: &BTreeMap<String, Timestamp>) -> (About, Content) {
        let mut stacks: BTreeMap<String, (Entry, Vec<PublishedVersion>)> = BTreeMap::new();
        let mut quarantined = self.repository.quarantined.clone();
        let mut retained_stacks: BTreeSet<&str> = BTreeSet::new();
        let mut retained_versions: HashMap<&str, Vec<&String>> = HashMap::new();
        for part in self.retained_parts() {
            match part {
                Part::Stack { stack } => drop(retained_stacks.insert(stack)),
                Part::Version { stack, version } => retained_versions.entry(stack).or_default().push(version),
                Part::Sample { .. } | Part::ExtraEntries | Part::Dates => {}
            }
        }
        let mut made: BTreeMap<&str, (Entry, Vec<PublishedVersion>)> = BTreeMap::new();
        for stack in &self.repository.stacks {
            let retained = retained_versions.get(stack.folder.as_str()).map_or(&[][..], Vec::as_slice);
            match self.stack(stack, retained, history) {
                Some(published) => drop(made.insert(&stack.folder, published)),
                None => {
                    retained_stacks.insert(&stack.folder);
                    let default = Part::Version { stack: stack.folder.clone(), version: stack.default.clone() };
                    let is_bad = !stack.versions.is_empty() && quarantined.iter().any(|other| other.part == default);
                    quarantined.extend(is_bad.then(|| without_default(stack)));
                }
            }
        }
        let newcomers = self.newcomers(&retained_stacks);
        for stack in &self.repository.stacks {
            if newcomers.contains(stack.folder.as_str()) {
                let message = format!("another stack was published as `{}` and stays as it was", stack.fields.name);
                let hint = "give every stack a name of its own";
                let problem = Diagnostic::error(stack.defining_file(), "stack/name", message, hint);
                quarantined
                    .push(Quarantined { part: Part::Stack { stack: stack.folder.clone() }, problems: vec![problem] });
                retained_stacks.insert(&stack.folder);
            } else if let Some(published) = made.remove(stack.folder.as_str()) {
                stacks.insert(stack.folder.clone(), published);
            }
        }
        let mut names: HashSet<String> = stacks.values().map(|(entry, _)| entry.name.clone()).collect();
        for (folder, published) in self.published(|folder| retained_stacks.contains(folder.as_str())) {
            if names.insert(published.0.name.clone()) {
                stacks.insert(folder, published);
            }
        }
        let taken_over: HashSet<&String> = self.plan.taken_over().collect();
        stacks.extend(self.published(|folder| taken_over.contains(folder)));
        let (mut entries, mut versions) = (Vec::new(), Vec::new());
        names.extend(stacks.values().map(|(entry, _)| entry.name.clone()));
        for (entry, published) in stacks.into_values() {
            entries.push(entry);
            versions.extend(published);
        }
        let mut samples = Vec::new();
        match self.previous {
            Some(previous) if self.keeps_extra_entries() => {
                let had = folders_by_name(&previous.content.versions);
                let is_unknown = |name: &str| !had.contains_key(name) && !names.contains(name);
                let extra = |entry: &&Entry| entry.entry_type == EntryType::Sample || is_unknown(&entry.name);
                entries.extend(previous.content.stacks.iter().filter(extra).cloned());
                samples.clone_from(&previous.content.samples);
            }
            _ => {
                for sample in &self.repository.samples {
                    entries.push(self.sample_entry(&sample.entry, &sample.devfiles, history));
                    samples.extend(sample.devfiles.iter().map(|(version, devfile)| {
                        let (fetched_from, fetched_at) = match &devfile.origin {
                            SampleOrigin::Tree(_) => (None, None),
                            SampleOrigin::Fetched { from, at } => (Some(from.clone()), at.clone()),
                        };
                        let (name, version) = (sample.entry.name.clone(), version.clone());
                        let devfile = String::from_utf8_lossy(&devfile.content).into_owned();
                        SampleDevfile { name, version, devfile, fetched_from, fetched_at }
                    }));
                }
                for (entry, devfiles) in self.retained_samples() {
                    entries.push(entry.clone());
                    samples.extend(devfiles.cloned());
                }
                let extra = self.repository.extra_stacks.iter().filter(|entry| !names.contains(&entry.name));
                entries.extend(extra.cloned());
            }
        }
        let most = (limits::QUARANTINE_PROBLEMS / quarantined.len().max(1)).clamp(1, limits::STACK_WARNINGS);
        for part in &mut quarantined {
            part.problems.truncate(most);
        }
        let icons = self.icons(&entries, &versions);
        let (warnings, others) = self.warnings();
        let about = About {
            commit_hash: commit,
            source: source.to_owned(),
            offline: self.offline(),
            quarantined,
            warnings: others,
            dependencies: self.dependencies.clone(),
            pending: self.pending.clone(),
        };
        let files = self.published_files(&versions);
        (about, Content { stacks: entries, versions, samples, files, icons, warnings })
    }

    /// Folders of stacks that take the name under which another was published that stays as it was.
    fn newcomers(&self, retained_stacks: &BTreeSet<&str>) -> BTreeSet<&'a str> {
        let before = self.previous.map(|previous| folders_by_name(&previous.content.versions)).unwrap_or_default();
        let holder =
            |stack: &Stack| before.get(stack.fields.name.as_str()).filter(|holder| retained_stacks.contains(**holder));
        let is_newcomer = |stack: &&Stack| holder(stack).is_some_and(|holder| *holder != stack.folder);
        self.repository.stacks.iter().filter(is_newcomer).map(|stack| stack.folder.as_str()).collect()
    }

    /// Samples that are quarantined, as the release before had them.
    fn retained_samples(&self) -> impl Iterator<Item = (&Entry, impl Iterator<Item = &SampleDevfile>)> {
        let is_here = |entry: &&Entry| self.repository.samples.iter().any(|sample| sample.entry.name == entry.name);
        let is_quarantined = |entry: &&Entry| self.quarantines(&Part::Sample { name: entry.name.clone() });
        self.previous.into_iter().flat_map(move |previous| {
            let samples = previous.content.stacks.iter().filter(|entry| entry.entry_type == EntryType::Sample);
            let retained = samples.filter(move |entry| is_quarantined(entry) && !is_here(entry));
            retained.map(|entry| (entry, previous.content.samples.iter().filter(|devfile| devfile.name == entry.name)))
        })
    }

    /// Parts that stay as they were.
    fn retained_parts(&self) -> impl Iterator<Item = &Part> {
        self.repository.quarantined.iter().map(|quarantined| &quarantined.part).chain(&self.repository.retained)
    }

    fn quarantines(&self, part: &Part) -> bool {
        self.repository.quarantined.iter().any(|quarantined| quarantined.part == *part)
    }

    fn keeps_extra_entries(&self) -> bool {
        self.quarantines(&Part::ExtraEntries) || !self.plan.scope().has_extra_entries()
    }

    /// Some loaded stacks as the release before had them, each with its versions, by their folders.
    fn published(&self, is_wanted: impl Fn(&String) -> bool) -> BTreeMap<String, (Entry, Vec<PublishedVersion>)> {
        let Some(previous) = self.previous.map(|previous| &previous.content) else { return BTreeMap::new() };
        let mut versions: BTreeMap<&str, Vec<PublishedVersion>> = BTreeMap::new();
        for version in previous.versions.iter().filter(|version| is_wanted(&version.stack)) {
            versions.entry(&version.stack).or_default().push(version.clone());
        }
        let stacks = previous.stacks.iter().filter(|entry| entry.entry_type == EntryType::Stack);
        let entries: BTreeMap<&str, &Entry> = stacks.map(|entry| (entry.name.as_str(), entry)).collect();
        let with_entry = |(folder, versions): (&str, Vec<PublishedVersion>)| {
            let entry = *entries.get(versions.first()?.name.as_str())?;
            Some((folder.to_owned(), (entry.clone(), versions)))
        };
        versions.into_iter().filter_map(with_entry).collect()
    }

    fn offline(&self) -> Option<Offline> {
        let mut offline = self.upstream.offline.clone()?;
        let before = self.previous.and_then(|previous| previous.outline.offline.as_ref());
        let lacking = before.into_iter().flat_map(|before| &before.lacking);
        offline.lacking.extend(lacking.filter(|stack| self.is_taken_over(stack)).cloned());
        Some(offline)
    }

    fn is_taken_over(&self, stack: &str) -> bool {
        self.plan.listing().stacks.contains_key(stack) && !self.plan.scope().has_stack(stack)
    }

    /// Warnings about stacks, by their folders, and all others.
    fn warnings(&self) -> (BTreeMap<String, Vec<Diagnostic>>, Vec<Diagnostic>) {
        let mut warnings = self.repository.warnings.clone();
        if let Some(Release { outline, content, .. }) = self.previous {
            let is_taken_over = |warning: &&Diagnostic| match stack_of(&warning.path) {
                Some(stack) => self.is_taken_over(stack),
                None => warning.path == EXTRA_ENTRIES && !self.plan.scope().has_extra_entries(),
            };
            let before = content.warnings.values().chain([&outline.warnings]).flatten();
            warnings.extend(before.filter(is_taken_over).cloned());
        }
        warnings.extend(self.warnings.iter().cloned());
        warnings::by_stack(warnings)
    }

    /// The stack with those of its versions that can be published and the last published state of the others; none when it would
    /// have no default version.
    fn stack(
        &self,
        stack: &Stack,
        retained: &[&String],
        history: &BTreeMap<String, Timestamp>,
    ) -> Option<(Entry, Vec<PublishedVersion>)> {
        let mut rows: Vec<(VersionEntry, PublishedVersion)> = Vec::new();
        for version in &stack.versions {
            let date =
                self.known_date(stack, version).or_else(|| history.get(&version.folder).cloned()).unwrap_or_default();
            let layers = self.layers.get(&version.folder).cloned().unwrap_or_default();
            let entry = version_entry(stack, version, &layers, date);
            let fetched = self.upstream.versions.get(&version.folder).cloned();
            let (fetched_from, fetched_at) = fetched.map(|fetched| (fetched.from, fetched.commit)).unzip();
            let offline = self.upstream.offline_versions.get(&version.folder).cloned();
            let published = published(stack, version, layers);
            rows.push((entry, PublishedVersion { fetched_from, fetched_at, offline, ..published }));
        }
        for version in retained {
            if let Some(row) = self.retained_version(stack, version)
                && !rows.iter().any(|(entry, _)| entry.version == row.0.version)
            {
                rows.push(row);
            }
        }
        rows.sort_by_cached_key(|(entry, _)| std::cmp::Reverse(entry.version.parse::<crate::version::Version>().ok()));
        let known: Vec<(VersionEntry, Facts)> =
            rows.iter().map(|(entry, published)| (entry.clone(), published.facts.clone())).collect();
        let entry = stack_entry(&stack.fields, known);
        entry.default_version()?;
        Some((entry, rows.into_iter().map(|(_, published)| published).collect()))
    }

    fn retained_version(&self, stack: &Stack, version: &String) -> Option<(VersionEntry, PublishedVersion)> {
        let (published, entry) = *self.before.get(stack.version_folder(version).as_str())?;
        let entry = VersionEntry { default: *version == stack.default, ..entry.clone() };
        Some((entry, PublishedVersion { name: stack.fields.name.clone(), ..published.clone() }))
    }

    fn sample_entry(
        &self,
        entry: &Entry,
        devfiles: &BTreeMap<String, repository::SampleSource>,
        history: &BTreeMap<String, Timestamp>,
    ) -> Entry {
        let date = |version: &str| {
            let in_history = || match &devfiles.get(version)?.origin {
                SampleOrigin::Tree(path) => history.get(path),
                SampleOrigin::Fetched { .. } => None,
            };
            self.sample_date(&entry.name, version).or_else(in_history).cloned().unwrap_or_default()
        };
        let mut entry = entry.clone();
        for version in &mut entry.versions {
            version.last_modified = date(&version.version);
        }
        entry.last_modified = match entry.versions.as_slice() {
            [] => date(""),
            versions => versions.iter().map(|version| &version.last_modified).max().cloned().unwrap_or_default(),
        };
        entry
    }

    /// The icons that the index names, as fetched now or, for unread stacks, before, each with the subjects that name it.
    fn icons(&self, entries: &[Entry], versions: &[PublishedVersion]) -> BTreeMap<String, Icon> {
        let folders = folders_by_name(versions);
        let mut named: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
        for entry in entries {
            let is_stack = entry.entry_type == EntryType::Stack;
            let folder = folders.get(entry.name.as_str()).filter(|_| is_stack).copied().unwrap_or(EXTRA_ENTRIES);
            for url in std::iter::once(&entry.icon).chain(entry.versions.iter().map(|version| &version.icon)) {
                named.entry(url).or_default().insert(folder.to_owned());
            }
        }
        let before = self.previous.map(|previous| &previous.content.icons);
        // Stacks that are taken over without being loaded.
        for (url, icon) in before.into_iter().flatten() {
            let taken_over = icon.named_by.iter().filter(|folder| self.is_taken_over(folder));
            let taken_over: BTreeSet<String> = taken_over.cloned().collect();
            if !taken_over.is_empty() {
                named.entry(url).or_default().extend(taken_over);
            }
        }
        let found = named.into_iter().filter_map(|(url, named_by)| {
            let icon = self.upstream.icons.get(url).or_else(|| before?.get(url))?;
            Some((url.clone(), Icon { named_by, ..icon.clone() }))
        });
        found.collect()
    }

    /// Files of the published state: those of the tree, but for a quarantined version those of the release before.
    fn published_files(&self, versions: &[PublishedVersion]) -> BTreeMap<String, StoredFile> {
        let mut files = self.files.clone();
        let Some(previous) = self.previous else { return files };
        let previous = &previous.content;
        let is_taken_over = |path: &str| stack_of(path).is_some_and(|stack| self.is_taken_over(stack));
        let others = previous.files.iter().filter(|(path, _)| is_taken_over(path));
        files.extend(others.map(|(path, file)| (path.clone(), file.clone())));
        let is_retained = |version: &&PublishedVersion| {
            self.layers.get(&version.folder) != Some(&version.layers) && !self.is_taken_over(&version.stack)
        };
        let retained = versions.iter().filter(is_retained);
        for folder in retained.map(|version| version.folder.as_str()) {
            let old: Vec<(String, StoredFile)> =
                files_below(&previous.files, folder).map(|(path, file)| (path.clone(), file.clone())).collect();
            let new: Vec<String> = files_below(&files, folder).map(|(path, _)| path.clone()).collect();
            for path in &new {
                files.remove(path);
            }
            files.extend(old);
        }
        files
    }
}

/// A stack with a quarantined default version: its other versions wait for that one.
fn without_default(stack: &Stack) -> Quarantined {
    let message =
        format!("the default version {} is quarantined, so the stack stays as it was last published", stack.default);
    let hint = "correct the default version, or make another version the default";
    let problem = Diagnostic::error(stack.defining_file(), "stack/default", message, hint).at(stack.default_at);
    Quarantined { part: Part::Stack { stack: stack.folder.clone() }, problems: vec![problem] }
}

fn published(stack: &Stack, version: &StackVersion, layers: Vec<Layer>) -> PublishedVersion {
    let is_devfile = |title: &str| matches!(title, "devfile.yaml" | ".devfile.yaml");
    let devfile = version.files.iter().find(|(path, _)| is_devfile(path)).map(|(_, file)| &file.content[..]);
    PublishedVersion {
        name: stack.fields.name.clone(),
        stack: stack.folder.clone(),
        version: version.devfile.version.to_string(),
        folder: version.folder.clone(),
        facts: facts(version),
        manifest: Digest::of(&artifact::manifest(&layers)),
        layers,
        // It was parsed, so it is UTF-8.
        devfile: String::from_utf8_lossy(devfile.unwrap_or_default()).into_owned(),
        fetched_from: None,
        fetched_at: None,
        offline: None,
    }
}
