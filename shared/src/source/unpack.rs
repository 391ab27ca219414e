//! Unpacks the tarball of a commit, and trusts nothing in it.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

use crate::limits;
use crate::source::{File, Mode, Tree, TreeError, TreePath};

/// What ends a tar archive: two blocks of zeros.
const END: usize = 1024;

/// Why a tarball was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// What it holds is refused, and would be refused again.
    #[error(transparent)]
    Refused(#[from] TreeError),
    /// It is cut off or damaged; another download may be whole.
    #[error("the tarball is cut off or damaged: {0}")]
    Damaged(#[from] io::Error),
}

/// Where a file belongs in the tree, by its path below the folder at the top; none when it is not wanted.
pub type Select<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is wanted of a registry repository.
pub fn registry_file(path: &str) -> Option<String> {
    Tree::wants(path).then(|| path.to_owned())
}

/// Reads a gzip-compressed tar as GitHub makes it: one folder at the top, which is taken off each path. Keeps the files that
/// `select` wants.
///
/// The archive is read to the end of its gzip stream, checksum included, so a part of it never passes for the whole.
pub fn unpack(packed: impl Read, select: Select<'_>) -> Result<Tree, UnpackError> {
    let mut archive = Archive::new(Bounded::new(GzDecoder::new(packed)));
    let tree = read_entries(&mut archive, select);
    let mut rest = archive.into_inner();
    let result = tree.and_then(|tree| {
        io::copy(&mut rest, &mut io::sink())?;
        if rest.zeros < END {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the end of the archive is missing").into());
        }
        Ok(tree)
    });
    if rest.left == 0 { Err(TreeError::UnpacksTooLarge.into()) } else { result }
}

fn read_entries<R: Read>(archive: &mut Archive<R>, select: Select<'_>) -> Result<Tree, UnpackError> {
    let mut tree = Tree::default();
    let mut top: Option<Vec<u8>> = None;
    for (count, entry) in archive.entries()?.enumerate() {
        if count >= limits::TARBALL_ENTRIES {
            return Err(TreeError::TooManyEntries.into());
        }
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let path = entry.path_bytes();
        let text = String::from_utf8_lossy(&path);
        let leads_away = path.starts_with(b"/") || text.split('/').any(|name| name == "..");
        let (folder, name) = text.split_once('/').unwrap_or((&text, ""));
        let same_top = top.get_or_insert_with(|| folder.as_bytes().to_vec()).as_slice() == folder.as_bytes();
        if leads_away || !same_top {
            return Err(TreeError::Path(text.chars().take(200).collect()).into());
        }
        match kind {
            EntryType::Directory => {}
            EntryType::Regular => {
                let Some(name) = select(name) else { continue };
                if std::str::from_utf8(&path).is_err() {
                    return Err(TreeError::Path(name.chars().take(200).collect()).into());
                }
                let name = TreePath::parse(&name)?;
                let size = entry.size();
                if size > limits::FILE_BYTES {
                    return Err(TreeError::FileTooLarge { path: name.to_string() }.into());
                }
                let mut content = Vec::with_capacity(size as usize);
                entry.read_to_end(&mut content)?;
                if content.len() as u64 != size {
                    let reason = format!("{name} ends after {} of {size} bytes", content.len());
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason).into());
                }
                // Git keeps no other permission than that of the owner to run a file.
                let mode = if entry.header().mode()? & 0o100 == 0 { Mode::Plain } else { Mode::Executable };
                tree.insert(name, File { content: content.into(), mode })?;
            }
            // A link in place of the folder `stacks` would otherwise leave a registry without stacks.
            _ if select(name).is_some() || select(&format!("{name}/")).is_some() => {
                return Err(TreeError::NotAFile(name.to_owned()).into());
            }
            _ => {}
        }
    }
    Ok(tree)
}

/// Ends a stream that unpacks to too much, and remembers how many zeros it ended with.
struct Bounded<R> {
    inner: R,
    left: u64,
    zeros: usize,
}

