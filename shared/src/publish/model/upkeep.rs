//! Restoring and repairing, one after the other, in the stores of the model.

use super::*;
use crate::release::RULES;

/// A world with one published release, with files that no artifact carries.
pub(super) fn published() -> World {
    let world = World::new();
    world.branch.commit(with_owners(0));
    block_on(world.publisher().refresh(None)).unwrap();
    world
}

pub(super) fn with_owners(edit: u8) -> Tree {
    let mut tree = tree_of(&[(1, edit), (2, 0)]);
    for (path, content) in [("stacks/stack-1/OWNERS", "somebody"), ("stacks/stack-2/empty.txt", "")] {
        tree.insert(TreePath::parse(path).unwrap(), File::plain(content)).unwrap();
    }
    tree
}

pub(super) fn keys(world: &World) -> Vec<String> {
    world.bucket.objects.lock().unwrap().keys().cloned().collect()
}

#[test]
fn an_empty_bucket_is_rebuilt_whole() {
    let world = published();
    let before: BTreeMap<String, Bytes> =
        world.bucket.objects.lock().unwrap().iter().map(|(key, (bytes, _))| (key.clone(), bytes.clone())).collect();
    world.bucket.objects.lock().unwrap().clear();
    // Without the repository.
    world.branch.0.lock().unwrap().all.clear();
    let report = block_on(world.publisher().restore()).unwrap();
    assert_eq!((report.outcome, report.repaired.len()), (Outcome::Published, before.len()));
    let after: BTreeMap<String, Bytes> =
        world.bucket.objects.lock().unwrap().iter().map(|(key, (bytes, _))| (key.clone(), bytes.clone())).collect();
    assert_eq!(after, before);
}

/// Makes the live release one that software with the rules before these published, from the same commit.
fn by_older_rules(world: &World) -> LiveIndex {
    let live = world.bucket.live().unwrap();
    let release = world.bucket.object(&release_key(live.release)).unwrap().bytes;
    let mut outline: serde_json::Value = serde_json::from_slice(&release).unwrap();
    outline["rules"] = (RULES - 1).into();
    let bytes = Bytes::from(outline.to_string());
    let older = LiveIndex { release: Digest::of(&bytes), rules: RULES - 1, ..live.clone() };
    world.bucket.write(&release_key(older.release), bytes);
    world.bucket.write(INDEX_KEY, older.to_bytes());
    live
}

#[test]
fn release_of_older_rules_is_replaced_by_the_next_refresh_of_the_same_commit() {
    let world = published();
    let live = by_older_rules(&world);
    let report = block_on(world.publisher().refresh(None)).unwrap();
    assert_eq!(report.outcome, Outcome::Published);
    let after = world.bucket.live().unwrap();
    assert_eq!((after.release, after.rules), (live.release, RULES));
    assert_eq!(block_on(world.publisher().refresh(None)).unwrap().outcome, Outcome::Unchanged);
    world.check();
}

#[test]
fn release_of_newer_rules_is_left_to_newer_software() {
    let world = published();
    let newer = LiveIndex { rules: RULES + 1, ..world.bucket.live().unwrap() };
    world.bucket.write(INDEX_KEY, newer.to_bytes());
    assert_eq!(block_on(world.publisher().refresh(None)).unwrap().outcome, Outcome::Unchanged);
}

#[test]
fn content_that_both_stores_lost_comes_from_the_repository() {
    let world = published();
    world.bucket.objects.lock().unwrap().retain(|key, _| !key.starts_with("blobs/"));
    world.registry.blobs.lock().unwrap().retain(|(repository, _), _| repository == "devfile-index");
    world.registry.manifests.lock().unwrap().retain(|(repository, _), _| repository == "devfile-index");
    let report = block_on(world.publisher().repair(CompareScope::All)).unwrap();
    assert!(report.repaired.iter().any(|line| line.contains("devfile-catalog/stack-1:1.0.0")), "{report:?}");
    world.check_repaired();
}

