//! Writes that are interrupted, and locks.

use std::collections::BTreeSet;
use std::sync::Barrier;

use super::faults::DiskFault;
use super::*;

fn open() -> (tempfile::TempDir, Directory) {
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::open(folder.path().join("store")).unwrap();
    (folder, directory)
}

fn text(directory: &Directory, name: &str) -> Option<String> {
    directory.read(name, 1000).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn write_that_fails_at_any_step_leaves_the_old_content_or_the_new_one() {
    for fault in
        [DiskFault::Killed, DiskFault::Error(ErrorKind::StorageFull), DiskFault::Error(ErrorKind::ReadOnlyFilesystem)]
    {
        let mut seen = BTreeSet::new();
        for steps in 0.. {
            let (_folder, directory) = open();
            directory.write("bucket/a/b", BlobSource::Bytes(b"old")).unwrap();
            directory.faults.after(steps, fault);
            let written = directory.write("bucket/a/b", BlobSource::Bytes(b"a new one"));
            let failed = directory.faults.heal();
            assert_eq!(written.is_err(), failed, "{fault:?} after {steps} steps");
            if let (Err(error), DiskFault::Error(kind)) = (&written, fault) {
                assert_eq!(error.kind(), kind);
            }
            let found = text(&directory, "bucket/a/b").unwrap();
            assert!(found == "a new one" || found == "old" && failed, "{fault:?} after {steps} steps: {found}");
            assert_eq!(directory.list("bucket/").unwrap().len(), 1, "{fault:?} after {steps} steps");
            directory.write("bucket/a/b", BlobSource::Bytes(b"a new one")).unwrap();
            assert_eq!(text(&directory, "bucket/a/b").unwrap(), "a new one");
            seen.insert((failed, found));
            if !failed {
                break;
            }
        }
        assert_eq!(seen.len(), 3, "before and after the rename, and without a fault: {seen:?}");
    }
}

#[test]
fn first_write_into_a_new_folder_may_be_killed_at_any_step() {
    for steps in 0.. {
        let (_folder, directory) = open();
        directory.faults.after(steps, DiskFault::Killed);
        let _killed = directory.write("oci/a/b/c", BlobSource::Bytes(b"text"));
        if !directory.faults.heal() {
            break;
        }
        assert!(matches!(text(&directory, "oci/a/b/c").as_deref(), None | Some("text")), "after {steps} steps");
        directory.write("oci/a/b/c", BlobSource::Bytes(b"text")).unwrap();
        assert_eq!(text(&directory, "oci/a/b/c").as_deref(), Some("text"), "after {steps} steps");
    }
}

#[test]
fn failed_write_leaves_no_file_behind_and_a_killed_one_is_removed_once_it_is_old() {
    let (_folder, directory) = open();
    let left = || fs::read_dir(directory.root().join(TEMPORARY)).unwrap().count();
    directory.faults.after(1, DiskFault::Error(ErrorKind::StorageFull));
    directory.write("a", BlobSource::Bytes(b"bytes")).unwrap_err();
    assert_eq!(left(), 0);
    directory.faults.after(1, DiskFault::Killed);
    directory.write("a", BlobSource::Bytes(b"bytes")).unwrap_err();
    directory.faults.heal();
    assert_eq!(left(), 1);
    Directory::open(directory.root()).unwrap();
    assert_eq!(left(), 1, "it may be that of a process that runs");
    let path = fs::read_dir(directory.root().join(TEMPORARY)).unwrap().next().unwrap().unwrap().path();
    let old = SystemTime::now().checked_sub(ABANDONED).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    Directory::open(directory.root()).unwrap();
    assert_eq!(left(), 0);
}

#[test]
fn lock_is_held_by_one_at_a_time() {
    let (_folder, directory) = open();
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            // As another process has it: every lock opens the file anew.
            let (directory, barrier) = (Directory::at(directory.root()), &barrier);
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..10 {
                    let _lock = directory.lock("count").unwrap();
                    let count: u32 = text(&directory, "count").map_or(0, |text| text.parse().unwrap());
                    directory.write("count", BlobSource::Bytes((count + 1).to_string().as_bytes())).unwrap();
                }
            });
        }
    });
    assert_eq!(text(&directory, "count").as_deref(), Some("80"));
}

#[test]
fn names_stay_below_the_directory() {
    let (_folder, directory) = open();
    for name in ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/", ".", "C:\\a", "a\\b"] {
        assert_eq!(directory.read(name, 10).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
    }
}

#[test]
fn file_beyond_the_limit_is_too_large() {
    let (_folder, directory) = open();
    directory.write("a", BlobSource::Bytes(b"four")).unwrap();
    assert_eq!(directory.read("a", 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert_eq!(directory.read("a", 4).unwrap().as_deref(), Some(&b"four"[..]));
    assert_eq!(directory.digest("a").unwrap(), Some(Digest::of(b"four")));
    assert_eq!(directory.digest("b").unwrap(), None);
}

#[cfg(unix)]
#[test]
fn stored_file_is_readable_as_the_process_allows_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, directory) = open();
    directory.write("a", BlobSource::Bytes(b"bytes")).unwrap();
    let made = directory.root().join("by hand");
    fs::write(&made, "bytes").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&directory.root().join("a")), mode(&made));
}
