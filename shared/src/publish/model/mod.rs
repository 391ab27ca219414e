//! The publish protocol against servers in memory that can stop at any write and let others go first.

mod bucket;
mod continuing;
mod directory;
mod limits;
mod offline;
mod previews;
mod protocol;
mod prune;
mod registry;
mod settling;
mod upgrade;
mod upkeep;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use tokio::sync::Notify;

use self::bucket::FaultyBucket;
use self::registry::MemoryRegistry;
use super::*;
use crate::cache::{INDEX_KEY, blob_key, release_key};
use crate::digest::{CommitSha, Digest};
use crate::release::{Draft, InvalidDocument, LiveIndex, Outline, Pin, Plan, Release};
use crate::repository::Repository;
use crate::repository::tests::{devfile, tree};
use crate::source::{Listing, Scope, Source, SourceError};
use crate::timestamp::Timestamp;
use crate::tree::{File, Tree, TreePath};
use crate::upstream::UpstreamFetcher;

/// The faults of writes.
#[derive(Debug, Clone, Default)]
struct Fuse(Arc<Mutex<WriteFaults>>);

#[derive(Default)]
struct WriteFaults {
    /// Writes until there are no more, as when the publisher is killed.
    left: Option<u32>,
    /// Notified then, to drop the publisher. Without it, every further write fails.
    dropping: Option<Arc<Notify>>,
    /// Something that comes between, and before which of the next writes.
    meanwhile: Option<(u32, BoxFuture<'static, ()>)>,
    /// Something that comes after the next listing of blobs was made, and before it arrives.
    after_listing_blobs: Option<BoxFuture<'static, ()>>,
    /// The next conditional write takes effect, its answer gets lost, and the client's second try finds the object changed.
    echo: bool,
    /// Time of each write, by the clock of the runtime.
    write_time: Duration,
}

impl std::fmt::Debug for WriteFaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults").field("left", &self.left).field("echo", &self.echo).finish_non_exhaustive()
    }
}

impl Fuse {
    fn set(&self, writes: Option<u32>) {
        self.0.lock().unwrap().left = writes;
    }

    /// Sets the time of each write.
    fn slow_down(&self, write_time: Duration) {
        self.0.lock().unwrap().write_time = write_time;
    }

    /// Lets other tasks go first, then says whether the write happens.
    async fn burn(&self) -> Result<(), String> {
        tokio::task::yield_now().await;
        let write_time = self.0.lock().unwrap().write_time;
        if !write_time.is_zero() {
            tokio::time::sleep(write_time).await;
        }
        let first = {
            let meanwhile = &mut self.0.lock().unwrap().meanwhile;
            match meanwhile {
                Some((0, _)) => meanwhile.take().map(|(_, act)| act),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            }
        };
        if let Some(act) = first {
            act.await;
        }
        let dropping = {
            let mut faults = self.0.lock().unwrap();
            match &mut faults.left {
                Some(0) => faults.dropping.clone(),
                Some(left) => {
                    *left -= 1;
                    return Ok(());
                }
                None => return Ok(()),
            }
        };
        match dropping {
            Some(dropping) => {
                dropping.notify_one();
                std::future::pending().await
            }
            None => Err("killed".into()),
        }
    }
}

thread_local! {
    /// The seconds since a world was made. Everything in a test runs on its thread.
    static SECONDS: Cell<i64> = const { Cell::new(0) };
}

/// The time at which every world begins.
fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn now() -> Timestamp {
    let seconds = start().instant().as_second() + SECONDS.get();
    Timestamp::from_instant(jiff::Timestamp::from_second(seconds).unwrap())
}

/// Moves the clock.
fn wait(seconds: i64) {
    SECONDS.set(SECONDS.get() + seconds);
}

/// A repository: its commits, numbered as they were made, each on top of the head of then; and the head.
#[derive(Debug, Clone, Default)]
struct Branch(Arc<Mutex<Commits>>);