impl<R> Bounded<R> {
    fn new(inner: R) -> Self {
        Self { inner, left: limits::TARBALL_UNPACKED_BYTES + 1, zeros: 0 }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        if self.left == 0 {
            return Err(io::Error::other("over the limit"));
        }
        let zeros = buffer[..read].iter().rev().take(END).take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == read { self.zeros.saturating_add(zeros) } else { zeros };
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use tar::{Builder, Header};

    use super::*;

    fn unpack(packed: impl Read) -> Result<Tree, UnpackError> {
        super::unpack(packed, &registry_file)
    }

    /// An entry as hostile as one likes: the name is written into the header as it is.
    fn entry(kind: EntryType, path: &[u8], content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn gzip(parts: &[Vec<u8>]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::fast());
        for part in parts {
            encoder.write_all(part).unwrap();
        }
        encoder.finish().unwrap()
    }

    fn end() -> Vec<u8> {
        vec![0; END]
    }

    fn unpack_entries(mut parts: Vec<Vec<u8>>) -> Result<Tree, UnpackError> {
        parts.push(end());
        unpack(gzip(&parts).as_slice())
    }

    fn refused(parts: Vec<Vec<u8>>) -> TreeError {
        match unpack_entries(parts) {
            Err(UnpackError::Refused(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn takes_the_top_folder_off_and_keeps_what_is_wanted() {
        let tree = unpack_entries(vec![
            entry(
                EntryType::XGlobalHeader,
                b"pax_global_header",
                b"52 comment=0123456789012345678901234567890123456789\n",
            ),
            entry(EntryType::Directory, b"o-r-0123456/", b""),
            entry(EntryType::Regular, b"o-r-0123456/README.md", b"read me"),
            entry(EntryType::Symlink, b"o-r-0123456/docs", b""),
            entry(EntryType::Regular, b"o-r-0123456/extraDevfileEntries.yaml", b"samples: []"),
            entry(EntryType::Directory, b"o-r-0123456/stacks/", b""),
            entry(EntryType::Regular, b"o-r-0123456/stacks/go/devfile.yaml", b"go"),
            entry(EntryType::Regular, b"o-r-0123456/not-utf-8-\xff", b""),
        ])
        .unwrap();
        let paths: Vec<_> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["extraDevfileEntries.yaml", "stacks/go/devfile.yaml"]);
        assert_eq!(tree.get("stacks/go/devfile.yaml").unwrap().as_ref(), b"go");
    }

    #[test]
    fn refuses_what_is_not_a_plain_file_in_a_plain_place() {
        use TreeError::{Duplicate, NotAFile, Path};
        let file = |path: &[u8]| vec![entry(EntryType::Regular, b"r/", b""), entry(EntryType::Regular, path, b"x")];
        let link = |kind, path: &[u8]| vec![entry(kind, path, b"")];
        assert_eq!(refused(link(EntryType::Symlink, b"r/stacks/go")), NotAFile("stacks/go".into()));
        assert_eq!(refused(link(EntryType::Symlink, b"r/stacks")), NotAFile("stacks".into()));
        assert_eq!(refused(link(EntryType::Link, b"r/last_modified.json")), NotAFile("last_modified.json".into()));
        assert_eq!(refused(link(EntryType::Fifo, b"r/samples/x")), NotAFile("samples/x".into()));
        assert_eq!(refused(file(b"r/../etc/passwd")), Path("r/../etc/passwd".into()));
        assert_eq!(refused(file(b"r/stacks/../../x")), Path("r/stacks/../../x".into()));
        assert_eq!(refused(file(b"/etc/passwd")), Path("/etc/passwd".into()));
        assert_eq!(refused(file(b"other/stacks/x")), Path("other/stacks/x".into()));
        assert_eq!(refused(file(b"r/stacks/\xff")), Path("stacks/\u{fffd}".into()));
        assert_eq!(refused(file(b"r/stacks/a\\b")), Path("stacks/a\\b".into()));
        assert_eq!(refused(file(b"r/stacks/a//b")), Path("stacks/a//b".into()));
        let twice = entry(EntryType::Regular, b"r/stacks/x", b"1");
        assert_eq!(refused(vec![twice.clone(), twice]), Duplicate("stacks/x".into()));
    }

    #[test]
    fn reads_long_names() {
        let name = format!("r/stacks/{}/devfile.yaml", "x".repeat(300));
        let mut builder = Builder::new(vec![]);
        let mut header = Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        builder.append_data(&mut header, &name, b"x".as_slice()).unwrap();
        let tree = unpack(gzip(&[builder.into_inner().unwrap()]).as_slice()).unwrap();
        assert!(tree.get(&name[2..]).is_some());
    }

    #[test]
    fn refuses_too_many_entries_and_too_large_files() {
        let folder = entry(EntryType::Directory, b"r/docs/", b"");
        assert_eq!(refused(vec![folder; limits::TARBALL_ENTRIES + 1]), TreeError::TooManyEntries);
        let large = vec![b'x'; limits::FILE_BYTES as usize + 1];
        let path = "stacks/big".to_owned();
        assert_eq!(refused(vec![entry(EntryType::Regular, b"r/stacks/big", &large)]), TreeError::FileTooLarge { path });
    }

    #[test]
    fn keeps_the_permission_to_run() {
        let mut script = Header::new_gnu();
        script.set_path("r/stacks/go/run.sh").unwrap();
        script.set_mode(0o775);
        script.set_size(0);
        script.set_cksum();
        let plain = entry(EntryType::Regular, b"r/stacks/go/devfile.yaml", b"");
        let tree = unpack_entries(vec![plain, script.as_bytes().to_vec()]).unwrap();
        let modes: Vec<_> = tree.iter().map(|(_, file)| file.mode).collect();
        assert_eq!(modes, [Mode::Plain, Mode::Executable]);
    }

    /// Counts what is read of it.
    struct Counted<'a>(&'a [u8], &'a mut usize);

    impl Read for Counted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            *self.1 += read;
            Ok(read)
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked_to_its_end() {
        // One unwanted file of half a GiB, and the same hidden behind the end of the archive.
        let zeros = vec![0; 16 << 20];
        let mut header = Header::new_gnu();
        header.set_path("r/docs/bomb").unwrap();
        header.set_size(512 << 20);
        header.set_cksum();
        for start in [header.as_bytes().to_vec(), end()] {
            let mut encoder = GzEncoder::new(vec![], Compression::fast());
            encoder.write_all(&start).unwrap();
            for _ in 0..32 {
                encoder.write_all(&zeros).unwrap();
            }
            let packed = encoder.finish().unwrap();
            let mut read = 0;
            let result = unpack(Counted(&packed, &mut read));
            assert!(matches!(result, Err(UnpackError::Refused(TreeError::UnpacksTooLarge))), "{result:?}");
            assert!(read < packed.len() * 6 / 10, "{read} of {} bytes were read", packed.len());
        }
    }

    #[test]
    fn an_archive_without_its_end_is_damaged() {
        let whole = gzip(&[entry(EntryType::Regular, b"r/stacks/x", b"1"), end()]);
        assert!(unpack(whole.as_slice()).is_ok());
        let without_end = gzip(&[entry(EntryType::Regular, b"r/stacks/x", b"1")]);
        assert!(matches!(unpack(without_end.as_slice()), Err(UnpackError::Damaged(_))));
        let mut wrong_checksum = whole.clone();
        let checksum = whole.len() - 8;
        wrong_checksum[checksum] ^= 1;
        assert!(matches!(unpack(wrong_checksum.as_slice()), Err(UnpackError::Damaged(_))));
    }

    proptest! {
        #[test]
        fn a_part_never_passes_for_the_whole(
            sizes in proptest::collection::vec(0usize..2000, 1..6),
            cut in 0.0f64..1.0,
        ) {
            let mut parts: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(i, size)| entry(EntryType::Regular, format!("r/stacks/{i}").as_bytes(), &vec![b'x'; *size]))
                .collect();
            parts.push(end());
            let packed = gzip(&parts);
            prop_assert_eq!(unpack(packed.as_slice()).unwrap().iter().count(), sizes.len());
            let cut = (packed.len() as f64 * cut) as usize;
            prop_assert!(matches!(unpack(&packed[..cut]), Err(UnpackError::Damaged(_))));
            // The same for a tar that was cut before it was packed, by whole blocks.
            let plain = parts.concat();
            let blocks = (plain.len() / 512 - 1) * cut / packed.len();
            prop_assert!(unpack(gzip(&[plain[..blocks * 512].to_vec()]).as_slice()).is_err());
        }

        #[test]
        fn paths_of_a_tree_stay_inside_whatever_the_archive_says(
            names in proptest::collection::vec("(r|q)?/?(stacks|\\.\\.|\\.|a|\\\\|\\x00|é){1}(/(stacks|\\.\\.|\\.|a||x y)){0,4}", 1..5),
        ) {
            let parts = names.iter().map(|name| entry(EntryType::Regular, name.as_bytes(), b"x")).collect();
            if let Ok(tree) = unpack_entries(parts) {
                for (path, _) in tree.iter() {
                    prop_assert!(TreePath::parse(path.as_str()).is_ok());
                    prop_assert!(Tree::wants(path.as_str()));
                }
            }
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(unpack(noise.as_slice()).is_err());
            prop_assert!(unpack(gzip(&[noise]).as_slice()).is_err());
        }
    }
}