#[test]
fn a_release_that_is_gone_from_both_stores_is_built_again() {
    let (world, live) = forgotten();
    let report = block_on(world.publisher().repair(CompareScope::All)).unwrap();
    assert_eq!(report.outcome, Outcome::Published);
    assert_eq!(world.bucket.live().unwrap().release, live.release, "the same commit gives the same bytes");
    world.check_repaired();
}

#[test]
fn wrong_bytes_of_the_right_length_are_restored() {
    let world = published();
    let text = devfile("stack-2", "1.0.0") + "# 0\n";
    let key = blob_key(Digest::of(text.as_bytes()));
    world.bucket.write(&key, vec![b'x'; text.len()].into());
    let report = block_on(world.publisher().restore()).unwrap();
    assert_eq!(report.repaired, [format!("bucket: {key}")]);
    world.check_repaired();
}

#[test]
fn an_archive_is_fetched_once_for_all_its_files() {
    let world = World::new();
    let mut tree = tree_of(&[(1, 0)]);
    for file in 0..20 {
        let path = TreePath::parse(&format!("stacks/stack-1/k8s/{file}.yaml")).unwrap();
        tree.insert(path, File::plain(format!("content {file}"))).unwrap();
    }
    world.branch.commit(tree);
    block_on(world.publisher().refresh(None)).unwrap();
    world.branch.commit(tree_of(&[(2, 0)]));
    block_on(world.publisher().refresh(None)).unwrap();
    world.bucket.objects.lock().unwrap().retain(|key, _| !key.starts_with("blobs/"));
    world.registry.read.lock().unwrap().clear();
    block_on(world.publisher().rollback(&Branch::named(0))).unwrap();
    let read = world.registry.read.lock().unwrap().clone();
    // The devfile; the archive as a layer, and for its files.
    assert_eq!(read.iter().filter(|repository| *repository == "devfile-catalog/stack-1").count(), 3, "{read:?}");
    world.check();
}

/// A world whose live release is gone from both stores.
fn forgotten() -> (World, LiveIndex) {
    let world = published();
    let live = world.bucket.live().unwrap();
    world.bucket.objects.lock().unwrap().remove(&release_key(live.release));
    world.registry.manifests.lock().unwrap().retain(|(repository, _), _| repository != "devfile-index");
    (world, live)
}

#[test]
fn release_that_both_stores_lost_is_built_again_as_it_was() {
    let (world, live) = forgotten();
    world.branch.commit(with_owners(1));
    block_on(world.publisher().repair(CompareScope::All)).unwrap();
    assert_eq!(world.bucket.live().unwrap().release, live.release);
}

#[test]
fn release_that_is_built_again_with_errors_is_refused_when_strict() {
    let world = World::new();
    let mut tree = tree_of(&[(1, 0)]);
    tree.insert(TreePath::parse("stacks/bad/devfile.yaml").unwrap(), File::plain("schemaVersion: [")).unwrap();
    world.branch.commit(tree);
    block_on(world.publisher().refresh(None)).unwrap();
    let live = world.bucket.live().unwrap();
    world.bucket.objects.lock().unwrap().remove(&release_key(live.release));
    world.registry.manifests.lock().unwrap().retain(|(repository, _), _| repository != "devfile-index");
    let strict = Publisher { strictness: Strictness::Strict, ..world.publisher() };
    assert_eq!(block_on(strict.repair(CompareScope::All)).unwrap().outcome, Outcome::Rejected);
    assert!(world.bucket.object(&release_key(live.release)).is_none());
}

#[test]
fn blobs_lost_or_cut_under_intact_tags_are_pushed_again() {
    for scope in [CompareScope::All, CompareScope::Slice] {
        let world = published();
        let count = world.registry.blobs.lock().unwrap().len();
        for number in 0..count {
            world.registry.lose(number);
            let repaired = block_on(world.publisher().repair(scope)).unwrap().repaired;
            assert_eq!(repaired.len(), 1, "{number}: {repaired:?}");
            let repaired = &repaired[0];
            assert!(repaired.starts_with("registry: devfile-") && repaired.contains("@sha256:"), "{repaired}");
            world.registry.cut(number);
            assert_eq!(block_on(world.publisher().repair(scope)).unwrap().repaired, [repaired.as_str()]);
            world.check_repaired();
        }
        assert!(count > 10, "{count}");
        world.registry.lose_all();
        let repaired = block_on(world.publisher().repair(scope)).unwrap().repaired;
        assert_eq!(repaired.len(), count, "{repaired:?}");
        assert!(repaired.iter().any(|line| line.contains("devfile-catalog/stack-1@") && line.ends_with(" of 1.0.0")));
    }
}

