//! Devfiles of samples, from their Git repositories.

use bytes::Bytes;

use super::remote::{RemoteFolder, note_pending};
use super::run::{Run, each};
use super::unavailable::Unavailable;
use crate::diagnostic::{Diagnostic, Severity};
use crate::digest::CommitSha;
use crate::index::Git;
use crate::release::Pending;
use crate::repository::{EXTRA_ENTRIES, Part, Repository, SampleOrigin, SampleSource, positions_in_extra_entries};
use crate::tree::Tree;
use crate::validate::{self, Surroundings};

/// The paths of devfiles in repositories, the usual one first.
const PATHS: [&str; 3] = ["devfile.yaml", ".devfile.yaml", ".devfile/devfile.yaml"];

/// A devfile to fetch.
#[derive(Debug)]
struct WantedDevfile {
    sample: String,
    /// Empty for a sample without versions.
    version: String,
    git: Git,
}

/// A devfile with the name of its file and the commit that it is from.
struct Had {
    name: String,
    commit: Option<CommitSha>,
    content: Bytes,
}

/// Adds the devfiles that the tree does not have. Unreachable ones stay as they were last published.
pub(super) async fn fetch(run: &Run<'_>, tree: &Tree, repository: &mut Repository, pending: &mut Pending) {
    if tree.below("samples").next().is_some() {
        // The repository brings the devfiles of its samples along.
        return;
    }
    let wanted: Vec<WantedDevfile> = repository.samples.iter().flat_map(|sample| wanted(&sample.entry)).collect();
    let results = each(&wanted, |wanted| fetch_one(run, wanted)).await;
    let positions = positions_in_extra_entries(tree);
    for (wanted, result) in wanted.into_iter().zip(results) {
        let position = positions.get(&wanted.sample).copied();
        note_pending(run, &wanted.git, result.as_ref().err(), EXTRA_ENTRIES, pending);
        let had = result.map(Some).unwrap_or_else(|Unavailable { reason, .. }| {
            if run.client.is_some() {
                let message = format!("`{}`: its devfile could not be fetched: {reason}", wanted.sample);
                let hint = "the one that was last published stays, if there is one";
                repository
                    .warnings
                    .push(Diagnostic::warning(EXTRA_ENTRIES, "sample/devfile", message, hint).at(position));
            }
            published(run, &wanted)
        });
        let Some(had) = had else { continue };
        let errors = errors(&wanted.sample, &had);
        if !errors.is_empty() {
            let errors = errors.into_iter().map(|error| error.at(position)).collect();
            repository.quarantine(Part::Sample { name: wanted.sample }, errors);
            continue;
        }
        if let Some(sample) = repository.samples.iter_mut().find(|sample| sample.entry.name == wanted.sample) {
            let devfile =
                SampleSource { origin: SampleOrigin::Fetched { from: had.name, at: had.commit }, content: had.content };
            sample.devfiles.insert(wanted.version, devfile);
        }
    }
}

fn wanted(entry: &crate::index::Entry) -> Vec<WantedDevfile> {
    let one = |version: &str, git: &Option<Git>| WantedDevfile {
        sample: entry.name.clone(),
        version: version.to_owned(),
        git: git.clone().unwrap_or_default(),
    };
    match entry.versions.as_slice() {
        [] => vec![one("", &entry.git)],
        versions => versions.iter().map(|version| one(&version.version, &version.git)).collect(),
    }
}

/// The devfile in the release before.
fn published(run: &Run<'_>, wanted: &WantedDevfile) -> Option<Had> {
    let mut published = run.previous?.content.samples.iter();
    let devfile = published.find(|devfile| devfile.name == wanted.sample && devfile.version == wanted.version)?;
    let name = devfile.fetched_from.clone().unwrap_or_default();
    let commit = devfile.fetched_at.clone();
    Some(Had { name, commit, content: Bytes::from(devfile.devfile.clone()) })
}

async fn fetch_one(run: &Run<'_>, wanted: &WantedDevfile) -> Result<Had, Unavailable> {
    let remote = RemoteFolder::new(&wanted.git)?;
    let known = published(run, wanted).filter(|had| PATHS.iter().any(|path| remote.name(path) == had.name));
    let commit = remote.commit(run).await?;
    if let Some(had) = known.filter(|had| had.commit.as_ref() == Some(&commit)) {
        return Ok(had);
    }
    match remote.first_file(run, &commit, &PATHS).await? {
        Some((path, content)) => Ok(Had { name: remote.name(path), commit: Some(commit), content }),
        None => Err(Unavailable::lasting(format!("{} has none of {}", remote.name(""), PATHS.join(", ")))),
    }
}

/// Returns the errors of an upstream devfile, reported at the entry that names it.
fn errors(sample: &str, had: &Had) -> Vec<Diagnostic> {
    let checked = validate::sample(&had.name, &had.content, &Surroundings::ALONE);
    // Its parents are not fetched: they are its own repository's business.
    let errors = checked.diagnostics.into_iter().filter(|problem| {
        problem.severity == Severity::Error
            && !problem.rule.starts_with("parent/")
            && !problem.rule.starts_with("plugin/")
    });
    let problems = errors.map(|problem| {
        let line = problem.position.map_or(String::new(), |position| format!("line {} of ", position.line));
        let message = format!("`{sample}`: {} ({line}{})", problem.message, had.name);
        Diagnostic::error(EXTRA_ENTRIES, &problem.rule, message, problem.hint)
    });
    problems.collect()
}
