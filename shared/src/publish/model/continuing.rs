//! Publications over several invocations: they are stopped in time, killed at any write, meet others, and go on.

use tokio::time::Instant;

use super::prune::{old_keys, with_old_releases};
use super::*;
use crate::cache::PROGRESS_KEY;
use crate::limits::PROGRESS_BYTES;

/// Stacks of a publication that is too large to stay unrecorded.
const STACKS: u8 = 6;

/// Time of an invocation that is never stopped.
const LONG: Duration = Duration::from_secs(280);

/// Time of a write to a slow store.
const SLOW: Duration = Duration::from_secs(20);

/// Time for some writes to slow stores, one after the other, and a little more.
fn time_for(writes: u32) -> Duration {
    SLOW * writes + SLOW / 2
}

/// All stacks at one edit.
fn many(edit: u8) -> Tree {
    tree_of(&(0..STACKS).map(|stack| (stack, edit)).collect::<Vec<_>>())
}

/// A world without a release, and a large commit.
fn large() -> World {
    let world = World::new();
    world.branch.commit(many(0));
    world
}

/// The numbers of an invocation: its publication, and its own.
type Numbers = (u64, u32);

/// The numbers of the invocation after one that could not finish.
fn next(report: &Report) -> Option<Numbers> {
    report.unfinished.map(|unfinished| (unfinished.publication, unfinished.number + 1))
}

/// The cause of an invocation that pushes for some time. Without numbers it is the first one of a trigger.
fn cause(numbers: Option<Numbers>, time: Duration, budget: Budget) -> Cause<'static> {
    let until = Instant::now() + time;
    let first = Invocation { until, ..Invocation::first(until, budget) };
    let later = |(publication, number)| Invocation { publication, number, ..first };
    Cause { invocation: Some(numbers.map_or(first, later)), ..Cause::default() }
}

impl World {
    /// Runs an invocation that pushes for some time.
    async fn invoke(&self, numbers: Option<Numbers>, time: Duration) -> Result<Report, PublishError> {
        self.publisher().follow(cause(numbers, time, Budget::Function)).await
    }

    /// Runs invocations of some time, one after the other, until their publication ends.
    fn invoke_all(&self, time: Duration) -> Result<Report, PublishError> {
        let mut numbers = None;
        for _ in 0..INVOCATIONS {
            let report = block_on(self.invoke(numbers, time))?;
            self.check();
            wait(time.as_secs() as i64);
            numbers = next(&report);
            if numbers.is_none() {
                return Ok(report);
            }
        }
        panic!("the last invocation has a next one");
    }

    /// Begins a publication in slow stores, which the invocation with the returned numbers continues.
    fn begin(&self, writes: u32) -> Numbers {
        self.bucket.fuse.slow_down(SLOW);
        let report = block_on(self.invoke(None, time_for(writes))).unwrap();
        self.bucket.fuse.slow_down(Duration::ZERO);
        assert_eq!(report.outcome, Outcome::Continuing);
        next(&report).expect("another invocation continues")
    }

    /// Checks that the head is live, and that neither store lags.
    fn check_settled(&self) {
        self.check();
        self.check_repaired();
        assert_eq!(self.bucket.live().unwrap().commit_hash, block_on(self.branch.head()).unwrap());
    }

    /// Artifacts that the next invocation would not push again.
    fn recorded(&self) -> usize {
        let Some(object) = self.bucket.object(PROGRESS_KEY) else { return 0 };
        let document: serde_json::Value = serde_json::from_slice(&object.bytes).unwrap();
        document["artifacts"].as_object().unwrap().len()
    }
}

#[test]
fn publication_stopped_after_any_write_goes_on_in_the_next_invocation() {
    let mut published = 0;
    // The first one claims the publication.
    for writes in 2..30 {
        let world = large();
        world.bucket.fuse.slow_down(SLOW);
        match world.invoke_all(time_for(writes)) {
            Ok(report) => {
                // One whose index artifact is there is restored from that.
                let is_live = matches!(report.outcome, Outcome::Published | Outcome::Unchanged);
                assert!(is_live, "{writes} writes: {report:?}");
                published += 1;
                world.check_settled();
            }
            // The last steps do not fit into so little time.
            Err(error) => {
                assert!(matches!(error, PublishError::Unfinished(_)) && writes < 10, "{writes} writes: {error}")
            }
        }
        world.bucket.fuse.slow_down(Duration::ZERO);
        // The next trigger with more time publishes, after any outcome.
        wait(61);
        block_on(world.invoke(None, LONG)).unwrap();
        world.check_settled();
    }
    assert!(published >= 20, "only {published} were published");
}

