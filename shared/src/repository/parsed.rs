//! The whole of a registry repository, put together from the files of a tree.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use rayon::prelude::*;

use super::devfile::{AllParents, CheckedDevfile, check_sample, check_version};
use super::extra::{self, EXTRA_ENTRIES, Sample, SampleOrigin, SampleSource};
use super::last_modified::{self, Dates};
use super::part::{Part, Quarantined};
use super::refused;
use super::stack::{self, NO_TAGS, START, Stack, StackListing, StackVersion};
use crate::devfile::Devfile;
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::index::{Entry, Git};
use crate::tree::Tree;
use crate::validate::{KnownParents, Parents, Surroundings, Unreachable};

/// The content of a registry repository.
#[derive(Debug, Default)]
pub struct Repository {
    /// Stacks that can be published, in the order of their folders.
    pub stacks: Vec<Stack>,
    /// Samples, in the order of `extraDevfileEntries.yaml`.
    pub samples: Vec<Sample>,
    /// Stacks in other repositories, from the same file.
    pub extra_stacks: Vec<Entry>,
    /// Dates from `last_modified.json`.
    pub dates: Dates,
    /// Versions whose files are in another Git repository and not in this tree.
    pub upstream_versions: Vec<UpstreamVersion>,
    /// Parts that cannot be published.
    pub quarantined: Vec<Quarantined>,
    /// Parts without errors that keep their last published state: unchanged, or unreachable for now.
    pub retained: BTreeSet<Part>,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// A version of a stack that lives in another Git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamVersion {
    /// The version.
    pub part: Part,
    /// Folder where its files belong.
    pub folder: String,
    /// Their repository.
    pub git: Git,
    /// The file that says so.
    pub path: String,
    /// The position in it.
    pub position: Option<Position>,
}

impl Repository {
    /// The names that the stacks of a tree claim, those of stacks that are not valid included.
    pub(crate) fn names(tree: &Tree) -> BTreeSet<String> {
        let listings: Vec<StackListing> = tree
            .folders("stacks")
            .into_iter()
            .map(|folder| stack::list(tree, folder))
            .filter_map(|(listing, problems)| problems.is_empty().then_some(listing))
            .collect();
        let parents = AllParents::new(tree, &listings, &Unreachable);
        listings.iter().filter_map(|listing| parents.name_of(listing)).collect()
    }

    /// Reads a tree, without any upstream content.
    pub fn parse(tree: &Tree) -> Self {
        Self::parse_among(tree, &Unreachable)
    }

    /// Reads a tree whose devfiles may have parents outside it. The result is the same for any number of threads.
    pub fn parse_among(tree: &Tree, external: &dyn Parents) -> Self {
        let mut repository = Self::default();
        let folders = tree.folders("stacks");
        let read: Vec<_> = folders.par_iter().map(|folder| stack::list(tree, folder)).collect();
        let mut listings: Vec<StackListing> = Vec::new();
        let mut invalid: Vec<(StackListing, Vec<Diagnostic>)> = Vec::new();
        for (listing, problems) in read {
            if problems.is_empty() {
                listings.push(listing);
            } else {
                invalid.push((listing, problems));
            }
        }
        let parents = AllParents::new(tree, &listings, external);
        let files = |path: &str| tree.get(path).cloned();
        let known_parents = KnownParents::default();
        let around = Surroundings { files: &files, external: &parents, known_parents: Some(&known_parents) };
        let check = |listing: &StackListing| -> Vec<Option<CheckedDevfile>> {
            let file = listing.defining_file();
            let versions = listing.versions.par_iter();
            let here = versions.map(|version| (!version.is_upstream(tree)).then_some(version));
            here.map(|version| Some(check_version(tree, &file, version?, &around))).collect()
        };
        let check_all = || -> Vec<Vec<Option<CheckedDevfile>>> { listings.par_iter().map(check).collect() };
        let (checked, dates) = rayon::join(check_all, || last_modified::parse(tree));
        let (extra, checked_samples) = match extra::parse(tree) {
            Ok(extra) => {
                let check = |(_, path, content): &(_, String, Bytes)| check_sample(path, content, &around);
                let checked: Vec<CheckedDevfile> = extra.cached.par_iter().map(check).collect();
                (Some(extra), checked)
            }
            Err(problems) => {
                repository.add_quarantined(Part::ExtraEntries, problems);
                (None, Vec::new())
            }
        };

        // The devfiles of a stack that cannot be published are checked as well: its owner learns everything at once.
        let checked_invalid: Vec<Vec<Option<CheckedDevfile>>> =
            invalid.par_iter().map(|(listing, _)| check(listing)).collect();

        let all = checked.iter().chain(&checked_invalid).flatten().flatten().chain(&checked_samples);
        let mut reported = Reported(all.flat_map(|devfile| devfile.problems.iter().cloned()).collect());
        let mut names = BTreeSet::new();
        for (listing, checked) in listings.into_iter().zip(checked) {
            repository.add_stack(tree, listing, checked, &mut names, &mut reported);
        }
        for ((listing, mut problems), checked) in invalid.into_iter().zip(checked_invalid) {
            for checked in checked.into_iter().flatten() {
                let (errors, warnings) = problems_of(checked, &mut reported);
                problems.extend(errors);
                repository.warnings.extend(warnings);
            }
            repository.warnings.extend(listing.warnings);
            repository.add_quarantined(Part::Stack { stack: listing.folder }, problems);
        }
        if let Some(extra) = extra {
            repository.add_extra(extra, checked_samples, &mut reported);
        }
        match dates {
            Ok(dates) => repository.dates = dates,
            Err(problem) => repository.add_quarantined(Part::Dates, vec![*problem]),
        }
        let (refused_parts, warnings) = refused::problems(tree);
        for (part, problems) in refused_parts {
            repository.quarantine(part, problems);
        }
        repository.warnings.extend(warnings);
        repository.warnings.sort();
        repository.give_positions();
        repository
    }

