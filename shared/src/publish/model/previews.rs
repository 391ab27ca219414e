//! Previews in the stores of the model: opened, pushed, closed and expired while the branch moves.

use super::protocol::Act;
use super::upkeep::{keys, published, with_owners};
use super::*;
use crate::cache::{PREVIEWS, preview_key};
use crate::limits::{KEPT_SECONDS, LIVING_PREVIEWS, PREVIEW_SECONDS, WITHDRAWN_SECONDS};
use crate::preview::{Preview, Proposed};
use crate::registry::ReadOnly;

const DAY: i64 = 24 * 3600;

pub(super) fn proposed(number: u64, commit_hash: CommitSha) -> Proposed {
    let url = format!("https://example.org/registry/pull/{number}");
    Proposed {
        number,
        commit_hash,
        title: "A change".to_owned(),
        author: "potter".to_owned(),
        url,
        base_branch: String::new(),
        reference: None,
        changed_at: None,
    }
}

fn reference(number: u64) -> String {
    format!("refs/pull/{number}/head")
}

/// An event of a proposal as its host sends it: the head counts only while it is one.
fn event(number: u64, head: &CommitSha, changed_at: &Timestamp) -> Proposed {
    let (reference, changed_at) = (Some(reference(number)), Some(changed_at.clone()));
    Proposed { reference, changed_at, ..proposed(number, head.clone()) }
}

/// The proposals and their previews before a step.
pub(super) struct ProposalsBefore {
    heads: BTreeMap<String, usize>,
    previews: BTreeMap<u64, Preview>,
}

impl World {
    /// Notes the proposals and their previews, for [`World::check_previews_since`].
    pub(super) fn proposals(&self) -> ProposalsBefore {
        let heads = self.branch.0.lock().unwrap().proposals.clone();
        let previews = block_on(self.publisher().previews()).unwrap();
        ProposalsBefore { heads, previews: previews.into_iter().map(|preview| (preview.number, preview)).collect() }
    }

    /// A preview that changed shows a head that its proposal had meanwhile. That of a closed proposal opens by a new push alone.
    pub(super) fn check_previews_since(&self, before: &ProposalsBefore, pushed: &[(u64, CommitSha)]) {
        for (number, head) in self.previewed() {
            let earlier = before.previews.get(&number);
            let is_pushed = pushed.iter().any(|(other, commit)| (*other, commit) == (number, &head));
            let was_head = before.heads.get(&reference(number)) == Some(&Branch::number(&head));
            let is_same = earlier.is_some_and(|earlier| earlier.commit_hash == head);
            assert!(is_same || is_pushed || was_head, "{number} goes back to {head}");
            let withdrawn = earlier.and_then(|earlier| earlier.withdrawn_at.as_ref());
            let age = withdrawn.map(|at| now().instant().as_second() - at.instant().as_second());
            let is_marked = earlier.is_some_and(|earlier| earlier.ended_at.is_some());
            if is_marked && age.is_some_and(|age| age < WITHDRAWN_SECONDS) {
                assert!(pushed.iter().any(|(other, _)| *other == number), "{number} opens again by itself");
            }
        }
    }

    /// Commits a tree beside the branch, as the head of a proposal.
    fn propose(&self, tree: Tree) -> CommitSha {
        let mut commits = self.branch.0.lock().unwrap();
        let head = commits.head;
        commits.all.push((tree, Some(head)));
        Branch::named(commits.all.len() - 1)
    }

    /// Moves the head of a proposal, and returns the event of that.
    pub(super) fn push(&self, number: u64, head: &CommitSha) -> Proposed {
        self.branch.0.lock().unwrap().proposals.insert(reference(number), Branch::number(head));
        event(number, head, &now())
    }

    /// The event of a push long ago, which comes again.
    pub(super) fn late_event(number: u64, head: &CommitSha) -> Proposed {
        event(number, head, &start())
    }

    /// The heads of living previews.
    pub(super) fn previewed(&self) -> BTreeMap<u64, CommitSha> {
        let previews = block_on(self.publisher().previews()).unwrap().into_iter();
        let living = previews.filter(|preview| preview.is_living(now().instant()));
        living.map(|preview| (preview.number, preview.commit_hash)).collect()
    }

    fn stored_preview(&self, number: u64) -> Option<Preview> {
        Some(Preview::from_bytes(number, &self.bucket.object(&preview_key(number))?.bytes).unwrap())
    }

