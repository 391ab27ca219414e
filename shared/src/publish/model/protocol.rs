//! Random histories: commits, forced pushes, late triggers, rollbacks and repairs, by publishers that are killed and race, while the
//! OCI registry loses and damages blobs.

use proptest::prelude::*;

use super::prune::with_old_releases;
use super::*;
use crate::cache::RELEASES;
use crate::limits::PREVIEW_SECONDS;
use crate::upstream::offline::Known;

/// More time than any act takes.
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone)]
enum Step {
    /// The branch gets a commit with these stacks at these edits.
    Commit(Vec<(u8, u8)>),
    /// The branch is set to another commit.
    Reset(usize),
    /// Somebody is killed after so many writes.
    Killed(Act, u32),
    /// The answer to somebody's next conditional write gets lost.
    Echoed(Act),
    /// These happen at once; some are dropped in place of the write after so many.
    AtOnce(Vec<(Act, Option<u32>)>),
    /// So many seconds go by.
    Wait(i64),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// A trigger that names a commit, perhaps a late one, or none.
    Refresh(Option<usize>),
    Refetch,
    /// An invocation of one of a few publications, perhaps a repeated or a late one.
    Invoke(u64, u32),
    Rollback(usize),
    Unpin,
    Repair,
    Restore,
    Verify,
    Prune,
    /// The head of a proposal is pushed.
    Preview(u64, usize),
    /// An event of a head that the proposal may no longer have comes late.
    LatePreview(u64, usize),
    /// A proposal is closed.
    EndPreview(u64),
    /// The OCI registry loses a blob.
    Lose(usize),
    /// A blob of the OCI registry is cut off.
    Cut(usize),
}

impl World {
    fn known(&self, commit: usize) -> CommitSha {
        Branch::named(commit % self.branch.0.lock().unwrap().all.len())
    }

    pub(super) async fn act(&self, act: Act) -> Result<Option<Report>, PublishError> {
        let publisher = self.publisher();
        Ok(Some(match act {
            Act::Refresh(requested) => {
                publisher.refresh(requested.map(|requested| self.known(requested)).as_ref()).await?
            }
            Act::Refetch => publisher.follow(Cause { known: Known::FetchedAgain, ..Cause::default() }).await?,
            Act::Invoke(publication, number) => {
                let first = Invocation::first(tokio::time::Instant::now() + DAY, Budget::Function);
                let invocation = Some(Invocation { publication, number, ..first });
                publisher.follow(Cause { invocation, ..Cause::default() }).await?
            }
            Act::Rollback(commit) => publisher.rollback(&self.known(commit)).await?,
            Act::Unpin => publisher.unpin().await?,
            Act::Repair => publisher.repair(CompareScope::All).await?,
            Act::Restore => publisher.restore().await?,
            Act::Verify => {
                publisher.verify().await?;
                return Ok(None);
            }
            Act::Prune => {
                publisher.prune().await?;
                return Ok(None);
            }
            Act::Preview(number, commit) => {
                publisher.preview(&self.push(number, &self.known(commit))).await?;
                return Ok(None);
            }
            Act::LatePreview(number, commit) => {
                publisher.preview(&Self::late_event(number, &self.known(commit))).await?;
                return Ok(None);
            }
            Act::EndPreview(number) => {
                publisher.end_preview(number, Some(&now())).await?;
                return Ok(None);
            }
            Act::Lose(blob) => {
                self.registry.lose(blob);
                return Ok(None);
            }
            Act::Cut(blob) => {
                self.registry.cut(blob);
                return Ok(None);
            }
        }))
    }