    /// Shows a problem of a file as a whole at its beginning, so that every problem has a line.
    pub(crate) fn give_positions(&mut self) {
        let errors = self.quarantined.iter_mut().flat_map(|quarantined| &mut quarantined.problems);
        for problem in errors.chain(&mut self.warnings) {
            problem.position.get_or_insert(START);
        }
    }

    fn add_stack(
        &mut self,
        tree: &Tree,
        listing: StackListing,
        checked: Vec<Option<CheckedDevfile>>,
        names: &mut BTreeSet<String>,
        reported: &mut Reported,
    ) {
        let (folder, file) = (listing.folder.clone(), listing.defining_file());
        let whole = Part::Stack { stack: folder.clone() };
        self.warnings.extend(listing.warnings.iter().cloned());
        let mut versions: Vec<StackVersion> = Vec::new();
        for (listed, checked) in listing.versions.iter().zip(checked) {
            let part = match listing.fields {
                Some(_) => Part::Version { stack: folder.clone(), version: listed.number.clone() },
                None => whole.clone(),
            };
            let Some(checked) = checked else {
                let git = listed.git.clone().unwrap_or_default();
                let (folder, path) = (listed.folder.clone(), file.clone());
                self.upstream_versions.push(UpstreamVersion { part, folder, git, path, position: listed.position });
                continue;
            };
            let path = checked.path.clone();
            let Some(devfile) = self.accept(checked, &part, reported) else { continue };
            if versions.iter().any(|version| version.devfile.version == devfile.version) {
                let message = format!("another version has metadata.version {} already", devfile.version);
                let hint = "let it name its folder's version";
                self.add_quarantined(part, vec![Diagnostic::error(path, "stack/versionMismatch", message, hint)]);
                continue;
            }
            versions.push(StackVersion { files: listed.files(tree), folder: listed.folder.clone(), devfile });
        }
        let name_at = listing.name_at;
        let stack = Stack::new(listing, versions);
        if stack.versions.is_empty() && stack.fields.name.is_empty() {
            // A stack without stack.yaml has its name from the devfile, whose problems are reported.
            return;
        }
        let name = &stack.fields.name;
        if !stack::is_entry_name(name) {
            let message = format!("`{}` cannot be a name in a URL", name.escape_debug());
            let hint = "use letters, digits and hyphens";
            self.add_quarantined(whole, vec![Diagnostic::error(file, "stack/name", message, hint).at(name_at)]);
        } else if !names.insert(name.clone()) {
            let message = format!("another stack has the name `{name}` already");
            let hint = "give every stack a name of its own";
            self.add_quarantined(whole, vec![Diagnostic::error(file, "stack/name", message, hint).at(name_at)]);
        } else {
            for field in stack.missing_facts() {
                let (message, hint) = match field {
                    "tags" => NO_TAGS.map(str::to_owned).into(),
                    "architectures" => {
                        ("no architectures are given".to_owned(), "people choose stacks by them".to_owned())
                    }
                    _ => (format!("no {field} is given"), "people choose stacks by it".to_owned()),
                };
                self.warnings.push(Diagnostic::warning(&file, &format!("index/{field}"), message, hint).at(START));
            }
            self.stacks.push(stack);
        }
    }