    /// The bucket has every living preview whole.
    pub(super) fn check_previews(&self) {
        let Some(live) = self.bucket.live() else { return };
        let numbers: Vec<u64> = keys(self).iter().filter_map(|key| Preview::number_of(key)).collect();
        for preview in numbers.into_iter().filter_map(|number| self.stored_preview(number)) {
            if !preview.is_living(now().instant()) {
                continue;
            }
            let release = self.release(&LiveIndex { release: preview.release, ..live.clone() });
            assert_eq!(release.outline.commit_hash, preview.commit_hash);
            for blob in release.blobs().into_keys() {
                let stored = self.bucket.object(&blob_key(blob)).expect("every blob of a preview is in the bucket");
                assert_eq!(Digest::of(&stored.bytes), blob);
            }
        }
    }

    fn living(&self) -> Vec<u64> {
        self.previewed().into_keys().collect()
    }
}

#[test]
fn preview_writes_what_it_changes_and_neither_the_index_nor_the_registry() {
    let world = World::new();
    let all: Vec<(u8, u8)> = (0..40).map(|stack| (stack, 0)).collect();
    world.branch.commit(tree_of(&all));
    block_on(world.publisher().refresh(None)).unwrap();
    let index = world.bucket.object(INDEX_KEY).unwrap().bytes;
    let record = |world: &World| {
        (world.registry.blobs.lock().unwrap().clone(), world.registry.manifests.lock().unwrap().clone())
    };
    let before = record(&world);
    let mut edited = all.clone();
    edited[7].1 = 1;
    let head = world.propose(tree_of(&edited));
    world.branch.0.lock().unwrap().read = 0;
    let report = block_on(world.publisher().preview(&proposed(7, head.clone()))).unwrap();
    assert_eq!(world.branch.0.lock().unwrap().read, 2, "the two files of one stack");
    // A devfile, the document with it, the release, and the preview.
    assert_eq!(report.writes, 4);
    let preview = report.preview.unwrap();
    assert_eq!(preview.changes.changed, ["stacks/stack-7".to_owned()].into());
    assert_eq!((preview.commit_hash, preview.base), (head, world.bucket.live().unwrap().release));
    assert_eq!(report.diff.entries.len(), 1);
    assert_eq!(world.bucket.object(INDEX_KEY).unwrap().bytes, index);
    assert_eq!(record(&world), before);
    world.check();
    world.check_previews();
}

#[test]
fn preview_before_anything_is_live_is_refused() {
    let world = World::new();
    world.branch.commit(with_owners(0));
    let head = world.propose(with_owners(1));
    let refused = block_on(world.publisher().preview(&proposed(1, head)));
    assert!(matches!(refused, Err(PublishError::NothingLive)), "{refused:?}");
    assert!(keys(&world).is_empty());
}

#[test]
fn pushed_preview_keeps_its_time_of_opening_and_closed_one_ends() {
    let world = published();
    let first = world.propose(with_owners(1));
    block_on(world.publisher().preview(&proposed(1, first))).unwrap();
    block_on(world.publisher().note_comment(1, 99)).unwrap();
    wait(60);
    let second = world.propose(with_owners(2));
    let pushed = block_on(world.publisher().preview(&proposed(1, second.clone()))).unwrap().preview.unwrap();
    assert_eq!((pushed.opened_at, pushed.comment), (start(), Some(99)));
    assert_eq!((pushed.updated_at, pushed.commit_hash), (now(), second));
    assert_eq!(block_on(world.publisher().end_preview(1, None)).unwrap().outcome, PreviewOutcome::Ended);
    assert_eq!(block_on(world.publisher().end_preview(1, None)).unwrap().outcome, PreviewOutcome::Missing);
    assert_eq!(world.living(), [0; 0]);
}

#[test]
fn late_event_of_an_older_head_does_not_roll_a_preview_back() {
    let world = published();
    let first = world.propose(with_owners(1));
    let late = world.push(1, &first);
    block_on(world.publisher().preview(&late)).unwrap();
    wait(60);
    let second = world.propose(with_owners(2));
    block_on(world.publisher().preview(&world.push(1, &second))).unwrap();
    wait(60);
    let report = block_on(world.publisher().preview(&late)).unwrap();
    assert_eq!((report.outcome, report.writes), (PreviewOutcome::Superseded, 0));
    assert_eq!(world.previewed(), [(1, second.clone())].into());
    // Set back by its author, the proposal has the first head again.
    block_on(world.publisher().preview(&world.push(1, &first))).unwrap();
    assert_eq!(world.previewed(), [(1, first)].into());
}