#[test]
fn publication_killed_at_any_write_goes_on_when_its_invocation_is_repeated() {
    for writes in 0.. {
        let world = large();
        let numbers = world.begin(4);
        let killed = block_on(world.dropped_after(writes, async |world| world.invoke(Some(numbers), LONG).await));
        world.check();
        wait(60);
        if let Some(report) = killed {
            assert_eq!(report.unwrap().outcome, Outcome::Published);
            assert!(writes > 15, "killed at {writes} writes only");
            return;
        }
        let outcome = block_on(world.invoke(Some(numbers), LONG)).unwrap().outcome;
        assert!(matches!(outcome, Outcome::Published | Outcome::Unchanged), "{outcome:?} after {writes} writes");
        assert_eq!(world.recorded(), 0, "a finished publication is forgotten");
        world.check_settled();
    }
}

#[test]
fn trigger_between_two_writes_of_a_publication_leaves_all_in_order() {
    let mut left_alone = 0;
    for write in 0.. {
        let world = large();
        let (other, met) = (world.with_fuse(Fuse::default()), Arc::new(Mutex::new(None)));
        let result = Arc::clone(&met);
        let trigger = Box::pin(async move {
            *result.lock().unwrap() = Some(other.invoke(None, LONG).await.unwrap());
        });
        world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, trigger));
        block_on(world.invoke(None, LONG)).unwrap();
        let Some(report) = met.lock().unwrap().take() else { break };
        if report.outcome == Outcome::Continuing {
            assert!(report.unfinished.is_none() && report.writes == Writes::default(), "before write {write}");
            left_alone += 1;
        }
        world.check_settled();
    }
    assert!(left_alone > 20, "only {left_alone} triggers left it alone");
}

#[test]
fn claim_of_a_publication_ends_and_its_late_invocation_finds_nothing_to_do() {
    let world = large();
    let numbers = world.begin(6);
    wait(59);
    let report = block_on(world.invoke(None, LONG)).unwrap();
    assert_eq!((report.outcome, report.unfinished), (Outcome::Continuing, None));
    wait(2);
    assert_eq!(block_on(world.invoke(None, LONG)).unwrap().outcome, Outcome::Published);
    world.check_settled();
    assert_eq!(block_on(world.invoke(Some(numbers), LONG)).unwrap().outcome, Outcome::Unchanged);
    world.check_settled();
}

/// The tags that an invocation moved were moved back since.
#[test]
fn recorded_tags_that_were_moved_back_are_moved_again() {
    let mut stale = 0;
    for writes in 1..20 {
        let world = large();
        block_on(world.publisher().refresh(None)).unwrap();
        world.branch.commit(many(1));
        world.bucket.fuse.slow_down(SLOW);
        let report = block_on(world.invoke(None, time_for(writes)));
        world.bucket.fuse.slow_down(Duration::ZERO);
        if report.is_ok_and(|report| report.outcome == Outcome::Published) {
            break;
        }
        world.branch.reset(0);
        wait(61);
        block_on(world.publisher().repair(CompareScope::All)).unwrap();
        stale += world.recorded();
        world.branch.commit(many(1));
        assert_eq!(block_on(world.invoke(None, LONG)).unwrap().outcome, Outcome::Published, "{writes} writes");
        world.check_settled();
    }
    assert!(stale > 0, "nothing was recorded");
}

#[test]
fn progress_that_cannot_be_read_is_left_out() {
    for content in [Bytes::from_static(b"{"), Bytes::from(vec![b' '; PROGRESS_BYTES as usize + 1])] {
        let world = large();
        world.bucket.write(PROGRESS_KEY, content);
        assert_eq!(block_on(world.invoke(None, LONG)).unwrap().outcome, Outcome::Published);
        world.check_settled();
    }
}

/// Any remover counts, and the invocation stops as soon as its release is live.
#[test]
fn object_that_vanishes_at_the_end_of_an_invocation_is_written_again() {
    let mut went_live = 0;
    for key in old_keys(&with_old_releases()) {
        for write in 0.. {
            let world = with_old_releases();
            let before = world.bucket.live().unwrap();
            world.branch.commit(tree_of(&[(0, 0), (1, 0), (10, 0)]));
            let (bucket, key, live) = (world.bucket.clone(), key.clone(), Arc::new(Mutex::new(None)));
            let live_then = Arc::clone(&live);
            let vanishing = Box::pin(async move {
                bucket.remove(&key);
                *live_then.lock().unwrap() = bucket.live();
                tokio::time::sleep(LONG).await;
            });
            world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, vanishing));
            let result = block_on(world.invoke(None, LONG - Duration::from_secs(1)));
            // The publication does not notice artifacts that vanish later.
            if live.lock().unwrap().as_ref() != Some(&before) {
                break;
            }
            if result.is_ok_and(|report| report.outcome == Outcome::Published) {
                went_live += 1;
                world.check();
            }
        }
    }
    assert!(went_live >= 4, "only {went_live} invocations went live");
}

