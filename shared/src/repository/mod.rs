//! A registry repository, parsed: the stacks and samples of a tree, and what is wrong with it.
//!
//! A bad version or file never hides the others: whatever can be read is here, the rest is in
//! [`Repository::quarantined`] with its reasons (invariant 5).

mod devfile;
mod extra;
mod last_modified;
mod stack;

pub(crate) use extra::{EXTRA_ENTRIES, place_in_extra_entries};
pub use extra::{Origin, Sample, SampleDevfile};
pub use last_modified::{Dates, SAMPLE_WITHOUT_VERSION};
pub use stack::{Stack, StackVersion};

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::devfile::{AllParents, CheckedDevfile};
use self::stack::Listing;
use crate::devfile::Devfile;
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::digest::Digest;
use crate::index::{Entry, Git};
use crate::source::Tree;
use crate::validate::{Parents, Surroundings, Unreachable};

/// The content of a registry repository.
#[derive(Debug, Default)]
pub struct Repository {
    /// Stacks that can be published, in the order of their folders.
    pub stacks: Vec<Stack>,
    /// Samples, in the order of `extraDevfileEntries.yaml`.
    pub samples: Vec<Sample>,
    /// Stacks that live elsewhere, from the same file.
    pub extra_stacks: Vec<Entry>,
    /// Dates from `last_modified.json`.
    pub dates: Dates,
    /// Versions whose files are in another Git repository and not in this tree.
    pub elsewhere: Vec<Elsewhere>,
    /// What cannot be published.
    pub quarantined: Vec<Quarantined>,
    /// What stays as it was last published though nothing is wrong with it: it is unchanged, or out of reach for now.
    pub kept: BTreeSet<Part>,
    /// Icons by their URL, as far as they were fetched.
    pub icons: BTreeMap<String, FetchedIcon>,
    /// URLs of everything that was fetched, with the entity tag of the state that it was in.
    pub fetched: BTreeMap<String, Option<String>>,
    /// What should be looked at.
    pub warnings: Vec<Diagnostic>,
}

/// An icon that can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedIcon {
    /// Its media type, found by looking at the bytes.
    pub media_type: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// Its bytes; none when the release before has it.
    pub content: Option<Bytes>,
}

/// A version of a stack that lives in another Git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The version.
    pub part: Part,
    /// Folder where its files belong.
    pub folder: String,
    /// Where they are.
    pub git: Git,
    /// The file that says so.
    pub path: String,
    /// The place in it.
    pub position: Option<Position>,
}

/// A part of the repository that is not published as it stands; its last published state stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// What stays as it was.
    #[serde(flatten)]
    pub part: Part,
    /// The reasons.
    pub problems: Vec<Diagnostic>,
}

/// A part of a repository that can be published or held back by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "part")]
pub enum Part {
    /// One version of a stack.
    Version {
        /// Folder of the stack below `stacks/`.
        stack: String,
        /// Folder of the version below the stack's, as listed in stack.yaml.
        version: String,
    },
    /// A stack with all its versions.
    Stack {
        /// Folder of the stack below `stacks/`.
        stack: String,
    },
    /// One sample.
    Sample {
        /// Its name.
        name: String,
    },
    /// The samples and stacks of `extraDevfileEntries.yaml`.
    ExtraEntries,
    /// The dates of `last_modified.json`.
    Dates,
}

impl Repository {
    /// Reads a tree, with nothing known of what is outside.
    pub fn parse(tree: &Tree) -> Self {
        Self::parse_among(tree, &Unreachable)
    }