    fn add_extra(&mut self, extra: extra::Extra, checked: Vec<CheckedDevfile>, reported: &mut Reported) {
        let mut samples = extra.samples;
        let is_here = |entry: &&Entry| self.stacks.iter().any(|stack| stack.fields.name == entry.name);
        if let Some(taken) = extra.stacks.iter().find(is_here) {
            let message = format!("`{}`: a stack of this repository has that name already", taken.name);
            let problem = Diagnostic::error(EXTRA_ENTRIES, "extraStacks/name", message, "names of stacks are unique");
            return self.add_quarantined(Part::ExtraEntries, vec![problem]);
        }
        self.extra_stacks = extra.stacks;
        self.warnings.extend(extra.warnings);
        for (part, problems) in extra.quarantined {
            self.add_quarantined(part, problems);
        }
        for ((name, path, content), checked) in extra.cached.into_iter().zip(checked) {
            let part = Part::Sample { name: name.0.clone() };
            let is_valid = checked.is_valid();
            self.accept(checked, &part, reported);
            if !is_valid {
                samples.retain(|sample| sample.entry.name != name.0);
            } else if let Some(sample) = samples.iter_mut().find(|sample| sample.entry.name == name.0) {
                sample.devfiles.insert(name.1, SampleSource { origin: SampleOrigin::Tree(path), content });
            }
        }
        self.samples = samples;
    }

    /// Puts the problems of a devfile where they belong, and gives the devfile if it can be published.
    fn accept(&mut self, mut checked: CheckedDevfile, part: &Part, reported: &mut Reported) -> Option<Devfile> {
        let devfile = checked.devfile.take();
        let (errors, warnings) = problems_of(checked, reported);
        self.warnings.extend(warnings);
        if errors.is_empty() {
            return devfile;
        }
        self.add_quarantined(part.clone(), errors);
        None
    }

    fn add_quarantined(&mut self, part: Part, problems: Vec<Diagnostic>) {
        debug_assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
        self.quarantined.push(Quarantined { part, problems });
    }

    /// Quarantines a part that was valid by itself.
    pub(crate) fn quarantine(&mut self, part: Part, problems: Vec<Diagnostic>) {
        self.remove(&part);
        self.add_quarantined(part, problems);
    }

    /// Leaves a part without errors as it was last published.
    pub(crate) fn retain(&mut self, part: Part) {
        self.remove(&part);
        self.retained.insert(part);
    }

    fn remove(&mut self, part: &Part) {
        match part {
            Part::Stack { stack } => self.stacks.retain(|read| read.folder != *stack),
            Part::Version { stack, version } => {
                for read in self.stacks.iter_mut().filter(|read| read.folder == *stack) {
                    let folder = read.version_folder(version);
                    read.versions.retain(|version| version.folder != folder);
                }
            }
            Part::Sample { name } => self.samples.retain(|sample| sample.entry.name != *name),
            Part::ExtraEntries => {
                self.samples.clear();
                self.extra_stacks.clear();
            }
            Part::Dates => self.dates = Dates::default(),
        }
    }

    /// Every error of the tree, in the order of the files.
    pub fn errors(&self) -> Vec<&Diagnostic> {
        let mut errors: Vec<_> = self.quarantined.iter().flat_map(|quarantined| &quarantined.problems).collect();
        errors.sort();
        errors.dedup();
        errors
    }
}

/// The errors and the warnings of a devfile, those of its parents only where they come for the first time.
fn problems_of(checked: CheckedDevfile, reported: &mut Reported) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let is_error = |problem: &Diagnostic| problem.severity == Severity::Error;
    let parents_are_bad = checked.of_parents.iter().any(is_error);
    let of_parents = checked.of_parents.into_iter().filter(|problem| reported.is_new(problem, &checked.path));
    let (mut errors, warnings): (Vec<_>, Vec<_>) = checked.problems.into_iter().chain(of_parents).partition(is_error);
    if parents_are_bad && errors.is_empty() {
        let message = "content from the parent of this devfile is wrong, as reported at the parent";
        let problem = Diagnostic::error(&checked.path, "parent/invalid", message, "correct the parent");
        errors.push(problem.at(checked.parent_at));
    }
    (errors, warnings)
}

/// Problems reported so far, so that a parent's problems are not repeated for each of its children.
#[derive(Debug)]
struct Reported(HashSet<Diagnostic>);

impl Reported {
    /// Whether a problem of a parent of the devfile at `path` comes for the first time.
    fn is_new(&mut self, problem: &Diagnostic, path: &str) -> bool {
        let mut problem = problem.clone();
        if problem.path == path {
            // The parent is outside the tree, and its problems are shown at each reference to it.
            problem.path.clear();
            problem.position = None;
        }
        self.0.insert(problem)
    }
}