/// Ways to damage `index.json`: its new bytes, or `None` to remove it.
const DAMAGES: [fn(&str) -> Option<String>; 7] = [
    |_| None,
    |_| Some(String::new()),
    |_| Some("<html>".to_owned()),
    |index| Some(index[..index.len() / 2].to_owned()),
    |index| Some(index.replace("\"pinned\":true,", "")),
    |index| Some(index.replace("stack-1", "stack-3")),
    |index| Some(index.replacen("2026", "2025", 1)),
];

impl World {
    /// Damages `index.json`; false when that way changes nothing.
    fn damage_index(&self, damage: fn(&str) -> Option<String>) -> bool {
        let good = self.bucket.object(INDEX_KEY).unwrap().bytes;
        let text = std::str::from_utf8(&good).unwrap();
        let damaged = damage(text);
        let changed = damaged.as_deref() != Some(text);
        match damaged {
            Some(damaged) => drop(self.bucket.write(INDEX_KEY, damaged.into())),
            None => drop(self.bucket.objects.lock().unwrap().remove(INDEX_KEY)),
        }
        changed
    }
}

/// A world with two releases; pinned to the first of them, or at the head.
fn with_two_releases(pin: Pin) -> (World, Bytes) {
    let world = published();
    world.branch.commit(with_owners(1));
    block_on(world.publisher().refresh(None)).unwrap();
    if pin == Pin::Pinned {
        block_on(world.publisher().rollback(&Branch::named(0))).unwrap();
    }
    let good = world.bucket.object(INDEX_KEY).unwrap().bytes;
    (world, good)
}

#[test]
fn damaged_index_is_restored_with_its_pin_by_the_first_action() {
    let cases = [(Pin::Following, false), (Pin::Following, true), (Pin::Pinned, false), (Pin::Pinned, true)];
    for ((pin, by_refresh), damage) in cases.into_iter().flat_map(|case| DAMAGES.map(|damage| (case, damage))) {
        let (world, good) = with_two_releases(pin);
        if !world.damage_index(damage) {
            continue;
        }
        let publisher = world.publisher();
        let report = match by_refresh {
            true => block_on(publisher.refresh(None)).unwrap(),
            false => block_on(publisher.repair(CompareScope::Slice)).unwrap(),
        };
        assert_eq!(report.repaired, ["bucket: index.json"]);
        assert_eq!(world.bucket.object(INDEX_KEY).unwrap().bytes, good);
        world.check_repaired();
    }
}

#[test]
fn blob_that_stays_damaged_is_named_and_the_others_are_repaired() {
    let world = published();
    let stubborn = MemoryRegistry { keeps_what_it_has: true, ..world.registry.clone() };
    let publisher = || Publisher { registry: stubborn.clone(), ..world.publisher() };
    world.registry.cut(1);
    world.registry.lose(3);
    let error = block_on(publisher().repair(CompareScope::All)).unwrap_err();
    let (repository, blob) = world.registry.blobs.lock().unwrap().keys().nth(1).cloned().unwrap();
    assert!(matches!(&error, PublishError::StuckBlob(named) if named.contains(&format!("{repository}@{blob}"))));
    assert!(error.to_string().starts_with("cannot repair the blob devfile-catalog/stack-1@sha256:"), "{error}");
    assert_eq!(block_on(publisher().verify()).unwrap().problems.len(), 1);
}

#[test]
fn refresh_pushes_what_the_registry_lost_and_its_manifests_name() {
    let world = published();
    world.registry.lose_all();
    world.branch.commit(with_owners(1));
    assert_eq!(block_on(world.publisher().refresh(None)).unwrap().outcome, Outcome::Published);
    world.check();
    block_on(world.publisher().repair(CompareScope::All)).unwrap();
    world.check_repaired();
}

