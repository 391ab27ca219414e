//! The stacks and files that differ from a Git revision.

use std::collections::BTreeSet;
use std::path::Path;

use crate::git::{LocalRepository, Objects, TreeEntryKind, blob_id, folder_id};
use crate::tree::Tree;
use anyhow::{Context, bail};

/// Folders whose entries are compared one by one.
const FOLDERS: [&str; 2] = ["stacks", "samples"];

/// Files that are compared as a whole.
const FILES: [&str; 2] = ["extraDevfileEntries.yaml", "last_modified.json"];

/// Stacks, samples and files that differ, by their paths.
#[derive(Debug)]
pub(super) struct ChangedPaths {
    paths: BTreeSet<String>,
}

impl ChangedPaths {
    /// Compares the files of a folder, committed or not, with the commit where its history and the revision part.
    pub(super) fn since(registry: &Path, tree: &Tree, revision: &str) -> anyhow::Result<Self> {
        let Some(repository) = LocalRepository::of(registry) else {
            bail!("cannot compare {} with `{revision}`: it is not in a Git repository", registry.display());
        };
        let commit = repository.resolve(revision).with_context(|| {
            format!("`{revision}` is not a revision that is known here; in a shallow clone, fetch it first")
        })?;
        let head = repository.head();
        let base = head.map(|head| repository.merge_base(commit, head)).transpose()?.flatten().unwrap_or(commit);
        let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
        for folder in FOLDERS {
            let entry = repository.entry_at(base, folder)?.filter(|entry| entry.kind == TreeEntryKind::Folder);
            let entries = entry.map(|entry| repository.entries(&entry.id)).transpose()?;
            before.extend(entries.into_iter().flatten().map(|entry| (format!("{folder}/{}", entry.path), entry.id)));
            let here = tree.folders(folder).into_iter().map(|name| {
                let path = format!("{folder}/{name}");
                let id = folder_id(tree.below(&path));
                (path, id)
            });
            after.extend(here);
            let files = tree.below(folder).filter(|(name, _)| !name.contains('/'));
            after.extend(files.map(|(name, file)| (format!("{folder}/{name}"), blob_id(&file.content))));
        }
        for path in FILES {
            before.extend(repository.entry_at(base, path)?.map(|entry| (path.to_owned(), entry.id)));
            after.extend(tree.get(path).map(|content| (path.to_owned(), blob_id(content))));
        }
        Ok(Self { paths: before.symmetric_difference(&after).map(|(path, _)| path.clone()).collect() })
    }

    /// Whether a file, or the stack or sample that it belongs to, differs.
    pub(super) fn concern(&self, path: &str) -> bool {
        let whole = match path.split_once('/') {
            Some((folder, rest)) if FOLDERS.contains(&folder) => {
                let name = rest.split_once('/').map_or(rest, |(name, _)| name);
                &path[..folder.len() + 1 + name.len()]
            }
            _ => path,
        };
        self.paths.contains(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_concerns_all_of_its_stack() {
        let paths = ["stacks/go", "stacks/base.yaml", "extraDevfileEntries.yaml"];
        let changes = ChangedPaths { paths: paths.map(str::to_owned).into() };
        for (path, expected) in [
            ("stacks/go/stack.yaml", true),
            ("stacks/go/2.0.0/devfile.yaml", true),
            ("stacks/go-x/stack.yaml", false),
            ("stacks/base.yaml", true),
            ("stacks/other.yaml", false),
            ("extraDevfileEntries.yaml", true),
            ("last_modified.json", false),
        ] {
            assert_eq!(changes.concern(path), expected, "{path}");
        }
    }
}
