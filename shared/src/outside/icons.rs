//! Icons of entries and versions.

use std::collections::{BTreeMap, HashMap};

use super::image::media_type;
use super::run::{Brought, Run, each};
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::digest::Digest;
use crate::fetch::Reason;
use crate::limits;
use crate::release::{FetchedIcon, Pending, PendingReason, Upstream};
use crate::repository::{EXTRA_ENTRIES, Part, Repository, places_in_extra_entries};
use crate::tree::Tree;
use crate::yaml;

/// Known icons that are asked for again in one run. Which ones depends on the content of the tree, so that each has its
/// turn now and then, and a refresh does not become slower with the number of icons.
const LOOKED_AT_AGAIN: usize = 8;

/// The severity of a broken icon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Icons {
    /// A warning.
    #[default]
    Lenient,
    /// An error: the entry stays as it was last published.
    Strict,
}

/// Where an icon is named.
#[derive(Debug)]
struct Named {
    part: Part,
    what: String,
    place: Place,
    url: String,
}

/// The file that names an icon, and how to find the line in it.
#[derive(Debug)]
enum Place {
    /// `icon` or `metadata.icon` in a file.
    File(String),
    /// The entry of a name in `extraDevfileEntries.yaml`.
    Entry(String),
}

impl Icons {
    fn severity(self) -> Severity {
        match self {
            Self::Lenient => Severity::Warning,
            Self::Strict => Severity::Error,
        }
    }
}

/// Fetches the icons that are new, and says which cannot be shown.
pub(super) async fn fetch(
    run: &Run<'_>,
    tree: &Tree,
    (repository, upstream): (&mut Repository, &mut Upstream),
    icons: Icons,
) {
    let named = named(repository);
    let mut urls: Vec<&str> = named.iter().map(|icon| icon.url.as_str()).filter(|url| !url.is_empty()).collect();
    urls.sort_unstable();
    urls.dedup();
    let again = look_again(run, tree, &urls);
    let results = each(&urls, |url| fetch_one(run, url, again.contains(url))).await;
    let mut broken = BTreeMap::new();
    for (url, result) in urls.iter().zip(results) {
        match result {
            Ok(Some(icon)) => drop(upstream.icons.insert((*url).to_owned(), icon)),
            Ok(None) => {}
            Err(failure) => {
                if let Some(kept) = &failure.kept {
                    upstream.icons.insert((*url).to_owned(), kept.clone());
                }
                broken.insert((*url).to_owned(), failure);
            }
        }
    }
    let places = places_in_extra_entries(tree);
    for icon in named {
        let reason = match broken.get(&icon.url) {
            Some(failure) => {
                if failure.is_temporary {
                    upstream.pending.add(Pending::of_part(&icon.part), PendingReason::Unreachable);
                }
                format!("the icon cannot be shown: {}", failure.reason)
            }
            None if icon.url.is_empty() => "there is no icon".to_owned(),
            None => continue,
        };
        let (path, position) = icon.place.find(tree, &places);
        let hint = "name a PNG, JPEG, SVG, GIF or WebP that is on the internet over https";
        let message = format!("{}: {reason}", icon.what);
        let problem =
            Diagnostic { severity: icons.severity(), ..Diagnostic::warning(path, "index/icon", message, hint) };
        let problem = problem.at(position);
        match problem.severity {
            Severity::Error => repository.hold(icon.part, vec![problem]),
            Severity::Warning => repository.warnings.push(problem),
        }
    }
}

