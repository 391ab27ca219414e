//! Git repositories on any host, by the protocol that all of them speak: version 2 over HTTP (git documentation,
//! "gitprotocol-v2" and "gitprotocol-http"). Every request keeps to the rules of fetches, and what comes is limited before it
//! is looked at.

#![warn(clippy::arithmetic_side_effects)]

mod objects;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use url::Url;

pub(super) use objects::pack;

use self::wire::{Line, Lines};
use super::project::Revision;
use crate::digest::CommitSha;
use crate::fetch::{Answer, Body, FetchError, Fetcher, Message, Request};
use crate::limits;

const VERSION_2: (&str, &str) = ("git-protocol", "version=2");

/// Why a repository was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    /// The host failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What it says is not version 2 of the protocol.
    #[error("it does not speak version 2 of the Git protocol: {0}")]
    Protocol(&'static str),
    /// It refused, with a reason.
    #[error("it refused: {0}")]
    Refused(String),
    /// There is no such branch or tag.
    #[error("there is no branch or tag {0}")]
    NoSuchRevision(String),
    /// There is nothing to check out.
    #[error("the repository has no commit")]
    Empty,
    /// The temporary folder failed.
    #[error("the temporary folder failed: {0}")]
    Temporary(std::io::Error),
}

/// A repository on its host.
#[derive(Debug)]
pub(super) struct Repository<'a> {
    fetcher: &'a Fetcher,
    /// Where questions go.
    service: Url,
}

impl<'a> Repository<'a> {
    /// Finds the repository, and whether its host speaks the protocol.
    pub(super) async fn at(fetcher: &'a Fetcher, remote: &Url, time: Duration) -> Result<Self, GitError> {
        let mut url = remote.clone();
        url.set_path(&format!("{}/info/refs", remote.path()));
        url.set_query(Some("service=git-upload-pack"));
        let request = Request { url: url.as_str(), limit: limits::GIT_ANSWER_BYTES, time, known: None };
        let body = found(fetcher.ask(&request, Message { headers: &[VERSION_2], body: None }).await?)?;
        let mut service = body.url().clone();
        let mut lines = Lines::default();
        lines.push(&body.bytes().await?);
        let mut said = Vec::new();
        while let Some(line) = lines.next()? {
            said.push(line);
        }
        // Over HTTP, a first section may name the service.
        let has =
            |wanted: &[u8]| said.iter().any(|line| matches!(line, Line::Data(data) if data.trim_ascii_end() == wanted));
        if !has(b"version 2") {
            return Err(GitError::Protocol("its first answer has no `version 2`"));
        }
        let path = service.path().strip_suffix("/info/refs").map(|path| format!("{path}/git-upload-pack"));
        service.set_path(&path.ok_or(GitError::Protocol("it was redirected to something else"))?);
        service.set_query(None);
        Ok(Self { fetcher, service })
    }

    /// The commit that a revision names now.
    pub(super) async fn resolve(&self, revision: &Revision, time: Duration) -> Result<CommitSha, GitError> {
        let names = match revision {
            Revision::Commit(commit) => return Ok(commit.clone()),
            Revision::Default => vec!["HEAD".to_owned()],
            Revision::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        };
        let mut arguments = vec!["peel".to_owned()];
        arguments.extend(names.iter().map(|name| format!("ref-prefix {name}")));
        let answer = self.ask("ls-refs", &arguments, limits::GIT_ANSWER_BYTES, time).await?.bytes().await?;
        let mut lines = Lines::default();
        lines.push(&answer);
        let mut found: Vec<(String, CommitSha)> = Vec::new();
        while let Some(line) = lines.next()? {
            match line {
                Line::Data(data) => found.extend(reference(&data)),
                Line::End => {
                    let of = |name: &String| found.iter().find(|(found, _)| found == name);
                    let commit = names.iter().find_map(of).map(|(_, commit)| commit.clone());
                    return commit.ok_or_else(|| match revision {
                        Revision::Name(name) => GitError::NoSuchRevision(name.clone()),
                        _ => GitError::Empty,
                    });
                }
                Line::Section => {}
            }
        }
        Err(GitError::Protocol("its list of references ends early"))
    }

    /// Writes the pack of one commit, without its history.
    pub(super) async fn fetch(
        &self,
        commit: &CommitSha,
        time: Duration,
        file: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), GitError> {
        let arguments = [&format!("want {commit}"), "no-progress", "ofs-delta", "deepen 1", "done"].map(str::to_owned);
        let mut body = self.ask("fetch", &arguments, limits::STARTER_BYTES, time).await?;
        let (mut lines, mut in_pack) = (Lines::default(), false);
        while let Some(part) = body.part().await? {
            lines.push(&part);
            while let Some(line) = lines.next()? {
                match (line, in_pack) {
                    (Line::Data(data), true) => match data.split_first() {
                        Some((1, pack)) => file.write_all(pack).await.map_err(GitError::Temporary)?,
                        Some((3, reason)) => return Err(refused(reason)),
                        // Progress, for people.
                        _ => {}
                    },
                    (Line::Data(data), false) => in_pack = data.trim_ascii_end() == b"packfile",
                    (Line::End, true) => return file.flush().await.map_err(GitError::Temporary),
                    (Line::End | Line::Section, _) => {}
                }
            }
        }
        Err(GitError::Protocol("its pack ends early"))
    }

    async fn ask(&self, command: &str, arguments: &[String], limit: u64, time: Duration) -> Result<Body, GitError> {
        const HEADERS: [(&str, &str); 3] = [
            VERSION_2,
            ("content-type", "application/x-git-upload-pack-request"),
            ("accept", "application/x-git-upload-pack-result"),
        ];
        let body: Bytes = wire::question(command, arguments).into();
        let request = Request { url: self.service.as_str(), limit, time, known: None };
        found(self.fetcher.ask(&request, Message { headers: &HEADERS, body: Some(&body) }).await?)
    }
}

fn found(answer: Answer) -> Result<Body, GitError> {
    match answer {
        Answer::Found(body) => Ok(*body),
        Answer::NotModified => Err(GitError::Protocol("it answered a question that was not asked")),
    }
}

fn refused(reason: &[u8]) -> GitError {
    GitError::Refused(
        String::from_utf8_lossy(reason.trim_ascii()).chars().filter(|c| !c.is_control()).take(200).collect(),
    )
}

/// Name and commit of a line `<hash> <name>[ peeled:<hash>]`; a tag counts as the commit that it is on.
fn reference(line: &[u8]) -> Option<(String, CommitSha)> {
    let mut words = std::str::from_utf8(line).ok()?.trim_end().split(' ');
    let (hash, name) = (words.next()?, words.next()?);
    let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
    Some((name.to_owned(), peeled.unwrap_or(hash).parse().ok()?))
}
