//! Files that no tree takes, and pointers of Git LFS: the version, stack or sample that they belong to keeps its last published state
//! (invariant 11). Empty files that would be layers are warnings.

use std::collections::BTreeMap;

use super::extra::EXTRA_ENTRIES;
use super::part::Part;
use super::stack::DEVFILE_NAMES;
use crate::artifact;
use crate::diagnostic::Diagnostic;
use crate::tree::{Tree, TreeError};
use crate::version::Version;

/// The first line of a pointer (Git LFS specification, "The Pointer").
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// Most bytes of a pointer, by the same specification.
const LFS_POINTER_BYTES: usize = 1024;

/// The parts of a repository that cannot be published because of files that the tree does not take, and warnings about others.
pub(super) fn problems(tree: &Tree) -> (BTreeMap<Part, Vec<Diagnostic>>, Vec<Diagnostic>) {
    let mut quarantined: BTreeMap<Part, Vec<Diagnostic>> = BTreeMap::new();
    let mut warnings = Vec::new();
    for refused in tree.refused() {
        let (rule, hint) = rule(&refused.reason);
        let message = format!("the file cannot be published: {}", refused.reason);
        let problem = Diagnostic::error(&refused.path, rule, message, hint);
        quarantined.entry(part(tree, &refused.path)).or_default().push(problem);
    }
    let pointers = tree
        .iter()
        .filter(|(_, file)| file.content.len() <= LFS_POINTER_BYTES && file.content.starts_with(LFS_POINTER));
    for (path, _) in pointers {
        let path = path.as_str();
        let hint = "commit the file itself; `git lfs migrate export` replaces pointers";
        let message = "this is a pointer of Git LFS and not the file itself";
        if is_content(path) {
            quarantined.entry(part(tree, path)).or_default().push(Diagnostic::error(path, "tree/lfs", message, hint));
        } else {
            warnings.push(Diagnostic::warning(path, "tree/lfs", message, hint));
        }
    }
    for (path, _) in tree.iter().filter(|(path, file)| file.content.is_empty() && is_layer(tree, path.as_str())) {
        let message = "the file is empty and left out of the artifact: Amazon ECR refuses a layer without bytes";
        let hint = "give it its content, or remove it";
        warnings.push(Diagnostic::warning(path.as_str(), "tree/empty", message, hint));
    }
    (quarantined, warnings)
}

/// Whether a file is a layer of its own: in the folder of a version, or in that of a stack which has only one.
fn is_layer(tree: &Tree, path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    let has_versions = |stack: &str| tree.get(&format!("stacks/{stack}/stack.yaml")).is_some();
    match names.as_slice() {
        ["stacks", stack, name] => !has_versions(stack) && artifact::has_own_layer(name),
        ["stacks", stack, _, name] => has_versions(stack) && artifact::has_own_layer(name),
        _ => false,
    }
}

/// Whether clients cannot do without the content of a file: it is read here, or a layer of its own.
fn is_content(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_read = DEVFILE_NAMES.contains(&name) || matches!(name, "stack.yaml" | EXTRA_ENTRIES | "last_modified.json");
    is_read || artifact::has_own_layer(name)
}

/// The smallest part of the repository that a file belongs to.
fn part(tree: &Tree, path: &str) -> Part {
    let names: Vec<&str> = path.split('/').collect();
    match names.as_slice() {
        ["stacks", stack, version, _, ..]
            if tree.get(&format!("stacks/{stack}/stack.yaml")).is_some() && version.parse::<Version>().is_ok() =>
        {
            Part::Version { stack: (*stack).to_owned(), version: (*version).to_owned() }
        }
        ["stacks", stack, ..] => Part::Stack { stack: (*stack).to_owned() },
        ["samples", name, ..] => Part::Sample { name: (*name).to_owned() },
        ["last_modified.json"] => Part::Dates,
        _ => Part::ExtraEntries,
    }
}

fn rule(reason: &TreeError) -> (&'static str, &'static str) {
    match reason {
        TreeError::NotAFile(_) => ("tree/link", "replace it with a copy of the file"),
        TreeError::Path(_) | TreeError::NotUtf8(_) => ("tree/name", "rename the file"),
        TreeError::SameButCase { .. } => {
            ("tree/case", "rename one of the files: some file systems keep only one of them")
        }
        TreeError::Unreadable { .. } => {
            ("tree/unreadable", "give the user that runs refresh the permission to read it")
        }
        TreeError::FileTooLarge { .. }
        | TreeError::FolderTooLarge { .. }
        | TreeError::TooManyFiles
        | TreeError::TreeTooLarge => {
            ("tree/size", "remove files that clients do not need, or let clients fetch them from another host")
        }
        TreeError::Duplicate(_) => ("tree/case", "remove one of the files"),
    }
}

#[cfg(test)]
mod tests;
