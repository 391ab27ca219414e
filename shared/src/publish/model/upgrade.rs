//! Releases of the format before: live, quarantined and pinned content stays so after an upgrade.

use serde_json::{Value, json};

use super::upkeep::{published, with_owners};
use super::*;

/// Writes a document into both stores.
fn keep(world: &World, key: &str, bytes: Bytes) {
    let blob = ("devfile-index".to_owned(), Digest::of(&bytes));
    world.registry.blobs.lock().unwrap().insert(blob, bytes.clone());
    world.bucket.write(key, bytes);
}

/// Writes the live release as software of format 2 wrote it.
fn downgrade(world: &World, pin: Pin) {
    let index = world.bucket.live().unwrap();
    let read = |key: &str| -> Value { serde_json::from_slice(&world.bucket.object(key).unwrap().bytes).unwrap() };
    let mut outline = read(&release_key(index.release));
    let common: Digest = serde_json::from_value(outline["common"]["digest"].clone()).unwrap();
    let mut document = read(&blob_key(common));
    document["fetched"] = json!({});
    for icon in document["icons"].as_object_mut().unwrap().values_mut() {
        icon.as_object_mut().unwrap().retain(|name, _| !["named_by", "etag"].contains(&name.as_str()));
    }
    let bytes = Bytes::from(document.to_string());
    outline["common"] = json!({"digest": Digest::of(&bytes), "size": bytes.len()});
    keep(world, &blob_key(Digest::of(&bytes)), bytes);
    let fields = outline.as_object_mut().unwrap();
    fields.retain(|name, _| !["ids", "dependencies", "pending"].contains(&name.as_str()));
    fields.insert("format".into(), json!(2));
    fields.insert("rules".into(), json!(6));
    fields.insert("relatives".into(), json!({"stack-1": ["unknown", {"named": "stack-2"}]}));
    let bytes = Bytes::from(outline.to_string());
    let release = Digest::of(&bytes);
    keep(world, &release_key(release), bytes);
    let index = LiveIndex { release, rules: 6, pending: 0, ..index }.pinned(pin);
    world.bucket.write(INDEX_KEY, index.to_bytes());
}

/// A registry with a stack that was good once, and a release of the format before that has it quarantined.
fn quarantined(pin: Pin) -> World {
    let world = published();
    let mut files = with_owners(0);
    files.replace("stacks/stack-1/devfile.yaml", Bytes::from_static(b"schemaVersion: [")).unwrap();
    world.branch.commit(files);
    let report = block_on(world.publisher().refresh(None)).unwrap();
    assert_eq!(report.quarantined.len(), 1);
    downgrade(&world, pin);
    world
}

#[test]
fn quarantined_version_of_the_format_before_keeps_its_last_published_state() {
    let world = quarantined(Pin::Following);
    let before = world.bucket.live().unwrap().stacks.read().unwrap();
    let report = block_on(world.publisher().refresh(None)).unwrap();
    assert_eq!((report.outcome, report.quarantined.len()), (Outcome::Published, 1));
    assert_eq!(world.bucket.live().unwrap().stacks.read().unwrap(), before);
    assert_eq!(report.removed, Default::default());
    world.check();
    assert_eq!(block_on(world.publisher().refresh(None)).unwrap().outcome, Outcome::Unchanged);
}

#[test]
fn pinned_release_of_the_format_before_stays_until_it_is_unpinned() {
    let world = quarantined(Pin::Pinned);
    let before = world.bucket.live().unwrap();
    world.branch.commit(with_owners(1));
    assert_eq!(block_on(world.publisher().refresh(None)).unwrap().outcome, Outcome::Superseded);
    assert_eq!(world.bucket.live().unwrap(), before);
    assert!(block_on(world.publisher().prune()).is_ok());
    block_on(world.publisher().unpin()).unwrap();
    assert_eq!(world.bucket.live().unwrap().release, before.release);
    assert_eq!(block_on(world.publisher().refresh(None)).unwrap().outcome, Outcome::Published);
    world.check();
}
