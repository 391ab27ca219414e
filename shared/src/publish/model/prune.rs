//! Pruning in the stores of the model, alone and with others between any two of its writes.

use super::protocol::Act;
use super::upkeep::{keys, published, with_owners};
use super::*;
use crate::limits::{KEPT_RELEASES, LISTED_RELEASES};
use crate::release::Recent;

const DAY: i64 = 24 * 3600;

#[test]
fn old_releases_are_pruned_and_what_the_kept_ones_name_stays() {
    let world = published();
    let first = world.bucket.live().unwrap();
    let names_alone = |live: &LiveIndex, other: &LiveIndex| -> Vec<String> {
        let others = world.release(other).blobs();
        world.release(live).blobs().into_keys().filter(|blob| !others.contains_key(blob)).map(blob_key).collect()
    };
    world.branch.commit(with_owners(1));
    block_on(world.publisher().refresh(None)).unwrap();
    let gone = names_alone(&first, &world.bucket.live().unwrap());
    assert!(!gone.is_empty());
    wait(DAY);
    assert_eq!(block_on(world.publisher().prune()).unwrap(), 0, "all is listed");

    // As if releases had gone live a day apart: the list is full, the first is not on it.
    let mut index = world.bucket.live().unwrap();
    index.recent.retain(|recent| recent.release != first.release);
    assert!(index.recent.len() <= KEPT_RELEASES);
    world.bucket.write(INDEX_KEY, index.to_bytes());
    wait(-DAY);
    assert_eq!(block_on(world.publisher().prune()).unwrap(), 0, "it was written within the hour");
    wait(DAY);
    let pruned = block_on(world.publisher().prune()).unwrap();
    assert_eq!(pruned, gone.len() + 1);
    let left = keys(&world);
    assert!(!left.contains(&release_key(first.release)) && gone.iter().all(|key| !left.contains(key)));
    world.check();
    // The index artifact has the list as it was.
    let repaired = block_on(world.publisher().repair(CompareScope::All)).unwrap().repaired;
    assert!(repaired.iter().all(|line| line.starts_with("registry: devfile-index")), "{repaired:?}");
    world.check_repaired();
    // The OCI registry still has it, so going back works.
    let report = block_on(world.publisher().rollback(&first.commit_hash)).unwrap();
    assert_eq!((report.outcome, report.pinned), (Outcome::Published, true));
    world.check();
}

#[test]
fn a_blob_that_may_be_pruned_is_written_again() {
    let world = published();
    world.branch.commit(with_owners(1));
    block_on(world.publisher().refresh(None)).unwrap();
    // The edit is taken back long after: its blobs are there, but old.
    world.branch.commit(with_owners(0));
    wait(DAY);
    let report = block_on(world.publisher().refresh(None)).unwrap();
    // The devfile, the document that names it, the release of another commit, the index.
    assert_eq!(report.writes.bucket, 4);
}

#[test]
fn a_kept_release_of_an_older_format_does_not_keep_others_from_being_pruned() {
    let world = published();
    world.branch.commit(with_owners(1));
    block_on(world.publisher().refresh(None)).unwrap();
    let older = Bytes::from_static(b"{\"format\":0}");
    let mut index = world.bucket.live().unwrap();
    let forgotten = index.recent[1].release;
    index.recent[1].release = Digest::of(&older);
    world.bucket.write(&release_key(Digest::of(&older)), older.clone());
    world.bucket.write(INDEX_KEY, index.to_bytes());
    wait(DAY);
    assert!(block_on(world.publisher().prune()).unwrap() > 0);
    assert!(!keys(&world).contains(&release_key(forgotten)));
    assert!(keys(&world).contains(&release_key(Digest::of(&older))));
    world.check();
}

/// Its contents are unknown, so nothing may be deleted.
#[test]
fn nothing_is_pruned_when_a_document_of_the_live_release_is_gone() {
    let world = published();
    let first = world.bucket.live().unwrap().release;
    // Until the name of one comes before that of the live one, so that it is read first.
    let index = (1..20).find_map(|edit| {
        world.branch.commit(with_owners(edit));
        block_on(world.publisher().refresh(None)).unwrap();
        let mut index = world.bucket.live().unwrap();
        index.recent.retain(|recent| recent.release != first);
        index.recent.iter().any(|recent| recent.release < index.release).then_some(index)
    });
    let index = index.expect("twenty names are not in order");
    world.bucket.write(INDEX_KEY, index.to_bytes());
    // The document of the files of no stack is the same in all of them.
    let shared = world.release(&index).outline.common.digest;
    world.bucket.objects.lock().unwrap().remove(&blob_key(shared));
    world.registry.blobs.lock().unwrap().retain(|(_, blob), _| *blob != shared);
    let before = keys(&world);
    wait(DAY);
    assert!(matches!(block_on(world.publisher().prune()), Err(PublishError::MissingBlob(blob)) if blob == shared));
    assert_eq!(keys(&world), before);
}