/// Every icon that the index would name, and every entry that has none; versions need no icon of their own.
fn named(repository: &Repository) -> Vec<Named> {
    let mut all = Vec::new();
    for stack in &repository.stacks {
        let part = Part::Stack { stack: stack.folder.clone() };
        let (what, place) = (format!("`{}`", stack.fields.name), Place::File(stack.defining_file()));
        all.push(Named { part, what, place, url: stack.fields.icon.clone() });
        for version in stack.versions.iter().filter(|version| {
            let icon = &version.devfile.metadata.icon;
            !icon.is_empty() && *icon != stack.fields.icon
        }) {
            let number = version.folder.rsplit('/').next().unwrap_or_default().to_owned();
            let part = Part::Version { stack: stack.folder.clone(), version: number };
            let what = format!("`{}` {}", stack.fields.name, version.devfile.version);
            let place = Place::File(format!("{}/{}", version.folder, version.devfile_name()));
            all.push(Named { part, what, place, url: version.devfile.metadata.icon.clone() });
        }
    }
    let samples = repository.samples.iter().map(|sample| (&sample.entry, true));
    for (entry, is_sample) in samples.chain(repository.extra_stacks.iter().map(|entry| (entry, false))) {
        let part = if is_sample { Part::Sample { name: entry.name.clone() } } else { Part::ExtraEntries };
        let versions = entry.versions.iter().map(|version| &version.icon).filter(|icon| !icon.is_empty());
        for url in std::iter::once(&entry.icon).chain(versions) {
            let (what, place) = (format!("`{}`", entry.name), Place::Entry(entry.name.clone()));
            all.push(Named { part: part.clone(), what, place, url: url.clone() });
        }
    }
    all
}

/// Known icons whose turn it is.
fn look_again<'u>(run: &Run<'_>, tree: &Tree, urls: &[&'u str]) -> Vec<&'u str> {
    let known: Vec<&str> = urls.iter().copied().filter(|url| had(run, url).is_some()).collect();
    if known.len() <= LOOKED_AT_AGAIN {
        return known;
    }
    let bytes: usize = tree.iter().map(|(_, file)| file.content.len()).sum();
    known.iter().copied().cycle().skip(bytes % known.len()).take(LOOKED_AT_AGAIN).collect()
}

/// The icon in the release before.
fn had(run: &Run<'_>, url: &str) -> Option<FetchedIcon> {
    let icon = run.previous?.content.icons.get(url)?;
    let (media_type, etag) = (icon.media_type.clone(), icon.etag.clone());
    Some(FetchedIcon { media_type, digest: icon.digest, size: icon.size, content: None, etag })
}

/// An icon that cannot be shown in its present state.
#[derive(Debug, Clone)]
struct Failure {
    reason: String,
    /// The icon that stays.
    kept: Option<FetchedIcon>,
    is_temporary: bool,
}

/// Fetches an icon, or takes the known one; `None` when nothing is fetched.
async fn fetch_one(run: &Run<'_>, url: &str, again: bool) -> Result<Option<FetchedIcon>, Failure> {
    let had = had(run, url);
    if (had.is_some() && !again) || run.client.is_none() {
        return Ok(had);
    }
    let lasting = |reason: &str, kept| Failure { reason: reason.to_owned(), kept, is_temporary: false };
    let known = had.as_ref().and_then(|icon| icon.etag.as_deref());
    match (run.get(url, limits::ICON_BYTES, known).await, had.clone()) {
        (Ok(Brought::Same), Some(icon)) => Ok(Some(icon)),
        (Ok(Brought::Same), None) => Err(lasting("the answer was empty", None)),
        (Ok(Brought::Content(content, etag)), had) => match media_type(&content) {
            Some(media_type) => {
                let (digest, size) = (Digest::of(&content), content.len() as u64);
                let (media_type, content) = (media_type.to_owned(), Some(content));
                Ok(Some(FetchedIcon { media_type, digest, size, content, etag }))
            }
            None => Err(lasting("this is not an image", had)),
        },
        // An icon that was there before and is unreachable for now is nobody's mistake.
        (Err(error), Some(icon)) if error.reason != Reason::NotFound => Ok(Some(icon)),
        (Err(error), kept) => Err(Failure { reason: error.public(), kept, is_temporary: error.is_temporary() }),
    }
}

impl Place {
    fn find(&self, tree: &Tree, places: &HashMap<String, Position>) -> (String, Option<Position>) {
        match self {
            Self::Entry(name) => (EXTRA_ENTRIES.to_owned(), places.get(name).copied()),
            Self::File(path) => {
                let document = tree.get(path).and_then(|bytes| yaml::parse(path, bytes).ok());
                let position = document.and_then(|document| {
                    let icon = document.get("icon").or_else(|| document.at_path(&["metadata", "icon"]));
                    let place = icon.map(|icon| icon.spot()).or_else(|| Some(document.get("metadata")?.key_at));
                    Some(place?.position)
                });
                (path.clone(), position)
            }
        }
    }
}
