//! Programs that others made, against `serve`: skopeo pulls a stack, schemathesis holds the server to its own description.
//! The commands of the documentation and of the viewer's pages are run as they stand there.

#![allow(clippy::unwrap_used)]

mod conversations;
mod documented;
mod shell;
mod shown;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use devfile_registry::digest::Digest;
use registry_tests::registry::{Serving, TestRegistry};
use registry_tests::tools::tool;
use tokio::process::Command;

#[tokio::test]
async fn skopeo_copies_a_stack_out() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let accept = [("accept", "application/vnd.oci.image.manifest.v1+json")];
    let manifest = serve.ask("GET", "/v2/devfile-catalog/kiln/manifests/1.1.0", &accept).await;
    let expected: BTreeSet<String> = {
        let document = manifest.json();
        let layers = document["layers"].as_array().unwrap().iter().chain([&document["config"]]);
        layers.map(|blob| blob["digest"].as_str().unwrap().to_owned()).collect()
    };

    let folder = tempfile::tempdir().unwrap();
    let host = serve.url.strip_prefix("http://").unwrap();
    let mut skopeo = Command::new(tool("skopeo"));
    skopeo.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--preserve-digests"]);
    skopeo.arg(format!("docker://{host}/devfile-catalog/kiln:1.1.0")).arg(format!("dir:{}", folder.path().display()));
    let output = skopeo.kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    assert_eq!(std::fs::read(folder.path().join("manifest.json")).unwrap(), manifest.body);
    let blobs = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let blobs = blobs
        .filter(|path| !matches!(path.file_name().and_then(|name| name.to_str()), Some("manifest.json" | "version")));
    let found: BTreeSet<String> = blobs.map(|path| Digest::of(&std::fs::read(path).unwrap()).to_string()).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis.toml");
    let known = format!("--config-file={}", config.display());
    let (nothing, known) = ([], [known.as_str()]);
    // Corner by corner. `/index` and `/v2index` have the parameters of the routes with a type, which take long enough. Some
    // routes of `/v2` answer 404 to writes, as the reference does; `odd_requests` asks every route with every method.
    let corners = [
        "--phases=coverage",
        "--include-method=GET",
        "--exclude-path=/index",
        "--exclude-path=/v2index",
        "--exclude-checks=unsupported_method",
    ];
    // Answers of others are no business of this test, and chains of requests lead to starter projects on other hosts.
    let anything = ["--phases=fuzzing,stateful", "--exclude-path-regex=/starter-projects/"];
    let there = ["--phases=fuzzing", "--include-path-regex=^/(devfiles|stacks|v2/devfile-catalog)/"];
    let (corners, anything, there) = tokio::join!(
        schemathesis(&serve, &nothing, &corners),
        schemathesis(&serve, &nothing, &anything),
        schemathesis(&serve, &known, &there),
    );
    for (status, said) in [corners, anything, there] {
        assert!(status && said.contains("No issues found"), "{said}");
    }
}

/// Returns whether it found nothing, and its output. The seed makes a finding reproducible.
async fn schemathesis(serve: &Serving, global: &[&str], options: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().expect("schemathesis runs");
    let mut command = Command::new(tool("schemathesis"));
    command.arg("--no-color").args(global).args(["run", &format!("{}/openapi.json", serve.url), "--seed=1"]);
    command.args(["--max-examples=10", "--continue-on-failure", "--warnings=off"]).args(options);
    command.current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.expect("schemathesis runs");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