#[test]
fn closed_proposal_stays_closed_for_late_events_and_opens_again_for_new_ones() {
    let world = published();
    let head = world.propose(with_owners(1));
    let opened = world.push(1, &head);
    block_on(world.publisher().preview(&opened)).unwrap();
    wait(60);
    let closed_at = now();
    assert_eq!(block_on(world.publisher().end_preview(1, Some(&closed_at))).unwrap().outcome, PreviewOutcome::Ended);
    for pause in [0, 60, KEPT_SECONDS] {
        wait(pause);
        block_on(world.publisher().prune()).unwrap();
        let late = block_on(world.publisher().preview(&opened)).unwrap();
        assert_eq!(late.outcome, PreviewOutcome::Superseded);
        assert_eq!(world.living(), [0; 0]);
    }
    block_on(world.publisher().preview(&world.push(1, &head))).unwrap();
    assert_eq!(world.living(), [1], "it was opened again");
    let repeated = block_on(world.publisher().end_preview(1, Some(&closed_at))).unwrap();
    assert_eq!((repeated.outcome, world.living()), (PreviewOutcome::Missing, vec![1]));
    let repeated = block_on(world.publisher().preview(&opened)).unwrap();
    assert_eq!(repeated.outcome, PreviewOutcome::Superseded);
    wait(60);
    block_on(world.publisher().end_preview(1, Some(&now()))).unwrap();
    wait(WITHDRAWN_SECONDS);
    block_on(world.publisher().prune()).unwrap();
    assert!(world.stored_preview(1).is_none(), "the mark is removed after a day");
}

#[test]
fn proposal_that_is_closed_before_its_preview_is_built_gets_none() {
    for write in 0..8 {
        let world = published();
        let opened = world.push(1, &world.propose(with_owners(1)));
        wait(60);
        let other = world.clone();
        let meanwhile = Box::pin(async move { drop(other.publisher().end_preview(1, Some(&now())).await.unwrap()) });
        world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, meanwhile));
        let report = block_on(world.publisher().preview(&opened)).unwrap();
        let is_between = world.bucket.fuse.0.lock().unwrap().meanwhile.is_none();
        assert_eq!(world.living().is_empty(), is_between, "{write}: {report:?}");
        world.check_previews();
    }
    let world = published();
    let opened = world.push(1, &world.propose(with_owners(1)));
    let marked = block_on(world.publisher().end_preview(1, Some(&now()))).unwrap();
    assert_eq!((marked.outcome, marked.writes), (PreviewOutcome::Missing, 1));
    assert_eq!(block_on(world.publisher().preview(&opened)).unwrap().outcome, PreviewOutcome::Superseded);
}

#[test]
fn newer_head_that_is_pushed_while_an_older_one_is_built_wins() {
    for write in 0..8 {
        let world = published();
        let first = world.push(1, &world.propose(with_owners(1)));
        let second = world.propose(with_owners(2));
        let (other, head) = (world.clone(), second.clone());
        let meanwhile = Box::pin(async move {
            let pushed = other.push(1, &head);
            drop(other.publisher().preview(&pushed).await.unwrap());
        });
        world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, meanwhile));
        block_on(world.publisher().preview(&first)).unwrap();
        let is_between = world.bucket.fuse.0.lock().unwrap().meanwhile.is_none();
        assert!(!is_between || world.previewed() == [(1, second)].into(), "{write}");
        world.check_previews();
    }
}

#[test]
fn preview_is_kept_while_main_moves_and_collected_after_its_end() {
    let world = published();
    let head = world.propose(with_owners(9));
    block_on(world.publisher().preview(&proposed(1, head))).unwrap();
    let of_preview = world.stored_preview(1).unwrap().release;
    for edit in 1..8 {
        world.branch.commit(with_owners(edit));
        block_on(world.publisher().refresh(None)).unwrap();
        wait(DAY);
        block_on(world.publisher().prune()).unwrap();
        world.check_previews();
    }
    assert_eq!(world.living(), [1]);
    wait(PREVIEW_SECONDS - 7 * DAY - 1);
    assert_eq!(world.living(), [1]);
    wait(1);
    assert_eq!(world.living(), [0; 0], "its time is over");
    block_on(world.publisher().prune()).unwrap();
    assert!(world.stored_preview(1).unwrap().ended_at.is_some());
    wait(KEPT_SECONDS);
    block_on(world.publisher().prune()).unwrap();
    let left = keys(&world);
    assert!(!left.contains(&release_key(of_preview)) && !left.iter().any(|key| key.starts_with(PREVIEWS)), "{left:?}");
    world.check();
    world.check_recent();
}