#[derive(Debug, Default)]
struct Commits {
    /// Trees with the commit before.
    all: Vec<(Tree, Option<usize>)>,
    head: usize,
    /// The number of files that were read.
    read: usize,
    /// As when the history is too long.
    tells_no_dates: bool,
    /// The head that so many next reads see, as from a server that lags behind.
    late: Option<(usize, usize)>,
    /// Reads of the head.
    heads: usize,
    /// Comparisons of commits.
    comparisons: usize,
    /// Whether the host does not answer.
    is_down: bool,
    /// The heads of proposals, by their references.
    proposals: BTreeMap<String, usize>,
}

impl Commits {
    fn descends(&self, base: usize, target: usize) -> bool {
        target == base || self.all[target].1.is_some_and(|before| self.descends(base, before))
    }
}

impl Branch {
    fn commit(&self, tree: Tree) {
        let mut commits = self.0.lock().unwrap();
        let before = (!commits.all.is_empty()).then_some(commits.head);
        commits.all.push((tree, before));
        commits.head = commits.all.len() - 1;
    }

    /// A forced push.
    fn reset(&self, to: usize) {
        let mut commits = self.0.lock().unwrap();
        commits.head = to % commits.all.len();
    }

    fn number(commit: &CommitSha) -> usize {
        usize::from_str_radix(commit.as_str(), 16).unwrap()
    }

    fn named(number: usize) -> CommitSha {
        format!("{number:040x}").parse().unwrap()
    }

    fn tree(&self, commit: &CommitSha) -> Tree {
        self.0.lock().unwrap().all[Self::number(commit)].0.clone()
    }
}

impl Source for Branch {
    fn url(&self) -> &str {
        "https://example.org/registry"
    }

    async fn head(&self) -> Result<CommitSha, SourceError> {
        tokio::task::yield_now().await;
        let number = {
            let mut commits = self.0.lock().unwrap();
            commits.heads += 1;
            if commits.is_down {
                return Err(SourceError::unavailable("the head", "the host is down"));
            }
            let head = commits.head;
            match &mut commits.late {
                Some((late, reads)) if *reads > 0 => {
                    *reads -= 1;
                    *late
                }
                _ => head,
            }
        };
        tokio::task::yield_now().await;
        Ok(Self::named(number))
    }

    async fn reference(&self, name: &str) -> Result<Option<CommitSha>, SourceError> {
        tokio::task::yield_now().await;
        Ok(self.0.lock().unwrap().proposals.get(name).copied().map(Self::named))
    }

    async fn listing(&self, commit: &CommitSha) -> Result<Listing, SourceError> {
        tokio::task::yield_now().await;
        Ok(Listing::of(&self.tree(commit)))
    }

    async fn files(&self, commit: &CommitSha, scope: &Scope) -> Result<Tree, SourceError> {
        tokio::task::yield_now().await;
        let mut tree = Tree::default();
        for (path, file) in self.tree(commit).iter().filter(|(path, _)| scope.wants(path.as_str())) {
            tree.add(path.as_str(), file.clone());
        }
        self.0.lock().unwrap().read += tree.iter().count();
        for refused in self.tree(commit).refused() {
            tree.refuse(&refused.path, refused.reason.clone());
        }
        Ok(tree)
    }

    async fn descends(&self, commit: &CommitSha, ancestor: &CommitSha) -> Result<bool, SourceError> {
        tokio::task::yield_now().await;
        let mut commits = self.0.lock().unwrap();
        commits.comparisons += 1;
        Ok(commits.descends(Self::number(ancestor), Self::number(commit)))
    }

    async fn last_modified(
        &self,
        _commit: &CommitSha,
        paths: &[String],
    ) -> Result<BTreeMap<String, Timestamp>, SourceError> {
        if self.0.lock().unwrap().tells_no_dates {
            return Err(SourceError::NotFound("the history".into()));
        }
        Ok(paths.iter().map(|path| (path.clone(), start())).collect())
    }
}

#[derive(Debug, Clone, Default)]
struct World {
    branch: Branch,
    registry: MemoryRegistry,
    bucket: FaultyBucket,
}

