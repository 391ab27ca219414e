//! Commands as a reader of a page would run them.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use registry_tests::registry::{Serving, TestRegistry, binary};
use tempfile::TempDir;
use tokio::process::Command;

use crate::conversations::replay;

/// Clients that need not be installed, with the variable that has the path of one.
const CLIENTS: [(&str, &str); 4] =
    [("registry", "REGISTRY_LIBRARY"), ("odo", "ODO"), ("oras", "ORAS"), ("crane", "CRANE")];

/// Longest that one command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A shell in an empty folder, with `REGISTRY` set to the URL of a registry.
pub(crate) struct Shell<'s> {
    pub(crate) folder: TempDir,
    serve: &'s Serving,
    programs: TempDir,
    home: TempDir,
    variables: Vec<(String, String)>,
}

/// The outcome of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) succeeded: bool,
    pub(crate) printed: String,
}

impl<'s> Shell<'s> {
    /// `refresh` runs in the environment of the registry.
    pub(crate) fn new(registry: &TestRegistry, serve: &'s Serving) -> Self {
        let temporary = || tempfile::tempdir().unwrap();
        let (folder, programs, home) = (temporary(), temporary(), temporary());
        let link =
            |name: &str, program: &Path| std::os::unix::fs::symlink(program, programs.path().join(name)).unwrap();
        for name in ["refresh", "index-generator"] {
            link(name, &binary(name));
        }
        for (client, variable) in CLIENTS {
            if let Some(program) = std::env::var_os(variable) {
                link(client, Path::new(&program));
            }
        }
        let mut variables = registry.variables();
        let path = [
            programs.path().display().to_string(),
            registry_tests::tools::folder().display().to_string(),
            std::env::var("PATH").unwrap(),
        ]
        .join(":");
        let own = [
            ("PATH", path),
            ("HOME", home.path().display().to_string()),
            ("LC_ALL", "C".to_owned()),
            ("RUST_LOG", "off".to_owned()),
            ("REGISTRY", serve.url.clone()),
            // For the page that compares two registries.
            ("OLD", serve.url.clone()),
            ("NEW", serve.url.clone()),
            // As docs/operators/operate.md has it for registries that are not on AWS.
            ("BASH_FUNC_act%%", "() { refresh invoke \"$1\"; }".to_owned()),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ];
        variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Self { folder, serve, programs, home, variables }
    }

    /// The same with another variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs the commands of a block, one after the other, until one fails.
    pub(crate) async fn run(&self, block: &str) -> Ran {
        let commands = commands(block);
        if !commands.iter().any(|command| client(command).is_some()) {
            return self.bash(block).await;
        }
        let mut all = Ran { succeeded: true, printed: String::new() };
        for command in commands {
            let ran = match client(command) {
                Some(client) if !self.programs.path().join(client).exists() => self.replay(command).await,
                _ => self.bash(command).await,
            };
            // The command of registry-library always ends with status 0.
            all.succeeded =
                ran.succeeded && !(client(command) == Some("registry") && ran.printed.contains("ailed to "));
            all.printed += &ran.printed;
            if !all.succeeded {
                break;
            }
        }
        all
    }

    async fn replay(&self, command: &str) -> Ran {
        // The shell's part of it: variables and quotes.
        let words = self.bash(&format!("printf '%s ' {command}")).await.printed;
        match replay(words.trim_end(), self.serve, self.folder.path()).await {
            Ok(()) => Ran { succeeded: true, printed: String::new() },
            Err(reason) => Ran { succeeded: false, printed: reason },
        }
    }

    async fn bash(&self, script: &str) -> Ran {
        let mut command = Command::new("bash");
        command.args(["-e", "-o", "pipefail", "-c", &format!("exec 2>&1\n{script}")]).current_dir(self.folder.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let Ok(output) = tokio::time::timeout(LIMIT, command.output()).await else {
            return Ran { succeeded: false, printed: format!("it does not end within {LIMIT:?}") };
        };
        let Output { status, stdout, .. } = output.unwrap();
        Ran { succeeded: status.success(), printed: String::from_utf8_lossy(&stdout).into_owned() }
    }
}

impl std::fmt::Debug for Shell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shell").field("folder", &self.folder).field("home", &self.home).finish_non_exhaustive()
    }
}

/// The client that a command runs.
fn client(command: &str) -> Option<&'static str> {
    let program = command.split_whitespace().next()?;
    CLIENTS.iter().map(|(client, _)| *client).find(|client| *client == program)
}

/// The commands of a block; a backslash at the end of a line continues it.
fn commands(block: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let (mut start, mut end) = (0, 0);
    for line in block.split_inclusive('\n') {
        end += line.len();
        if !line.trim_end().ends_with('\\') {
            commands.push(block[start..end].trim());
            start = end;
        }
    }
    commands.into_iter().filter(|command| !command.is_empty()).collect()
}