/// A world whose first releases are off the list, and old: a prune deletes one of them, with a stack of its own.
pub(super) fn with_old_releases() -> World {
    let world = World::new();
    for edit in 0..=KEPT_RELEASES as u8 {
        world.branch.commit(tree_of(&[(0, edit), (1, 0), (10 + edit, 0)]));
        block_on(world.publisher().refresh(None)).unwrap();
        wait(DAY);
    }
    world
}

/// Keys that only the first release names.
pub(super) fn old_keys(world: &World) -> BTreeSet<String> {
    let other = with_old_releases();
    block_on(other.publisher().prune()).unwrap();
    let left = keys(&other);
    let old: BTreeSet<String> = keys(world).into_iter().filter(|key| !left.contains(key)).collect();
    assert!(old.len() >= 4, "the release, a document, and the blobs of two stacks: {old:?}");
    old
}

#[test]
fn prune_that_was_stopped_at_any_write_is_finished_by_the_next() {
    for writes in 0.. {
        let world = with_old_releases();
        let old = old_keys(&world);
        let stopped = block_on(world.dropped_after(writes, async |world| world.publisher().prune().await)).is_none();
        world.check();
        world.check_recent();
        wait(DAY);
        block_on(world.publisher().prune()).unwrap();
        let left: Vec<String> = keys(&world).into_iter().filter(|key| old.contains(key)).collect();
        assert_eq!(left, [""; 0], "stopped before write {writes}");
        if !stopped {
            assert!(writes as usize >= old.len(), "stopped at every write");
            return;
        }
    }
}

/// A publication that writes an object while it is listed for removal is about to name it.
#[test]
fn object_that_was_written_again_after_the_listing_stays() {
    let world = with_old_releases();
    let old = old_keys(&world);
    let (bucket, written) = (world.bucket.clone(), old.clone());
    let writing = Box::pin(async move {
        for key in written {
            let bytes = bucket.object(&key).unwrap().bytes;
            bucket.write(&key, bytes);
        }
    });
    world.bucket.fuse.0.lock().unwrap().after_listing_blobs = Some(writing);
    assert_eq!(block_on(world.publisher().prune()).unwrap(), 0);
    assert!(old.iter().all(|key| world.bucket.object(key).is_some()));
}

#[test]
fn list_that_was_cut_off_within_the_hour_prunes_nothing() {
    let world = with_old_releases();
    let mut index = world.bucket.live().unwrap();
    let first = index.recent[0].clone();
    let of = |number: usize| Recent { commit_hash: Branch::named(number), generated_at: now(), ..first.clone() };
    index.recent = (0..LISTED_RELEASES).map(of).collect();
    world.bucket.write(INDEX_KEY, index.to_bytes());
    let before = keys(&world);
    assert_eq!(block_on(world.publisher().prune()).unwrap(), 0);
    assert_eq!(keys(&world), before);
    wait(3600);
    assert!(block_on(world.publisher().prune()).unwrap() > 0, "an hour later, unfinished content is unused");
}

#[test]
fn nothing_is_pruned_when_the_live_release_object_is_gone() {
    let world = with_old_releases();
    let live = world.bucket.live().unwrap();
    world.bucket.remove(&release_key(live.release));
    let before = keys(&world);
    let error = block_on(world.publisher().prune()).unwrap_err();
    assert!(error.to_string().contains("run reconcile"), "{error}");
    assert_eq!(keys(&world), before);
    block_on(world.publisher().repair(CompareScope::All)).unwrap();
    assert!(block_on(world.publisher().prune()).unwrap() > 0);
    world.check();
}

/// Actions that make the oldest release live again, or reuse its content.
fn going_back() -> [Act; 4] {
    [Act::Rollback(0), Act::Refresh(None), Act::Refetch, Act::Restore]
}

/// A world that is about to prune content that another action needs.
fn about_to(act: Act) -> World {
    let world = with_old_releases();
    match act {
        // The commit takes back all edits.
        Act::Refresh(_) | Act::Refetch => world.branch.commit(tree_of(&[(0, 0), (1, 0), (10, 0)])),
        Act::Restore => world.bucket.remove(INDEX_KEY),
        _ => {}
    }
    world
}

#[test]
fn release_that_goes_live_between_two_writes_of_a_prune_is_whole() {
    let mut tried = 0;
    for act in going_back() {
        for write in 0.. {
            // The prune reads an index before it gets lost.
            let world = about_to(if matches!(act, Act::Restore) { Act::Verify } else { act });
            let (other, done) = (world.clone(), Arc::new(Mutex::new(None)));
            let result = Arc::clone(&done);
            let acting = Box::pin(async move {
                if matches!(act, Act::Restore) {
                    other.bucket.remove(INDEX_KEY);
                    // Left by a rollback that was killed before its commit.
                    other.registry.retag("devfile-index", Branch::named(0).as_str(), "latest");
                }
                // Not stopped itself, and with writes of its own.
                let other = other.with_fuse(Fuse::default());
                *result.lock().unwrap() = Some(other.act(act).await);
            });
            world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, acting));
            let _ = block_on(world.publisher().prune());
            let Some(result) = done.lock().unwrap().take() else { break };
            assert!(result.is_ok(), "{act:?} before write {write}: {result:?}");
            tried += 1;
            world.check();
            world.check_recent();
        }
    }
    assert!(tried > 15, "only {tried} writes were preceded");
}

