//! The memory limits of the deployment: 512 MB for refresh, 256 MB for serve (template.yaml).

use registry_tests::registry::TestRegistry;

/// The number of broken stacks.
const BROKEN: usize = 400;

/// Broken stacks, each with as many problems as are reported, and names that are as long as names can be.
fn fill(registry: &TestRegistry) {
    for number in 0..BROKEN {
        let mut text = String::from("schemaVersion: 2.2.2\nmetadata: {name: x}\ncomponents:\n");
        for component in 0..120 {
            text.push_str(&format!("  - name: {}-{component}\n    containr: {{image: x}}\n", "n".repeat(40)));
        }
        registry.write(&format!("stacks/broken-{number}/devfile.yaml"), text);
    }
}

#[tokio::test]
async fn broken_registry_is_published_and_served_within_the_limits() {
    let registry = TestRegistry::of(&TestRegistry::example()).await.within_memory_limit();
    fill(&registry);
    let report = registry.refresh().await.unwrap();
    assert_eq!(report["outcome"], "published");
    assert!(report["quarantined"].as_array().unwrap().len() >= BROKEN);
    let serve = registry.serve().await;
    let peak = serve.peak_memory();
    let (status, body) = serve.get("/status").await;
    assert!(status == 200 && body.len() < 5 << 20, "{} bytes", body.len());
    for path in ["/viewer/status", "/v2index", "/index", "/viewer", "/devfiles/loom"] {
        assert_eq!(serve.get(path).await.0, 200, "{path}");
    }
    let peak = peak.so_far();
    assert!(peak < 256 << 20, "{} MiB", peak >> 20);
    // The second release follows from the first, which has to be readable.
    registry.write("stacks/broken-0/devfile.yaml", "schemaVersion: 2.2.2\n");
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
}

/// Valid devfiles of the largest size, too many for a release, and a stack that is too large by itself.
#[tokio::test]
async fn registry_of_large_files_is_published_within_the_limit_without_the_largest() {
    let registry = TestRegistry::of(&TestRegistry::example()).await.within_memory_limit();
    let padding = format!("# {}\n", "x".repeat(1 << 10)).repeat(960);
    for number in 0..90 {
        let head = format!(
            "schemaVersion: 2.2.0\nmetadata:\n  name: large-{number}\n  displayName: Large\n  version: 1.0.0\n  language: Go\n  projectType: Go\n"
        );
        registry.write(&format!("stacks/large-{number}/devfile.yaml"), format!("{head}{padding}"));
    }
    for number in 0..6 {
        registry.write(&format!("stacks/heap/part-{number}"), vec![b'x'; 8 << 20]);
    }
    registry.write("stacks/heap/devfile.yaml", "schemaVersion: 2.2.0\nmetadata: {name: heap, version: 1.0.0}\n");
    let report = registry.refresh().await.unwrap();
    assert_eq!(report["outcome"], "published");
    let held = report["quarantined"].as_array().unwrap();
    let is_held = |stack: &str| held.iter().any(|held| held["stack"] == stack);
    assert!(is_held("heap") && (20..60).contains(&held.len()), "{} are quarantined", held.len());
    let live = registry.live().await;
    let names: Vec<_> = live["stacks"].as_array().unwrap().iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert!(names.contains(&"loom") && names.iter().filter(|name| name.starts_with("large-")).count() > 40);
}
