//! `extraDevfileEntries.yaml`: samples, and stacks that live elsewhere; `samples/`: cached devfiles of the samples.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::stack::is_entry_name;
use crate::devfile::DEPLOYMENT_SCOPES;
use crate::diagnostic::{Diagnostic, Position};
use crate::index::{Entry, EntryType};
use crate::limits;
use crate::source::Tree;
use crate::yaml::{self, nullable, position_of};

const PATH: &str = "extraDevfileEntries.yaml";

/// A sample that can be published.
#[derive(Debug)]
pub struct Sample {
    /// Its entry in the index, dates not yet set.
    pub entry: Entry,
    /// Devfiles that the tree has of it: path in the tree and content by version; without versions the key is empty.
    pub devfiles: BTreeMap<String, (String, Bytes)>,
}

/// Content of the file.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) samples: Vec<Sample>,
    pub(super) stacks: Vec<Entry>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    #[serde(deserialize_with = "nullable")]
    samples: Vec<Spanned<Entry>>,
    #[serde(deserialize_with = "nullable")]
    stacks: Vec<Spanned<Entry>>,
}

/// Reads the file and the cached devfiles of its samples.
pub(super) fn parse(tree: &Tree) -> Result<Extra, Vec<Diagnostic>> {
    let Some(bytes) = tree.get(PATH) else { return Ok(Extra::default()) };
    let file: File = yaml::parse(PATH, bytes).map_err(|problem| vec![*problem])?;
    let mut problems = Vec::new();
    for (rows, check) in [(&file.samples, check_sample as fn(&Entry) -> Vec<Problem>), (&file.stacks, check_stack)] {
        let mut names = BTreeSet::new();
        for row in rows {
            let mut found = check(&row.value);
            if !row.value.name.is_empty() && !names.insert(&row.value.name) {
                found.push(("sample/name", "an entry before has the same name".into(), "names are unique"));
            }
            let diagnostic = |(rule, message, hint): Problem| place(row, rule, message, hint);
            problems.extend(found.into_iter().map(diagnostic));
        }
    }
    let stacks = file.stacks.into_iter().map(|row| of_type(row.value, EntryType::Stack)).collect();
    let samples: Vec<Sample> = file
        .samples
        .into_iter()
        .map(|row| {
            let entry = of_type(row.value, EntryType::Sample);
            let devfiles = cached_devfiles(tree, &entry, &mut problems);
            Sample { entry, devfiles }
        })
        .collect();
    if problems.is_empty() { Ok(Extra { samples, stacks }) } else { Err(problems) }
}

/// The file says by its two lists which type an entry has, whatever is written in the entry.
fn of_type(entry: Entry, entry_type: EntryType) -> Entry {
    Entry { entry_type, ..entry }
}

/// Rule, message and hint.
type Problem = (&'static str, String, &'static str);

fn place(row: &Spanned<Entry>, rule: &str, message: String, hint: &str) -> Diagnostic {
    let name =
        if row.value.name.is_empty() { "an entry".to_owned() } else { format!("`{}`", row.value.name.escape_debug()) };
    let position: Option<Position> = position_of(row);
    Diagnostic::error(PATH, rule, format!("{name}: {message}"), hint).at(position)
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
    if row.versions.iter().any(|version| version.links.is_empty() || version.resources.is_empty()) {
        let message = "a version has no links or no resources";
        problems.push(("extraStacks", message.into(), "a stack that lives elsewhere lists both itself"));
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
fn cached_devfiles(tree: &Tree, entry: &Entry, problems: &mut Vec<Diagnostic>) -> BTreeMap<String, (String, Bytes)> {
    if tree.below("samples").next().is_none() {
        return BTreeMap::new();
    }
    let paths: Vec<(String, String)> = match entry.versions.as_slice() {
        [] => vec![(String::new(), format!("samples/{}/devfile.yaml", entry.name))],
        versions => versions
            .iter()
            .map(|v| (v.version.clone(), format!("samples/{}/{}/devfile.yaml", entry.name, v.version)))
            .collect(),
    };
    let mut devfiles = BTreeMap::new();
    for (version, path) in paths {
        match tree.get(&path).map(|content| (content, check_cached(&path, content))) {
            None => {
                let hint = "the folder samples/ has the devfile of every sample; add it";
                problems.push(Diagnostic::error(path, "samplesDir", "the sample's devfile is missing", hint));
            }
            Some((_, Err(problem))) => problems.push(*problem),
            Some((content, Ok(()))) => {
                devfiles.insert(version, (path, content.clone()));
            }
        }
    }
    devfiles
}

/// A cached devfile need not have metadata, but it must be one.
fn check_cached(path: &str, content: &[u8]) -> Result<(), Box<Diagnostic>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct AnyDevfile {
        #[serde(rename = "schemaVersion")]
        _schema_version: String,
    }
    debug_assert!(content.len() as u64 <= limits::FILE_BYTES);
    yaml::parse::<AnyDevfile>(path, content).map(|_| ())
}
