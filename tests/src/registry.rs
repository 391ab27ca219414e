//! A whole registry under test: both functions as processes, on a bucket and a namespace of their own in the real servers
//! that `scripts/test` starts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use devfile_registry::settings::OF_SERVERS;

use crate::git::git;
use crate::memory::{Peak, resident};

/// A registry that nobody else uses.
#[derive(Debug)]
pub struct TestRegistry {
    /// Name of its bucket, and of its namespace in the OCI registry.
    pub name: String,
    /// Folder of its registry repository.
    pub repository: tempfile::TempDir,
    /// The S3 server, to look behind the scenes.
    pub s3: aws_sdk_s3::Client,
    variables: Vec<(String, String)>,
    programs: Option<PathBuf>,
    limited: bool,
}

/// Memory of the functions in kB, as the deployment gives it (template.yaml, `MemorySize`).
const MEMORY_KB: [(&str, u64); 2] = [("refresh", 512 << 10), ("serve", 256 << 10)];

/// A running function in plain HTTP; it ends when this is dropped.
#[derive(Debug)]
pub struct Serving {
    /// Its URL.
    pub url: String,
    process: Child,
    lines: tokio::sync::mpsc::UnboundedReceiver<String>,
}

/// The address of a server in a variable, or what else the caller of the tests says.
pub(crate) fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; run the tests with scripts/test"))
}

/// The program of the workspace with a name.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let folder = test.ancestors().find(|folder| folder.join(name).is_file());
    folder.unwrap_or_else(|| panic!("{name} is not built; run cargo build --workspace")).join(name)
}

impl TestRegistry {
    /// A registry whose repository starts as a copy of a folder, with an empty bucket.
    pub async fn of(content: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Process numbers come round again on a server that runs for long.
        let begin = std::time::UNIX_EPOCH.elapsed().expect("a time after 1970").as_millis();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{begin}-{}-{count}", std::process::id());
        let repository = tempfile::tempdir().expect("a temporary folder");
        copy(content, repository.path());
        let (s3, oci) = (server("TEST_S3_ENDPOINT"), server("TEST_OCI_REGISTRY"));
        let variables = [
            ("CACHE_BUCKET", name.clone()),
            ("AWS_ENDPOINT_URL_S3", s3.clone()),
            ("OCI_REGISTRY", format!("{oci}/{name}")),
            ("REGISTRY_REPO_URL", repository.path().display().to_string()),
            ("REVALIDATE_SECONDS", "0".into()),
            // Only the own machine is asked, even when a fixture names another host.
            ("FETCH", "false".into()),
            ("FETCH_HOSTS", "localhost".into()),
            ("FETCH_ALLOW_LOOPBACK", "true".into()),
            ("LISTEN_ADDR", "127.0.0.1:0".into()),
        ];
        let config = aws_config::from_env().endpoint_url(s3).load().await;
        let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        let client = aws_sdk_s3::Client::from_conf(config);
        client.create_bucket().bucket(&name).send().await.expect("the S3 server makes a bucket");
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Self { name, repository, s3: client, variables, programs: None, limited: false }
    }