    /// Reads a tree whose devfiles may have parents outside. Whatever the number of threads, the result is the same.
    pub fn parse_among(tree: &Tree, outside: &dyn Parents) -> Self {
        let mut repository = Self::default();
        let folders = tree.folders("stacks");
        let read: Vec<_> = folders.par_iter().map(|folder| stack::list(tree, folder)).collect();
        let mut listings: Vec<Listing> = Vec::new();
        for (folder, listing) in folders.iter().zip(read) {
            match listing {
                Ok(listing) => listings.push(listing),
                Err(problems) => repository.quarantine(Part::Stack { stack: (*folder).to_owned() }, problems),
            }
        }
        let parents = AllParents::new(tree, &listings, outside);
        let files = |path: &str| tree.get(path).cloned();
        let around = Surroundings { files: &files, outside: &parents };
        let check = |listing: &Listing| -> Vec<Option<CheckedDevfile>> {
            let file = listing.defining_file();
            let versions = listing.versions.par_iter();
            let here = versions.map(|version| (!version.is_elsewhere(tree)).then_some(version));
            here.map(|version| Some(devfile::check_version(tree, &file, version?, &around))).collect()
        };
        let checked: Vec<Vec<Option<CheckedDevfile>>> = listings.par_iter().map(check).collect();
        let (extra, checked_samples) = match extra::parse(tree) {
            Ok(extra) => {
                let check = |(_, path, content): &(_, String, Bytes)| devfile::check_sample(path, content, &around);
                let checked: Vec<CheckedDevfile> = extra.cached.par_iter().map(check).collect();
                (Some(extra), checked)
            }
            Err(problems) => {
                repository.quarantine(Part::ExtraEntries, problems);
                (None, Vec::new())
            }
        };

        let all = checked.iter().flatten().flatten().chain(&checked_samples);
        let mut reported = Reported(all.flat_map(|devfile| devfile.problems.iter().cloned()).collect());
        let mut names = BTreeSet::new();
        for (listing, checked) in listings.into_iter().zip(checked) {
            repository.add_stack(tree, listing, checked, &mut names, &mut reported);
        }
        if let Some(extra) = extra {
            repository.add_extra(extra, checked_samples, &mut reported);
        }
        match last_modified::parse(tree) {
            Ok(dates) => repository.dates = dates,
            Err(problem) => repository.quarantine(Part::Dates, vec![*problem]),
        }
        repository.warnings.sort();
        repository
    }

    fn add_stack(
        &mut self,
        tree: &Tree,
        listing: Listing,
        checked: Vec<Option<CheckedDevfile>>,
        names: &mut BTreeSet<String>,
        reported: &mut Reported,
    ) {
        let (folder, file) = (listing.folder.clone(), listing.defining_file());
        let whole = Part::Stack { stack: folder.clone() };
        let mut versions: Vec<StackVersion> = Vec::new();
        for (listed, checked) in listing.versions.iter().zip(checked) {
            let part = match listing.fields {
                Some(_) => Part::Version { stack: folder.clone(), version: listed.number.clone() },
                None => whole.clone(),
            };
            let Some(checked) = checked else {
                let git = listed.git.clone().unwrap_or_default();
                let (folder, path) = (listed.folder.clone(), file.clone());
                self.elsewhere.push(Elsewhere { part, folder, git, path, position: listed.position });
                continue;
            };
            let path = checked.path.clone();
            let Some(devfile) = self.settle(checked, &part, reported) else { continue };
            if versions.iter().any(|version| version.devfile.version == devfile.version) {
                let message = format!("another version has metadata.version {} already", devfile.version);
                let hint = "let it name its folder's version";
                self.quarantine(part, vec![Diagnostic::error(path, "stack/versionMismatch", message, hint)]);
                continue;
            }
            versions.push(StackVersion { files: listed.files(tree), folder: listed.folder.clone(), devfile });
        }
        let stack = Stack::new(listing, versions);
        if stack.versions.is_empty() && stack.fields.name.is_empty() {
            // A stack without stack.yaml has its name from the devfile, whose problems are reported.
            return;
        }
        let name = &stack.fields.name;
        if !stack::is_entry_name(name) {
            let message = format!("`{}` cannot be a name in a URL", name.escape_debug());
            let hint = "use letters, digits and hyphens";
            self.quarantine(whole, vec![Diagnostic::error(file, "stack/name", message, hint)]);
        } else if !names.insert(name.clone()) {
            let message = format!("another stack has the name `{name}` already");
            let hint = "give every stack a name of its own";
            self.quarantine(whole, vec![Diagnostic::error(file, "stack/name", message, hint)]);
        } else {
            for field in stack.missing_facts() {
                let message = format!("no {field} is given");
                let hint = "people choose stacks by it";
                self.warnings.push(Diagnostic::warning(&file, &format!("index/{field}"), message, hint));
            }
            self.stacks.push(stack);
        }
    }

