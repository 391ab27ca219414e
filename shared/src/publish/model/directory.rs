//! Both stores in a directory: the process is killed, or the disk fails, at any step of any write.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use super::protocol::Act;
use super::*;
use crate::cache::{Bucket, DirectoryBucket, Expect};
use crate::directory::faults::DiskFault;
use crate::directory::{BlobSource, Directory};
use crate::registry::{ImageLayouts, Registry};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A repository whose head is newer than the release in a directory.
struct Disk {
    folder: tempfile::TempDir,
    branch: Branch,
}

/// A process that has the directory open.
struct Process {
    directory: Directory,
    publisher: Publisher<Branch, ImageLayouts, DirectoryBucket>,
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

impl Disk {
    /// Two releases of three commits.
    fn new() -> Self {
        let disk = Self { folder: tempfile::tempdir().unwrap(), branch: Branch::default() };
        for edit in 0..3 {
            disk.branch.commit(tree_of(&[(0, edit), (1, 0), (2 + edit, 0)]));
            if edit < 2 {
                block_on(disk.open().publisher.refresh(None)).unwrap();
            }
        }
        disk
    }

    fn open(&self) -> Process {
        let directory = Directory::open(self.folder.path()).unwrap();
        let publisher = Publisher {
            source: self.branch.clone(),
            registry: ImageLayouts::new(directory.clone()),
            bucket: DirectoryBucket::new(directory.clone()),
            fetcher: UpstreamFetcher::without_fetches(),
            strictness: Strictness::Quarantine,
            clock: || Timestamp::from_instant(jiff::Timestamp::now()),
        };
        Process { directory, publisher }
    }

    /// The same disk again.
    fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(self.folder.path(), folder.path());
        Self { folder, branch: self.branch.clone() }
    }

    /// As if everything had been written a day ago.
    fn age(&self) {
        let old = SystemTime::now().checked_sub(DAY).unwrap();
        let files = Directory::at(self.folder.path()).list("bucket/").unwrap();
        for file in files.into_keys() {
            File::options().write(true).open(self.folder.path().join(file)).unwrap().set_modified(old).unwrap();
        }
    }

    /// The live release is whole.
    fn check(&self, doing: &str) {
        let problems =
            block_on(self.open().publisher.verify()).unwrap_or_else(|error| panic!("{doing}: {error}")).problems;
        let in_bucket: Vec<_> = problems.iter().filter(|problem| problem.starts_with("bucket")).collect();
        assert!(in_bucket.is_empty(), "{doing}: {in_bucket:?}");
    }

