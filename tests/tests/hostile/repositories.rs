//! Git repositories and archives that attack their reader.

use std::path::{Path, PathBuf};

use registry_tests::registry::{TestRegistry, binary, copy};

/// A repository that makes the programs of Git run a command wherever they read it.
fn plant(folder: &Path, marker: &Path) {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").arg("-C").arg(folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::create_dir_all(folder).unwrap();
    git(&["init", "--quiet", "--bare", "."]);
    let command = format!("touch {}; false", marker.display());
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = \"{command}\"\n\tsshCommand = \"{command}\"\n\
         \thooksPath = hooks\n[diff]\n\texternal = \"{command}\"\n[include]\n\tpath = /dev/null\n"
    );
    std::fs::write(folder.join("config"), config).unwrap();
}

/// Runs everything that reads a folder, and says whether the planted command ran.
async fn ran(registry: &TestRegistry, folder: &Path, marker: &Path) -> bool {
    for arguments in [&["--check", "--offline"][..], &["--check", "--offline", "--changed-since", "HEAD"]] {
        // The verdict does not matter, only that nothing of the folder runs.
        let output =
            std::process::Command::new(binary("index-generator")).args(arguments).arg(folder).output().unwrap();
        assert!(output.status.code().is_some_and(|code| code <= 2), "{output:?}");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/actions/check/check.py");
    let output = std::process::Command::new("python3")
        .arg(script)
        .env("DEVFILE_REGISTRY", binary("devfile-registry"))
        .env("GITHUB_WORKSPACE", folder)
        .env("CHECK_REGISTRY", ".")
        .env("CHECK_CHANGED_SINCE", "0123456789012345678901234567890123456789")
        .output()
        .unwrap();
    assert!(output.status.code().is_some_and(|code| code <= 2), "{output:?}");
    let mut refresh = registry.invocation(&serde_json::json!({"action": "refresh"}));
    refresh.env("REGISTRY_REPO_URL", folder).output().await.unwrap();
    marker.exists()
}

#[tokio::test]
async fn committed_repository_runs_no_command() {
    let scratch = tempfile::tempdir().unwrap();
    let marker = scratch.path().join("it-ran");
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let example = |name: &str| -> PathBuf {
        let folder = scratch.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        copy(&TestRegistry::example(), &folder);
        folder
    };
    // A plain copy that is a repository itself; the same below the top of a work tree; and a `.git` with a hostile configuration.
    let plain = example("plain");
    plant(&plain, &marker);
    let below = example("work/registry");
    plant(&below, &marker);
    let top = scratch.path().join("work");
    let git = std::process::Command::new("git").arg("-C").arg(&top).args(["init", "--quiet"]).status().unwrap();
    assert!(git.success());
    let own = example("own");
    plant(&own.join(".git"), &marker);
    for folder in [plain, below, own] {
        assert!(!ran(&registry, &folder, &marker).await, "{} ran a command", folder.display());
    }
}

/// Released programs start no other program, so none can be exploited.
#[test]
fn released_code_starts_no_program() {
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["shared/src", "functions/refresh/src", "functions/serve/src"] {
        sources(&top.join(folder), &mut files);
    }
    assert!(files.len() > 100);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let released = text.split("mod tests {").next().unwrap();
        let is_test = file.ends_with("git/server.rs") || file.file_name().is_some_and(|name| name == "tests.rs");
        let starts = released.contains("Command::new(") && !released.contains("clap::Command::new(");
        assert!(is_test || !starts || file.ends_with("git/tree_id.rs"), "{} starts a program", file.display());
    }
}