    /// A successful rollback without a concurrent one leaves its target live and pinned.
    /// Those without a result were dropped.
    fn check_rollback(&self, acts: &[Act], results: &[Option<Result<Option<Report>, PublishError>>]) {
        let choices = acts.iter().filter(|act| matches!(act, Act::Rollback(_) | Act::Unpin));
        for (act, result) in acts.iter().zip(results) {
            if let (Act::Rollback(target), Some(Ok(Some(report))), 1) = (act, result, choices.clone().count()) {
                let live = self.bucket.live().unwrap();
                assert_eq!((live.commit_hash, live.pinned), (self.known(*target), Pin::Pinned), "{report:?}");
            }
        }
    }

    /// After a repair nothing lags: both stores have everything that `index.json` names, under every tag.
    pub(super) fn check_repaired(&self) {
        let verification = block_on(self.publisher().verify()).unwrap();
        assert_eq!(verification.problems, [""; 0]);
    }
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => prop::option::of(0_usize..20).prop_map(Act::Refresh),
        3 => (0_u64..3, 1_u32..3).prop_map(|(publication, number)| Act::Invoke(publication, number)),
        2 => (0_usize..20).prop_map(Act::Rollback),
        2 => Just(Act::Unpin),
        1 => Just(Act::Repair),
        1 => Just(Act::Restore),
        1 => Just(Act::Refetch),
        1 => Just(Act::Verify),
        3 => Just(Act::Prune),
        3 => (0_u64..5, 0_usize..20).prop_map(|(number, commit)| Act::Preview(number, commit)),
        2 => (0_u64..5, 0_usize..20).prop_map(|(number, commit)| Act::LatePreview(number, commit)),
        1 => (0_u64..5).prop_map(Act::EndPreview),
        2 => (0_usize..100).prop_map(Act::Lose),
        1 => (0_usize..100).prop_map(Act::Cut),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tree = prop::collection::btree_map(0_u8..5, 0_u8..3, 1..5)
        .prop_map(|stacks| Step::Commit(stacks.into_iter().collect()));
    let step = prop_oneof![
        4 => tree,
        1 => (0_usize..20).prop_map(Step::Reset),
        3 => (acts(), 0_u32..40).prop_map(|(act, writes)| Step::Killed(act, writes)),
        1 => acts().prop_map(Step::Echoed),
        5 => prop::collection::vec((acts(), prop::option::weighted(0.3, 0_u32..40)), 1..4).prop_map(Step::AtOnce),
        3 => prop::sample::select(vec![60, 1700, 1900, 3600, 7200, PREVIEW_SECONDS]).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Invariants 1 to 4 and 10 under kills, races, late triggers, forced pushes, deliberate steps back and collections, while time
    /// goes by: the live and the recent releases are always whole; the live one moves only to a head that the branch had meanwhile, or
    /// to the target of a rollback; pinned, it stays; and a refresh that is left alone brings everything in order. Previews show a head that their proposals had meanwhile, and closed ones stay closed.
    #[test]
    fn the_protocol_keeps_its_invariants(is_old in any::<bool>(), steps in steps()) {
        // One has something to prune at once, and something that a rollback needs again.
        let world = if is_old { with_old_releases() } else { World::new() };
        world.branch.commit(tree_of(&[(0, 0)]));
        for step in steps {
            let (before, proposals) = (world.bucket.live(), world.proposals());
            let mut targets: BTreeSet<CommitSha> = before.iter().map(|live| live.commit_hash.clone()).collect();
            let acts = match step {
                Step::Commit(stacks) => {
                    world.branch.commit(tree_of(&stacks));
                    vec![]
                }
                Step::Reset(to) => {
                    world.branch.reset(to);
                    vec![]
                }
                Step::Killed(act, writes) => {
                    world.bucket.fuse.set(Some(writes));
                    let _ = block_on(world.act(act));
                    world.bucket.fuse.set(None);
                    vec![act]
                }
                Step::Echoed(act) => {
                    world.bucket.fuse.0.lock().unwrap().echo = true;
                    block_on(world.act(act)).ok();
                    world.bucket.fuse.0.lock().unwrap().echo = false;
                    vec![act]
                }
                Step::AtOnce(acts) => {
                    let acting = futures_util::future::join_all(acts.iter().map(async |(act, writes)| match writes {
                        Some(writes) => world.dropped_after(*writes, async |world| world.act(*act).await).await,
                        None => Some(world.act(*act).await),
                    }));
                    let results = block_on(acting);
                    let acts: Vec<Act> = acts.into_iter().map(|(act, _)| act).collect();
                    world.check_rollback(&acts, &results);
                    acts
                }
                Step::Wait(seconds) => {
                    wait(seconds);
                    vec![]
                }
            };
            world.check();
            world.check_recent();
            world.check_previews();
            let pushed: Vec<(u64, CommitSha)> = acts.iter().filter_map(|act| match act {
                Act::Preview(number, commit) => Some((*number, world.known(*commit))),
                _ => None,
            }).collect();
            world.check_previews_since(&proposals, &pushed);
            let unpins = acts.iter().any(|act| matches!(act, Act::Unpin));
            let pinned = before.as_ref().is_some_and(|live| live.pinned == Pin::Pinned);
            for act in &acts {
                match act {
                    Act::Rollback(commit) => drop(targets.insert(world.known(*commit))),
                    // A lost release is built again from the head; that of a pinned one from its own commit.
                    Act::Refresh(_) | Act::Refetch | Act::Invoke(..) | Act::Repair if !pinned || unpins => {
                        targets.insert(block_on(world.branch.head()).unwrap());
                    }
                    // The newest that was recorded.
                    Act::Restore if before.is_none() => drop(targets.insert(block_on(world.branch.head()).unwrap())),
                    _ => {}
                }
            }
            if let (Some(live), Some(_)) = (world.bucket.live(), &before) {
                prop_assert!(targets.contains(&live.commit_hash), "{} is none of {targets:?}", live.commit_hash);
            }
        }
        // Left alone, it comes to rest at the head, and nothing lags.
        let publisher = world.publisher();
        let _ = block_on(publisher.unpin());
        let report = block_on(publisher.refresh(None)).unwrap();
        prop_assert!(matches!(report.outcome, Outcome::Published | Outcome::Unchanged));
        prop_assert_eq!(world.bucket.live().unwrap().commit_hash, block_on(world.branch.head()).unwrap());
        block_on(publisher.repair(CompareScope::All)).unwrap();
        world.check_repaired();
        let again = block_on(publisher.repair(CompareScope::All)).unwrap();
        prop_assert_eq!(again.repaired, Vec::<String>::new());
    }
}

/// Two commits that were live, the second still is, and a third that is the head.
fn between_commits(pin: Pin) -> World {
    let world = World::new();
    for edit in 0..3 {
        world.branch.commit(tree_of(&[(0, edit), (1, 0), (2 + edit, 0)]));
        if edit < 2 {
            block_on(world.publisher().refresh(None)).unwrap();
        }
    }
    if pin == Pin::Pinned {
        block_on(world.publisher().rollback(&Branch::named(1))).unwrap();
    }
    world
}

/// One act with another between any two of its writes: both succeed, the live release is whole, and no tag lags.
#[test]
fn action_between_any_two_writes_of_another_leaves_all_in_order() {
    let acts = [Act::Refresh(None), Act::Rollback(0), Act::Rollback(1), Act::Unpin, Act::Repair, Act::Restore];
    let mut tried = 0;
    let (following, pinned) = (Pin::Following, Pin::Pinned);
    let states = [(following, ""), (pinned, ""), (following, "registry"), (following, "index"), (pinned, "no index")];
    for (pin, damaged) in states {
        for (first, second) in acts.iter().flat_map(|first| acts.map(|second| (*first, second))) {
            for write in 0.. {
                let world = between_commits(pin);
                match damaged {
                    "registry" if !matches!(first, Act::Repair) => break,
                    "registry" => {
                        let mut manifests = world.registry.manifests.lock().unwrap();
                        manifests.retain(|(_, name), _| name.starts_with("sha256:") || name.ends_with("00"));
                    }
                    "index" | "no index" if matches!(first, Act::Rollback(_) | Act::Unpin) => break,
                    "index" => drop(world.bucket.write(INDEX_KEY, Bytes::from_static(b"{\"damaged\":"))),
                    "no index" => drop(world.bucket.objects.lock().unwrap().remove(INDEX_KEY)),
                    _ => {}
                }
                let doing = format!("{first:?}, with {second:?} before write {write}, {pin:?}, damaged: {damaged}");
                let other = Arc::new(Mutex::new(None));
                let (meanwhile, result) = (world.clone(), Arc::clone(&other));
                let act = Box::pin(async move {
                    let done = meanwhile.act(second).await;
                    *result.lock().unwrap() = Some(done);
                });
                world.bucket.fuse.0.lock().unwrap().meanwhile = Some((write, act));
                let result = block_on(world.act(first));
                let Some(other) = other.lock().unwrap().take() else { break };
                tried += 1;
                assert!(result.is_ok() && other.is_ok(), "{doing}: {result:?}, {other:?}");
                world.check_rollback(&[first, second], &[Some(result), Some(other)]);
                world.check();
                let problems = block_on(world.publisher().verify()).unwrap().problems;
                assert_eq!(problems, [""; 0], "{doing}");
            }
        }
    }
    assert!(tried > 100, "only {tried} writes were interrupted");
}

#[test]
fn a_commit_whose_answer_got_lost_is_a_commit() {
    for (pin, act, live) in [
        (Pin::Following, Act::Refresh(None), 2),
        (Pin::Following, Act::Rollback(0), 0),
        (Pin::Following, Act::Rollback(1), 1),
        (Pin::Pinned, Act::Unpin, 1),
        (Pin::Following, Act::Restore, 1),
    ] {
        let world = between_commits(pin);
        if matches!(act, Act::Restore) {
            world.bucket.objects.lock().unwrap().remove(INDEX_KEY);
        }
        world.bucket.fuse.0.lock().unwrap().echo = true;
        let report = block_on(world.act(act)).unwrap().unwrap();
        assert!(report.writes.bucket > 0, "{act:?}: {report:?}");
        let index = world.bucket.live().unwrap();
        assert_eq!(index.commit_hash, Branch::named(live), "{act:?}");
        assert_eq!(index.pinned == Pin::Pinned, matches!(act, Act::Rollback(_)), "{act:?}");
    }
}

/// A reader of a release object takes it for a release that the OCI registry has.
#[test]
fn release_object_is_written_after_all_that_it_names() {
    let mut found = 0;
    for writes in 0.. {
        let world = between_commits(Pin::Following);
        let before = world.bucket.live().unwrap();
        let done = block_on(world.dropped_after(writes, async |world| world.act(Act::Refresh(None)).await));
        let objects = world.bucket.objects.lock().unwrap().clone();
        for key in objects.into_keys().filter(|key| key.starts_with(RELEASES)) {
            let release = key[RELEASES.len()..].trim_end_matches(".json");
            let release =
                world.release(&LiveIndex { release: format!("sha256:{release}").parse().unwrap(), ..before.clone() });
            if release.outline.commit_hash != Branch::named(2) {
                continue;
            }
            found += 1;
            for version in &release.content.versions {
                let tagged = world.registry.tag(&format!("devfile-catalog/{}", version.stack), &version.version);
                assert_eq!(tagged, Some(version.manifest), "before write {writes}");
            }
            for tag in [Branch::named(2).as_str(), "latest"] {
                let tagged = world.registry.manifest_of(tag);
                assert!(
                    tagged
                        .is_some_and(|manifest| manifest.contains(&format!("sha256:{}", &key[RELEASES.len()..][..64]))),
                    "before write {writes}"
                );
            }
        }
        if done.is_some() {
            break;
        }
    }
    assert!(found >= 2, "before and after index.json: {found}");
}
