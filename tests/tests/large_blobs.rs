//! Blobs where clients cannot reach the bucket (`REDIRECT_BLOBS=false`): they stream through `serve`.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

use devfile_registry::digest::Digest;
use futures_util::future::join_all;
use registry_tests::memory::Peak;
use registry_tests::registry::TestRegistry;
use serde_json::Value;

/// Size of each of the three files of the archive, in bytes; nothing compresses them.
const FILE: usize = 8 << 20;

/// Bytes that no compression makes smaller, the same in every run.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    });
    bytes.take(FILE).collect()
}

/// A registry whose stack `loom` has an archive of 24 MiB, and the path of that and its digest.
async fn published() -> (TestRegistry, String, Digest) {
    let registry = TestRegistry::of(&TestRegistry::example()).await.with("REDIRECT_BLOBS", "false");
    for number in 0..3 {
        registry.write(&format!("stacks/loom/bin/{number}.bin"), noise(number + 1));
    }
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let manifest: Value = serve.ask("GET", "/v2/devfile-catalog/loom/manifests/0.3.0", &[]).await.json();
    let archive = manifest["layers"].as_array().unwrap().iter().find(|layer| layer["mediaType"] == "application/x-tar");
    let archive = archive.unwrap();
    assert!(archive["size"].as_u64().unwrap() > 3 * FILE as u64);
    let digest: Digest = archive["digest"].as_str().unwrap().parse().unwrap();
    (registry, format!("/v2/devfile-catalog/loom/blobs/{digest}"), digest)
}

fn peak_growth(peak: &Peak, before: u64, most: u64, what: &str) {
    let growth = peak.so_far() - before;
    println!("{what}: {} kB", growth >> 10);
    assert!(growth < most, "{what}: {growth} bytes");
}

#[tokio::test]
async fn large_blob_streams_in_bounded_memory() {
    let (registry, path, digest) = published().await;
    let serve = registry.serve().await;
    serve.ask("GET", "/health", &[]).await;
    let peak = serve.peak_memory();
    let before = peak.so_far();
    let one = serve.ask("GET", &path, &[("range", "bytes=7-7")]).await;
    assert_eq!((one.status, one.body.len(), one.header("content-length")), (206, 1, "1"));
    peak_growth(&peak, before, 4 << 20, "one byte");
    let answers = join_all((0..4).map(|_| serve.ask("GET", &path, &[]))).await;
    for whole in &answers {
        assert_eq!((whole.status, Digest::of(&whole.body)), (200, digest));
        assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    }
    peak_growth(&peak, before, 24 << 20, "four downloads at once");
    let length = answers[0].body.len();
    for (range, first, last) in [
        (format!("bytes={}-{}", FILE, FILE + 99), FILE, FILE + 99),
        ("bytes=-5".to_owned(), length - 5, length - 1),
        (format!("bytes={}-", length - 3), length - 3, length - 1),
    ] {
        let part = serve.ask("GET", &path, &[("range", &range)]).await;
        assert_eq!((part.status, &part.body[..]), (206, &answers[0].body[first..=last]), "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {first}-{last}/{length}"));
    }
    let beyond = serve.ask("GET", &path, &[("range", &format!("bytes={length}-"))]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{length}").as_str()));
    let head = serve.ask("HEAD", &path, &[]).await;
    assert_eq!((head.status, head.header("content-length")), (200, length.to_string().as_str()));
    let file = serve.ask("GET", "/stacks/loom/bin/1.bin", &[]).await;
    assert_eq!((file.status, Digest::of(&file.body)), (200, Digest::of(&noise(2))));
}

#[tokio::test]
async fn damaged_large_blob_is_cut_off_and_listed() {
    let (registry, path, digest) = published().await;
    let key = format!("blobs/sha256/{}", digest.hex());
    let mut damaged = registry.object(&key).await.to_vec();
    damaged[1 << 20] ^= 1;
    registry.put(&key, &damaged).await;
    let serve = registry.serve().await;
    let answer = registry_tests::http::get(format!("{}{path}", serve.url)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err(), "wrong bytes never arrive whole");
    let listed = serve.json("/status").await["snapshot"]["damaged_blobs"].clone();
    assert_eq!(listed, serde_json::json!([digest.to_string()]));
    damaged.truncate(5 << 20);
    registry.put(&key, &damaged).await;
    let short = serve.ask("GET", &path, &[]).await;
    assert_eq!(short.status, 502, "an object of another length is known before the first byte");
}
