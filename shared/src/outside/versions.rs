//! Versions of stacks that live in other Git repositories: their files are brought into the tree, and from there on they are
//! versions like all others.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, Bytes};

use super::parents::Fetched;
use super::remote::Remote;
use super::{Brought, Run, each};
use crate::diagnostic::Diagnostic;
use crate::fetch::Reason;
use crate::limits;
use crate::release::PublishedVersion;
use crate::repository::{Elsewhere, Part, Repository};
use crate::source::{Tree, TreeError, unpack};
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

/// What a version is remembered by: where it came from, and which part of that it is.
fn key(version: &Elsewhere) -> String {
    let archive = Remote::new(&version.git).map(|remote| format!("{}#{}", remote.archive(), remote.folder()));
    archive.unwrap_or_default()
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
    let known = run.known(&key(version)).filter(|_| published);
    match known {
        Some(etag) if remote.is_fixed() => return Outcome::Same(etag.map(str::to_owned)),
        _ => {}
    }
    match run.get(&remote.archive(), limits::TARBALL_BYTES, known.flatten()).await {
        Ok(Brought::Same) => Outcome::Same(known.flatten().map(str::to_owned)),
        Ok(Brought::Content(packed, etag)) => {
            let (from, to) = (remote.folder().to_owned(), version.folder.clone());
            let unpacking = tokio::task::spawn_blocking(move || unpack_folder(&packed, &from, &to)).await;
            match unpacking.unwrap_or_else(|_| Err("the unpacking stopped".to_owned())) {
                Ok(files) => Outcome::Files(files, etag),
                Err(reason) => Outcome::Failed(problem(version, reason)),
            }
        }
        Err(error) if error.reason == Reason::NotFound => {
            let reason = format!("{} has no such repository, or no revision `{}`", error.host, version.git.revision);
            Outcome::Failed(problem(version, reason))
        }
        Err(error) => Outcome::Failed(problem(version, error.public())),
    }
}

/// The files of an archive below the folder `from`, as files of a tree below `to`.
fn unpack_folder(packed: &Bytes, from: &str, to: &str) -> Result<Tree, String> {
    let select = |name: &str| {
        let below = if from.is_empty() { Some(name) } else { name.strip_prefix(from)?.strip_prefix('/') };
        below.filter(|below| !below.is_empty()).map(|below| format!("{to}/{below}"))
    };
    let files = unpack::unpack(packed.clone().reader(), &select).map_err(|error| error.to_string())?;
    if files.iter().next().is_none() {
        return Err(format!("there is nothing in its folder `{from}`"));
    }
    Ok(files)
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
