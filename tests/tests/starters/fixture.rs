//! Git repositories, a registry whose devfiles name them, and clients that unpack the downloads.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use registry_tests::answer::Answer;
use registry_tests::git::git;
use registry_tests::github::GitHub;
use registry_tests::registry::{Serving, TestRegistry};
use tempfile::TempDir;

/// A Git repository and the host that serves it.
pub(crate) struct Project {
    folder: TempDir,
    pub(crate) host: GitHub,
}

impl Project {
    /// A repository with one commit on `main`, tagged `v1`.
    pub(crate) async fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet", "--initial-branch=main"]);
        let host = GitHub::start_example(folder.path()).await.unwrap();
        let project = Self { folder, host };
        project.write("README.md", text);
        project.write("app/src/main.rs", "fn main() {}");
        project.write("app/build.sh", "#!/bin/sh\n");
        let script = project.folder.path().join("app/build.sh");
        std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
        project.commit();
        project.git(&["tag", "--annotate", "v1", "--message", "one"]);
        project
    }

    /// Its URL.
    pub(crate) fn remote(&self) -> String {
        format!("{}/example/registry", self.host.url())
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Commits everything as it is, and gives the commit.
    pub(crate) fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "a change"]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(self.folder.path(), arguments)
    }

    /// The files of a commit, or of a folder of it, as Git checks them out.
    pub(crate) fn files(&self, revision: &str, folder: &str) -> Files {
        let out = tempfile::tempdir().unwrap();
        let tree = format!("--work-tree={}", out.path().display());
        self.git(&[&tree, "checkout", "--force", revision, "--", "."]);
        let files = Files::below(&out.path().join(folder));
        self.git(&["reset", "--hard", "--quiet"]);
        files
    }
}

/// Contents and owner's permissions by path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Files(pub(crate) BTreeMap<String, (bool, Vec<u8>)>);

impl Files {
    pub(crate) fn below(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in next.read_dir().unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(folder).unwrap().display().to_string();
                    let runs = entry.metadata().unwrap().permissions().mode() & 0o100 != 0;
                    files.insert(name, (runs, std::fs::read(path).unwrap()));
                }
            }
        }
        Self(files)
    }

    /// Returns the files that the system's `unzip` makes of a zip.
    pub(crate) fn unzipped(zip: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, out) = (folder.path().join("project.zip"), folder.path().join("out"));
        std::fs::write(&file, zip).unwrap();
        // Names that are not ASCII come out as they are only where the system's language has them.
        let mut unzip = Command::new("unzip");
        let output = unzip.arg("-q").arg(&file).arg("-d").arg(&out).env("LC_ALL", "C.UTF-8").output().unwrap();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        Self::below(&out)
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The example registry, with starter projects in the devfile of `loom`.
pub(crate) async fn registry(starters: &str) -> TestRegistry {
    let registry = TestRegistry::of(&TestRegistry::example()).await.with("FETCH_ALLOW_LOOPBACK", "true");
    set_starters(&registry, starters);
    registry
}

/// Gives `loom` other starter projects.
pub(crate) fn set_starters(registry: &TestRegistry, starters: &str) {
    registry.write(
        "stacks/loom/devfile.yaml",
        format!(
            "schemaVersion: 2.2.0\nmetadata:\n  name: loom\n  version: 0.3.0\n  displayName: Loom\n  language: Go\n  \
             projectType: Go\nstarterProjects:\n{starters}"
        ),
    );
}

/// A Git starter in a devfile.
pub(crate) fn git_starter(name: &str, remote: &str, revision: &str, folder: &str) -> String {
    format!(
        "  - name: {name}\n    subDir: '{folder}'\n    git:\n      remotes:\n        origin: {remote}\n      checkoutFrom:\n        \
         revision: '{revision}'\n"
    )
}

/// Publishes a registry and serves it.
pub(crate) async fn published(registry: &TestRegistry) -> Serving {
    assert_eq!(registry.refresh().await.unwrap()["outcome"], "published");
    registry.serve().await
}

pub(crate) async fn get(serve: &Serving, project: &str) -> Answer {
    serve.ask("GET", &format!("/devfiles/loom/starter-projects/{project}"), &[]).await
}

/// The files of a starter project, which must be given.
pub(crate) async fn download(serve: &Serving, project: &str) -> Files {
    let answer = get(serve, project).await;
    assert_eq!(answer.status, 202, "{project}: {}", text(&answer.body));
    assert_eq!(answer.header("content-type"), "application/zip");
    assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{project}.zip\""));
    Files::unzipped(&answer.body)
}

/// Noise of a fixed kind, which no zip makes smaller.
pub(crate) fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + (state >> 57) as u8 % 95)
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
