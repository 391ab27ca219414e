//! Disks that are full or cannot be written, processes that are killed in the middle of a write, and several at once.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_util::future::join_all;
use serde_json::json;

use crate::fixture::{World, answer};

/// A limit for files that the shell counts in blocks (ulimit, POSIX): of 512 or of 1024 bytes.
const BLOCKS: [u32; 4] = [1, 2, 4, 8];

/// A directory whose repository is a folder, so that only the directory is written to.
async fn published() -> World {
    let world = World::published().await;
    // Many files, of many sizes.
    for number in 0..8_usize {
        let text = "x".repeat(400 << number);
        std::fs::write(world.repository().join(format!("stacks/loom/file-{number}.txt")), text).unwrap();
    }
    world
}

fn local(world: &World, first: &str) -> tokio::process::Command {
    let mut command = world.invocation(first, &json!({"action": "refresh"}));
    command.env("REGISTRY_REPO_URL", world.repository());
    command
}

#[tokio::test]
async fn write_that_the_system_refuses_is_named_and_the_release_before_stays() {
    let world = published().await;
    let serve = world.serve().await;
    let before = std::fs::read(world.store().join("bucket/index.json")).unwrap();
    for blocks in BLOCKS {
        // The signal is ignored, so the write fails as on a full disk.
        let output = local(&world, &format!("trap '' XFSZ; ulimit -f {blocks}")).output().await.unwrap();
        let error = answer(&output).unwrap_err();
        assert!(error.contains(" failed to ") && error.contains("File too large"), "{blocks}: {error}");
        assert_eq!(std::fs::read(world.store().join("bucket/index.json")).unwrap(), before);
        assert_eq!(std::fs::read_dir(world.store().join("tmp")).unwrap().count(), 0, "nothing is left behind");
        world.verify().await;
        assert_eq!(serve.get("/devfiles/loom").await.0, 200);
    }
    let report = answer(&local(&world, ":").output().await.unwrap()).unwrap();
    assert_eq!(report["outcome"], "published");
    world.verify().await;
}

#[tokio::test]
async fn process_that_is_killed_in_a_write_leaves_the_release_before() {
    let world = published().await;
    let before = std::fs::read(world.store().join("bucket/index.json")).unwrap();
    for blocks in BLOCKS {
        // The signal of a file that gets too large ends the process in the middle of the write.
        let output = local(&world, &format!("ulimit -c 0; ulimit -f {blocks}")).output().await.unwrap();
        assert!(std::os::unix::process::ExitStatusExt::signal(&output.status).is_some(), "{:?}", output.status);
        assert_eq!(std::fs::read(world.store().join("bucket/index.json")).unwrap(), before);
        world.verify().await;
    }
    let report = answer(&local(&world, ":").output().await.unwrap()).unwrap();
    assert_eq!(report["outcome"], "published");
    world.verify().await;
}

/// Takes the permission to write from everybody.
fn protect(folder: &Path) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            protect(&path);
        } else {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o444)).unwrap();
        }
    }
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o555)).unwrap();
}

#[tokio::test]
async fn directory_that_cannot_be_written_is_served_and_named_by_refresh() {
    let world = World::published().await;
    protect(&world.store());
    std::fs::set_permissions(world.stored(), PermissionsExt::from_mode(0o555)).unwrap();
    // Root may write without any permission, so the test uses another name.
    let is_owner = std::process::Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let as_nobody = |mut command: tokio::process::Command| {
        if is_owner {
            command.uid(65534).gid(65534);
        }
        command
    };
    let serve = as_nobody(world.command(registry_tests::registry::binary("serve")));
    let serve = registry_tests::registry::Serving::start(serve, "serving on ").await;
    assert_eq!(serve.get("/health").await.0, 200);
    assert!(serve.get("/devfiles/loom").await.1.contains("name: loom"));
    let output = as_nobody(world.invocation(":", &json!({"action": "refresh"}))).output().await.unwrap();
    let error = answer(&output).unwrap_err();
    assert!(error.contains("STORE: cannot write ") && error.contains("Permission denied"), "{error}");
    // So that the folder can be removed.
    std::fs::set_permissions(world.stored(), PermissionsExt::from_mode(0o755)).unwrap();
    unprotect(&world.store());
}

fn unprotect(folder: &Path) {
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            unprotect(&path);
        }
    }
}

#[tokio::test]
async fn processes_that_refresh_at_once_agree() {
    let world = World::new().await;
    for number in 0..3 {
        let commit = world.edit(&format!("race {number}"));
        let refresh = json!({"action": "refresh"});
        let outcomes = join_all((0..3).map(|_| world.invoke(&refresh))).await;
        for outcome in outcomes {
            assert_eq!(outcome.unwrap()["commit_hash"], commit.as_str());
        }
        world.verify().await;
    }
}
