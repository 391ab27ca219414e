//! Registries that need no other host once they are published.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use devfile_registry::artifact::MANIFEST_MEDIA_TYPE;
use devfile_registry::digest::Digest;
use registry_tests::github::Fault;
use registry_tests::registry::{Serving, TestRegistry};
use serde_json::{Value, json};

use crate::fixture::{Files, Project, download, get, git_starter, noise, registry, set_starters};

/// The URL under which clients would reach the registry.
const PUBLIC_URL: &str = "https://registry.example.org";

/// A host that gives a zip and devfiles, until it is dropped.
struct Host {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Host {
    async fn start(zip: Vec<u8>) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&asked);
        let answer = move |uri: Uri| {
            notes.lock().unwrap().push(uri.path().to_owned());
            let answer = match uri.path() {
                "/clay.zip" => zip.clone().into_response(),
                "/devfiles/base/1.0.0" => {
                    "schemaVersion: 2.2.0\n# the base\ncomponents:\n  - name: box\n    container: {image: base}\n"
                        .into_response()
                }
                "/up/parent.yaml" => {
                    "schemaVersion: 2.2.0\nmetadata: {name: up}\nparent: # further up\n  uri: ../top.yaml\n"
                        .into_response()
                }
                "/top.yaml" => {
                    "schemaVersion: 2.2.0\ncomponents:\n  - name: box\n    container: {image: top}\n".into_response()
                }
                _ => StatusCode::NOT_FOUND.into_response(),
            };
            async move { answer }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
        Self { url, asked, server }
    }

    fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// The registry with `loom` as given, to be published without need of other hosts.
async fn offline(starters: &str, stacks: &str) -> TestRegistry {
    let registry = registry(starters).await;
    registry.with("FETCH", "true").with("OFFLINE", stacks).with("PUBLIC_URL", PUBLIC_URL)
}

/// Serves a registry that may ask no other host afterwards.
async fn alone(registry: &TestRegistry) -> Serving {
    registry.serve_with(&[("FETCH_ALLOW_LOOPBACK", "false")]).await
}

/// The path of a URL of the registry.
fn path(url: &str) -> &str {
    url.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{url} is not one of this registry"))
}

/// Returns the warnings of the live release.
async fn warnings(registry: &TestRegistry, rule: &str) -> Vec<String> {
    let name = registry.live().await["release"].as_str().unwrap().replace("sha256:", "releases/") + ".json";
    let release: Value = serde_json::from_slice(&registry.object(&name).await).unwrap();
    let found = release["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|warning| warning["rule"].as_str().unwrap().starts_with(rule));
    found
        .map(|warning| format!("{}: {}", warning["path"].as_str().unwrap(), warning["message"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn offline_registry_needs_no_other_host_afterwards() {
    let project = Project::new("clay").await;
    project.write("noise", &noise(12 << 20));
    project.commit();
    let zip = tempfile::NamedTempFile::new().unwrap();
    project.git(&["archive", "--format=zip", "--output", zip.path().to_str().unwrap(), "v1"]);
    let host = Host::start(std::fs::read(zip.path()).unwrap()).await;
    let starters = [
        git_starter("whole", &project.remote(), "main", ""),
        git_starter("app", &project.remote(), "v1", "app"),
        format!("  # at the potter's\n  - name: zip # this one\n    zip:\n      location: {}/clay.zip\n", host.url),
        "  - name: here\n    zip: {location: loom-starter-offline.zip}\n".to_owned(),
        format!("parent:\n  id: base\n  version: 1.0.0\n  registryUrl: {}\n", host.url),
    ];
    let registry = offline(&starters.concat(), "all").await;
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    assert_eq!(warnings(&registry, "offline/").await.iter().filter(|warning| warning.contains("loom")).count(), 0);
    let expected =
        [("whole", project.files("main", "")), ("app", project.files("v1", "app")), ("zip", project.files("v1", ""))];

    project.host.take_requests();
    host.take_asked();
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "unchanged");
    assert_eq!((project.host.take_requests().len(), host.take_asked().len()), (0, 0), "nothing is fetched again");

    let (remote, upstream) = (project.remote(), host.url.clone());
    drop((project, host));
    let serve = alone(&registry).await;
    let (_, devfile) = serve.get("/devfiles/loom").await;
    assert!(!devfile.contains(&remote) && !devfile.contains(&upstream), "{devfile}");
    let rewritten = format!(
        "  # at the potter's\n  - name: zip # this one\n    zip: {{\"location\": \"{PUBLIC_URL}/stacks/loom/zip-offline.zip\"}}\n"
    );
    assert!(devfile.contains(&rewritten) && devfile.contains("zip: {location: loom-starter-offline.zip}"), "{devfile}");
    for (name, files) in &expected {
        let location = format!("/stacks/loom/{name}-offline.zip");
        assert!(devfile.contains(&format!("{PUBLIC_URL}{location}")), "{devfile}");
        for path in [location, format!("/devfiles/loom/starter-projects/{name}")] {
            assert_eq!(Files::unzipped(&whole(&serve, &path).await), *files, "{path}");
        }
    }
    assert!(!download(&serve, "here").await.names().is_empty());

    let uri = devfile.lines().find_map(|line| line.trim().strip_prefix("uri: ")).unwrap().trim_matches('"');
    let parent = serve.ask("GET", path(uri), &[]).await;
    assert_eq!((parent.status, parent.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert_eq!(parent.header("cache-control"), "public, max-age=31536000, immutable");
    assert!(std::str::from_utf8(&parent.body).unwrap().contains("# the base\n"));

    // The artifact has the same devfile.
    let manifest =
        serve.ask("GET", "/v2/devfile-catalog/loom/manifests/0.3.0", &[("accept", MANIFEST_MEDIA_TYPE)]).await.json();
    let layers = manifest["layers"].as_array().unwrap();
    let digest = Digest::of(devfile.as_bytes()).to_string();
    assert!(layers.iter().any(|layer| layer["digest"] == digest.as_str()), "{manifest}");

    // A server that sends large files has them no more in memory than one that redirects.
    let sending = registry.serve_with(&[("REDIRECT_BLOBS", "false"), ("FETCH_ALLOW_LOOPBACK", "false")]).await;
    let peak = sending.peak_memory();
    let before = peak.so_far();
    let sent = sending.ask("GET", "/stacks/loom/whole-offline.zip", &[]).await;
    assert_eq!((sent.status, Files::unzipped(&sent.body) == expected[0].1), (200, true));
    let part = sending.ask("GET", "/stacks/loom/whole-offline.zip", &[("range", "bytes=-10")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &sent.body[sent.body.len() - 10..]));
    assert!(peak.so_far() - before < 8 << 20, "it is larger than that");

    let verified = registry.invoke(&json!({"action": "verify"})).await.unwrap();
    assert_eq!(verified["problems"], json!([]));
    let blob = format!("blobs/sha256/{}", Digest::of(&sent.body).hex());
    registry.put(&blob, "damaged").await;
    let damaged = registry.invoke(&json!({"action": "verify"})).await.unwrap();
    assert_eq!(damaged["problems"], json!([format!("bucket: {blob} does not have its digest")]));
    let report = registry.invoke(&json!({"action": "reconcile"})).await.unwrap();
    assert_eq!(report["repaired"], json!([format!("bucket: {blob}")]));
    // The OCI registry has all of it: the bucket can be made again with all other hosts gone.
    registry.remove(&registry.keys("").await).await;
    assert_eq!(registry.invoke(&json!({"action": "restore"})).await.unwrap()["outcome"], "published");
    let serve = alone(&registry).await;
    for (name, files) in &expected {
        let path = format!("/devfiles/loom/starter-projects/{name}");
        assert_eq!(Files::unzipped(&whole(&serve, &path).await), *files, "{name}");
    }
    assert_eq!(serve.get(path(uri)).await.0, 200);
}

/// The bytes at a path, redirects followed.
async fn whole(serve: &Serving, path: &str) -> bytes::Bytes {
    let answer = registry_tests::http::get(format!("{}{path}", serve.url)).await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.bytes().await.unwrap()
}

#[tokio::test]
async fn damaged_zip_of_the_release_is_cut_off_where_it_streams() {
    let project = Project::new("clay").await;
    project.write("noise", &noise(12 << 20));
    project.commit();
    let registry = offline(&git_starter("whole", &project.remote(), "main", ""), "all").await;
    let registry = registry.with("REDIRECT_BLOBS", "false");
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    let (serve, path) = (alone(&registry).await, "/devfiles/loom/starter-projects/whole");
    let sound = whole(&serve, path).await;
    let key = format!("blobs/sha256/{}", Digest::of(&sound).hex());
    let mut damaged = registry.object(&key).await.to_vec();
    damaged[1 << 20] ^= 1;
    registry.put(&key, &damaged).await;
    let answer = registry_tests::http::get(format!("{}{path}", serve.url)).await.unwrap();
    assert_eq!(answer.status(), 202);
    assert!(answer.bytes().await.is_err(), "wrong bytes never arrive whole");
}

#[tokio::test]
async fn parents_of_parents_are_this_registrys() {
    let host = Host::start(Vec::new()).await;
    let registry = offline("", "loom").await;
    let devfile = |uri: &str| {
        format!(
            "schemaVersion: 2.2.0\nmetadata:\n  name: loom\n  version: 0.3.0\n  displayName: Loom\n  language: Go\n  projectType: \
             Go\nparent:\n  uri: {uri} # up there\n  components: [{{name: box, container: {{memoryLimit: 1Gi}}}}] # ours\n"
        )
    };
    registry.write("stacks/loom/devfile.yaml", devfile(&format!("{}/up/parent.yaml", host.url)));
    assert_eq!(registry.refresh().await.unwrap()["quarantined"], json!([]));
    drop(host);
    let serve = alone(&registry).await;
    let text = serve.get("/devfiles/loom").await.1;
    let uri = text.lines().find_map(|line| line.trim().strip_prefix("uri: \"")?.split('"').next()).unwrap();
    assert_eq!(text, devfile(&format!("\"{uri}\"")), "the rest is as it was");
    let parent = serve.get(path(uri)).await.1;
    assert!(
        parent.starts_with("schemaVersion: 2.2.0\nmetadata: {name: up}\nparent: # further up\n  uri: \"https://"),
        "{parent}"
    );
    let top = parent.trim_end().rsplit("uri: ").next().unwrap().trim_matches('"');
    let (status, top) = serve.get(path(top)).await;
    assert_eq!(
        (status, top.as_str()),
        (200, "schemaVersion: 2.2.0\ncomponents:\n  - name: box\n    container: {image: top}\n")
    );
}

#[tokio::test]
async fn project_that_does_not_arrive_leaves_the_old_state_and_is_retried() {
    let project = Project::new("clay").await;
    let starter = git_starter("clay", &project.remote(), "main", "");
    let registry = offline(&starter, "loom").await;
    let down = || project.host.faults().add("*/info/refs", Fault::Status { status: 503 }, usize::MAX);
    let serve = registry.serve().await;
    down();
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    serve.until_serves(&registry).await;
    assert!(serve.get("/devfiles/loom").await.1.contains(&project.remote()), "as committed");
    let warned = warnings(&registry, "offline/").await;
    assert_eq!(
        warned,
        [
            "stacks/loom/devfile.yaml: the starter project `clay` was not fetched: 127.0.0.1: it answered with status 503"
        ]
    );
    registry.forget_retries().await;
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "unchanged", "still down");

    project.host.faults().clear();
    registry.forget_retries().await;
    assert_eq!(registry.refresh().await.unwrap()["changed"], json!(["stacks/loom"]), "the commit is the same");
    serve.until_serves(&registry).await;
    let (_, good) = serve.get("/devfiles/loom").await;
    assert!(!good.contains(&project.remote()), "{good}");
    assert_eq!(warnings(&registry, "offline/").await, [""; 0]);

    // A change of the devfile waits for its starter projects.
    down();
    set_starters(&registry, &format!("{starter}# more\n{}", git_starter("more", &project.remote(), "v1", "app")));
    let report = registry.refresh().await.unwrap();
    assert_eq!((&report["outcome"], &report["changed"]), (&json!("published"), &json!([])));
    serve.until_serves(&registry).await;
    assert_eq!(serve.get("/devfiles/loom").await.1, good);
    assert_eq!(warnings(&registry, "offline/").await.len(), 2);
    project.host.faults().clear();
    registry.forget_retries().await;
    assert_eq!(registry.refresh().await.unwrap()["changed"], json!(["stacks/loom"]));
    serve.until_serves(&registry).await;
    assert!(serve.get("/devfiles/loom").await.1.contains("# more\n"));
    assert_eq!(Files::unzipped(&get(&serve, "more").await.body), project.files("v1", "app"));
    project.host.take_requests();
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "unchanged");
    assert_eq!(project.host.take_requests(), Vec::<String>::new());
}

#[tokio::test]
async fn refused_project_is_not_fetched_again() {
    let project = Project::new("clay").await;
    std::os::unix::fs::symlink("/etc/passwd", project.path().join("link")).unwrap();
    project.commit();
    let registry = offline(&git_starter("clay", &project.remote(), "main", ""), "loom").await;
    registry.refresh().await.unwrap();
    assert!(warnings(&registry, "offline/").await[0].contains("link is a link"));
    project.host.take_requests();
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "unchanged");
    assert_eq!(project.host.take_requests(), Vec::<String>::new());
}

#[tokio::test]
async fn unchanged_project_is_not_fetched_again() {
    let project = Project::new("clay").await;
    let registry = offline(&git_starter("clay", &project.remote(), "main", ""), "all").await;
    registry.commit();
    registry.refresh().await.unwrap();
    let before = registry.serve().await.get("/devfiles/loom").await;
    project.write("README.md", "a branch that moves is no change here");
    project.commit();
    project.host.take_requests();
    registry.write("extraDevfileEntries.yaml", "samples: []\n");
    registry.commit();
    let report = registry.refresh().await.unwrap();
    assert_eq!((&report["outcome"], &report["removed"]), (&json!("published"), &json!(["samples/pot"])));
    assert_eq!(report["writes"]["bucket"], 3, "the document of samples, the release and the index");
    // Other files of the folder have nothing to do with it.
    registry.write("stacks/loom/more/file", "more");
    registry.commit();
    assert_eq!(registry.refresh().await.unwrap()["changed"], json!(["stacks/loom"]));
    assert_eq!(project.host.take_requests(), Vec::<String>::new());
    let serve = alone(&registry).await;
    assert_eq!(serve.get("/devfiles/loom").await, before);
    assert_eq!(download(&serve, "clay").await.names(), ["README.md", "app/build.sh", "app/src/main.rs"]);
}

#[tokio::test]
async fn the_present_state_is_fetched_when_it_is_asked_for() {
    let project = Project::new("clay").await;
    let registry = offline(&git_starter("clay", &project.remote(), "main", "app"), "loom").await;
    let refetch = async || registry.invoke(&json!({"action": "refetch"})).await.unwrap();
    assert_eq!(refetch().await["outcome"], "published");
    assert_eq!(refetch().await["outcome"], "unchanged", "the same files, the same bytes");
    project.write("app/new", "new");
    project.commit();
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "unchanged");
    assert_eq!(refetch().await["outcome"], "published");
    let serve = alone(&registry).await;
    let files = project.files("main", "app");
    assert_eq!(download(&serve, "clay").await, files);
    project.host.faults().add("*", Fault::Status { status: 500 }, usize::MAX);
    assert_eq!(refetch().await["upstream"].as_array().unwrap().len(), 1);
    assert_eq!(download(&serve, "clay").await, files);
}

#[tokio::test]
async fn stacks_can_be_chosen_and_the_choice_changed() {
    let project = Project::new("clay").await;
    let registry = offline(&git_starter("clay", &project.remote(), "main", ""), "kiln,nosuch").await;
    let report = registry.refresh().await.unwrap();
    assert_eq!(report["upstream"][0]["message"], "there is no stack `nosuch`");
    assert_eq!(project.host.take_requests(), Vec::<String>::new());
    let serve = registry.serve().await;
    let committed = std::fs::read_to_string(registry.repository.path().join("stacks/loom/devfile.yaml")).unwrap();
    assert_eq!(serve.get("/devfiles/loom").await.1, committed);
    assert_eq!(warnings(&registry, "offline/stacks").await, ["OFFLINE: there is no stack `nosuch`"]);
    let refused = warnings(&registry, "offline/starter").await;
    assert_eq!(refused.len(), 2, "both versions of kiln: {refused:?}");
    assert!(
        refused.iter().all(|warning| warning.contains("stacks/kiln/") && warning.contains("github.com: ")),
        "{refused:?}"
    );

    let registry = registry.with("OFFLINE", "loom");
    assert_eq!(registry.refresh().await.unwrap()["changed"], json!(["stacks/loom"]), "of the same commit");
    serve.until_serves(&registry).await;
    assert!(serve.get("/devfiles/loom").await.1.contains(PUBLIC_URL));
    project.host.take_requests();
    let registry = registry.with("PUBLIC_URL", "http://127.0.0.1:8080");
    assert_eq!(registry.refresh().await.unwrap()["changed"], json!(["stacks/loom"]));
    serve.until_serves(&registry).await;
    assert!(serve.get("/devfiles/loom").await.1.contains("http://127.0.0.1:8080/stacks/loom/clay-offline.zip"));
    assert_eq!(project.host.take_requests(), Vec::<String>::new(), "the zip is the same");
    let registry = registry.with("OFFLINE", "");
    assert_eq!(registry.refresh().await.unwrap()["changed"], json!(["stacks/loom"]));
    serve.until_serves(&registry).await;
    assert_eq!(serve.get("/devfiles/loom").await.1, committed);
}

#[tokio::test]
async fn settings_that_do_not_fit_are_named() {
    let mut registry = offline("", "all").await;
    let cases = [
        ("PUBLIC_URL", "", "OFFLINE needs PUBLIC_URL"),
        ("FETCH", "false", "OFFLINE and FETCH=false exclude each other"),
        ("OFFLINE", "true", "OFFLINE is malformed; set it to all, or names of stacks"),
    ];
    for (name, value, reason) in cases {
        registry = registry.with(name, value);
        let error = registry.refresh().await.unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}
