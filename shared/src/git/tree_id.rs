//! The ids that Git gives to files and folders, computed from their content (git documentation, "gitformat-pack", and "Git Internals",
//! "Git Objects").

use std::collections::BTreeMap;
use std::fmt;

use gix_hash::{Kind, ObjectId};
use serde::{Deserialize, Serialize};

use crate::tree::{File, Mode};

/// The id of a file or folder as it stands in documents: 40 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitId(ObjectId);

/// A text is not a [`GitId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a Git object; write 40 hexadecimal digits")]
pub struct InvalidGitId;

impl From<ObjectId> for GitId {
    fn from(id: ObjectId) -> Self {
        Self(id)
    }
}

impl From<GitId> for ObjectId {
    fn from(id: GitId) -> Self {
        id.0
    }
}

impl fmt::Display for GitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<GitId> for String {
    fn from(id: GitId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for GitId {
    type Error = InvalidGitId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match ObjectId::from_hex(text.as_bytes()) {
            Ok(id) if id.kind() == Kind::Sha1 => Ok(Self(id)),
            _ => Err(InvalidGitId),
        }
    }
}

/// Returns the id of a file's content.
pub fn blob_id(content: &[u8]) -> ObjectId {
    id(gix_object::Kind::Blob, content)
}

/// Returns the id of a folder with some files, each with its path below it. A folder without files has the id of the empty tree.
pub fn folder_id<'f>(files: impl IntoIterator<Item = (&'f str, &'f File)>) -> ObjectId {
    let mut root = Folder::default();
    for (path, file) in files {
        root.add(path, file);
    }
    root.id()
}

#[derive(Default)]
struct Folder<'f> {
    files: BTreeMap<&'f str, &'f File>,
    folders: BTreeMap<&'f str, Folder<'f>>,
}

impl<'f> Folder<'f> {
    fn add(&mut self, path: &'f str, file: &'f File) {
        let mut folder = self;
        let mut rest = path;
        while let Some((name, below)) = rest.split_once('/') {
            folder = folder.folders.entry(name).or_default();
            rest = below;
        }
        folder.files.insert(rest, file);
    }

    /// Entries are in the order of their names, those of folders with a slash at the end.
    fn id(&self) -> ObjectId {
        let mut entries: BTreeMap<Vec<u8>, (&[u8], &str, ObjectId)> = BTreeMap::new();
        for (name, file) in &self.files {
            let mode: &[u8] = match file.mode {
                Mode::Plain => b"100644",
                Mode::Executable => b"100755",
            };
            entries.insert(name.as_bytes().to_vec(), (mode, name, blob_id(&file.content)));
        }
        for (name, folder) in &self.folders {
            entries.insert(format!("{name}/").into_bytes(), (b"40000", name, folder.id()));
        }
        let mut tree = Vec::new();
        for (mode, name, id) in entries.values() {
            tree.extend_from_slice(mode);
            tree.push(b' ');
            tree.extend_from_slice(name.as_bytes());
            tree.push(0);
            tree.extend_from_slice(id.as_slice());
        }
        id(gix_object::Kind::Tree, &tree)
    }
}

fn id(kind: gix_object::Kind, content: &[u8]) -> ObjectId {
    // The detection of SHA-1 collisions can refuse content; Git does not take it either, so it has no id.
    gix_object::compute_hash(Kind::Sha1, kind, content).unwrap_or_else(|_| ObjectId::null(Kind::Sha1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::server::git_command;
    use super::*;

    #[test]
    fn well_known_ids_are_those_of_git() {
        assert_eq!(blob_id(b"").to_string(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(blob_id(b"hello\n").to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(folder_id([]).to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
        #[test]
        fn folder_id_is_that_of_git(files in prop::collection::btree_map("([a-c]{1,2}[-.0]?/){0,3}[d-f.é-]{1,3}[1]", (".{0,9}", any::<bool>()), 1..12)) {
            let folder = tempfile::tempdir().unwrap();
            let mut known = BTreeMap::new();
            for (path, (content, is_executable)) in &files {
                use std::os::unix::fs::PermissionsExt;
                let at = folder.path().join(path);
                std::fs::create_dir_all(at.parent().unwrap()).unwrap();
                std::fs::write(&at, content).unwrap();
                let mode = if *is_executable { 0o755 } else { 0o644 };
                std::fs::set_permissions(&at, std::fs::Permissions::from_mode(mode)).unwrap();
                let mode = if *is_executable { Mode::Executable } else { Mode::Plain };
                known.insert(path.as_str(), File { content: content.clone().into_bytes().into(), mode });
            }
            let git = |arguments: &[&str]| {
                let output = git_command().current_dir(folder.path()).args(arguments).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8(output.stdout).unwrap().trim().to_owned()
            };
            git(&["init", "--quiet"]);
            git(&["add", "--all", "--force"]);
            let expected = git(&["write-tree"]);
            prop_assert_eq!(folder_id(known.iter().map(|(path, file)| (*path, file))).to_string(), expected);
        }
    }
}
