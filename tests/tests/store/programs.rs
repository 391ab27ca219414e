//! The functions as processes of their own, and programs of others, on one directory.

use std::process::Stdio;

use devfile_registry::digest::Digest;
use registry_tests::tools::tool;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::fixture::World;

async fn skopeo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(tool("skopeo")).args(arguments).kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn skopeo_reads_the_directory_as_oci_image_layouts() {
    let world = World::published().await;
    let serve = world.serve().await;
    let accept = [("accept", "application/vnd.oci.image.manifest.v1+json")];
    let manifest = serve.ask("GET", "/v2/devfile-catalog/kiln/manifests/1.1.0", &accept).await;
    let layout = world.store().join("oci/devfile-catalog/kiln");
    let source = format!("oci:{}:1.1.0", layout.display());
    assert_eq!(skopeo(&["inspect", "--raw", &source]).await, manifest.body);

    let folder = tempfile::tempdir().unwrap();
    let target = format!("dir:{}", folder.path().display());
    skopeo(&["--insecure-policy", "copy", "--preserve-digests", &source, &target]).await;
    assert_eq!(std::fs::read(folder.path().join("manifest.json")).unwrap(), manifest.body);
    for layer in manifest.json()["layers"].as_array().unwrap() {
        let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
        assert_eq!(Digest::of(&std::fs::read(folder.path().join(digest.hex())).unwrap()), digest);
    }

    let index = format!("oci:{}:latest", world.store().join("oci/devfile-index").display());
    let index: Value = serde_json::from_slice(&skopeo(&["inspect", "--raw", &index]).await).unwrap();
    assert_eq!(index["artifactType"], "application/vnd.devfileio.registry.index.v1+json");
}

#[tokio::test]
async fn functions_of_their_own_share_the_directory() {
    let world = World::published().await;
    let mut serve = world.command(registry_tests::registry::binary("serve"));
    serve.env("REVALIDATE_SECONDS", "0");
    let serve = registry_tests::registry::Serving::start(serve, "serving on ").await;
    let first = serve.json("/status").await["live"]["commit_hash"].as_str().unwrap().to_owned();
    let commit = world.edit("by another process");
    world.invoke(&json!({"action": "refresh"})).await.unwrap();
    serve.until_live(&commit).await;
    let report = world.invoke(&json!({"action": "rollback", "commit_hash": first})).await.unwrap();
    assert_eq!(report["pinned"], true);
    serve.until_live(&first).await;
    world.invoke(&json!({"action": "unpin"})).await.unwrap();
    serve.until_live(&commit).await;
}

/// There is no URL for it, as a bucket at a server has.
#[tokio::test]
async fn large_file_is_sent_and_not_redirected() {
    let world = World::new().await;
    // No two blocks are alike, so that nothing compresses them.
    let blocks = (0..170_000_u32).flat_map(|number| hex_of(&number.to_be_bytes()));
    let content: Vec<u8> = blocks.collect();
    assert!(content.len() > 5 << 20);
    std::fs::write(world.repository().join("stacks/loom/large.bin"), &content).unwrap();
    world.edit("with a large file");
    world.invoke(&json!({"action": "refresh"})).await.unwrap();
    let serve = world.serve().await;
    let file = serve.ask("GET", "/stacks/loom/large.bin", &[]).await;
    assert_eq!((file.status, file.body.len()), (200, content.len()));
    assert_eq!(Digest::of(&file.body), Digest::of(&content));
    let part = serve.ask("GET", "/stacks/loom/large.bin", &[("range", "bytes=5000000-5000009")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &content[5_000_000..5_000_010]));
}

/// 32 bytes that follow from some others.
fn hex_of(bytes: &[u8]) -> Vec<u8> {
    Digest::of(bytes).hex().into_bytes().into_iter().step_by(2).collect()
}

#[tokio::test]
async fn damaged_blob_of_a_directory_is_found_and_repaired() {
    let world = World::published().await;
    let blob = |folder: &str| {
        let folder = world.store().join(folder).join("blobs/sha256");
        folder
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .max_by_key(|path| path.metadata().unwrap().len())
            .unwrap()
    };
    for path in [blob("bucket"), blob("oci/devfile-catalog/loom"), world.store().join("bucket/index.json")] {
        let length = path.metadata().unwrap().len();
        std::fs::write(&path, vec![b'x'; usize::try_from(length).unwrap() / 2]).unwrap();
        if !path.ends_with("index.json") {
            let status = world.invocation(":", &json!({"action": "verify"})).stdout(Stdio::null()).status();
            assert_eq!(status.await.unwrap().code(), Some(1), "{}", path.display());
        }
        let report = world.invoke(&json!({"action": "reconcile"})).await.unwrap();
        assert_ne!(report["repaired"], json!([]), "{}", path.display());
        world.verify().await;
    }
}

#[tokio::test]
async fn store_and_servers_exclude_each_other() {
    for program in ["serve", "refresh"] {
        let world = World::new().await;
        let mut command = world.command(registry_tests::registry::binary(program));
        let output = command.env("CACHE_BUCKET", "bucket").output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains("STORE excludes CACHE_BUCKET"), "{program}: {error}");
    }
    let world = World::new().await;
    let output =
        world.run_command().env("OCI_REGISTRY", "127.0.0.1:5000").env("STRICT", "maybe").output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[0], "devfile-registry: invalid environment:");
    assert!(lines.iter().any(|line| line.starts_with("  STRICT is malformed")), "{error}");
    assert_eq!(error.matches("STORE excludes").count(), 1, "{error}");
}