    /// The environment of its functions.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.variables.clone()
    }

    /// The same registry with another value of a variable.
    pub fn with(mut self, variable: &str, value: &str) -> Self {
        self.variables.retain(|(name, _)| name != variable);
        self.variables.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// The same registry without a value of a variable, so that its default counts.
    pub fn without(mut self, variable: &str) -> Self {
        self.variables.retain(|(name, _)| name != variable);
        self
    }

    /// The same registry, whose programs are those in a folder instead of those beside the test.
    pub fn with_programs(mut self, folder: &Path) -> Self {
        self.programs = Some(folder.to_owned());
        self
    }

    /// The same registry, whose functions get no more memory than the deployment gives them.
    pub fn within_memory_limit(mut self) -> Self {
        self.limited = true;
        self
    }

    /// The example registry of the fixtures.
    pub fn example() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/registry")
    }

    /// Changes a file of the repository.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.repository.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        std::fs::write(path, content).expect("a file can be written");
    }

    /// The program of the workspace with a name.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.as_ref().map_or_else(|| binary(name), |folder| folder.join(name))
    }

    /// The command that starts a function, with a limit of its memory if one is wanted: an allocation beyond fails
    /// (setrlimit(2), `RLIMIT_DATA`).
    fn command(&self, name: &str) -> Command {
        let program = self.program(name);
        let limit = MEMORY_KB.iter().find(|(limited, _)| *limited == name).filter(|_| self.limited);
        let Some((_, kilobytes)) = limit else { return Command::new(program) };
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -d {kilobytes} && exec \"$0\" \"$@\"")).arg(program);
        // One arena of malloc: each reserves 64 MiB, used or not.
        command.env("MALLOC_ARENA_MAX", "1");
        command
    }

    /// Runs one refresh and returns its report, or its error message.
    pub async fn refresh(&self) -> Result<serde_json::Value, String> {
        self.invoke(&serde_json::json!({"action": "refresh"})).await
    }

    /// Invokes `refresh` with an event and returns its answer, or its error message.
    pub async fn invoke(&self, event: &serde_json::Value) -> Result<serde_json::Value, String> {
        let output = self.invocation(event).output().await.expect("refresh starts");
        // A verification that found damage has a status of its own.
        if output.status.success() || !output.stdout.is_empty() {
            Ok(serde_json::from_slice(&output.stdout).expect("the answer is JSON"))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// The command that invokes `refresh` with an event.
    pub fn invocation(&self, event: &serde_json::Value) -> Command {
        let mut command = self.command("refresh");
        command.args(["invoke", &event.to_string()]).envs(self.variables.clone()).env("RUST_LOG", "off");
        command.kill_on_drop(true);
        command
    }

    /// Starts `serve` and waits until it listens.
    pub async fn serve(&self) -> Serving {
        self.serve_with(&[]).await
    }

    /// Starts `serve` with other values of some variables.
    pub async fn serve_with(&self, variables: &[(&str, &str)]) -> Serving {
        self.launch_serve(variables).await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Starts `serve` with other values of some variables.
    ///
    /// # Errors
    /// As of [`Serving::launch`].
    pub async fn launch_serve(&self, variables: &[(&str, &str)]) -> Result<Serving> {
        self.launch("serve", "serving on ", variables).await
    }

    /// Starts `refresh` as a server and waits until it listens.
    pub async fn refreshing(&self) -> Serving {
        self.launch("refresh", "listening on ", &[]).await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    async fn launch(&self, program: &str, announcement: &str, variables: &[(&str, &str)]) -> Result<Serving> {
        let mut command = self.command(program);
        command.envs(self.variables.clone()).envs(variables.iter().copied());
        Serving::launch(command, announcement).await
    }

    /// The keys of the bucket that begin with a prefix.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.s3.list_objects_v2().bucket(&self.name).prefix(prefix).send().await.expect("a list");
        listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect()
    }

    /// Removes objects from the bucket.
    pub async fn remove(&self, keys: &[String]) {
        for key in keys {
            self.s3.delete_object().bucket(&self.name).key(key).send().await.expect("an object can be removed");
        }
    }

    /// Forgets when pending stacks are tried again, so that the next refresh tries all of them.
    pub async fn forget_retries(&self) {
        self.remove(&["pending.json".to_owned()]).await;
    }

    /// The bytes of an object in the bucket.
    pub async fn object(&self, key: &str) -> bytes::Bytes {
        let object = self.s3.get_object().bucket(&self.name).key(key).send().await.expect("the object is there");
        object.body.collect().await.expect("all of it").into_bytes()
    }

    /// Writes an object into the bucket, past all rules.
    pub async fn put(&self, key: &str, content: impl AsRef<[u8]>) {
        let body = content.as_ref().to_vec().into();
        self.s3.put_object().bucket(&self.name).key(key).body(body).send().await.expect("an object can be written");
    }

    /// The object `index.json`.
    pub async fn live(&self) -> serde_json::Value {
        serde_json::from_slice(&self.object("index.json").await).expect("index.json is JSON")
    }

    /// Runs `git` in the repository's folder.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.repository.path(), arguments)
    }

    /// Commits everything, on the branch `main`, and gives the commit.
    pub fn commit(&self) -> String {
        if !self.repository.path().join(".git").exists() {
            self.git(&["init", "--quiet", "--initial-branch=main"]);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "A change"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

impl Serving {
    /// Starts a server of a test; see [`launch`](Self::launch).
    pub async fn start(command: Command, announcement: &str) -> Self {
        Self::launch(command, announcement).await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Starts a server and waits until its log announces its URL. `RUST_LOG` of the command must allow that line.
    ///
    /// # Errors
    /// It does not start, or ends before that line; the message has the last one.
    pub async fn launch(mut command: Command, announcement: &str) -> Result<Self> {
        if command.as_std().get_envs().all(|(name, _)| name != "RUST_LOG") {
            command.env("RUST_LOG", "info");
        }
        let mut process = spawn(command.stderr(Stdio::piped()))?;
        let log = process.stderr.take().context("its log is piped")?;
        Self::announced(process, log, announcement).await
    }

    /// Starts a server and waits until its standard output, which is retained as its log, announces its URL.
    ///
    /// # Errors
    /// As of [`launch`](Self::launch).
    pub async fn launch_printing(mut command: Command, announcement: &str) -> Result<Self> {
        let mut process = spawn(command.stdout(Stdio::piped()))?;
        let output = process.stdout.take().context("its output is piped")?;
        Self::announced(process, output, announcement).await
    }

    async fn announced(
        process: Child,
        log: impl AsyncRead + Unpin + Send + 'static,
        announcement: &str,
    ) -> Result<Self> {
        let mut log = BufReader::new(log).lines();
        let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
        let mut last = String::new();
        let url = loop {
            let line = log.next_line().await.context("its log is text")?;
            last = line.with_context(|| format!("a server ended before it listened; its last line: {last}"))?;
            // Its receiver is still here.
            let _ = sender.send(last.clone());
            if let Some(url) = announced(&last, announcement) {
                break url;
            }
        };
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                // Nobody need listen.
                let _ = sender.send(line);
            }
        });
        Ok(Self { url, process, lines })
    }

    /// Answers a GET: status, and the body as text.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = crate::http::get(format!("{}{path}", self.url)).await.expect("serve answers");
        (answer.status().as_u16(), answer.text().await.expect("the body is text"))
    }

    /// The JSON that a GET is answered with.
    pub async fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path).await;
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {status} {body}: {error}"))
    }

    /// Waits for a line of its log that has a text in it, a minute at most.
    pub async fn logs(&mut self, text: &str) -> String {
        let mut last = String::new();
        let line = async {
            loop {
                let line = self.lines.recv().await;
                last =
                    line.unwrap_or_else(|| panic!("the function ended without logging {text}; its last line: {last}"));
                if last.contains(text) {
                    return last;
                }
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), line).await;
        waited.unwrap_or_else(|_| panic!("the function does not log {text}"))
    }

    /// Its whole log, for a caller that reads all of it; [`logs`](Self::logs) finds nothing any more.
    pub fn take_log(&mut self) -> tokio::sync::mpsc::UnboundedReceiver<String> {
        std::mem::replace(&mut self.lines, tokio::sync::mpsc::unbounded_channel().1)
    }

    /// The status that it ended with; none while it runs.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.process.try_wait().expect("a child can be asked")
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// The memory that it holds now, in bytes; 0 once it has ended.
    pub fn memory(&self) -> u64 {
        resident(self.process_id()).unwrap_or_default()
    }

    /// Watches its memory from now on.
    pub fn peak_memory(&self) -> Peak {
        Peak::of(self.process_id())
    }

    /// Kills it, and waits for its end.
    pub async fn kill(mut self) {
        self.process.kill().await.expect("it can be killed");
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self) {
        let id = self.process.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs");
        assert!(sent.success());
        self.process.wait().await.expect("it ends");
    }
}

/// Removes the settings of servers, which are refused beside a directory (`STORE`), from the environment of a command.
pub fn without_servers(command: &mut Command) {
    for variable in OF_SERVERS.iter().flat_map(|setting| setting.variables()) {
        command.env_remove(variable);
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    let spawned = command.kill_on_drop(true).spawn();
    spawned.with_context(|| format!("cannot start {}", command.as_std().get_program().display()))
}

/// The URL that a line of a log announces.
pub fn announced(line: &str, announcement: &str) -> Option<String> {
    let (_, rest) = line.split_once(announcement)?;
    Some(rest.chars().take_while(|c| *c != '"' && !c.is_whitespace()).collect())
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    for entry in from.read_dir().expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&to).expect("a folder can be made");
            copy(&entry.path(), &to);
        } else {
            std::fs::write(&to, std::fs::read(entry.path()).expect("a file can be read"))
                .expect("a file can be written");
        }
    }
}
