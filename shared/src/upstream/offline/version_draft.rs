//! A version on its way to be published.

use std::collections::BTreeMap;

use serde_json::json;

use super::job::Job;
use super::parents::ParentChain;
use super::plan::{Starter, warning};
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::digest::Digest;
use crate::release::{OfflineVersion, StoredFile};
use crate::tree::Tree;
use crate::upstream::complete::Complete;
use crate::upstream::unavailable::Unavailable;
use crate::yaml::edit::{Swap, swap};

/// A version on its way to be published with all upstream content that it names.
pub(super) struct VersionDraft<'a> {
    job: &'a Job,
    public_url: &'a str,
    files: BTreeMap<String, StoredFile>,
    swaps: Vec<Swap>,
    missing: Vec<Diagnostic>,
    has_failed: bool,
    /// Whether something failed, and may not the next time.
    pub(super) may_pass: bool,
}

impl<'a> VersionDraft<'a> {
    pub(super) fn new(job: &'a Job, public_url: &'a str) -> Self {
        let (files, swaps, missing) = (BTreeMap::new(), Vec::new(), job.plan.problems.clone());
        Self { job, public_url, files, swaps, missing, has_failed: false, may_pass: false }
    }

    /// Returns the URL at which this registry has a file of the version's folder.
    pub(super) fn location(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.public_url, self.job.folder)
    }

    pub(super) fn starter(&mut self, starter: &Starter, zip: Result<StoredFile, Unavailable>, tree: &Tree) {
        let name = starter.file();
        match zip.and_then(|zip| self.add(name.clone(), zip, tree)) {
            Ok(()) => self.swaps.push(Swap {
                at: format!("/starterProjects/{}", starter.index),
                out: &["git", "zip", "subDir"],
                key: "zip",
                value: json!({"location": self.location(&name)}),
            }),
            Err(trouble) => {
                let what = format!("the starter project `{}`", starter.name);
                self.lacks("offline/starter", &what, trouble, starter.at);
            }
        }
    }

    pub(super) fn parent(&mut self, at: Option<Position>, found: Result<ParentChain, Unavailable>, tree: &Tree) {
        let add = |ancestry: ParentChain| {
            ancestry.files.into_iter().try_for_each(|(name, file)| self.add(name, file, tree))?;
            Ok((ancestry.uri, ancestry.notes))
        };
        match found.and_then(add) {
            Ok((uri, notes)) => {
                let out = &["uri", "id", "registryUrl", "version"];
                self.swaps.push(Swap { at: "/parent".to_owned(), out, key: "uri", value: json!(uri) });
                for note in notes {
                    self.missing.push(warning(&self.job.path, "offline/parent", note, at));
                }
            }
            Err(trouble) => self.lacks("offline/parent", "the parent", trouble, at),
        }
    }

    fn add(&mut self, name: String, file: StoredFile, tree: &Tree) -> Result<(), Unavailable> {
        if tree.get(&format!("{}/{name}", self.job.folder)).is_some() {
            return Err(Unavailable::lasting(format!(
                "the folder has a file {name} already, which is for the fetched one"
            )));
        }
        self.files.insert(name, file);
        Ok(())
    }

    fn lacks(&mut self, rule: &str, what: &str, trouble: Unavailable, at: Option<Position>) {
        self.has_failed = true;
        self.may_pass |= trouble.is_temporary;
        let message = format!("{what} was not fetched: {}", trouble.reason);
        self.missing.push(warning(&self.job.path, rule, message, at));
    }

    /// Publishes the fetched content, unless the previous release has more.
    pub(super) fn finish(mut self, complete: &mut Complete) {
        let text = if self.swaps.is_empty() { Ok(None) } else { swap(&self.job.content, &self.swaps).map(Some) };
        let text = text.unwrap_or_else(|reason| {
            let message = format!("the devfile cannot name this registry: {reason}");
            self.missing.push(warning(&self.job.path, "offline/devfile", message, None));
            self.files.clear();
            self.has_failed = true;
            None
        });
        if self.job.was_whole && self.has_failed {
            // Its files are at hand and are not published: the next attempt fetches them again.
            complete.upstream.versions.remove(&self.job.folder);
            if self.may_pass {
                complete.repository.warnings.extend(self.missing);
                complete.repository.retain(self.job.part.clone());
            } else {
                let as_error = |problem| Diagnostic { severity: Severity::Error, ..problem };
                complete.repository.quarantine(self.job.part.clone(), self.missing.into_iter().map(as_error).collect());
            }
            return;
        }
        complete.repository.warnings.extend(self.missing.iter().cloned());
        let committed = Digest::of(&self.job.content);
        let text = text.unwrap_or_else(|| String::from_utf8_lossy(&self.job.content).into_owned());
        let version = OfflineVersion { committed, files: self.files, missing: self.missing };
        complete.publish(&self.job.folder, &self.job.path, text, version);
    }
}
