//! Cases beyond a plain commit: heads that are shown late, renamed repositories, files that no tree takes,
//! versions on hosts that do not answer, and repositories without stacks.

use std::os::unix::fs::symlink;

use registry_tests::github::{Fault, GitHub};
use registry_tests::registry::TestRegistry;
use serde_json::json;

use crate::fixture::{Dynamic, signed};

#[tokio::test]
async fn push_that_the_host_shows_late_is_published_by_its_own_trigger() {
    let world = Dynamic::new().await;
    let refresh = world.registry.refreshing().await;
    let first = world.registry.git(&["rev-parse", "HEAD"]);
    assert_eq!(signed(&refresh, &json!({ "commit_hash": first }).to_string()).await.1["outcome"], "published");
    let second = world.edit("shown late");
    world.github.lag_behind(&first, 3);
    let (status, report) = signed(&refresh, &json!({ "commit_hash": second }).to_string()).await;
    assert_eq!((status, &report["outcome"]), (200, &json!("published")), "{report}");
    assert_eq!(report["commit_hash"], second.as_str());
}

#[tokio::test]
async fn late_read_after_a_forced_push_publishes_no_older_head() {
    let world = Dynamic::new().await;
    let first = world.registry.git(&["rev-parse", "HEAD"]);
    let second = world.edit("pushed away");
    world.registry.refresh().await.unwrap();
    world.registry.git(&["reset", "--quiet", "--hard", &first]);
    let third = world.edit("in its place");
    world.registry.refresh().await.unwrap();
    world.github.lag_behind(&second, 1);
    assert_eq!(world.registry.refresh().await.unwrap()["outcome"], "unchanged");
    assert_eq!(world.registry.live().await["commit_hash"], third.as_str());
}

#[tokio::test]
async fn webhooks_of_a_renamed_repository_are_followed() {
    let world = Dynamic::new().await;
    let mut refresh = world.registry.refreshing().await;
    let serve = world.registry.serve().await;
    let webhook = world.webhook(&refresh);
    world.github.rename("stacks");
    let commit = world.registry.git(&["rev-parse", "HEAD"]);
    let (status, body) = world.github.deliver(&webhook, "push", &world.push(&commit)).await.unwrap();
    assert_eq!(status, 202, "{body}");
    serve.until_live(&commit).await;
    world.until_repository_is_known(&webhook).await;
    let other = registry_tests::github::push_event("mallory/stacks", 7, "main", None, Some(&commit));
    assert_eq!(world.github.deliver(&webhook, "push", &other).await.unwrap().0, 200);
    let line = refresh.logs("mallory/stacks").await;
    assert!(line.contains("a push is ignored") && line.contains("another repository"), "{line}");
}

