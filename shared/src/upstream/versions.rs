//! Versions of stacks that live in other Git repositories: their files are brought into the tree, and from there on they are
//! versions like all others.

use std::collections::{BTreeMap, BTreeSet};

use super::parents::FetchedParents;
use super::remote::{RemoteFolder, note_pending};
use super::run::{Run, each};
use super::unavailable::Unavailable;
use crate::diagnostic::{Diagnostic, Severity};
use crate::release::{FetchedVersion, Pending, PendingReason, PublishedVersion, Upstream};
use crate::repository::{Part, Repository, UpstreamVersion};
use crate::tree::{Tree, TreeError};
use crate::validate::{ExternalParent, Found};

/// Most rounds of fetching parents, each of which may name further ones.
const ROUNDS: usize = 5;

/// Reads the tree, and fetches upstream versions and parents, until nothing is missing. Returns the parents, too.
pub(super) async fn bring_in(
    run: &Run<'_>,
    tree: &mut Tree,
    upstream: &mut Upstream,
) -> (Repository, BTreeMap<ExternalParent, Found>) {
    let mut parents = FetchedParents::default();
    let mut repository = Repository::parse_among(tree, &parents);
    let versions = repository.upstream_versions.clone();
    let outcomes = each(&versions, |version| fetch(run, version)).await;
    let mut retained = BTreeSet::new();
    let mut problems = Vec::new();
    let mut fetched = Vec::new();
    for (version, outcome) in versions.iter().zip(outcomes) {
        let subject = Pending::of_part(&version.part);
        note_pending(run, &version.git, outcome.as_ref().err(), &subject, &mut upstream.pending);
        match outcome {
            Ok(Some((files, origin))) => match add(tree, files) {
                Ok(()) => fetched.push((version, origin)),
                Err(error) => problems.push((version, Unavailable::lasting(error))),
            },
            Ok(None) => drop(retained.insert(version.part.clone())),
            Err(unavailable) => problems.push((version, unavailable)),
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
    repository.retained.extend(retained);
    let published: BTreeSet<&str> =
        run.previous.into_iter().flat_map(|p| &p.content.versions).map(|version| version.folder.as_str()).collect();
    for (version, Unavailable { reason, is_temporary }) in problems {
        let problem = problem(version, reason);
        if run.client.is_none() {
            repository.retained.insert(version.part.clone());
        } else if is_temporary || published.contains(version.folder.as_str()) {
            repository.retained.insert(version.part.clone());
            repository.warnings.push(problem);
            upstream.pending.add(Pending::of_part(&version.part), PendingReason::Unreachable);
        } else {
            repository.quarantine(version.part.clone(), vec![Diagnostic { severity: Severity::Error, ..problem }]);
        }
    }
    // An invalid version is fetched again, so that it is reported again.
    let valid: BTreeSet<&str> =
        repository.stacks.iter().flat_map(|stack| &stack.versions).map(|version| version.folder.as_str()).collect();
    let valid = fetched.into_iter().filter(|(version, _)| valid.contains(version.folder.as_str()));
    upstream.versions.extend(valid.map(|(version, origin)| (version.folder.clone(), origin)));
    (repository, parents.into_found())
}

fn problem(version: &UpstreamVersion, reason: String) -> Diagnostic {
    let what = match &version.part {
        Part::Version { version, .. } => format!("version {version}"),
        _ => "the stack".to_owned(),
    };
    let message = format!("{what} could not be read from its Git repository: {reason}");
    let hint = "it stays as it was last published; correct git, or wait until the repository answers";
    Diagnostic::warning(&version.path, "stack/git", message, hint).at(version.position)
}

/// Returns the files of a version at a commit, or `None` when they are those of the release before.
async fn fetch(run: &Run<'_>, version: &UpstreamVersion) -> Result<Option<(Tree, FetchedVersion)>, Unavailable> {
    let remote = RemoteFolder::new(&version.git)?;
    // A version that was published otherwise, or not whole, must be at hand to be published anew.
    let stays = |v: &&PublishedVersion| {
        v.folder == version.folder && v.offline.as_ref().is_none_or(|offline| offline.missing.is_empty())
    };
    let mut published = run.reusable.into_iter().flat_map(|previous| &previous.content.versions);
    let is_from = |v: &&PublishedVersion| v.fetched_from.as_deref() == Some(&remote.name(""));
    let known = published.find(|v| stays(v) && is_from(v)).and_then(|version| version.fetched_at.as_ref());
    let commit = remote.commit(run).await?;
    if known == Some(&commit) {
        return Ok(None);
    }
    let (files, authored) = remote.files(run, &commit, &version.folder).await?;
    Ok(Some((files, FetchedVersion { from: remote.name(""), commit, authored })))
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
