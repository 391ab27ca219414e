//! The readers: sixteen connections, each of which checks every answer closely.
//!
//! All content of a release tells the number of its commit, so an answer that mixes two releases gives itself away. Two of the
//! connections download artifacts as clients do, whose content may be in the bucket alone.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::COMMIT;
use super::connection::{Connection, TimedAnswer};
use super::releases::Known;
use super::table::Tally;

const CONNECTIONS: usize = 16;
const DOWNLOADERS: usize = 2;

/// Longest that an answer which began to wait while the bucket was away may come after that.
const AFTERMATH: Duration = Duration::from_secs(6);

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The readers, and their findings.
#[derive(Debug)]
pub(super) struct Readers {
    findings: Arc<Findings>,
    stop: watch::Sender<()>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Findings(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tally: Tally,
    /// Answers in all phases.
    answers: u64,
    problems: Vec<String>,
    bucket_is_away: bool,
    bucket_was_away_until: Option<Instant>,
}

/// The part of a manifest that is read.
#[derive(Debug, Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Debug, Deserialize)]
struct Layer {
    digest: String,
    annotations: HashMap<String, String>,
}

impl Readers {
    /// Begins to read these stacks from an address, `host:port`.
    pub(super) fn start(address: &str, known: &Arc<Known>, stacks: &[String]) -> Self {
        let findings = Arc::new(Findings::default());
        let (stop, stopped) = watch::channel(());
        let mut tasks = JoinSet::new();
        for number in 0..CONNECTIONS {
            let reader = Reader {
                number,
                known: Arc::clone(known),
                findings: Arc::clone(&findings),
                connection: Connection::to(address),
                tags: HashMap::new(),
                newest: 0,
            };
            tasks.spawn(reader.run(stacks.to_vec(), stopped.clone()));
        }
        Self { findings, stop, tasks }
    }

    /// A phase begins.
    pub(super) fn enter(&self, bucket_is_away: bool) {
        let mut state = self.findings.lock();
        state.tally = Tally::default();
        state.bucket_is_away = bucket_is_away;
    }

    /// The phase is over.
    pub(super) fn leave(&self) -> Tally {
        let mut state = self.findings.lock();
        if std::mem::take(&mut state.bucket_is_away) {
            state.bucket_was_away_until = Some(Instant::now() + AFTERMATH);
        }
        std::mem::take(&mut state.tally)
    }

    /// Waits until every reader has its last answer; returns the number of all answers, and the problems.
    pub(super) async fn stop(self) -> (u64, Vec<String>) {
        drop(self.stop);
        self.tasks.join_all().await;
        let mut state = self.findings.lock();
        (state.answers, std::mem::take(&mut state.problems))
    }
}

impl Findings {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn problem(&self, text: String) {
        self.lock().problems.push(text);
    }
}

impl State {
    fn count(&mut self, answer: &TimedAnswer, in_bucket_alone: bool) {
        let was_away = self.bucket_was_away_until.is_some_and(|until| answer.begin < until);
        let is_explained = in_bucket_alone && (self.bucket_is_away || was_away);
        let is_error = answer.status.is_server_error();
        self.answers += 1;
        self.tally.answers += 1;
        self.tally.milliseconds.push(answer.took.as_secs_f64() * 1000.0);
        self.tally.stale += u64::from(answer.headers.contains_key("devfile-registry-stale"));
        self.tally.explained += u64::from(is_error && is_explained);
        self.tally.server_errors += u64::from(is_error && !is_explained);
    }
}

/// One connection.
#[derive(Debug)]
struct Reader {
    number: usize,
    known: Arc<Known>,
    findings: Arc<Findings>,
    connection: Connection,
    /// The entity tag of the last answer of each path.
    tags: HashMap<String, String>,
    /// The newest release of an answer.
    newest: u32,
}

impl Reader {
    /// Reads until the other end of `stop` is dropped.
    async fn run(mut self, stacks: Vec<String>, stop: watch::Receiver<()>) {
        for (turn, stack) in stacks.iter().cycle().enumerate().skip(self.number) {
            if stop.has_changed().is_err() {
                return;
            }
            let read = if self.number < DOWNLOADERS {
                self.download(stack).await
            } else {
                let devfile = format!("/devfiles/{stack}");
                let paths = ["/v2index/all", "/index", &devfile, "/v2index?tags=soak", "/index.json"];
                self.read(paths[turn % paths.len()]).await
            };
            if let Err(error) = read {
                self.findings.problem(format!("no answer, or none that can be read: {error:#}"));
            }
        }
    }

