//! The program: runs that end, and previews that go on.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use registry_tests::registry::{TestRegistry, binary, copy};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// The longest wait for a line or an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that ended.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("devfile-registry"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs the program in a folder to its end.
pub(crate) async fn run(folder: &Path, arguments: &[&str]) -> Ran {
    let output = command(folder, arguments).output().await.expect("devfile-registry starts");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs the program in a folder to its end, with its output going elsewhere.
pub(crate) async fn run_into(folder: &Path, arguments: &[&str], stdout: impl Into<Stdio>) -> Ran {
    let mut command = command(folder, arguments);
    let process = command.stdout(stdout).stderr(Stdio::piped()).spawn().expect("devfile-registry starts");
    let output = process.wait_with_output().await.unwrap();
    Ran {
        status: output.status.code().unwrap(),
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Starts the program in a folder, with its output going elsewhere; it ends when it is dropped.
pub(crate) fn start_into(folder: &Path, arguments: &[&str], stdout: impl Into<Stdio>) -> Child {
    command(folder, arguments).stdout(stdout).spawn().expect("devfile-registry starts")
}

/// A copy of the example registry.
pub(crate) fn example() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&TestRegistry::example(), folder.path());
    folder
}

/// Replaces a text in a file of a folder, as an editor does it: nobody sees a part of the new file.
pub(crate) fn edit(folder: &Path, path: &str, from: &str, to: &str) {
    let path = folder.join(path);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {}", path.display());
    let new = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&new, text.replace(from, to)).unwrap();
    new.persist(path).unwrap();
}

/// A preview that runs; it ends when this is dropped.
pub(crate) struct Preview {
    /// Its URL.
    pub(crate) url: String,
    process: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    printed: Vec<String>,
}

impl Preview {
    /// Starts a preview and waits until it is ready.
    pub(crate) async fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(folder, &["preview"]);
        command.args(arguments).stdout(Stdio::piped());
        let mut process = command.spawn().expect("devfile-registry starts");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut preview = Self { url: String::new(), process, lines, printed: Vec::new() };
        let line = preview.prints("/viewer").await;
        preview.url = line.split_whitespace().last().unwrap().trim_end_matches("/viewer").to_owned();
        preview
    }

    /// Waits for a line with a text in it.
    pub(crate) async fn prints(&mut self, text: &str) -> String {
        let line = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.printed.push(line.clone());
                if line.contains(text) {
                    return Some(line);
                }
            }
            None
        };
        let line = tokio::time::timeout(PATIENCE, line).await.ok().flatten();
        line.unwrap_or_else(|| panic!("no line has {text}:\n{}", self.printed.join("\n")))
    }

    /// Its output so far.
    pub(crate) fn printed(&self) -> String {
        self.printed.join("\n")
    }

    /// Answers a GET: the body as text.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = registry_tests::http::get(format!("{}{path}", self.url)).await.expect("the preview answers");
        (answer.status().as_u16(), answer.text().await.expect("the body is text"))
    }

    /// Sends a signal as Ctrl-C does, and waits for the end.
    pub(crate) async fn interrupt(mut self) -> std::process::ExitStatus {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
        tokio::time::timeout(PATIENCE, self.process.wait()).await.expect("it ends").unwrap()
    }
}
