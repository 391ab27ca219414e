//! Devfiles of samples, from their Git repositories.

use bytes::Bytes;

use super::remote::Remote;
use super::{Brought, Run, each};
use crate::diagnostic::{Diagnostic, Severity};
use crate::fetch::Reason;
use crate::index::Git;
use crate::limits;
use crate::repository::{EXTRA_ENTRIES, Origin, Part, Repository, SampleDevfile, places_in_extra_entries};
use crate::source::Tree;
use crate::validate::{self, Surroundings};

/// Where repositories have their devfile, the usual place first.
const PLACES: [&str; 3] = ["devfile.yaml", ".devfile.yaml", ".devfile/devfile.yaml"];

/// A devfile to fetch.
#[derive(Debug)]
struct Wanted {
    sample: String,
    /// Empty for a sample without versions.
    version: String,
    git: Git,
}

/// A devfile that was had.
struct Had {
    url: String,
    etag: Option<String>,
    content: Bytes,
}

/// Adds the devfiles that the tree does not have. What cannot be fetched stays as it was last published.
pub(super) async fn fetch(run: &Run<'_>, tree: &Tree, repository: &mut Repository) {
    if tree.below("samples").next().is_some() {
        // The repository brings the devfiles of its samples along.
        return;
    }
    let wanted: Vec<Wanted> = repository.samples.iter().flat_map(|sample| wanted(&sample.entry)).collect();
    let results = each(&wanted, |wanted| fetch_one(run, wanted)).await;
    let places = places_in_extra_entries(tree);
    for (wanted, result) in wanted.into_iter().zip(results) {
        let place = places.get(&wanted.sample).copied();
        let had = result.map(Some).unwrap_or_else(|reason| {
            let message = format!("`{}`: its devfile could not be fetched: {reason}", wanted.sample);
            let hint = "the one that was last published stays, if there is one";
            repository.warnings.push(Diagnostic::warning(EXTRA_ENTRIES, "sample/devfile", message, hint).at(place));
            published(run, &wanted)
        });
        let Some(had) = had else { continue };
        let errors = errors(&wanted.sample, &had);
        if !errors.is_empty() {
            let errors = errors.into_iter().map(|error| error.at(place)).collect();
            repository.hold(Part::Sample { name: wanted.sample }, errors);
            continue;
        }
        repository.fetched.insert(had.url.clone(), had.etag);
        if let Some(sample) = repository.samples.iter_mut().find(|sample| sample.entry.name == wanted.sample) {
            let devfile = SampleDevfile { origin: Origin::Fetched(had.url), content: had.content };
            sample.devfiles.insert(wanted.version, devfile);
        }
    }
}

fn wanted(entry: &crate::index::Entry) -> Vec<Wanted> {
    let one = |version: &str, git: &Option<Git>| Wanted {
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
fn published(run: &Run<'_>, wanted: &Wanted) -> Option<Had> {
    let mut published = run.previous?.content.samples.iter();
    let devfile = published.find(|devfile| devfile.name == wanted.sample && devfile.version == wanted.version)?;
    let url = devfile.fetched_from.clone().unwrap_or_default();
    let etag = run.known(&url).flatten().map(str::to_owned);
    Some(Had { url, etag, content: Bytes::from(devfile.devfile.clone()) })
}

async fn fetch_one(run: &Run<'_>, wanted: &Wanted) -> Result<Had, String> {
    let remote = Remote::new(&wanted.git).map_err(|error| error.to_string())?;
    let urls = PLACES.map(|name| remote.file(name));
    let mut known = published(run, wanted).filter(|had| urls.contains(&had.url));
    match known {
        Some(had) if remote.is_fixed() => return Ok(had),
        _ => {}
    }
    let first = known.as_ref().map(|had| had.url.clone());
    let others = urls.iter().filter(|url| Some(*url) != first.as_ref());
    for url in first.iter().chain(others) {
        let known = known.take();
        let etag = known.as_ref().and_then(|had| had.etag.as_deref());
        match (run.get(url, limits::DEVFILE_BYTES as u64, etag).await, known) {
            (Ok(Brought::Content(content, etag)), _) => return Ok(Had { url: url.clone(), etag, content }),
            (Ok(Brought::Same), Some(had)) => return Ok(had),
            (Ok(Brought::Same), None) => return Err("the answer was empty".to_owned()),
            (Err(error), _) if error.reason == Reason::NotFound => {}
            (Err(error), _) => return Err(error.public()),
        }
    }
    let remote = wanted.git.remotes.values().next().unwrap_or(&wanted.git.url);
    Err(format!("{remote} has none of {} there", PLACES.join(", ")))
}

/// What is wrong with a devfile from elsewhere, told of the entry that names it.
fn errors(sample: &str, had: &Had) -> Vec<Diagnostic> {
    let checked = validate::sample(&had.url, &had.content, &Surroundings::ALONE);
    // Its parents are not looked for: they are its own repository's business.
    let errors = checked.diagnostics.into_iter().filter(|problem| {
        problem.severity == Severity::Error
            && !problem.rule.starts_with("parent/")
            && !problem.rule.starts_with("plugin/")
    });
    let told = errors.map(|problem| {
        let line = problem.position.map_or(String::new(), |position| format!("line {} of ", position.line));
        let message = format!("`{sample}`: {} ({line}{})", problem.message, had.url);
        Diagnostic::error(EXTRA_ENTRIES, &problem.rule, message, problem.hint)
    });
    told.collect()
}
