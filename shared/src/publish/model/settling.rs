//! Cases beyond a plain commit: heads that are shown late, dates, files that no tree takes, and repositories without stacks.

use super::*;
use crate::tree::TreeError;

fn refresh(world: &World, requested: Option<usize>) -> Result<Report, PublishError> {
    block_on(world.publisher().refresh(requested.map(Branch::named).as_ref()))
}

fn live(world: &World) -> CommitSha {
    world.bucket.live().unwrap().commit_hash
}

/// Two commits, the first of which is live.
fn behind() -> World {
    let world = World::new();
    world.branch.commit(tree_of(&[(1, 0)]));
    refresh(&world, None).unwrap();
    world.branch.commit(tree_of(&[(1, 1)]));
    world
}

#[test]
fn requested_commit_that_is_shown_late_is_polled_for() {
    for reads in 1..7 {
        let world = behind();
        world.branch.0.lock().unwrap().late = Some((0, reads));
        let report = refresh(&world, Some(1)).unwrap();
        assert_eq!((report.outcome, live(&world)), (Outcome::Published, Branch::named(1)), "{reads}");
    }
}

#[test]
fn requested_commit_that_is_never_shown_ends_as_superseded_after_some_polls() {
    let world = behind();
    let commits = || world.branch.0.lock().unwrap();
    commits().late = Some((0, usize::MAX));
    commits().heads = 0;
    let report = refresh(&world, Some(1)).unwrap();
    assert_eq!((report.outcome, live(&world)), (Outcome::Superseded, Branch::named(0)));
    let heads = commits().heads;
    assert!((6..12).contains(&heads), "{heads} reads of the head within 20 s");
    assert_eq!(commits().comparisons, 1, "a head that stays is compared once");
}

#[test]
fn host_that_is_down_is_not_polled_for_a_requested_commit() {
    let world = behind();
    world.branch.0.lock().unwrap().heads = 0;
    world.branch.0.lock().unwrap().is_down = true;
    assert!(matches!(refresh(&world, Some(1)), Err(PublishError::Source(SourceError::Unavailable { .. }))));
    assert_eq!(world.branch.0.lock().unwrap().heads, 1, "the source has tried again by itself");
}

#[test]
fn requested_commit_that_was_live_is_not_polled_for() {
    let world = behind();
    refresh(&world, None).unwrap();
    world.branch.0.lock().unwrap().heads = 0;
    let report = refresh(&world, Some(0)).unwrap();
    assert_eq!(report.outcome, Outcome::Superseded);
    assert_eq!(world.branch.0.lock().unwrap().heads, 1);
}

/// A server that lags behind after a forced push shows the head of before: a step back that nobody made.
#[test]
fn head_that_does_not_descend_from_the_live_commit_is_read_twice() {
    let world = behind();
    world.branch.reset(0);
    world.branch.commit(tree_of(&[(1, 2)]));
    refresh(&world, None).unwrap();
    assert_eq!(live(&world), Branch::named(2));
    for late in [0, 1] {
        world.branch.0.lock().unwrap().late = Some((late, 1));
        assert_eq!(refresh(&world, None).unwrap().outcome, Outcome::Unchanged);
        assert_eq!(live(&world), Branch::named(2), "one late read of commit {late}");
    }
    // A head that both reads show is meant.
    world.branch.reset(1);
    assert_eq!(refresh(&world, None).unwrap().outcome, Outcome::Published);
    assert_eq!(live(&world), Branch::named(1));
}

#[test]
fn undated_version_is_dated_without_a_commit_once_its_time_has_come() {
    let world = World::new();
    world.branch.commit(tree_of(&[(1, 0), (2, 0)]));
    world.branch.0.lock().unwrap().tells_no_dates = true;
    refresh(&world, None).unwrap();
    let of_stack_2 = || world.bucket.live().unwrap().stacks.read().unwrap()[1].versions[0].last_modified.clone();
    assert_eq!(of_stack_2(), Timestamp::unknown());
    let release = world.bucket.live().unwrap();
    assert_eq!(release.pending, 2);
    world.branch.0.lock().unwrap().tells_no_dates = false;

    let report = refresh(&world, None).unwrap();
    assert_eq!((report.outcome, report.writes), (Outcome::Unchanged, Writes::default()), "too early");
    assert_eq!(of_stack_2(), Timestamp::unknown());
    wait(60);
    assert_eq!(refresh(&world, None).unwrap().outcome, Outcome::Published);
    assert_eq!(of_stack_2(), start());
    assert_eq!(world.bucket.live().unwrap().pending, 0);
    world.check();
}

#[test]
fn attempts_that_settle_nothing_become_rarer_and_publish_nothing() {
    let world = World::new();
    world.branch.commit(tree_of(&[(1, 0)]));
    world.branch.0.lock().unwrap().tells_no_dates = true;
    refresh(&world, None).unwrap();
    let mut attempts = 0;
    for _ in 0..60 {
        wait(60);
        world.branch.0.lock().unwrap().read = 0;
        assert_eq!(refresh(&world, None).unwrap().outcome, Outcome::Unchanged);
        attempts += usize::from(world.branch.0.lock().unwrap().read > 0);
    }
    assert!((4..8).contains(&attempts), "{attempts} attempts within an hour");
    // Without the times, everything is tried at once.
    world.bucket.objects.lock().unwrap().remove(crate::cache::PENDING_KEY);
    world.branch.0.lock().unwrap().tells_no_dates = false;
    assert_eq!(refresh(&world, None).unwrap().outcome, Outcome::Published);
}

#[test]
fn file_that_no_tree_takes_stops_its_stack_and_no_other() {
    let world = World::new();
    world.branch.commit(tree_of(&[(1, 0), (2, 0)]));
    refresh(&world, None).unwrap();
    let mut tree = tree_of(&[(1, 1), (2, 1)]);
    tree.refuse("stacks/stack-1/link", TreeError::NotAFile("stacks/stack-1/link".into()));
    world.branch.commit(tree);
    let report = refresh(&world, None).unwrap();
    assert_eq!(report.changed, ["stacks/stack-2".to_owned()].into());
    assert_eq!(report.quarantined[0].problems[0].path, "stacks/stack-1/link");
    world.check();
    // It is read again until it is valid.
    world.branch.commit(tree_of(&[(1, 1), (2, 1)]));
    assert_eq!(refresh(&world, None).unwrap().changed, ["stacks/stack-1".to_owned()].into());
}

#[test]
fn repository_without_stacks_publishes_nothing_unless_that_is_meant() {
    let world = World::new();
    world.branch.commit(tree(&[("README.md", "empty")]));
    assert!(matches!(refresh(&world, None), Err(PublishError::NoStacks(_))));
    assert!(world.bucket.live().is_none());
    world.branch.commit(tree_of(&[(1, 0), (2, 0)]));
    refresh(&world, None).unwrap();
    let before = world.bucket.live();
    world.branch.commit(tree(&[("stacks/README.md", "nothing is left")]));
    let error = refresh(&world, None).unwrap_err();
    assert!(error.to_string().contains("\"remove_all\": true"), "{error}");
    assert_eq!(world.bucket.live(), before);

    let cause = Cause { emptiness: Emptiness::Meant, ..Cause::default() };
    let report = block_on(world.publisher().follow(cause)).unwrap();
    assert_eq!((report.outcome, report.removed.len()), (Outcome::Published, 2));
    world.branch.commit(tree(&[("stacks/README.md", "still nothing")]));
    assert_eq!(refresh(&world, None).unwrap().outcome, Outcome::Published, "nothing is removed any more");
}
