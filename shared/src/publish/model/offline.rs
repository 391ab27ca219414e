//! Offline registries in the protocol: fetched content is stored before anything names it, whenever a publisher is killed.

use super::*;
use crate::fetch::server::{TestServer, ok};
use crate::upstream::offline::tests::{fetcher, zip};

#[tokio::test]
async fn a_publisher_that_is_killed_while_it_fetches_leaves_nothing_half() {
    let clay = zip("README.md", "clay");
    let server = TestServer::start(move |path, _| match path {
        "/clay.zip" => ok(&clay, ""),
        _ => ok(b"schemaVersion: 2.2.0\n", ""),
    })
    .await;
    let text = format!(
        "{}parent: {{uri: \"{}\"}}\nstarterProjects:\n- {{name: clay, zip: {{location: \"{}\"}}}}\n",
        devfile("stack-1", "1.0.0"),
        server.url("/parent.yaml"),
        server.url("/clay.zip")
    );
    let mut completed = None;
    for writes in 0.. {
        let world = World::new();
        world.branch.commit(tree_of(&[(2, 0)]));
        world.publisher().refresh(None).await.unwrap();
        world
            .branch
            .commit(tree(&[("stacks/stack-1/devfile.yaml", &text), ("stacks/stack-2/devfile.yaml", "not read")]));
        let publisher = || Publisher { fetcher: fetcher("stack-1"), ..world.publisher() };
        world.bucket.fuse.set(Some(writes));
        let killed = publisher().refresh(None).await.is_err();
        world.check();
        world.bucket.fuse.set(None);
        publisher().refresh(None).await.unwrap();
        world.check();
        let live = world.bucket.live().unwrap();
        let release = world.release(&live);
        let fetched = &release.content.versions[0].offline.as_ref().unwrap().files;
        assert_eq!(fetched.len(), 2);
        for file in fetched.values() {
            assert!(world.registry.blobs.lock().unwrap().contains_key(&("devfile-index".to_owned(), file.digest)));
        }
        assert_eq!(*completed.get_or_insert(live.release), live.release, "the same release, whenever it was stopped");
        if !killed {
            assert!(writes > 12, "it was killed in every step");
            return;
        }
    }
}