impl World {
    fn publisher(&self) -> Publisher<Branch, MemoryRegistry, FaultyBucket> {
        Publisher {
            source: self.branch.clone(),
            registry: self.registry.clone(),
            bucket: self.bucket.clone(),
            fetcher: UpstreamFetcher::without_fetches(),
            strictness: Strictness::Quarantine,
            clock: now,
        }
    }

    /// Both servers share one fuse: the publisher is killed after so many writes.
    fn new() -> Self {
        SECONDS.set(0);
        Self::default().with_fuse(Fuse::default())
    }

    /// The same world, seen by somebody with another fuse.
    fn with_fuse(&self, fuse: Fuse) -> Self {
        let bucket = FaultyBucket { fuse: fuse.clone(), ..self.bucket.clone() };
        Self { branch: self.branch.clone(), registry: MemoryRegistry { fuse, ..self.registry.clone() }, bucket }
    }

    /// Gives somebody's work its own fuse, and drops it in place of the write after so many; none when it was dropped.
    async fn dropped_after<T>(&self, writes: u32, work: impl AsyncFnOnce(Self) -> T) -> Option<T> {
        let dropping = Arc::new(Notify::new());
        let fuse = Fuse::default();
        *fuse.0.lock().unwrap() =
            WriteFaults { left: Some(writes), dropping: Some(Arc::clone(&dropping)), ..WriteFaults::default() };
        match select(pin!(work(self.with_fuse(fuse))), pin!(dropping.notified())).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    /// The whole release that an index names.
    fn release(&self, index: &LiveIndex) -> Release {
        let object = self.bucket.object(&release_key(index.release)).expect("the release is in the bucket");
        let outline = Outline::from_bytes(index.release, &object.bytes).expect("the release can be read");
        let document =
            |name| (name, self.bucket.object(&blob_key(name)).expect("every document is in the bucket").bytes);
        let documents: Vec<_> = outline.documents().into_keys().map(document).collect();
        outline.with(documents).expect("its documents can be read")
    }

    /// Invariant 10: the bucket has every release that readers may hold and rollbacks are offered, whole.
    fn check_recent(&self) {
        let Some(live) = self.bucket.live() else { return };
        for recent in &live.recent {
            let index = LiveIndex { release: recent.release, ..live.clone() };
            for blob in self.release(&index).blobs().into_keys() {
                assert!(self.bucket.object(&blob_key(blob)).is_some(), "a blob of {} is gone", recent.commit_hash);
            }
        }
    }

    /// Invariants 1 and 2: everything that `index.json` names is whole, in the bucket and in the registry.
    fn check(&self) {
        let Some(live) = self.bucket.live() else { return };
        let release = self.release(&live);
        assert_eq!(release.outline.commit_hash, live.commit_hash);
        assert_eq!(release.content.stacks, live.stacks.read().unwrap());
        for blob in release.blobs().into_keys() {
            let stored = self.bucket.object(&blob_key(blob)).expect("every blob is in the bucket");
            assert_eq!(Digest::of(&stored.bytes), blob);
        }
        for version in &release.content.versions {
            let repository = format!("devfile-catalog/{}", version.stack);
            assert!(
                self.registry.tag(&repository, &version.manifest.to_string()).is_some(),
                "every manifest is pushed"
            );
            assert!(self.registry.tag(&repository, &version.version).is_some(), "every version is tagged");
        }
        assert!(
            self.registry.tag("devfile-index", live.commit_hash.as_str()).is_some(),
            "the index artifact is pushed"
        );
        for (document, unpackaged) in release.unpackaged() {
            let tag = format!("document-{}", document.hex());
            assert!(self.registry.tag("devfile-index", &tag).is_some(), "every document is pushed");
            for blob in unpackaged.into_keys().chain([document]) {
                assert!(self.registry.was_pushed("devfile-index", blob), "a blob outside of artifacts is pushed");
            }
        }
    }
}

/// Trees of one registry over time: which stacks it has, and at which edit each is.
fn tree_of(stacks: &[(u8, u8)]) -> Tree {
    let files: Vec<(String, String)> = stacks
        .iter()
        .flat_map(|(stack, edit)| {
            let name = format!("stack-{stack}");
            let devfile = format!("{}# {edit}\n", devfile(&name, "1.0.0"));
            [
                (format!("stacks/{name}/devfile.yaml"), devfile),
                (format!("stacks/{name}/k8s/deploy.yaml"), format!("{stack}")),
            ]
        })
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    tree(&files)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    // The clock jumps over waits when nothing else is to do.
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

#[test]
fn reads_and_writes_are_in_proportion_to_what_changed() {
    let world = World::new();
    let all: Vec<(u8, u8)> = (0..40).map(|stack| (stack, 0)).collect();
    world.branch.commit(tree_of(&all));
    let first = block_on(world.publisher().refresh(None)).unwrap();
    assert_eq!((first.outcome, first.changed.len()), (Outcome::Published, 40));
    let named = std::mem::take(&mut *world.registry.named.lock().unwrap());
    assert_eq!(named, ["1.0.0"; 40], "a new artifact is pushed under its tag alone");
    let mut edited = all.clone();
    edited[7].1 = 1;
    world.branch.commit(tree_of(&edited));
    world.branch.0.lock().unwrap().read = 0;
    let second = block_on(world.publisher().refresh(None)).unwrap();
    assert_eq!(second.changed, ["stacks/stack-7".to_owned()].into());
    let named = std::mem::take(&mut *world.registry.named.lock().unwrap());
    assert!(
        named.len() == 2 && named[0].starts_with("sha256:") && named[1] == "1.0.0",
        "a tag moves to an existing manifest: {named:?}"
    );
    assert_eq!(world.branch.0.lock().unwrap().read, 2, "the two files of one stack");
    // A devfile, the document that names it, the release and the index; a devfile, its manifest and tag, the document and its
    // artifact, and the index artifact's two layers and tags.
    assert_eq!(second.writes, Writes { bucket: 4, registry: 9 });
    let third = block_on(world.publisher().refresh(None)).unwrap();
    assert_eq!((third.outcome, third.writes), (Outcome::Unchanged, Writes::default()));
    world.check();
}

#[test]
fn a_bad_version_keeps_its_last_published_state() {
    let world = World::new();
    world.branch.commit(tree_of(&[(1, 0), (2, 0)]));
    block_on(world.publisher().refresh(None)).unwrap();
    let good = world.bucket.live().unwrap();
    let mut files: Vec<(String, String)> = vec![("stacks/stack-1/devfile.yaml".into(), "schemaVersion: [".into())];
    files.push(("stacks/stack-2/devfile.yaml".into(), format!("{}# new\n", devfile("stack-2", "1.1.0"))));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    world.branch.commit(tree(&files));

    let strict = Publisher { strictness: Strictness::Strict, ..world.publisher() };
    let report = block_on(strict.refresh(None)).unwrap();
    assert_eq!(report.outcome, Outcome::Rejected);
    assert_eq!(world.bucket.live().unwrap(), good, "STRICT publishes nothing");

    let report = block_on(world.publisher().refresh(None)).unwrap();
    assert_eq!(report.quarantined.len(), 1);
    assert_eq!(report.quarantined[0].problems[0].path, "stacks/stack-1/devfile.yaml");
    let live = world.bucket.live().unwrap();
    let (live, good) = (live.stacks.read().unwrap(), good.stacks.read().unwrap());
    assert_eq!(live[0], good[0]);
    assert_eq!(live[1].versions[0].version, "1.1.0");
    world.check();
}

#[test]
fn the_same_commit_gives_the_same_bytes() {
    let build = |previous: Option<&Release>| {
        let tree = tree_of(&[(1, 0), (2, 3)]);
        let repository = Repository::parse(&tree);
        let plan = Plan::everything(Listing::of(&tree));
        let upstream = crate::release::Upstream::default();
        let draft = Draft::new((&repository, &upstream), &tree, previous, &plan);
        draft.finish("0".repeat(40).parse().unwrap(), "https://example.org/registry", &BTreeMap::new(), None)
    };
    let first = build(None);
    assert_eq!(first.bytes, build(None).bytes);
    assert_eq!(first.bytes, build(Some(&first.release)).bytes, "a reused document equals a rebuilt one");
}
