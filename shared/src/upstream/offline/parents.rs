//! Parents on other hosts, and their parents.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use serde_json::json;
use url::Url;

use super::plan::{self, Base, Location};
use crate::digest::Digest;
use crate::release::StoredFile;
use crate::upstream::parents;
use crate::upstream::run::Run;
use crate::upstream::unavailable::Unavailable;
use crate::validate::{ExternalParent, Found};
use crate::yaml::edit::{Swap, swap};
use crate::yaml::{self, Node};

/// A storage for fetched content.
pub trait Keep: Sync {
    /// Why it was not.
    type Error: Send;

    /// Puts a file under its digest, to stay as long as a release names it.
    fn keep(&self, digest: Digest, file: &Path) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Most parents above each other.
const GENERATIONS: usize = 20;

/// A parent with its own parents, as files of this registry.
#[derive(Debug)]
pub(super) struct ParentChain {
    /// The files by name, each named by its digest.
    pub(super) files: BTreeMap<String, StoredFile>,
    /// The URL of the parent.
    pub(super) uri: String,
    /// The references of the parents that stay on other hosts.
    pub(super) notes: Vec<String>,
}

/// Parents as far as they were fetched.
pub(super) struct FetchedFiles<'a, 'r, K> {
    run: &'a Run<'r>,
    found: BTreeMap<ExternalParent, Found>,
    keep: &'a K,
    own: &'a str,
}

impl<'a, 'r, K: Keep> FetchedFiles<'a, 'r, K> {
    /// Starts with the parents that were fetched to check the devfiles.
    pub(super) fn new(run: &'a Run<'r>, found: BTreeMap<ExternalParent, Found>, own: &'a str, keep: &'a K) -> Self {
        Self { run, found, keep, own }
    }

    /// Fetches a parent and all above it. The innermost is done first, since its child names it by where it is then.
    pub(super) async fn take(
        &mut self,
        parent: &ExternalParent,
        location: impl Fn(&str) -> String,
    ) -> Result<Result<ParentChain, Unavailable>, K::Error> {
        let (chain, notes) = match self.chain(parent).await {
            Ok(chain) => chain,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let mut ancestry = ParentChain { files: BTreeMap::new(), uri: String::new(), notes };
        for devfile in chain.iter().rev() {
            let text = match text(devfile, &ancestry.uri) {
                Ok(text) => text,
                Err(reason) => return Ok(Err(Unavailable::lasting(reason))),
            };
            let file = match temporary(&text) {
                Ok(file) => file,
                Err(error) => return Ok(Err(Unavailable::not_stored(&error))),
            };
            let stored = StoredFile { digest: Digest::of(text.as_bytes()), size: text.len() as u64 };
            self.keep.keep(stored.digest, file.path()).await?;
            let name = StoredFile::parent_name(stored.digest);
            ancestry.uri = location(&name);
            ancestry.files.insert(name, stored);
        }
        Ok(Ok(ancestry))
    }

    /// Returns the devfiles from the parent upwards, and notes about them.
    async fn chain(&mut self, parent: &ExternalParent) -> Result<(Vec<Bytes>, Vec<String>), Unavailable> {
        let (mut chain, mut notes) = (Vec::new(), Vec::new());
        let mut next = Some(parent.clone());
        while let Some(target) = next {
            if chain.len() >= GENERATIONS {
                return Err(Unavailable::lasting(format!(
                    "there are more than {GENERATIONS} parents above each other"
                )));
            }
            let devfile = self.devfile(&target).await?;
            let document = yaml::parse("", &devfile).map_err(|problems| {
                let reason = problems.first().map(|problem| problem.message.as_str()).unwrap_or_default();
                Unavailable::lasting(format!("{target} cannot be read: {reason}"))
            })?;
            if let Some(component) = beside(&document) {
                let reason = format!("the component `{component}` of {target} takes a file that is beside it there");
                return Err(Unavailable::lasting(reason));
            }
            if document
                .items_of("starterProjects")
                .iter()
                .any(|project| project.get("git").or(project.get("zip")).is_some())
            {
                notes.push(format!("starter projects of {target} stay where they are"));
            }
            let base = match &target {
                ExternalParent::Uri(uri) => Url::parse(uri).map_or(Base::Registry, Base::Web),
                ExternalParent::Stack { .. } => Base::Registry,
            };
            next = match plan::parent(&document, &base, self.own) {
                Location::Here => None,
                Location::External(target) => Some(target),
                Location::Unfetchable(reason) => {
                    return Err(Unavailable::lasting(format!("the parent of {target} cannot be fetched: {reason}")));
                }
            };
            chain.push(devfile);
        }
        Ok((chain, notes))
    }

    async fn devfile(&mut self, target: &ExternalParent) -> Result<Bytes, Unavailable> {
        let found = match self.found.get(target) {
            Some(found) => found.clone(),
            None => {
                let found = parents::fetch(self.run, target).await;
                self.found.entry(target.clone()).or_insert(found).clone()
            }
        };
        match found {
            Found::Devfile(bytes) => Ok(bytes),
            Found::Missing => Err(Unavailable::temporary(format!("{target} is not there"))),
            Found::Unreachable(reason) => Err(Unavailable::temporary(reason)),
        }
    }
}

/// The text of a parent whose own parent is at `uri`, if that is upstream.
fn text(devfile: &[u8], uri: &str) -> Result<String, String> {
    if uri.is_empty() {
        return yaml::text_of(devfile).map(std::borrow::Cow::into_owned).map_err(|fault| fault.message.into_owned());
    }
    let out = &["uri", "id", "registryUrl", "version"];
    let swaps = [Swap { at: "/parent".to_owned(), out, key: "uri", value: json!(uri) }];
    swap(devfile, &swaps).map_err(|reason| reason.to_string())
}

fn temporary(text: &str) -> std::io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    file.flush()?;
    Ok(file)
}

/// A component that takes a file from beside the devfile, where only the devfile is fetched.
fn beside(document: &Node) -> Option<&str> {
    let is_beside = |uri: &&str| !uri.is_empty() && !uri.contains("://");
    let takes = |component: &&Node| {
        let uris = ["kubernetes", "openshift"].iter().filter_map(|kind| component.get(kind)?.text_of("uri"));
        uris.into_iter().any(|uri| is_beside(&uri))
    };
    document.items_of("components").iter().find(takes).map(|component| component.text_of("name").unwrap_or_default())
}
