//! Versions of stacks that live in other Git repositories: their files are brought into the tree, and from there on they are
//! versions like all others.

use std::collections::{BTreeMap, BTreeSet};

use super::parents::Fetched;
use super::remote::Remote;
use super::{Run, each};
use crate::diagnostic::Diagnostic;
use crate::release::PublishedVersion;
use crate::repository::{Elsewhere, Part, Repository};
use crate::source::{Tree, TreeError};
use crate::validate::{Found, Outside};

/// Most rounds of fetching parents, each of which may name further ones.
const ROUNDS: usize = 5;

/// What became of a version.
enum Outcome {
    /// Its files.
    Files(Tree, Option<String>),
    /// They are those of the release before.
    Same(Option<String>),
    /// It could not be had, for now or for good.
    Failed(Diagnostic),
}

/// Reads the tree, and fetches versions that live elsewhere and parents, until nothing is missing. The parents are given along.
pub(super) async fn bring_in(run: &Run<'_>, tree: &mut Tree) -> (Repository, BTreeMap<Outside, Found>) {
    let mut parents = Fetched::default();
    let mut repository = Repository::parse_among(tree, &parents);
    let elsewhere = repository.elsewhere.clone();
    let outcomes = each(&elsewhere, |version| fetch(run, version)).await;
    let mut kept = BTreeSet::new();
    let mut problems = Vec::new();
    let mut fetched = Vec::new();
    for (version, outcome) in elsewhere.iter().zip(outcomes) {
        match outcome {
            Outcome::Files(files, etag) => match add(tree, files) {
                Ok(()) => fetched.push((version, etag)),
                Err(error) => problems.push((version, problem(version, error.to_string()))),
            },
            Outcome::Same(etag) => {
                kept.insert(version.part.clone());
                repository.fetched.insert(key(version), etag);
            }
            Outcome::Failed(problem) => problems.push((version, problem)),
        }
    }
    let remembered = std::mem::take(&mut repository.fetched);
    let mut again = !fetched.is_empty();
    for _ in 0..ROUNDS {
        again |= parents.fetch_asked(run).await;
        if !std::mem::take(&mut again) {
            break;
        }
        repository = Repository::parse_among(tree, &parents);
    }
    repository.fetched.extend(remembered);
    repository.kept.extend(kept);
    for (version, problem) in problems {
        repository.kept.insert(version.part.clone());
        repository.warnings.push(problem);
    }
    // What is not valid is fetched again, so that it is reported again.
    let valid: BTreeSet<&str> =
        repository.stacks.iter().flat_map(|stack| &stack.versions).map(|version| version.folder.as_str()).collect();
    let valid = fetched.into_iter().filter(|(version, _)| valid.contains(version.folder.as_str()));
    let valid: Vec<_> = valid.map(|(version, etag)| (version.folder.clone(), key(version), etag)).collect();
    for (folder, key, etag) in valid {
        repository.brought.insert(folder, key.clone());
        repository.fetched.insert(key, etag);
    }
    (repository, parents.into_found())
}

/// The name by which a release remembers a version's files.
fn key(version: &Elsewhere) -> String {
    Remote::new(&version.git).map(|remote| remote.name("")).unwrap_or_default()
}

fn problem(version: &Elsewhere, reason: String) -> Diagnostic {
    let what = match &version.part {
        Part::Version { version, .. } => format!("version {version}"),
        _ => "the stack".to_owned(),
    };
    let message = format!("{what} could not be read from its Git repository: {reason}");
    let hint = "it stays as it was last published; correct git, or wait until the repository answers";
    Diagnostic::warning(&version.path, "stack/git", message, hint).at(version.position)
}

async fn fetch(run: &Run<'_>, version: &Elsewhere) -> Outcome {
    let remote = match Remote::new(&version.git) {
        Ok(remote) => remote,
        Err(reason) => return Outcome::Failed(problem(version, reason.to_string())),
    };
    // What was published otherwise, or not whole, has to be at hand to be published anew.
    let stays = |v: &PublishedVersion| {
        v.folder == version.folder && v.offline.as_ref().is_none_or(|offline| offline.missing.is_empty())
    };
    let published = run.settled.is_some_and(|previous| previous.content.versions.iter().any(stays));
    let known = run.known(&key(version)).flatten().filter(|_| published);
    let failed = |reason: String| Outcome::Failed(problem(version, reason));
    let commit = match remote.commit(run).await {
        Ok(commit) => commit,
        Err(error) => return failed(error.public()),
    };
    if known == Some(commit.as_str()) {
        return Outcome::Same(Some(commit.into()));
    }
    match remote.files(run, &commit, &version.folder).await {
        Ok(files) => Outcome::Files(files, Some(commit.into())),
        Err(error) => failed(error.public()),
    }
}

fn add(tree: &mut Tree, files: Tree) -> Result<(), TreeError> {
    // As a whole or not at all: half a version would be published as if it were all of it.
    let mut whole = tree.clone();
    for (path, file) in files.iter() {
        whole.insert(path.clone(), file.clone())?;
    }
    *tree = whole;
    Ok(())
}
