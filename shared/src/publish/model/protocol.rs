//! Random histories: commits, forced pushes, late triggers, rollbacks and repairs, by publishers that are killed and race.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// The branch gets a commit with these stacks at these edits.
    Commit(Vec<(u8, u8)>),
    /// The branch is set to another commit.
    Reset(usize),
    /// Somebody is killed after so many writes.
    Killed(Act, u32),
    /// These happen at once.
    AtOnce(Vec<Act>),
}

#[derive(Debug, Clone, Copy)]
enum Act {
    /// A trigger that tells of a commit, perhaps a late one, or of none.
    Refresh(Option<usize>),
    Rollback(usize),
    Unpin,
    Repair,
    Restore,
    Verify,
}

impl World {
    fn known(&self, commit: usize) -> CommitSha {
        Branch::named(commit % self.branch.0.lock().unwrap().all.len())
    }

    async fn act(&self, act: Act) -> Result<Option<Report>, PublishError> {
        let publisher = self.publisher();
        Ok(Some(match act {
            Act::Refresh(told) => publisher.refresh(told.map(|told| self.known(told)).as_ref()).await?,
            Act::Rollback(commit) => publisher.rollback(&self.known(commit)).await?,
            Act::Unpin => publisher.unpin().await?,
            Act::Repair => publisher.repair().await?,
            Act::Restore => publisher.restore().await?,
            Act::Verify => {
                publisher.verify().await?;
                return Ok(None);
            }
        }))
    }

    /// After a repair nothing lags: both stores have what `index.json` names, under every tag.
    pub(super) fn check_repaired(&self) {
        let verification = block_on(self.publisher().verify()).unwrap();
        assert_eq!(verification.problems, [""; 0]);
    }
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => prop::option::of(0_usize..20).prop_map(Act::Refresh),
        2 => (0_usize..20).prop_map(Act::Rollback),
        2 => Just(Act::Unpin),
        1 => Just(Act::Repair),
        1 => Just(Act::Restore),
        1 => Just(Act::Verify),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tree = prop::collection::btree_map(0_u8..5, 0_u8..3, 1..5)
        .prop_map(|stacks| Step::Commit(stacks.into_iter().collect()));
    let step = prop_oneof![
        4 => tree,
        1 => (0_usize..20).prop_map(Step::Reset),
        3 => (acts(), 0_u32..40).prop_map(|(act, writes)| Step::Killed(act, writes)),
        4 => prop::collection::vec(acts(), 1..4).prop_map(Step::AtOnce),
    ];
    prop::collection::vec(step, 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Invariants 1 to 4 under kills, races, late triggers, forced pushes and deliberate steps back: what is live is always whole;
    /// it moves only to a head that the branch had meanwhile, or to the target of a rollback; pinned, it stays; and whoever is left
    /// alone brings everything in order.
    #[test]
    fn the_protocol_keeps_its_invariants(steps in steps()) {
        let world = World::new();
        world.branch.commit(tree_of(&[(0, 0)]));
        for step in steps {
            let before = world.bucket.live();
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
                Step::AtOnce(acts) => {
                    block_on(futures_util::future::join_all(acts.iter().map(|act| world.act(*act))));
                    acts
                }
            };
            world.check();
            let unpins = acts.iter().any(|act| matches!(act, Act::Unpin));
            let pinned = before.as_ref().is_some_and(|live| live.pinned == Pin::Pinned);
            for act in &acts {
                match act {
                    Act::Rollback(commit) => drop(targets.insert(world.known(*commit))),
                    // A lost release is built again from the head; that of a pinned one from its own commit.
                    Act::Refresh(_) | Act::Repair if !pinned || unpins => {
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
        block_on(publisher.repair()).unwrap();
        world.check_repaired();
        let again = block_on(publisher.repair()).unwrap();
        prop_assert_eq!(again.repaired, Vec::<String>::new());
    }
}