#[test]
fn request_without_time_to_push_is_continued_and_a_whole_invocation_without_progress_is_stalled() {
    for (budget, time, is_continued) in [
        (Budget::Request, Duration::from_secs(21), true),
        (Budget::Request, Duration::ZERO, true),
        // Most of its time went by before the first push.
        (Budget::Function, Duration::from_secs(2), true),
        (Budget::Function, LONG, false),
    ] {
        let world = large();
        let silent = Fuse::default();
        silent.slow_down(LONG * 2);
        let world = World { registry: MemoryRegistry { fuse: silent, ..world.registry.clone() }, ..world };
        let result = block_on(async { world.publisher().follow(cause(None, time, budget)).await });
        match result {
            Ok(report) => assert!(is_continued && next(&report).is_some(), "{budget:?} {time:?}: {report:?}"),
            Err(error) => assert!(!is_continued && matches!(error, PublishError::Stalled(_)), "{error}"),
        }
    }
}

/// A trigger that meets the publication is answered, and not repeated.
#[test]
fn commit_that_came_during_a_publication_is_named_at_its_end() {
    let mut named = 0;
    for write in 1.. {
        let world = large();
        let (other, met) = (world.with_fuse(Fuse::default()), Arc::new(Mutex::new(None)));
        let result = Arc::clone(&met);
        let trigger = Box::pin(async move {
            other.branch.commit(many(1));
            let commit = Branch::named(1);
            let requested = Cause { requested: Some(&commit), ..cause(None, LONG, Budget::Function) };
            *result.lock().unwrap() = Some(other.publisher().follow(requested).await.unwrap().outcome);
        });
        world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, trigger));
        let report = block_on(world.invoke(None, LONG)).unwrap();
        let Some(met) = met.lock().unwrap().take() else { break };
        if met == Outcome::Continuing {
            assert_eq!(report.newer_head, Some(Branch::named(1)), "before write {write}");
            named += 1;
            block_on(world.invoke(None, LONG)).unwrap();
        }
        world.check_settled();
    }
    assert!(named > 20, "only {named} triggers met the publication");
}

#[test]
fn publication_whose_head_was_taken_back_is_no_longer_claimed() {
    let world = World::new();
    world.branch.commit(tree_of(&[(0, 0)]));
    block_on(world.publisher().refresh(None)).unwrap();
    world.branch.commit(many(0));
    let numbers = world.begin(4);
    world.branch.reset(0);
    assert_eq!(block_on(world.invoke(Some(numbers), LONG)).unwrap().outcome, Outcome::Unchanged);
    world.branch.commit(many(1));
    assert_eq!(block_on(world.invoke(None, LONG)).unwrap().outcome, Outcome::Published);
    world.check_settled();
}

fn reconcile(world: &World, time: Duration) -> Result<Report, PublishError> {
    block_on(async { world.publisher().reconcile(CompareScope::All, cause(None, time, Budget::Function)).await })
}

#[test]
fn comparison_that_takes_longer_than_an_invocation_is_an_error() {
    let world = large();
    assert!(!reconcile(&world, LONG).unwrap().uncompared);
    world.registry.lose_all();
    world.bucket.fuse.slow_down(SLOW);
    assert!(matches!(reconcile(&world, time_for(1)), Err(PublishError::ComparisonStopped)));
    world.bucket.fuse.slow_down(Duration::ZERO);
    assert!(!reconcile(&world, LONG).unwrap().repaired.is_empty());
    world.check_settled();
}

#[test]
fn comparison_without_time_after_a_publication_is_named_in_its_report() {
    let mut uncompared = 0;
    for writes in 1..40 {
        let world = large();
        block_on(world.publisher().refresh(None)).unwrap();
        world.branch.commit(many(1));
        world.bucket.fuse.slow_down(SLOW);
        let Ok(report) = reconcile(&world, time_for(writes)) else { continue };
        if report.outcome == Outcome::Published && !report.uncompared {
            assert!(uncompared > 0, "{writes} writes");
            world.bucket.fuse.slow_down(Duration::ZERO);
            world.check_settled();
            return;
        }
        uncompared += u32::from(report.uncompared);
    }
    panic!("{uncompared} of all were not compared");
}