#[tokio::test]
async fn link_in_one_stack_quarantines_no_other() {
    for has_filters in [true, false] {
        let world = Dynamic::new().await;
        if !has_filters {
            world.github.refuse_filters();
        }
        world.registry.refresh().await.unwrap();
        let serve = world.registry.serve().await;
        let before = serve.get("/devfiles/kiln").await;
        let stacks = world.registry.repository.path().join("stacks");
        symlink("devfile.yaml", stacks.join("kiln/1.1.0/link.yaml")).unwrap();
        std::fs::write(stacks.join("kiln/1.0.0/large.bin"), vec![b'x'; (8 << 20) + 1]).unwrap();
        let commit = world.edit("beside a link");
        let report = world.registry.refresh().await.unwrap();
        assert_eq!(
            (&report["outcome"], &report["changed"]),
            (&json!("published"), &json!(["stacks/loom"])),
            "{report}"
        );
        serve.until_live(&commit).await;
        assert!(serve.get("/devfiles/loom").await.1.ends_with("# beside a link\n"));
        assert_eq!(serve.get("/devfiles/kiln").await, before);
        let status = serve.json("/status").await;
        let held = status["live"]["quarantined"].as_array().unwrap();
        let paths: Vec<_> = held.iter().map(|held| held["problems"][0]["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["stacks/kiln/1.0.0/large.bin", "stacks/kiln/1.1.0/link.yaml"], "{status}");
    }
}

#[tokio::test]
async fn version_on_a_host_that_did_not_answer_once_is_fetched_without_a_commit() {
    let world = Dynamic::new().await;
    let stack = format!(
        "name: vase\ndisplayName: Vase\nicon: https://example.org/i.svg\nversions:\n- version: 1.0.0\n  default: true\n- version: 2.0.0\n  \
         git: {{remotes: {{origin: \"{}/example/registry.git\"}}, revision: main, subDir: stacks/loom}}\n",
        world.github.url()
    );
    world.registry.write("stacks/vase/stack.yaml", stack);
    let loom = world.registry.repository.path().join("stacks/loom/devfile.yaml");
    let loom = std::fs::read_to_string(loom).unwrap();
    world.registry.write("stacks/vase/1.0.0/devfile.yaml", loom.replace("version: 0.3.0", "version: 1.0.0"));
    world.registry.commit();
    let Dynamic { registry, github, .. } = world;
    let registry = registry.with("FETCH", "true");
    github.faults().add("/example/registry.git/git-upload-pack", Fault::Status { status: 503 }, 1);
    registry.refresh().await.unwrap();
    let versions = async || {
        let live = registry.live().await;
        let entry = live["stacks"].as_array().unwrap().iter().find(|entry| entry["name"] == "vase").cloned().unwrap();
        entry["versions"].as_array().unwrap().len()
    };
    assert_eq!(versions().await, 1);
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "unchanged", "its time has not come");
    // Without the times of further attempts, everything is tried at once.
    registry.forget_retries().await;
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    assert_eq!(versions().await, 2);
}

#[tokio::test]
async fn branch_of_another_repository_that_moved_is_published_without_a_commit() {
    let vase = TestRegistry::of(&TestRegistry::example()).await;
    let devfile = |text: &str| {
        let metadata = "{name: vase, version: 1.0.0, displayName: Vase, language: Go, projectType: Go}";
        format!("schemaVersion: 2.2.0\nmetadata: {metadata}\n# {text}\n")
    };
    vase.write("devfile.yaml", devfile("before"));
    vase.commit();
    // Dates are whole seconds, and the next commit may be within the same one.
    vase.git(&["commit", "--quiet", "--amend", "--no-edit", "--date=2026-01-01T00:00:00Z"]);
    let host = GitHub::start_example(vase.repository.path()).await.unwrap();
    let registry = TestRegistry::of(&TestRegistry::example()).await.with("FETCH", "true");
    let stack = format!(
        "name: vase\ndisplayName: Vase\nicon: https://example.org/i.svg\nversions:\n- version: 1.0.0\n  default: true\n  git: {{remotes: \
         {{origin: \"{}/example/registry\"}}}}\n",
        host.url()
    );
    registry.write("stacks/vase/stack.yaml", stack);
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    assert_eq!(serve.get("/devfiles/vase").await.1, devfile("before"));
    let entry = serve.json("/index?name=vase").await;
    let date = vase.git(&["log", "-1", "--format=%ad", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"]);
    assert_eq!(entry[0]["lastModified"], date, "{entry}");
    let pending = serve.json("/status").await["live"]["pending"].clone();
    assert_eq!(pending, json!({"stacks/vase": ["branch"]}));
    vase.write("devfile.yaml", devfile("after"));
    vase.commit();
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "unchanged", "its time has not come");
    registry.forget_retries().await;
    let report = registry.refresh().await.unwrap();
    assert_eq!(report["changed"], json!(["stacks/vase", "stacks/vase/1.0.0"]), "{report}");
    serve.until_serves(&registry).await;
    assert_eq!(serve.get("/devfiles/vase").await.1, devfile("after"));
}

#[tokio::test]
async fn folder_that_is_moved_away_removes_nothing() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let live = registry.live().await;
    let refresh = registry.refreshing().await;
    let stacks = registry.repository.path().join("stacks");
    let moved = registry.repository.path().join("moved");
    std::fs::rename(&stacks, &moved).unwrap();
    drop(refresh);
    let error = registry.refresh().await.unwrap_err();
    assert!(error.contains("stacks"), "{error}");
    assert_eq!(registry.live().await, live);
    // The same when the folder is there and empty.
    std::fs::create_dir(&stacks).unwrap();
    let error = registry.refresh().await.unwrap_err();
    assert!(error.contains("has no stacks") && error.contains("remove_all"), "{error}");
    assert_eq!(registry.live().await, live);
    let report = registry.invoke(&json!({"action": "refresh", "remove_all": true})).await.unwrap();
    assert_eq!(report["removed"].as_array().unwrap().len(), 4, "{report}");
}