    /// Reads an answer of the release: all of it must be of one commit, and none older than the last.
    async fn read(&mut self, path: &str) -> Result<()> {
        let known = self.tags.get(path).filter(|_| self.number % 2 == 1).cloned();
        let condition = known.as_deref().map(|tag| ("if-none-match", tag));
        let answer = self.get(path, condition.as_slice(), false).await?;
        let Some(number) = self.release(path, &answer).filter(|_| !answer.status.is_server_error()) else {
            return Ok(());
        };
        let tag = answer.header("etag");
        if !self.known.is_same_tag(path, number, tag) {
            self.findings.problem(format!("{path} of release {number} has two entity tags"));
        }
        if answer.status == 304 && known.as_deref() == Some(tag) {
            return Ok(());
        }
        if answer.status != 200 {
            self.findings.problem(format!("{path} answers {}", answer.status));
            return Ok(());
        }
        self.tags.insert(path.to_owned(), tag.to_owned());
        let text = std::str::from_utf8(&answer.body)?;
        let mut content = releases(text);
        if path == "/index.json" {
            let index: serde_json::Value = serde_json::from_str(text)?;
            let commit = index["commit_hash"].as_str().context("index.json names no commit")?;
            // 0 is no release.
            content.insert(self.known.number(commit).unwrap_or_default());
        }
        if content != BTreeSet::from([number]) {
            self.findings.problem(format!("{path} of release {number} holds releases {content:?}"));
        }
        Ok(())
    }

    /// Pulls an artifact: the manifest by its tag, then its layers by their digests.
    async fn download(&mut self, stack: &str) -> Result<()> {
        let repository = format!("/v2/devfile-catalog/{stack}");
        let answer = self.get(&format!("{repository}/manifests/1.0.0"), &[("accept", MANIFEST)], false).await?;
        let release = self.release(&repository, &answer);
        let Some(number) = release.filter(|_| answer.status == 200) else {
            if !answer.status.is_server_error() {
                self.findings.problem(format!("the manifest of {stack} is answered with {}", answer.status));
            }
            return Ok(());
        };
        if digest(&answer.body) != answer.header("docker-content-digest") {
            self.findings.problem(format!("the manifest of {stack} does not have its digest"));
        }
        let manifest: Manifest = serde_json::from_slice(&answer.body)?;
        for layer in manifest.layers {
            let title = layer.annotations.get("org.opencontainers.image.title");
            let in_bucket_alone = title.is_some_and(|title| title == "archive.tar");
            let answer = self.get(&format!("{repository}/blobs/{}", layer.digest), &[], in_bucket_alone).await?;
            // The tally has 5xx; a newer release may lack the layer.
            let is_newer = self.release(&repository, &answer).is_some_and(|release| release > number);
            let may_fail = answer.status.is_server_error() || (answer.status == 404 && is_newer);
            if answer.status == 200 {
                if digest(&answer.body) != layer.digest {
                    self.findings.problem(format!("a layer of {stack} does not have its digest"));
                }
            } else if !may_fail {
                self.findings.problem(format!("a layer of {stack} is answered with {}", answer.status));
            }
        }
        Ok(())
    }

    /// Returns the number of the release that an answer is from; none if there is no such release.
    fn release(&mut self, subject: &str, answer: &TimedAnswer) -> Option<u32> {
        let commit = answer.header(COMMIT);
        let number = self.known.number(commit);
        match number {
            None => self.findings.problem(format!("{subject} is of an unknown commit {commit:?}")),
            Some(number) if number < self.newest => {
                self.findings.problem(format!("{subject} goes back from release {} to {number}", self.newest));
            }
            Some(number) => self.newest = number,
        }
        number
    }

    async fn get(&mut self, path: &str, headers: &[(&str, &str)], in_bucket_alone: bool) -> Result<TimedAnswer> {
        let answer = self.connection.get(path, headers).await?;
        self.findings.lock().count(&answer, in_bucket_alone);
        Ok(answer)
    }
}

/// Returns the numbers of the releases that a text is of.
fn releases(text: &str) -> BTreeSet<u32> {
    let digits = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    text.split("release ").skip(1).filter_map(digits).collect()
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn text_names_its_releases() {
        for (text, expected) in [
            ("", &[][..]),
            ("release notes, release ", &[]),
            ("release 7", &[7]),
            (r#"[{"description":"release 12"},{"description":"release 12"}]"#, &[12]),
            ("description: release 3\nnotes: release 4", &[3, 4]),
        ] {
            assert_eq!(releases(text).into_iter().collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn only_the_bucket_that_is_away_explains_an_error() {
        let (before, now) = (Instant::now(), Instant::now() + AFTERMATH);
        for (status, in_bucket_alone, bucket_is_away, was_away_until, counted) in [
            (200, true, true, None, (0, 0)),
            (404, true, true, None, (0, 0)),
            (503, true, true, None, (0, 1)),
            (503, false, true, None, (1, 0)),
            (503, true, false, None, (1, 0)),
            (503, true, false, Some(now), (0, 1)),
            (503, true, false, Some(before), (1, 0)),
        ] {
            let mut state = State { bucket_is_away, bucket_was_away_until: was_away_until, ..State::default() };
            let answer = TimedAnswer {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: bytes::Bytes::new(),
                begin: Instant::now(),
                took: Duration::from_millis(1),
            };
            state.count(&answer, in_bucket_alone);
            let tally = state.tally;
            assert_eq!((tally.server_errors, tally.explained), counted, "{status} {in_bucket_alone} {bucket_is_away}");
            assert_eq!((state.answers, tally.answers, tally.stale), (1, 1, 0));
        }
    }
}
