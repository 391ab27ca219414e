//! A Git host for unit tests: real repositories behind `git http-backend` (git documentation, "git-http-backend").

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

/// A host with any number of repositories below its folder.
#[derive(Debug)]
pub(crate) struct GitHost {
    folder: tempfile::TempDir,
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Whether a host applies filters (git-config, `uploadpack.allowFilter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filters {
    Allowed,
    Refused,
}

impl GitHost {
    /// Starts a host for everybody. A request with credentials is refused, since none were meant for it.
    pub(crate) async fn start(filters: Filters) -> Self {
        Self::start_for(filters, None).await
    }

    /// Starts a host that answers requests with this `Authorization` header alone; `None` stands for no header.
    pub(crate) async fn start_for(filters: Filters, authorization: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (root, log) = (folder.path().to_owned(), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (root, log) = (root.clone(), Arc::clone(&log));
                tokio::spawn(async move { answer(stream, &root, (filters, authorization), &log).await });
            }
        });
        Self { folder, url, asked }
    }

    /// The URL of a repository.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    /// Makes all of some files the content of a repository, commits it on `main`, and returns the commit.
    pub(crate) fn commit(&self, name: &str, files: &[(&str, &str)], date: &str) -> String {
        let repository = self.folder.path().join(name);
        if !repository.exists() {
            std::fs::create_dir_all(&repository).unwrap();
            git(&repository, &["init", "--quiet", "--initial-branch=main"], date);
        }
        for entry in repository.read_dir().unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != ".git") {
            let path = entry.path();
            if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
        }
        for (path, content) in files {
            let path = repository.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        git(&repository, &["add", "--all"], date);
        git(&repository, &["commit", "--quiet", "--allow-empty", "--message", "A change"], date);
        self.git(name, &["rev-parse", "HEAD"])
    }

    /// Runs Git in a repository.
    pub(crate) fn git(&self, name: &str, arguments: &[&str]) -> String {
        git(&self.folder.path().join(name), arguments, "2026-01-01T00:00:00Z")
    }

    /// Requests since the last call: method and path.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// The program `git`, without the settings of the machine, and without the repository of a hook that runs the tests.
pub(crate) fn git_command() -> std::process::Command {
    let mut command = std::process::Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
        command.env_remove(name);
    }
    command.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_DEFAULT_HASH", "sha1")]);
    command
}

fn git(folder: &Path, arguments: &[&str], date: &str) -> String {
    let output = git_command()
        .current_dir(folder)
        .args(["-c", "user.name=Stack Owner", "-c", "user.email=owner@example.com"])
        .args(arguments)
        .envs([("GIT_AUTHOR_DATE", date), ("GIT_COMMITTER_DATE", date)])
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Answers one request, and closes the connection.
async fn answer(
    stream: TcpStream,
    root: &Path,
    (filters, authorization): (Filters, Option<&str>),
    log: &Mutex<Vec<String>>,
) {
    let mut stream = BufReader::new(stream);
    let (mut first, mut headers) = (String::new(), Vec::new());
    if stream.read_line(&mut first).await.unwrap_or(0) == 0 {
        return;
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value);
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    log.lock().unwrap().push(format!("{method} {path}"));
    if header("authorization") != authorization.unwrap_or_default() {
        let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        return;
    }
    let allow = format!("uploadpack.allowFilter={}", filters == Filters::Allowed);
    let mut backend = Command::from(git_command())
        .args(["-c", &allow, "http-backend"])
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROJECT_ROOT", root)
        .envs([("PATH_INFO", path), ("QUERY_STRING", query), ("REQUEST_METHOD", method)])
        .envs([("GIT_PROTOCOL", header("git-protocol")), ("CONTENT_TYPE", header("content-type"))])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    backend.stdin.take().unwrap().write_all(&body).await.unwrap();
    let output = backend.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&output[..end]).unwrap();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let answer = format!("HTTP/1.1 {status}\r\n{head}\r\nconnection: close\r\n\r\n");
    // A client that has seen enough closes the connection.
    let _ = stream.write_all(&[answer.as_bytes(), &output[end + 4..]].concat()).await;
}
