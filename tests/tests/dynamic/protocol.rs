//! The publish protocol against real stores and a real Git repository: a few random histories with kills, late triggers, steps back
//! and races. The stores are a bucket and an OCI registry at servers, or a directory. The library's own model has many, in memory.

use std::path::Path;

use devfile_registry::cache::{Bucket, Cache, RetryPolicy};
use devfile_registry::digest::CommitSha;
use devfile_registry::directory::Directory;
use devfile_registry::publish::{CompareScope, Outcome, PublishError, Publisher, Report, Strictness};
use devfile_registry::registry::{ImageLayouts, OciRegistry, Registry};
use devfile_registry::source::{GitAccess, GitSource};
use devfile_registry::timestamp::Timestamp;
use devfile_registry::upstream::UpstreamFetcher;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use registry_tests::bounded::property;
use registry_tests::fused::Fused;

use crate::fixture::Dynamic;

#[derive(Debug, Clone)]
enum Step {
    Commit,
    Reset,
    Killed(Act, u32),
    AtOnce(Vec<Act>),
}

#[derive(Debug, Clone, Copy)]
enum Act {
    /// A trigger that names the n-th commit, or none.
    Refresh(Option<usize>),
    Rollback(usize),
    Unpin,
    Repair,
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => prop::option::of(0_usize..6).prop_map(Act::Refresh),
        1 => (0_usize..6).prop_map(Act::Rollback),
        1 => Just(Act::Unpin),
        1 => Just(Act::Repair),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Commit),
        1 => Just(Step::Reset),
        2 => (acts(), 0_u32..12).prop_map(|(act, writes)| Step::Killed(act, writes)),
        3 => prop::collection::vec(acts(), 1..4).prop_map(Step::AtOnce),
    ];
    prop::collection::vec(step, 4..9)
}

type Real<R, B> = Publisher<GitSource, R, B>;

fn publisher<R, B>(world: &Dynamic, registry: R, bucket: B) -> Real<R, B> {
    let url = format!("{}/example/registry", world.github.url());
    Publisher {
        source: GitSource::new(url.parse().unwrap(), GitAccess::Anonymous),
        registry,
        bucket,
        fetcher: UpstreamFetcher::without_fetches(),
        strictness: Strictness::Quarantine,
        clock: || Timestamp::from_instant(jiff::Timestamp::now()),
    }
}

/// Stores at servers. The fuse of the world is in the proxies before them.
async fn at_servers(world: &Dynamic) -> Real<OciRegistry, Cache> {
    // The processes of the other tests find the bucket by their environment; here the client is made by hand.
    let endpoint = format!("http://{}", world.s3.address());
    let registry = format!("{}/{}", world.oci.address(), world.registry.name);
    let bucket = Cache::at(&endpoint, &world.registry.name, RetryPolicy::Writer).await;
    publisher(world, OciRegistry::new(registry.parse().unwrap(), None), bucket)
}

/// Stores in a directory, with the fuse of the world before each write.
fn in_directory(world: &Dynamic, folder: &Path) -> Real<Fused<ImageLayouts>, Fused<Cache>> {
    let directory = Directory::open(folder).unwrap();
    let registry = Fused { store: ImageLayouts::new(directory.clone()), fuse: world.fuse.clone() };
    publisher(world, registry, Fused { store: Cache::in_directory(directory), fuse: world.fuse.clone() })
}

/// Does one of them, on the heap: the thread of a test has 2 MiB of stack.
async fn act<R: Registry, B: Bucket>(
    publisher: &Real<R, B>,
    commits: &[CommitSha],
    act: Act,
) -> Result<Report, PublishError> {
    match act {
        Act::Refresh(requested) => {
            let requested = requested.map(|requested| &commits[requested % commits.len()]);
            Box::pin(publisher.refresh(requested)).await
        }
        Act::Rollback(to) => Box::pin(publisher.rollback(&commits[to % commits.len()])).await,
        Act::Unpin => Box::pin(publisher.unpin()).await,
        Act::Repair => Box::pin(publisher.repair(CompareScope::All)).await,
    }
}

async fn check<R: Registry, B: Bucket>(publisher: &Real<R, B>, doing: &str) {
    match Box::pin(publisher.verify()).await {
        Ok(verification) => {
            let in_bucket: Vec<_> = verification.problems.iter().filter(|p| p.starts_with("bucket")).collect();
            assert!(in_bucket.is_empty(), "after {doing}: {in_bucket:?}");
        }
        Err(PublishError::NothingLive) => {}
        Err(error) => panic!("after {doing}: {error}"),
    }
}

async fn run<R: Registry, B: Bucket>(world: &Dynamic, publisher: Real<R, B>, steps: &[Step]) {
    let head = |world: &Dynamic| -> CommitSha { world.registry.git(&["rev-parse", "HEAD"]).parse().unwrap() };
    let mut commits = vec![head(world)];
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Commit => {
                world.edit(&format!("edit {number}"));
                commits.push(head(world));
            }
            Step::Reset => {
                let to = commits[number % commits.len()].clone();
                world.registry.git(&["reset", "--quiet", "--hard", to.as_str()]);
            }
            Step::Killed(what, writes) => {
                world.fuse.set(Some(*writes));
                let acting = Box::pin(act(&publisher, &commits, *what));
                tokio::select! {
                    _ = acting => {}
                    () = world.fuse.blown() => {}
                }
                world.fuse.set(None);
            }
            Step::AtOnce(acts) => {
                let acting = acts.iter().map(|what| Box::pin(act(&publisher, &commits, *what)));
                futures_util::future::join_all(acting).await;
            }
        }
        check(&publisher, &format!("{step:?}")).await;
    }
    let _ = Box::pin(publisher.unpin()).await;
    let report = Box::pin(publisher.refresh(None)).await.unwrap();
    assert!(matches!(report.outcome, Outcome::Published | Outcome::Unchanged));
    assert_eq!(report.commit_hash, head(world));
    Box::pin(publisher.repair(CompareScope::All)).await.unwrap();
    assert_eq!(Box::pin(publisher.verify()).await.unwrap().problems, [""; 0]);
}

/// Runs a few histories.
fn histories(run: impl AsyncFn(Vec<Step>)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { max_shrink_iters: 8, ..property(6, file!()) });
    let result = runner.run(&steps(), |steps| {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(Box::pin(run(steps)))));
        ran.map_err(|_| TestCaseError::fail("an invariant does not hold; the reason is above"))
    });
    result.unwrap();
}

#[test]
fn real_stores_keep_the_invariants() {
    histories(async |steps| {
        let world = Dynamic::new().await;
        let publisher = at_servers(&world).await;
        run(&world, publisher, &steps).await;
    });
}

#[test]
fn directory_keeps_the_invariants() {
    histories(async |steps| {
        let (world, folder) = (Dynamic::new().await, tempfile::tempdir().unwrap());
        let publisher = in_directory(&world, folder.path());
        run(&world, publisher, &steps).await;
    });
}
