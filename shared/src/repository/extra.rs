//! `extraDevfileEntries.yaml`: samples, and stacks in other repositories; `samples/`: cached devfiles of the samples.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::part::Part;
use super::stack::{NO_TAGS, is_entry_name, unread_checkout};
use crate::devfile::DEPLOYMENT_SCOPES;
use crate::diagnostic::{Diagnostic, Position};
use crate::digest::CommitSha;
use crate::index::{Entry, EntryType};
use crate::tree::Tree;
use crate::yaml::{self, Data, FilePosition, Node};

pub(crate) use crate::source::EXTRA_ENTRIES;

const PATH: &str = EXTRA_ENTRIES;

/// Returns the positions of the samples, and of the stacks of no sample's name, in [`EXTRA_ENTRIES`].
pub(crate) fn positions_in_extra_entries(tree: &Tree) -> HashMap<String, Position> {
    let Some(Ok(document)) = tree.get(PATH).map(|bytes| yaml::parse(PATH, bytes)) else { return HashMap::new() };
    // The last of a name stays: the first sample.
    let entries = ["stacks", "samples"].into_iter().flat_map(|list| document.items_of(list).iter().rev());
    entries.filter_map(|entry| Some((entry.text_of("name")?.to_owned(), entry.at.position))).collect()
}

/// A sample that can be published.
#[derive(Debug)]
pub struct Sample {
    /// Its entry in the index, dates not yet set.
    pub entry: Entry,
    /// Its devfiles as far as they are known, by version; without versions the key is empty.
    pub devfiles: BTreeMap<String, SampleSource>,
}

/// A devfile of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleSource {
    /// Its origin.
    pub origin: SampleOrigin,
    /// Its bytes.
    pub content: Bytes,
}

/// The origin of the devfile of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SampleOrigin {
    /// From a path of the tree.
    Tree(String),
    /// From another repository; it may be that of the release before.
    Fetched {
        /// Its name, `URL@REVISION#PATH`.
        from: String,
        /// The commit; none where older software did not record it.
        at: Option<CommitSha>,
    },
}

/// Content of the file.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) samples: Vec<Sample>,
    pub(super) stacks: Vec<Entry>,
    /// Samples that cannot be published.
    pub(super) quarantined: Vec<(Part, Vec<Diagnostic>)>,
    /// Devfiles of samples in the tree, not yet checked: name and version, path, content.
    pub(super) cached: Vec<((String, String), String, Bytes)>,
    /// Warnings for their owners.
    pub(super) warnings: Vec<Diagnostic>,
}

/// Reads the file and finds the cached devfiles of its samples. The error concerns all of the file.
pub(super) fn parse(tree: &Tree) -> Result<Extra, Vec<Diagnostic>> {
    let Some(bytes) = tree.get(PATH) else { return Ok(Extra::default()) };
    let document = yaml::parse(PATH, bytes)?;
    let mut problems = Vec::new();
    let stacks = rows(&document, "stacks", check_stack, &mut problems);
    let samples = rows(&document, "samples", check_sample, &mut problems);
    let mut extra = Extra::default();
    for (list, item) in
        ["stacks", "samples"].iter().flat_map(|list| document.items_of(list).iter().map(move |i| (*list, i)))
    {
        extra.warnings.extend(warnings(list, item));
    }
    for (entry, found) in stacks {
        problems.extend(found);
        extra.stacks.push(Entry { entry_type: EntryType::Stack, ..entry });
    }
    let caches = tree.below("samples").next().is_some();
    for (entry, mut found) in samples {
        let name = entry.name.clone();
        let mut cached = Vec::new();
        if caches && is_entry_name(&name) {
            cached_devfiles(tree, &entry, &mut cached, &mut found);
        }
        if found.is_empty() {
            extra.cached.append(&mut cached);
            let entry = Entry { entry_type: EntryType::Sample, ..entry };
            extra.samples.push(Sample { entry, devfiles: BTreeMap::new() });
        } else if is_entry_name(&name) {
            extra.quarantined.push((Part::Sample { name }, found));
        } else {
            // Nobody can say which of the published samples this one was.
            problems.extend(found);
        }
    }
    if problems.is_empty() { Ok(extra) } else { Err(problems) }
}