    /// The next process brings everything in order.
    fn finish(&self, doing: &str) {
        let Process { publisher, .. } = self.open();
        block_on(publisher.unpin()).unwrap_or_else(|error| panic!("{doing}: {error}"));
        let report = block_on(publisher.refresh(None)).unwrap_or_else(|error| panic!("{doing}: {error}"));
        assert_eq!(report.commit_hash, Branch::named(2), "{doing}");
        block_on(publisher.repair(CompareScope::All)).unwrap_or_else(|error| panic!("{doing}: {error}"));
        assert_eq!(block_on(publisher.verify()).unwrap().problems, [""; 0], "{doing}");
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in from.read_dir().unwrap() {
        let (path, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

impl Process {
    async fn act(&self, act: Act) -> Result<(), PublishError> {
        let publisher = &self.publisher;
        match act {
            Act::Refresh(_) => publisher.refresh(None).await.map(drop),
            Act::Rollback(commit) => publisher.rollback(&Branch::named(commit)).await.map(drop),
            Act::Repair => publisher.repair(CompareScope::All).await.map(drop),
            Act::Restore => publisher.restore().await.map(drop),
            Act::Prune => publisher.prune().await.map(drop),
            _ => unreachable!("no test does this"),
        }
    }
}

/// Does something again and again, with a fault in place of another step of its writes each time: of every one, or of so many. A
/// write has five steps.
fn fails_at_every_step(disk: &Disk, act: Act, fault: DiskFault) {
    let stride = if matches!(act, Act::Refresh(_) | Act::Prune) { 1 } else { 4 };
    for steps in (0..).step_by(stride) {
        let disk = disk.copy();
        if matches!(act, Act::Prune) {
            disk.age();
        }
        let doing = format!("{act:?} with {fault:?} after {steps} steps");
        let process = disk.open();
        process.directory.faults.after(steps, fault);
        let result = block_on(process.act(act));
        let failed = process.directory.faults.heal();
        if !failed {
            result.unwrap_or_else(|error| panic!("{doing}: {error}"));
            assert!(steps > 5, "{doing}: nothing was written");
            return disk.finish(&doing);
        }
        if let (Err(error), DiskFault::Error(ErrorKind::StorageFull)) = (&result, fault) {
            let text = error.to_string();
            assert!(text.contains(" failed to ") && text.ends_with("no storage space"), "{doing}: {text}");
        }
        if !matches!(act, Act::Restore) {
            disk.check(&doing);
        }
        if !matches!(act, Act::Prune) {
            disk.finish(&doing);
        }
    }
}

#[test]
fn refresh_that_is_killed_at_any_step_of_a_write_is_finished_by_the_next() {
    fails_at_every_step(&Disk::new(), Act::Refresh(None), DiskFault::Killed);
}

#[test]
fn full_disk_at_any_step_of_a_refresh_leaves_what_was_live() {
    fails_at_every_step(&Disk::new(), Act::Refresh(None), DiskFault::Error(ErrorKind::StorageFull));
}

#[test]
fn rollback_that_is_killed_at_any_step_of_a_write_leaves_a_whole_release() {
    fails_at_every_step(&Disk::new(), Act::Rollback(0), DiskFault::Killed);
}

#[test]
fn restore_that_is_killed_at_any_step_of_a_write_is_finished_by_the_next() {
    let disk = Disk::new();
    fs::remove_dir_all(disk.folder.path().join("bucket")).unwrap();
    fails_at_every_step(&disk, Act::Restore, DiskFault::Killed);
}

#[test]
fn repair_that_is_killed_at_any_step_of_a_write_is_finished_by_the_next() {
    let disk = Disk::new();
    fs::remove_dir_all(disk.folder.path().join("oci")).unwrap();
    fails_at_every_step(&disk, Act::Repair, DiskFault::Killed);
}

#[test]
fn prune_that_is_killed_at_any_step_removes_nothing_that_is_needed() {
    let disk = Disk::new();
    let process = disk.open();
    // As if the first release had gone live long ago: it is not listed any more.
    let first = block_on(async {
        let bucket = &process.publisher.bucket;
        let object = bucket.get(INDEX_KEY, 1 << 20).await.unwrap().unwrap();
        let mut index = LiveIndex::from_bytes(&object.bytes).unwrap();
        let first = index.recent.iter().map(|recent| recent.release).find(|release| *release != index.release).unwrap();
        index.recent.retain(|recent| recent.release != first);
        bucket.put_if(INDEX_KEY, index.to_bytes(), Expect::Anything).await.unwrap();
        first
    });
    fails_at_every_step(&disk, Act::Prune, DiskFault::Killed);
    disk.age();
    assert!(block_on(process.publisher.prune()).unwrap() > 1);
    assert!(block_on(process.publisher.bucket.stat(&release_key(first))).unwrap().is_none());
    disk.check("a prune");
    // The record keeps everything.
    let report = block_on(process.publisher.rollback(&Branch::named(0))).unwrap();
    assert_eq!(report.outcome, Outcome::Published);
}

#[test]
fn disk_that_cannot_be_written_is_named_and_is_read_all_the_same() {
    let disk = Disk::new();
    let process = disk.open();
    process.directory.faults.after(0, DiskFault::Error(ErrorKind::ReadOnlyFilesystem));
    let error = block_on(process.act(Act::Refresh(None))).unwrap_err().to_string();
    assert!(error.contains(" failed to ") && error.contains("read-only"), "{error}");
    assert_eq!(block_on(process.publisher.verify()).unwrap().problems, [""; 0]);
}

/// Two processes on one directory publish the same head, and go back, at the same time.
#[test]
fn processes_that_act_at_once_leave_a_whole_release() {
    let disk = Disk::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    for round in 0..4 {
        let disk = disk.copy();
        let processes = [disk.open(), disk.open(), disk.open()];
        let acts = [Act::Refresh(None), Act::Refresh(None), Act::Rollback(round % 2)];
        let results = runtime.block_on(async {
            let [first, second, third] = &processes;
            tokio::join!(first.act(acts[0]), second.act(acts[1]), third.act(acts[2]))
        });
        assert!(matches!(results, (Ok(()), Ok(()), Ok(()))), "{results:?}");
        disk.check("a race");
        disk.finish("a race");
    }
}

#[test]
fn wrong_bytes_of_the_right_length_in_the_record_are_repaired_by_a_whole_comparison() {
    let disk = Disk::new();
    let Process { directory, publisher } = disk.open();
    let in_record = directory.list("oci/").unwrap().into_keys().filter(|name| name.contains("/blobs/"));
    let live: Vec<String> = in_record.collect();
    let mut named = 0;
    for name in &live {
        let path = disk.folder.path().join(name);
        let whole = fs::read(&path).unwrap();
        if whole.is_empty() {
            continue;
        }
        let mut damaged = whole.clone();
        damaged[0] ^= 1;
        fs::write(&path, &damaged).unwrap();
        // No comparison covers content of earlier releases alone.
        let is_live = !block_on(publisher.verify()).unwrap().intact;
        let repaired = block_on(publisher.repair(CompareScope::All)).unwrap().repaired;
        assert_eq!(!repaired.is_empty(), is_live, "{name}: {repaired:?}");
        let expected = if is_live { whole } else { damaged };
        assert!(fs::read(&path).unwrap() == expected, "{name}: {repaired:?}");
        assert_eq!(block_on(publisher.verify()).unwrap().problems, [""; 0], "{name}");
        named += usize::from(is_live);
    }
    assert!(named > 10, "{named} of {}", live.len());
}

#[test]
fn starter_projects_are_removed_half_a_year_after_they_were_written() {
    let disk = Disk::new();
    let Process { directory, publisher } = disk.open();
    for (name, days) in [("old.zip", 181), ("old.json", 181), ("young.zip", 179)] {
        let name = format!("bucket/starter-projects/{name}");
        directory.write(&name, BlobSource::Bytes(b"a zip")).unwrap();
        let written = SystemTime::now().checked_sub(days * DAY).unwrap();
        File::options().write(true).open(disk.folder.path().join(name)).unwrap().set_modified(written).unwrap();
    }
    assert_eq!(block_on(publisher.prune()).unwrap(), 2);
    let left = directory.list("bucket/starter-projects/").unwrap();
    assert_eq!(left.keys().collect::<Vec<_>>(), ["bucket/starter-projects/young.zip"]);
    assert_eq!(block_on(publisher.prune()).unwrap(), 0);
}

/// A registry of each stack, with tags that other programs understand.
#[test]
fn every_version_is_tagged_in_the_layout_of_its_stack() {
    let disk = Disk::new();
    let registry = disk.open().publisher.registry;
    for stack in [0, 1, 3] {
        let repository = format!("devfile-catalog/stack-{stack}");
        let found = block_on(registry.manifest_digest(&repository, crate::registry::Name::Tag("1.0.0"))).unwrap();
        assert!(found.is_some(), "{repository}");
        assert!(disk.folder.path().join("oci").join(repository).join("oci-layout").is_file());
    }
}