#[test]
fn one_preview_too_many_ends_the_oldest() {
    let world = published();
    for number in 0..=LIVING_PREVIEWS as u64 {
        let head = world.propose(with_owners(1 + number as u8));
        let report = block_on(world.publisher().preview(&proposed(number, head))).unwrap();
        let expected: &[u64] = if number == LIVING_PREVIEWS as u64 { &[0] } else { &[] };
        assert_eq!(report.displaced, expected);
        wait(60);
    }
    assert_eq!(world.living(), [1, 2, 3]);
}

#[test]
fn preview_that_is_stopped_at_any_write_names_nothing_that_is_missing() {
    for writes in 0.. {
        let world = published();
        let head = world.propose(with_owners(1));
        let before = world.bucket.object(INDEX_KEY).unwrap().bytes;
        let act = proposed(1, head);
        let done = block_on(world.dropped_after(writes, async |world| world.publisher().preview(&act).await));
        assert_eq!(world.bucket.object(INDEX_KEY).unwrap().bytes, before);
        world.check_previews();
        block_on(world.publisher().preview(&act)).unwrap();
        world.check_previews();
        if done.is_some() {
            assert!(writes >= 4, "stopped at every write");
            return;
        }
    }
}

#[test]
fn preview_and_prune_at_once_keep_everything_that_a_preview_names() {
    for write in 0..12 {
        let world = published();
        // The blobs of the proposal are in the bucket, old, and named by nothing.
        world.branch.commit(with_owners(1));
        block_on(world.publisher().refresh(None)).unwrap();
        for edit in 2..8 {
            world.branch.commit(with_owners(edit));
            wait(DAY);
            block_on(world.publisher().refresh(None)).unwrap();
        }
        wait(DAY);
        let (other, act) = (world.clone(), proposed(1, world.propose(with_owners(1))));
        let meanwhile = Box::pin(async move { drop(other.publisher().preview(&act).await) });
        world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, meanwhile));
        // Its call may have taken too long, because the preview waits for its end.
        let _ = block_on(world.publisher().prune());
        world.check_previews();
        world.check_recent();
        wait(DAY);
        block_on(world.publisher().prune()).unwrap();
        world.check_previews();
    }
}

#[test]
fn damaged_preview_is_replaced_by_the_next_and_removed_otherwise() {
    let world = published();
    world.bucket.write(&preview_key(1), Bytes::from_static(b"{\"number\":1"));
    world.bucket.write(&preview_key(2), Bytes::from_static(b"{}"));
    let head = world.propose(with_owners(1));
    block_on(world.publisher().preview(&proposed(1, head))).unwrap();
    wait(DAY);
    block_on(world.publisher().prune()).unwrap();
    let left: Vec<String> = keys(&world).into_iter().filter(|key| key.starts_with(PREVIEWS)).collect();
    assert_eq!(left, [preview_key(1)]);
}

#[test]
fn read_only_registry_takes_nothing() {
    use crate::registry::Registry;
    let world = published();
    let before = world.registry.blobs.lock().unwrap().len();
    let registry = ReadOnly(world.registry.clone());
    let content = Bytes::from_static(b"clay");
    block_on(registry.push_blob("devfile-index", Digest::of(&content), content.clone())).unwrap();
    assert_eq!(world.registry.blobs.lock().unwrap().len(), before);
    assert!(!block_on(registry.has_blob("devfile-index", Digest::of(&content), 4)).unwrap());
}

#[test]
fn rollback_beside_a_preview_changes_nothing_of_it() {
    let world = published();
    let head = world.propose(with_owners(5));
    block_on(world.act(Act::Preview(1, usize::from_str_radix(head.as_str(), 16).unwrap()))).unwrap();
    world.branch.commit(with_owners(1));
    block_on(world.publisher().refresh(None)).unwrap();
    block_on(world.publisher().rollback(&Branch::named(0))).unwrap();
    block_on(world.publisher().repair(CompareScope::All)).unwrap();
    world.check_previews();
    assert_eq!(world.living(), [1]);
}