    fn add_extra(&mut self, extra: extra::Extra, checked: Vec<CheckedDevfile>, reported: &mut Reported) {
        let mut samples = extra.samples;
        self.extra_stacks = extra.stacks;
        for (part, problems) in extra.held {
            self.quarantine(part, problems);
        }
        for ((name, path, content), checked) in extra.cached.into_iter().zip(checked) {
            let part = Part::Sample { name: name.0.clone() };
            let is_valid = checked.is_valid();
            self.settle(checked, &part, reported);
            if !is_valid {
                samples.retain(|sample| sample.entry.name != name.0);
            } else if let Some(sample) = samples.iter_mut().find(|sample| sample.entry.name == name.0) {
                sample.devfiles.insert(name.1, SampleDevfile { origin: Origin::Tree(path), content });
            }
        }
        self.samples = samples;
    }

    /// Puts the problems of a devfile where they belong, and gives the devfile if it can be published.
    fn settle(&mut self, checked: CheckedDevfile, part: &Part, reported: &mut Reported) -> Option<Devfile> {
        let is_error = |problem: &Diagnostic| problem.severity == Severity::Error;
        let parents_are_bad = checked.of_parents.iter().any(is_error);
        let of_parents = checked.of_parents.into_iter().filter(|problem| reported.is_new(problem, &checked.path));
        let (mut errors, warnings): (Vec<_>, Vec<_>) =
            checked.problems.into_iter().chain(of_parents).partition(is_error);
        self.warnings.extend(warnings);
        if parents_are_bad && errors.is_empty() {
            let message = "what this devfile takes from its parent is wrong, as reported at the parent";
            let problem = Diagnostic::error(&checked.path, "parent/invalid", message, "mend the parent");
            errors.push(problem.at(checked.parent_at));
        }
        if errors.is_empty() {
            return checked.devfile;
        }
        self.quarantine(part.clone(), errors);
        None
    }

    fn quarantine(&mut self, part: Part, problems: Vec<Diagnostic>) {
        debug_assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
        self.quarantined.push(Quarantined { part, problems });
    }

    /// Holds back a part that was fine by itself: it stays as it was last published.
    pub(crate) fn hold(&mut self, part: Part, problems: Vec<Diagnostic>) {
        match &part {
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
        self.quarantine(part, problems);
    }

    /// Every error of the tree, in the order of the files.
    pub fn errors(&self) -> Vec<&Diagnostic> {
        let mut errors: Vec<_> = self.quarantined.iter().flat_map(|held| &held.problems).collect();
        errors.sort();
        errors.dedup();
        errors
    }
}

/// What has been reported, so that a parent's problems are not repeated for each of its children.
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::source::{File, TreePath};

    pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, content) in files {
            let file = File::plain(content.as_bytes().to_vec());
            tree.insert(TreePath::parse(path).unwrap(), file).unwrap();
        }
        tree
    }

    pub(crate) fn devfile(name: &str, version: &str) -> String {
        format!(
            "schemaVersion: 2.2.2\nmetadata:\n  name: {name}\n  displayName: {name}\n  version: {version}\n  language: Rust\n  \
             projectType: axum\n  provider: Clay Guild\n  supportUrl: https://example.org/help\n  icon: \
             https://example.org/i.svg\n  architectures: [amd64]\n"
        )
    }

    const STACK: &str = "name: kiln\ndisplayName: Kiln\nicon: https://example.org/i.svg\nversions:\n  - version: 1.0.0\n  - \
                         version: 1.10.0\n    default: true\n  - version: 1.9.0\n";

    fn kiln(stack_yaml: &str) -> Vec<(&str, String)> {
        let mut files = vec![("stacks/kiln/stack.yaml", stack_yaml.to_owned())];
        for (path, version) in [
            ("stacks/kiln/1.0.0/devfile.yaml", "1.0.0"),
            ("stacks/kiln/1.9.0/devfile.yaml", "1.9.0"),
            ("stacks/kiln/1.10.0/devfile.yaml", "1.10.0"),
        ] {
            files.push((path, devfile("kiln", version)));
        }
        files
    }

    fn parse(files: &[(&str, String)]) -> Repository {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        Repository::parse(&tree(&files))
    }

    fn errors(repository: &Repository) -> Vec<String> {
        repository.errors().iter().map(|problem| format!("{} {}", problem.path, problem.rule)).collect()
    }

    #[test]
    fn versions_are_ordered_by_number_newest_first() {
        let repository = parse(&kiln(STACK));
        assert_eq!(errors(&repository), [""; 0]);
        let versions: Vec<_> = repository.stacks[0].versions.iter().map(|v| v.devfile.version.as_str()).collect();
        assert_eq!(versions, ["1.10.0", "1.9.0", "1.0.0"]);
    }

    #[test]
    fn one_bad_version_does_not_hide_the_others() {
        let mut files = kiln(STACK);
        files[1].1 = "schemaVersion: [".to_owned();
        let repository = parse(&files);
        assert_eq!(repository.stacks[0].versions.len(), 2);
        assert_eq!(repository.quarantined[0].part, Part::Version { stack: "kiln".into(), version: "1.0.0".into() });
        assert_eq!(errors(&repository), ["stacks/kiln/1.0.0/devfile.yaml yaml/syntax"]);
    }

    #[test]
    fn stack_yaml_rules() {
        let cases = [
            (STACK.replace("    default: true\n", ""), "stack/default"),
            (STACK.replace("1.9.0\n", "1.9.0\n    default: true\n"), "stack/default"),
            (STACK.replace("icon: https://example.org/i.svg\n", ""), "stack/required"),
            ("name: kiln\ndisplayName: K\nicon: x\nversions: []\n".to_owned(), "stack/required"),
            (STACK.replace("1.9.0", "1.10.0"), "stack/versions"),
            (STACK.replace("1.9.0", "latest"), "stack/semver"),
            (STACK.replace("1.9.0", "1.9"), "stack/semver"),
            (STACK.replace("1.9.0", "2.0.0"), "stack/versionDir"),
            (STACK.replace("1.9.0", "../go"), "stack/semver"),
            ("[]".to_owned(), "yaml/type"),
            (STACK.replace("displayName: Kiln", "displayName: 5"), "yaml/type"),
        ];
        for (stack_yaml, rule) in cases {
            let found = errors(&parse(&kiln(&stack_yaml)));
            assert_eq!(found, [format!("stacks/kiln/stack.yaml {rule}")], "{stack_yaml}");
        }
    }

    #[test]
    fn devfile_names() {
        let mut files = kiln(STACK);
        files[2].0 = "stacks/kiln/1.9.0/.devfile.yaml";
        assert_eq!(errors(&parse(&files)), [""; 0]);
        files.push(("stacks/kiln/1.9.0/devfile.yaml", devfile("kiln", "1.9.0")));
        assert_eq!(errors(&parse(&files)), ["stacks/kiln/1.9.0/.devfile.yaml stack/devfile"]);
        let files = [("stacks/loom/readme.md", String::new())];
        assert_eq!(errors(&parse(&files)), ["stacks/loom/devfile.yaml stack/devfile"]);
    }

    #[test]
    fn a_stack_without_stack_yaml_is_its_own_version() {
        let repository = parse(&[("stacks/loom/devfile.yaml", devfile("loom", "3.0.0"))]);
        let stack = &repository.stacks[0];
        assert_eq!((stack.fields.name.as_str(), stack.versions.len()), ("loom", 1));
        assert_eq!(stack.versions[0].folder, "stacks/loom");
        assert_eq!(stack.default, "3.0.0");
    }

    #[test]
    fn names_are_taken_once_and_fit_a_registry() {
        let twice =
            [("stacks/a/devfile.yaml", devfile("loom", "1.0.0")), ("stacks/b/devfile.yaml", devfile("loom", "1.0.0"))];
        assert_eq!(errors(&parse(&twice)), ["stacks/b/devfile.yaml stack/name"]);
        for folder in ["stacks/Upper/devfile.yaml", "stacks/a b/devfile.yaml", "stacks/-a/devfile.yaml"] {
            assert_eq!(errors(&parse(&[(folder, devfile("loom", "1.0.0"))])).len(), 1, "{folder}");
        }
        let slash = [("stacks/a/devfile.yaml", devfile("a/b", "1.0.0"))];
        assert_eq!(errors(&parse(&slash)), ["stacks/a/devfile.yaml stack/name"]);
    }

    const SAMPLES: &str = "samples:\n  - name: pot\n    displayName: Pot\n    icon: https://example.org/p.png\n    attributes: \
                           {tier: gold, size: {w: 1}}\n    versions:\n      - version: 1.0.0\n        schemaVersion: 2.2.0\n        \
                           default: true\n        git: {remotes: {origin: https://example.org/pot.git}}\n";

    #[test]
    fn samples_keep_their_order_attributes_and_devfiles() {
        let repository = parse(&[
            ("extraDevfileEntries.yaml", SAMPLES.to_owned()),
            ("samples/pot/1.0.0/devfile.yaml", "schemaVersion: 2.2.0\n".to_owned()),
        ]);
        assert_eq!(errors(&repository), [""; 0]);
        let sample = &repository.samples[0];
        assert_eq!(sample.entry.attributes["tier"], "gold");
        assert_eq!(sample.entry.attributes["size"]["w"], 1);
        assert_eq!(sample.devfiles.len(), 1);
    }

    #[test]
    fn sample_rules() {
        let cases = [
            (SAMPLES.replace("        default: true\n", ""), "sample/versions"),
            (SAMPLES.replace("        schemaVersion: 2.2.0\n", ""), "sample/versions"),
            (SAMPLES.replace("name: pot", "name: ''"), "sample/name"),
            (format!("{SAMPLES}{}", SAMPLES.trim_start_matches("samples:\n")), "sample/name"),
            (SAMPLES.replace("name: pot", "name: a/b"), "sample/name"),
            ("samples:\n  - name: pot\n".to_owned(), "sample/git"),
            ("samples:\n  - name: pot\n    git: {remotes: {a: x, b: z}}\n".to_owned(), "sample/git"),
            ("samples: {}\n".to_owned(), "yaml/type"),
            ("[]".to_owned(), "yaml/type"),
        ];
        for (text, rule) in cases {
            let found = errors(&parse(&[("extraDevfileEntries.yaml", text.clone())]));
            assert_eq!(found, [format!("extraDevfileEntries.yaml {rule}")], "{text}");
        }
    }

    #[test]
    fn a_samples_folder_must_have_every_devfile() {
        let found = errors(&parse(&[
            ("extraDevfileEntries.yaml", SAMPLES.to_owned()),
            ("samples/other/devfile.yaml", "schemaVersion: 2.2.0\n".to_owned()),
        ]));
        assert_eq!(found, ["samples/pot/1.0.0/devfile.yaml samplesDir/devfile"]);
    }

    #[test]
    fn bad_dates_are_reported_and_do_not_stop_the_rest() {
        let mut files = kiln(STACK);
        files.push((
            "last_modified.json",
            "{\"stacks\": [{\"name\": \"kiln\", \"lastModified\": \"yesterday\"}]}".to_owned(),
        ));
        let repository = parse(&files);
        assert_eq!(errors(&repository), ["last_modified.json lastModified/json"]);
        assert_eq!(repository.stacks.len(), 1);
    }
}
