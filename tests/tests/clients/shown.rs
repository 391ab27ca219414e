//! The commands on the pages of stacks and samples get the version that the page shows.

use std::path::Path;
use std::process::Command;

use registry_tests::registry::TestRegistry;

use crate::shell::Shell;

/// The host that the sample's repository has on its page; `git` is told that it is a folder.
const HOST: &str = "https://git.example.org/";

/// The commands of a page, each with the name of its client.
fn commands(page: &str) -> Vec<(&str, String)> {
    let plain =
        |text: &str| text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    let blocks = page.split("<code id=\"use-").skip(1);
    let parts =
        blocks.map(|block| block.split_once("\">").and_then(|(id, rest)| Some((id, rest.split_once("</code>")?.0))));
    parts.map(|part| part.unwrap()).map(|(id, text)| (id, plain(text))).collect()
}

fn version(devfile: &Path) -> Option<String> {
    let text = std::fs::read_to_string(devfile).ok()?;
    text.lines().find_map(|line| line.trim().strip_prefix("version: ")).map(str::to_owned)
}

#[tokio::test]
async fn command_of_a_stack_page_gets_the_version_shown() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    for (shown, path) in [
        ("1.1.0", "/viewer/devfiles/devfile-registry/kiln"),
        ("1.1.0", "/viewer/devfiles/devfile-registry/kiln?devfile-version=1.1.0"),
        ("1.0.0", "/viewer/devfiles/devfile-registry/kiln?devfile-version=1.0.0"),
    ] {
        let (_, page) = serve.get(path).await;
        let commands = commands(&page);
        let clients: Vec<&str> = commands.iter().map(|(client, _)| *client).collect();
        assert_eq!(clients, ["odo", "vscode", "che", "oras", "library", "curl"], "{page}");
        for (client, block) in commands {
            match client {
                // The extension reads the index of the registry at this address, with the versions of the stack.
                "vscode" => {
                    assert_eq!(block, serve.url);
                    let (status, index) = serve.get("/v2index/all").await;
                    assert!(status == 200 && index.contains(&format!("\"version\":\"{shown}\"")), "{index}");
                    continue;
                }
                // Che fetches the devfile at the address behind the `#`.
                "che" => {
                    let address = block.strip_prefix("https://CHE_HOST/#").unwrap();
                    let (status, devfile) = serve.get(address.strip_prefix(&serve.url).unwrap()).await;
                    assert!(status == 200 && devfile.contains(&format!("version: {shown}\n")), "{block}: {devfile}");
                    continue;
                }
                _ => {}
            }
            let shell = Shell::new(&registry, &serve);
            let ran = shell.run(&block).await;
            assert!(ran.succeeded, "{path}: {client}: {block}\n{}", ran.printed);
            let got = version(&shell.folder.path().join("devfile.yaml"));
            assert_eq!(got.as_deref(), Some(shown), "{path}: {client}: {block}");
        }
    }
}

/// A repository with a commit for each version, and their revisions: a commit, a tag, a branch.
fn repository(folder: &Path) -> [(&'static str, String); 4] {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command.args(["-c", "user.name=Potter", "-c", "user.email=potter@example.com"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let commit = |version: &str| {
        std::fs::write(folder.join("devfile.yaml"), devfile(version)).unwrap();
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", version]);
        git(&["rev-parse", "HEAD"])
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    let by_commit = commit("1.0.0");
    let short = commit("1.1.0")[..9].to_owned();
    commit("2.0.0");
    git(&["tag", "v2"]);
    git(&["checkout", "--quiet", "-b", "three"]);
    commit("3.0.0");
    git(&["checkout", "--quiet", "main"]);
    commit("9.9.9");
    [("1.0.0", by_commit), ("1.1.0", short), ("2.0.0", "v2".to_owned()), ("3.0.0", "three".to_owned())]
}

fn devfile(version: &str) -> String {
    format!("schemaVersion: 2.2.2\nmetadata:\n  name: pot\n  version: {version}\n")
}

#[tokio::test]
async fn git_command_of_a_sample_page_gets_the_revision_shown() {
    let remotes = tempfile::tempdir().unwrap();
    let remote = remotes.path().join("clay/pot.git");
    std::fs::create_dir_all(&remote).unwrap();
    let revisions = repository(&remote);
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let mut entries = "samples:\n  - name: pot\n    displayName: Pot\n    versions:\n".to_owned();
    for (version, revision) in &revisions {
        entries += &format!(
            "      - version: {version}\n        schemaVersion: 2.2.2\n        default: {}\n        git:\n          revision: '{revision}'\n          \
             remotes:\n            origin: {HOST}clay/pot.git\n",
            *version == "3.0.0"
        );
        registry.write(&format!("samples/pot/{version}/devfile.yaml"), devfile(version));
    }
    registry.write("extraDevfileEntries.yaml", entries);
    let report = registry.refresh().await.unwrap();
    assert_eq!(report["quarantined"], serde_json::json!([]));
    let serve = registry.serve().await;
    for (shown, revision) in &revisions {
        let path = format!("/viewer/devfiles/devfile-registry/pot?devfile-version={shown}");
        let (_, page) = serve.get(&path).await;
        let commands = commands(&page);
        let (_, block) =
            commands.iter().find(|(client, _)| *client == "git").unwrap_or_else(|| panic!("{path}: {page}"));
        let shell = Shell::new(&registry, &serve)
            .with("GIT_CONFIG_COUNT", "1")
            .with("GIT_CONFIG_KEY_0", &format!("url.file://{}/.insteadOf", remotes.path().display()))
            .with("GIT_CONFIG_VALUE_0", HOST);
        let ran = shell.run(block).await;
        assert!(ran.succeeded, "{revision}: {block}\n{}", ran.printed);
        let got = version(&shell.folder.path().join("pot/devfile.yaml"));
        assert_eq!(got.as_deref(), Some(*shown), "{revision}: {block}");
    }
}