#[test]
fn prune_between_two_writes_of_a_publication_leaves_it_whole() {
    let mut tried = 0;
    for act in going_back() {
        for write in 0.. {
            let world = about_to(act);
            let (other, done) = (world.clone(), Arc::new(Mutex::new(false)));
            let result = Arc::clone(&done);
            let pruning = Box::pin(async move {
                let _ = other.with_fuse(Fuse::default()).publisher().prune().await;
                *result.lock().unwrap() = true;
            });
            world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, pruning));
            block_on(world.act(act)).unwrap();
            if !*done.lock().unwrap() {
                break;
            }
            tried += 1;
            world.check();
            world.check_recent();
        }
    }
    assert!(tried > 15, "only {tried} writes were preceded");
}

/// Even when something else than a prune removes it, at any time before the publication ends.
#[test]
fn object_that_vanishes_during_a_publication_is_written_again() {
    let mut tried = 0;
    for key in old_keys(&with_old_releases()) {
        for write in 0.. {
            let world = with_old_releases();
            let (bucket, vanished) = (world.bucket.clone(), Arc::new(Mutex::new(false)));
            let (result, key) = (Arc::clone(&vanished), key.clone());
            let vanishing = Box::pin(async move {
                bucket.remove(&key);
                *result.lock().unwrap() = true;
            });
            world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, vanishing));
            block_on(world.publisher().rollback(&Branch::named(0))).unwrap();
            if !*vanished.lock().unwrap() {
                break;
            }
            tried += 1;
            world.check();
        }
    }
    assert!(tried > 30, "only {tried} times");
}

/// Even when the publisher is dropped right after its commit.
#[test]
fn object_that_vanishes_early_in_a_publication_is_there_when_it_goes_live() {
    let world = with_old_releases();
    world.bucket.fuse.set(Some(1000));
    block_on(world.act(Act::Rollback(0))).unwrap();
    let all = 1000 - world.bucket.fuse.0.lock().unwrap().left.unwrap();
    let mut went_live = 0;
    for (key, write) in old_keys(&with_old_releases()).iter().flat_map(|key| (0..4).map(move |write| (key, write))) {
        for writes in all - 1..=all + 1 {
            let world = with_old_releases();
            let (bucket, key) = (world.bucket.clone(), key.clone());
            let rollback = async move |world: World| {
                let vanishing = Box::pin(async move { bucket.remove(&key) });
                world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, vanishing));
                world.act(Act::Rollback(0)).await
            };
            block_on(world.dropped_after(writes, rollback));
            world.check();
            went_live += u32::from(world.bucket.live().unwrap().commit_hash == Branch::named(0));
        }
    }
    assert!(went_live > 20, "only {went_live} times");
}

#[test]
fn prune_that_was_frozen_before_its_announcement_reads_the_index_again() {
    let world = with_old_releases();
    let other = world.with_fuse(Fuse::default());
    let acting = Box::pin(async move {
        other.act(Act::Rollback(0)).await.unwrap();
        wait(DAY);
    });
    world.bucket.fuse.0.lock().unwrap().meanwhile = Some((0, acting));
    block_on(world.publisher().prune()).unwrap();
    assert_eq!(world.bucket.live().unwrap().commit_hash, Branch::named(0));
    world.check();
}

#[test]
fn second_prune_leaves_the_work_to_the_first() {
    let world = with_old_releases();
    let (other, done) = (world.with_fuse(Fuse::default()), Arc::new(Mutex::new(None)));
    let result = Arc::clone(&done);
    let pruning = Box::pin(async move { *result.lock().unwrap() = Some(other.publisher().prune().await) });
    world.bucket.fuse.0.lock().unwrap().meanwhile = Some((2, pruning));
    assert!(block_on(world.publisher().prune()).unwrap() > 0);
    assert!(matches!(done.lock().unwrap().take(), Some(Ok(0))));
}

#[test]
fn prune_whose_time_is_over_leaves_the_rest_to_the_next() {
    let world = with_old_releases();
    let before = keys(&world);
    let sleeping = Box::pin(async { tokio::time::sleep(Duration::from_secs(61)).await });
    world.bucket.fuse.0.lock().unwrap().after_listing_blobs = Some(sleeping);
    assert_eq!(block_on(world.publisher().prune()).unwrap(), 0);
    assert_eq!(keys(&world), before);
    assert!(block_on(world.publisher().prune()).unwrap() > 0);
}
