//! A registry repository, parsed: the stacks and samples of a tree, and what is wrong with it.
//!
//! A bad version or file never hides the others: whatever can be read is here, the rest is in
//! [`Repository::quarantined`] with its reasons (invariant 5).

mod extra;
mod last_modified;
mod stack;

pub use extra::Sample;
pub use last_modified::{Dates, SAMPLE_WITHOUT_VERSION};
pub use stack::{Stack, StackFields, StackVersion};

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Severity};
use crate::index::Entry;
use crate::source::Tree;

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
    /// What cannot be published.
    pub quarantined: Vec<Quarantined>,
    /// What should be looked at.
    pub warnings: Vec<Diagnostic>,
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
    /// The samples and stacks of `extraDevfileEntries.yaml`.
    ExtraEntries,
    /// The dates of `last_modified.json`.
    Dates,
}

impl Repository {
    /// Reads a tree.
    pub fn parse(tree: &Tree) -> Self {
        let mut repository = Self::default();
        let mut names = BTreeSet::new();
        for folder in tree.folders("stacks") {
            match stack::parse(tree, folder, &mut repository) {
                Ok(stack) if !names.insert(stack.fields.name.clone()) => {
                    let path = stack.defining_file();
                    let message = format!("another stack has the name `{}` already", stack.fields.name);
                    let problem = Diagnostic::error(path, "stack/name", message, "give every stack a name of its own");
                    repository.quarantine(Part::Stack { stack: folder.to_owned() }, vec![problem]);
                }
                Ok(stack) => repository.stacks.push(stack),
                Err(problems) => repository.quarantine(Part::Stack { stack: folder.to_owned() }, problems),
            }
        }
        match extra::parse(tree) {
            Ok(extra) => {
                repository.samples = extra.samples;
                repository.extra_stacks = extra.stacks;
            }
            Err(problems) => repository.quarantine(Part::ExtraEntries, problems),
        }
        match last_modified::parse(tree) {
            Ok(dates) => repository.dates = dates,
            Err(problem) => repository.quarantine(Part::Dates, vec![*problem]),
        }
        repository.warnings.sort();
        repository
    }

    fn quarantine(&mut self, part: Part, problems: Vec<Diagnostic>) {
        debug_assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
        self.quarantined.push(Quarantined { part, problems });
    }

    /// Every error of the tree, in the order of the files.
    pub fn errors(&self) -> Vec<&Diagnostic> {
        let mut errors: Vec<_> = self.quarantined.iter().flat_map(|held| &held.problems).collect();
        errors.sort();
        errors
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
            ("[]".to_owned(), "yaml/syntax"),
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
            ("samples:\n  - name: pot\n    git: {remotes: {a: x, b: y}}\n".to_owned(), "sample/git"),
            ("samples: {}\n".to_owned(), "yaml/syntax"),
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
        assert_eq!(found, ["samples/pot/1.0.0/devfile.yaml samplesDir"]);
    }

    #[test]
    fn bad_dates_are_reported_and_do_not_stop_the_rest() {
        let mut files = kiln(STACK);
        files.push((
            "last_modified.json",
            "{\"stacks\": [{\"name\": \"kiln\", \"lastModified\": \"yesterday\"}]}".to_owned(),
        ));
        let repository = parse(&files);
        assert_eq!(errors(&repository), ["last_modified.json lastModified"]);
        assert_eq!(repository.stacks.len(), 1);
    }
}
