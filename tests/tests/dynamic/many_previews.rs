//! As many previews as there may be, of a registry that is not small.

use registry_tests::github::GitHub;
use registry_tests::large::extra_entries;
use registry_tests::registry::TestRegistry;
use serde_json::{Value, json};

/// Previews at a time (`LIVING_PREVIEWS`).
const LIVING: u64 = 50;

/// Previews in the memory of `serve` (`LOADED_PREVIEWS`).
const LOADED: u64 = 8;

#[tokio::test]
async fn memory_of_serve_holds_eight_previews_and_one_beyond_fifty_ends_the_oldest() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.write("extraDevfileEntries.yaml", extra_entries(300, 5));
    registry.commit();
    let github = GitHub::start_example(registry.repository.path()).await.unwrap();
    let url = format!("{}/example/registry", github.url());
    let registry = registry.with("REGISTRY_REPO_URL", &url).with("PREVIEWS", "members");
    registry.refresh().await.unwrap();
    registry.git(&["checkout", "--quiet", "-b", "more"]);
    registry.write("extraDevfileEntries.yaml", extra_entries(301, 5));
    let head = registry.commit();
    let preview = async |number: u64| {
        registry.invoke(&json!({"action": "preview", "number": number, "commit_hash": head})).await.unwrap()
    };
    preview(LIVING).await;
    // The others are copies, the first one the oldest.
    let newest: Value = serde_json::from_slice(&registry.object(&format!("previews/{LIVING}.json")).await).unwrap();
    let at: jiff::Timestamp = newest["updated_at"].as_str().unwrap().parse().unwrap();
    for number in 1..LIVING {
        let at = at - jiff::SignedDuration::from_mins(60 - number as i64);
        let copy = json!({"number": number, "updated_at": at.to_string()});
        let mut object = newest.clone();
        object.as_object_mut().unwrap().extend(copy.as_object().unwrap().clone());
        registry.put(&format!("previews/{number}.json"), object.to_string()).await;
    }

    let serve = registry.serve().await;
    let peak = serve.peak_memory();
    let visit = async |numbers: std::ops::RangeInclusive<u64>| {
        for number in numbers {
            let (status, page) = serve.get(&format!("/previews/{number}/devfiles/loom")).await;
            assert_eq!(status, 200, "{number}: {page}");
        }
        peak.so_far()
    };
    // A busy machine may read fifty objects for longer than a request waits for the list.
    let until_listed = async |numbers: std::ops::RangeInclusive<u64>| {
        let numbers: Vec<u64> = numbers.collect();
        let is_listed = |status: &Value| {
            let listed = status["previews"].as_array().unwrap().iter();
            listed.map(|preview| preview["number"].as_u64().unwrap()).eq(numbers.iter().copied())
        };
        serve.until_status(is_listed).await;
    };
    until_listed(1..=LIVING).await;
    serve.get("/devfiles/loom").await;
    let alone = peak.so_far();
    let full = visit(1..=LOADED).await;
    let after_all = visit(LOADED + 1..=LIVING).await;
    let (of_loaded, of_others) = (full - alone, after_all - full);
    assert!(of_loaded > 8 << 20, "eight previews take only {of_loaded} bytes");
    assert!(of_others < of_loaded / 2, "{of_others} bytes more, where eight previews take {of_loaded}");

    preview(LIVING + 1).await;
    until_listed(2..=LIVING + 1).await;
    assert_eq!(serve.get("/previews/1/viewer").await.0, 404, "the oldest ended");
    for number in [2, LIVING, LIVING + 1] {
        assert_eq!(serve.get(&format!("/previews/{number}/devfiles/loom")).await.0, 200, "{number}");
    }
}