#[test]
fn restoring_an_index_goes_on_after_it_was_killed_at_any_write() {
    let (_, good) = with_two_releases(Pin::Pinned);
    for writes in 0.. {
        let (world, _) = with_two_releases(Pin::Pinned);
        world.bucket.objects.lock().unwrap().clear();
        world.bucket.fuse.set(Some(writes));
        let result = block_on(world.publisher().refresh(None));
        world.bucket.fuse.set(None);
        world.check();
        let report = block_on(world.publisher().refresh(None)).unwrap();
        assert!(report.pinned && report.outcome == Outcome::Superseded, "{report:?}");
        assert_eq!(world.bucket.object(INDEX_KEY).unwrap().bytes, good);
        world.check_repaired();
        if result.is_ok() {
            assert!(writes > 10);
            return;
        }
    }
}

/// Tags move before the commit point, so a killed publication leaves `latest` at an index that never was live.
#[test]
fn index_of_a_publication_that_did_not_end_is_not_restored_in_place_of_a_damaged_one() {
    let killed = |writes| {
        let (world, good) = with_two_releases(Pin::Following);
        world.bucket.fuse.set(Some(writes));
        block_on(world.publisher().rollback(&Branch::named(0))).unwrap_err();
        world.bucket.fuse.set(None);
        let tag = |name| world.registry.tag("devfile-index", name);
        let tagged = tag("latest") == tag(Branch::named(0).as_str());
        tagged.then_some((world, good))
    };
    for damage in &DAMAGES[3..] {
        let (world, good) = (0..).find_map(killed).unwrap();
        if world.damage_index(*damage) {
            block_on(world.publisher().repair(CompareScope::Slice)).unwrap();
            assert_eq!(world.bucket.object(INDEX_KEY).unwrap().bytes, good);
            world.check_repaired();
        }
    }
}

#[test]
fn damaged_index_that_was_never_recorded_is_left_alone() {
    let (world, _) = with_two_releases(Pin::Following);
    world.registry.manifests.lock().unwrap().clear();
    world.bucket.write(INDEX_KEY, Bytes::from_static(b"{"));
    let error = block_on(world.publisher().refresh(None)).unwrap_err();
    assert!(matches!(error, PublishError::NoSuchRelease { .. }) && error.to_string().contains("remove it"), "{error}");
    world.bucket.objects.lock().unwrap().remove(INDEX_KEY);
    assert_eq!(block_on(world.publisher().refresh(None)).unwrap().outcome, Outcome::Published);
    world.check_repaired();
}

#[test]
fn wrong_bytes_of_the_right_length_are_repaired_by_the_schedule() {
    let world = published();
    let live = world.bucket.live().unwrap();
    let blobs = world.release(&live).blobs();
    for (blob, size) in &blobs {
        world.bucket.write(&blob_key(*blob), vec![b'x'; *size as usize].into());
    }
    let report = block_on(world.publisher().repair(CompareScope::Slice)).unwrap();
    // An empty blob cannot be damaged.
    assert_eq!(report.repaired.len(), blobs.values().filter(|size| **size > 0).count(), "{report:?}");
    world.check_repaired();
    assert_eq!(block_on(world.publisher().repair(CompareScope::Slice)).unwrap().repaired, [""; 0]);
}

#[test]
fn wrong_bytes_that_nothing_can_replace_are_not_called_repaired() {
    let world = published();
    let text = devfile("stack-2", "1.0.0") + "# 0\n";
    let blob = Digest::of(text.as_bytes());
    world.bucket.write(&blob_key(blob), vec![b'x'; text.len()].into());
    world.registry.blobs.lock().unwrap().retain(|(_, name), _| *name != blob);
    world.branch.0.lock().unwrap().all[0].0 = tree_of(&[(1, 0)]);
    for scope in [CompareScope::Slice, CompareScope::All] {
        let error = block_on(world.publisher().repair(scope)).unwrap_err();
        assert!(matches!(error, PublishError::MissingBlob(lost) if lost == blob), "{error}");
    }
    let error = block_on(world.publisher().restore()).unwrap_err();
    assert!(matches!(error, PublishError::MissingBlob(lost) if lost == blob), "{error}");
}
