//! A repository with everything around it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::release::{OfflineVersion, Upstream};
use crate::repository::Repository;
use crate::tree::Tree;
use crate::validate::{ExternalParent, Found};

/// A repository with everything around it.
#[derive(Debug)]
pub struct Complete {
    /// The files, with those of versions that live in other Git repositories.
    pub tree: Tree,
    /// The parsed files.
    pub repository: Repository,
    /// Content from upstream hosts that is not in files of the tree.
    pub upstream: Upstream,
    /// Parents on other hosts, as far as they were asked for.
    pub(super) parents: BTreeMap<ExternalParent, Found>,
}

impl Complete {
    /// Gives a version its devfile and files.
    pub(super) fn publish(&mut self, folder: &str, path: &str, devfile: String, version: OfflineVersion) {
        let devfile = Bytes::from(devfile);
        if self.tree.replace(path, devfile.clone()).is_err() {
            // The tree is full to the last byte: the devfile stays as it is.
            return;
        }
        let versions = self.repository.stacks.iter_mut().flat_map(|stack| &mut stack.versions);
        for read in versions.filter(|version| version.folder == folder) {
            let name = read.devfile_name().to_owned();
            for (_, file) in read.files.iter_mut().filter(|(path, _)| *path == name) {
                file.content = devfile.clone();
            }
        }
        self.upstream.offline_versions.insert(folder.to_owned(), version);
    }
}
