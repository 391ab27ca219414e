//! Versions of stacks that live in other Git repositories: their files are brought into the tree, and from there on they are
//! versions like all others.

use std::collections::{BTreeMap, BTreeSet};

use super::parents::Fetched;
use super::remote::Remote;
use super::run::{Run, each};
use crate::diagnostic::Diagnostic;
use crate::release::{FetchedVersion, Pending, PendingReason, PublishedVersion, Upstream};
use crate::repository::{Elsewhere, Part, Repository};
use crate::tree::{Tree, TreeError};
use crate::validate::{Found, Outside};

/// Most rounds of fetching parents, each of which may name further ones.
const ROUNDS: usize = 5;

/// What became of a version.
enum Outcome {
    /// Its files at a commit.
    Files(Tree, FetchedVersion),
    /// They are those of the release before.
    Same,
    /// It is unreachable for now.
    Unreachable(Diagnostic),
    /// It is not there, or cannot be taken.
    Failed(Diagnostic),
}

/// Reads the tree, and fetches versions that live elsewhere and parents, until nothing is missing. The parents are given along.
pub(super) async fn bring_in(
    run: &Run<'_>,
    tree: &mut Tree,
    upstream: &mut Upstream,
) -> (Repository, BTreeMap<Outside, Found>) {
    let mut parents = Fetched::default();
    let mut repository = Repository::parse_among(tree, &parents);
    let elsewhere = repository.elsewhere.clone();
    let outcomes = each(&elsewhere, |version| fetch(run, version)).await;
    let mut kept = BTreeSet::new();
    let mut problems = Vec::new();
    let mut fetched = Vec::new();
    for (version, outcome) in elsewhere.iter().zip(outcomes) {
        let subject = || Pending::of_part(&version.part);
        if run.client.is_some() && Remote::new(&version.git).is_ok_and(|remote| remote.follows_branch()) {
            upstream.pending.add(subject(), PendingReason::Branch);
        }
        match outcome {
            Outcome::Files(files, origin) => match add(tree, files) {
                Ok(()) => fetched.push((version, origin)),
                Err(error) => problems.push((version, problem(version, error.to_string()))),
            },
            Outcome::Same => drop(kept.insert(version.part.clone())),
            Outcome::Unreachable(problem) => {
                if run.client.is_some() {
                    upstream.pending.add(subject(), PendingReason::Unreachable);
                }
                problems.push((version, problem));
            }
            Outcome::Failed(problem) => problems.push((version, problem)),
        }
    }
    let mut again = !fetched.is_empty();
    for _ in 0..ROUNDS {
        again |= parents.fetch_asked(run).await;
        if !std::mem::take(&mut again) {
            break;
        }
        repository = Repository::parse_among(tree, &parents);
    }
    repository.kept.extend(kept);
    for (version, problem) in problems {
        repository.kept.insert(version.part.clone());
        repository.warnings.push(problem);
    }
    // What is not valid is fetched again, so that it is reported again.
    let valid: BTreeSet<&str> =
        repository.stacks.iter().flat_map(|stack| &stack.versions).map(|version| version.folder.as_str()).collect();
    let valid = fetched.into_iter().filter(|(version, _)| valid.contains(version.folder.as_str()));
    upstream.versions.extend(valid.map(|(version, origin)| (version.folder.clone(), origin)));
    (repository, parents.into_found())
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
    let stays = |v: &&PublishedVersion| {
        v.folder == version.folder && v.offline.as_ref().is_none_or(|offline| offline.missing.is_empty())
    };
    let mut published = run.settled.into_iter().flat_map(|previous| &previous.content.versions);
    let is_from = |v: &&PublishedVersion| v.fetched_from.as_deref() == Some(&remote.name(""));
    let known = published.find(|v| stays(v) && is_from(v)).and_then(|version| version.fetched_at.as_ref());
    let failed = |is_temporary: bool, reason: String| {
        let problem = problem(version, reason);
        if is_temporary { Outcome::Unreachable(problem) } else { Outcome::Failed(problem) }
    };
    let commit = match remote.commit(run).await {
        Ok(commit) => commit,
        Err(error) => return failed(error.is_temporary(), error.public()),
    };
    if known == Some(&commit) {
        return Outcome::Same;
    }
    match remote.files(run, &commit, &version.folder).await {
        Ok((files, authored)) => Outcome::Files(files, FetchedVersion { from: remote.name(""), commit, authored }),
        Err(error) => failed(error.is_temporary(), error.public()),
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