/// The entries of one of the lists, each with its problems.
fn rows(
    document: &Node,
    list: &str,
    check: fn(&Entry) -> Vec<Problem>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<(Entry, Vec<Diagnostic>)> {
    let items = match document.get(list).map(|node| (node, &node.data)) {
        None if document.is_map() || matches!(document.data, Data::Null) => &[][..],
        Some((_, Data::Null)) => &[][..],
        Some((_, Data::List(items))) => items.as_slice(),
        Some((node, _)) => {
            let message = format!("`{list}` has to be a list");
            problems.push(
                Diagnostic::error(PATH, "yaml/type", message, "begin each entry with `- name:`")
                    .at(node.key_at.position),
            );
            &[][..]
        }
        None => {
            let problem = Diagnostic::error(PATH, "yaml/type", "this file is a mapping", "begin with `samples:`");
            problems.push(problem.at(document.at.position));
            &[][..]
        }
    };
    let mut names = BTreeSet::new();
    let mut entries = Vec::new();
    for item in items {
        let entry = match yaml::decode::<Entry>(PATH, item) {
            Ok(entry) => entry,
            Err(problem) => {
                let name = item.text_of("name").unwrap_or_default().to_owned();
                entries.push((Entry { name, ..Entry::default() }, vec![*problem]));
                continue;
            }
        };
        let mut found = check(&entry);
        if !entry.name.is_empty() && !names.insert(entry.name.clone()) {
            found.push(("sample/name", "an entry before has the same name".into(), "names are unique"));
        }
        let found = found.into_iter().map(|problem| at_row(item, &entry.name, problem)).collect();
        entries.push((entry, found));
    }
    entries
}

/// Warnings for the owner of an entry.
fn warnings(list: &str, item: &Node) -> Vec<Diagnostic> {
    let name = item.text_of("name").unwrap_or_default().escape_debug();
    let warning = |rule, message, hint, at: FilePosition| {
        Diagnostic::warning(PATH, rule, format!("`{name}`: {message}"), hint).at(at.position)
    };
    let gits = item.items_of("versions").iter().chain([item]).filter_map(|owner| owner.get("git"));
    let mut found: Vec<Diagnostic> = gits.clone().filter_map(|git| unread_checkout(PATH, Some(git))).collect();
    if list == "samples" {
        let is_empty =
            |git: &&Node| git.text_of("url").is_none() && git.get("remotes").is_none_or(|r| r.entries().is_empty());
        for git in gits.filter(is_empty) {
            let hint = "add `remotes: {origin: https://...}`";
            found.push(warning(
                "sample/remote",
                "git names no remote, so clients cannot fetch the sample",
                hint,
                git.key_at,
            ));
        }
    } else if item.items_of("tags").is_empty() {
        found.push(warning("index/tags", NO_TAGS[0], NO_TAGS[1], item.at));
    }
    found
}

/// Rule, message and hint.
type Problem = (&'static str, String, &'static str);

fn at_row(row: &Node, name: &str, (rule, message, hint): Problem) -> Diagnostic {
    let name = if name.is_empty() { "an entry".to_owned() } else { format!("`{}`", name.escape_debug()) };
    Diagnostic::error(PATH, rule, format!("{name}: {message}"), hint).at(row.at.position)
}

fn check_common(row: &Entry) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    if !is_entry_name(&row.name) {
        problems.push((
            "sample/name",
            "the name is missing or cannot stand in a URL".into(),
            "use letters, digits and hyphens",
        ));
    }
    let scopes = row.versions.iter().flat_map(|version| version.deployment_scopes.keys());
    for scope in row.deployment_scopes.keys().chain(scopes).filter(|scope| !DEPLOYMENT_SCOPES.contains(&scope.as_str()))
    {
        let message = format!("the deployment scope `{scope}` is not known");
        problems.push(("index/scopes", message, "use innerloop and outerloop"));
    }
    problems
}

fn check_sample(row: &Entry) -> Vec<Problem> {
    let mut problems = check_common(row);
    if row.versions.is_empty() {
        match &row.git {
            None => {
                problems.push(("sample/git", "git is missing".into(), "say where the sample lives: git.remotes.origin"))
            }
            Some(git) if git.remotes.len() > 1 => {
                problems.push(("sample/git", "git has several remotes".into(), "keep one remote"));
            }
            Some(_) => {}
        }
        return problems;
    }
    check_versions(row, &mut problems);
    if row.versions.iter().any(|version| version.git.is_none()) {
        problems.push(("sample/versions", "a version has no git".into(), "say where each version lives"));
    }
    problems
}

fn check_stack(row: &Entry) -> Vec<Problem> {
    let mut problems = check_common(row);
    check_versions(row, &mut problems);
    if row.versions.is_empty() {
        let message = "versions are missing";
        problems.push(("extraStacks/fields", message.into(), "a stack in another repository lists them itself"));
    }
    if row.versions.iter().any(|version| version.links.is_empty() || version.resources.is_empty()) {
        let message = "a version has no links or no resources";
        problems.push(("extraStacks/fields", message.into(), "a stack in another repository lists both itself"));
    }
    problems
}

fn check_versions(row: &Entry, problems: &mut Vec<Problem>) {
    if row.versions.iter().any(|version| version.version.is_empty() || version.schema_version.is_empty()) {
        problems.push((
            "sample/versions",
            "a version lacks version or schemaVersion".into(),
            "give every version both",
        ));
    }
    let defaults = row.versions.iter().filter(|version| version.default).count();
    if !row.versions.is_empty() && defaults != 1 {
        let message = format!("{defaults} versions are the default");
        problems.push(("sample/versions", message, "mark exactly one version with `default: true`"));
    }
}

/// The devfiles below `samples/<name>/`. A tree with that folder caches the devfile of every sample and version.
fn cached_devfiles(
    tree: &Tree,
    entry: &Entry,
    cached: &mut Vec<((String, String), String, Bytes)>,
    problems: &mut Vec<Diagnostic>,
) {
    let paths: Vec<(String, String)> = match entry.versions.as_slice() {
        [] => vec![(String::new(), format!("samples/{}/devfile.yaml", entry.name))],
        versions => versions
            .iter()
            .map(|v| (v.version.clone(), format!("samples/{}/{}/devfile.yaml", entry.name, v.version)))
            .collect(),
    };
    for (version, path) in paths {
        match tree.get(&path) {
            Some(content) => cached.push(((entry.name.clone(), version), path, content.clone())),
            None => {
                let hint = "the folder samples/ has the devfile of every sample; add it";
                problems.push(Diagnostic::error(path, "samplesDir/devfile", "the sample's devfile is missing", hint));
            }
        }
    }
}
