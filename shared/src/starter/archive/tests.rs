//! Archives as Git makes them, and as an attacker does.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::path::EntryPath;
use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::*;
use crate::tree::{Mode, TreePath};

const FILE: u32 = 0o100_644;

/// An entry as hostile as one likes.
struct HostileEntry<'a> {
    name: &'a [u8],
    mode: u32,
    content: &'a [u8],
}

fn file<'a>(name: &'a str, content: &'a str) -> HostileEntry<'a> {
    HostileEntry { name: name.as_bytes(), mode: FILE, content: content.as_bytes() }
}

fn zip(entries: &[HostileEntry<'_>]) -> Vec<u8> {
    let mut zip = ZipArchiveWriter::new(Vec::new());
    for entry in entries {
        let file = zip.new_file(EntryPath::verbatim(entry.name)).unix_permissions(entry.mode);
        let (mut out, config) = file.compression_method(CompressionMethod::DEFLATE).start().unwrap();
        let mut writer = config.wrap(DeflateEncoder::new(&mut out, Compression::fast()));
        writer.write_all(entry.content).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        out.finish(descriptor).unwrap();
    }
    zip.finish().unwrap()
}

fn repacked(packed: &[u8], folder: Option<&str>) -> Result<Vec<u8>, ArchiveError> {
    let (mut from, mut into) = (tempfile::tempfile().unwrap(), tempfile::NamedTempFile::new().unwrap());
    from.write_all(packed).unwrap();
    let folder = folder.map(|folder| TreePath::parse(folder).unwrap());
    repack(from, folder.as_ref(), into.reopen().unwrap())?;
    let mut bytes = Vec::new();
    into.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

/// Mode, name and content of every entry.
fn list(zip: &[u8]) -> Vec<String> {
    let archive = rawzip::ZipArchive::from_slice(zip).unwrap();
    let mut entries = archive.entries();
    let mut list = Vec::new();
    while let Some(entry) = entries.next_entry().unwrap() {
        let content = archive.get_entry(entry.wayfinder()).unwrap();
        let mut text = String::new();
        let inflated = flate2::read::DeflateDecoder::new(content.data());
        content.verifying_reader(inflated).read_to_string(&mut text).unwrap();
        let name = String::from_utf8(entry.file_path().as_bytes().to_vec()).unwrap();
        list.push(format!("{:o} {name}: {text}", entry.mode().permissions()));
    }
    list
}

fn reason(packed: &[u8]) -> ArchiveError {
    repacked(packed, None).unwrap_err()
}

#[test]
fn files_come_with_their_modes_from_their_folder() {
    let packed = zip(&[
        HostileEntry { name: b"clay-main/", mode: 0o040_755, content: b"" },
        file("clay-main/README.md", "read me"),
        HostileEntry { name: b"clay-main/bin/run.sh", mode: 0o100_775, content: b"#!/bin/sh" },
        file("clay-main/.git/hooks/post-checkout", "run me"),
        file("clay-main/app/.GIT/config", "run me too"),
        file("clay-main/app/src/main.rs", "fn main() {}"),
    ]);
    let all = repacked(&packed, Some("clay-main")).unwrap();
    assert_eq!(
        list(&all),
        ["644 README.md: read me", "755 bin/run.sh: #!/bin/sh", "644 app/src/main.rs: fn main() {}"]
    );
    assert_eq!(all, repacked(&packed, Some("clay-main")).unwrap(), "the same files give the same bytes");
    for (folder, expected) in
        [("app/src", "644 main.rs: fn main() {}"), ("clay-main/app", "644 src/main.rs: fn main() {}")]
    {
        assert_eq!(list(&repacked(&packed, Some(folder)).unwrap()), [expected], "{folder}");
    }
    let as_it_is = list(&repacked(&packed, None).unwrap());
    assert_eq!(as_it_is[0], "644 clay-main/README.md: read me");
    for folder in ["ap", "README.md", "src"] {
        let error = repacked(&packed, Some(folder)).unwrap_err();
        assert!(matches!(error, ArchiveError::NoSuchFolder(_)), "{folder}: {error}");
    }
}

#[test]
fn names_and_kinds_that_do_harm_are_refused() {
    for name in ["../x", "a/../../x", "/etc/passwd", "a//b", "a\\..\\b", "C:/x", "c:x", "a/\u{1}", "", "./a"] {
        let error = reason(&zip(&[file("ok", ""), file(name, "")]));
        assert!(matches!(error, ArchiveError::Name(_)), "{name}: {error}");
    }
    assert!(matches!(
        reason(&zip(&[HostileEntry { name: b"a\xff", mode: FILE, content: b"" }])),
        ArchiveError::Name(_)
    ));
    for mode in [0o120_777, 0o010_644, 0o020_644, 0o060_644, 0o140_644] {
        let error = reason(&zip(&[HostileEntry { name: b"link", mode, content: b"/etc/passwd" }]));
        assert!(matches!(error, ArchiveError::NotAFile(_)), "{mode:o}: {error}");
    }
    let beside = zip(&[HostileEntry { name: b"c/link", mode: 0o120_777, content: b"x" }, file("c/app/a", "a")]);
    assert!(repacked(&beside, Some("app")).is_ok(), "files outside of the folder are not checked");
    assert!(matches!(reason(&zip(&[file("a", "1"), file("a", "2")])), ArchiveError::Duplicate(_)));
}

#[test]
fn file_that_is_also_a_folder_is_refused() {
    for names in [["a", "a/b"], ["a/b", "a"], ["x/a/b/c", "x/a"], ["A", "a/b"], ["\u{c9}/b", "\u{e9}"]] {
        let error = reason(&zip(&names.map(|name| file(name, ""))));
        assert!(matches!(error, ArchiveError::FileAndFolder(_)), "{names:?}: {error}");
    }
    let folder = HostileEntry { name: b"a/", mode: 0o040_755, content: b"" };
    let error = reason(&zip(&[file("a", ""), folder]));
    assert!(matches!(error, ArchiveError::FileAndFolder(_)), "{error}");
    let error = reason(&zip(&[HostileEntry { name: b"A/", mode: 0o040_755, content: b"" }, file("a", "")]));
    assert!(matches!(error, ArchiveError::FileAndFolder(_)), "{error}");
}

#[test]
fn names_that_differ_only_by_case_are_refused() {
    // Upper case, Kelvin and final sigma, a capital sharp s, and a folder: pairs of the simple foldings of CaseFolding.txt.
    for names in [
        ["a", "A"],
        ["src/Main.java", "src/main.java"],
        ["\u{c4}", "\u{e4}"],
        ["\u{212a}", "k"],
        ["\u{17f}", "S"],
        ["\u{3a3}", "\u{3c2}"],
        ["\u{1e9e}", "\u{df}"],
        ["\u{10400}", "\u{10428}"],
        ["Docs/x", "docs/x"],
    ] {
        let error = reason(&zip(&names.map(|name| file(name, ""))));
        assert!(matches!(&error, ArchiveError::DiffersByCase(name) if name == names[1]), "{names:?}: {error}");
        assert!(error.to_string().contains(names[1]), "{error}");
    }
    // Names that no file system takes for the same.
    let different = [
        file("Docs/x", ""),
        file("docs/y", ""),
        file("stra\u{df}e", ""),
        file("strasse", ""),
        file("ab", ""),
        file("a/b", ""),
        file("a.b", ""),
        file("b/a", ""),
    ];
    assert_eq!(list(&repacked(&zip(&different), None).unwrap()).len(), different.len());
}

/// Folders count, however deep the names are: the memory for names is bounded by their bytes.
#[test]
fn folders_of_names_count_as_entries() {
    let deep = "d/".repeat(1_000);
    let names: Vec<String> = (0..60).map(|number| format!("{number}/{deep}f")).collect();
    let many: Vec<HostileEntry<'_>> = names.iter().map(|name| file(name, "")).collect();
    assert!(matches!(reason(&zip(&many)), ArchiveError::TooManyEntries));
    assert!(repacked(&zip(&many[..40]), None).is_ok());
}

#[test]
fn encrypted_and_damaged_archives_are_refused() {
    let whole = zip(&[file("clay/a", "a text that is long enough"), file("clay/b", "b")]);
    let directory = whole.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let with = |at: usize, byte: u8| {
        let mut changed = whole.clone();
        changed[at] ^= byte;
        changed
    };
    // Bit 0 of the flags, and the compression method (APPNOTE, 4.3.12).
    assert!(matches!(reason(&with(directory + 8, 1)), ArchiveError::Encrypted(_)));
    assert!(matches!(reason(&with(directory + 10, 4)), ArchiveError::Method(_)));
    // The checksum, and the number of entries.
    assert!(matches!(reason(&with(directory + 16, 1)), ArchiveError::Damaged(_)));
    assert!(matches!(reason(&with(whole.len() - 12, 1)), ArchiveError::Damaged(_)));
    for end in [0, 1, 30, directory, whole.len() - 1] {
        assert!(matches!(reason(&whole[..end]), ArchiveError::Damaged(_)), "{end}");
    }
    assert!(matches!(reason(b"<html>not found</html>"), ArchiveError::Damaged(_)));
}

#[test]
fn bombs_are_refused_within_the_limits() {
    let names: Vec<String> = (0..=limits::STARTER_ENTRIES).map(|number| format!("f{number}")).collect();
    let many: Vec<HostileEntry<'_>> = names.iter().map(|name| file(name, "")).collect();
    assert!(matches!(reason(&zip(&many)), ArchiveError::TooManyEntries));
    let zeros = vec![0; 64 << 20];
    let parts =
        ["a", "b", "c", "d", "e"].map(|name| HostileEntry { name: name.as_bytes(), mode: FILE, content: &zeros });
    assert!(matches!(reason(&zip(&parts)), ArchiveError::UnpacksTooLarge));
    // The directory may lie about the size, so the read bytes are counted.
    let mut lying = zip(&parts);
    let mut at = 0;
    while let Some(found) = lying[at..].windows(4).position(|window| window == b"PK\x01\x02") {
        at += found + 24;
        lying[at..at + 4].fill(0);
    }
    assert!(matches!(reason(&lying), ArchiveError::Damaged(_) | ArchiveError::UnpacksTooLarge));
    let name = "n".repeat(4_000);
    let names: Vec<String> = (0..2_200).map(|number| format!("{number}{name}")).collect();
    let long: Vec<HostileEntry<'_>> = names.iter().map(|name| file(name, "")).collect();
    assert!(matches!(reason(&zip(&long)), ArchiveError::NamesTooLong));
}

#[test]
fn a_zip_that_grows_too_large_is_not_finished() {
    // Noise, so that deflate saves nothing.
    let mut noise = vec![0_u8; 60 << 20];
    let mut state = 1_u64;
    for byte in &mut noise {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    let mut packer = Packer::new(tempfile::tempfile().unwrap());
    packer.add(TreePath::parse("a").unwrap(), Mode::Plain, noise.as_slice()).unwrap();
    let error = packer.add(TreePath::parse("b").unwrap(), Mode::Plain, noise.as_slice()).unwrap_err();
    assert!(matches!(error, ArchiveError::TooLarge), "{error}");
}
