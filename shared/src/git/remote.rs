//! One repository on its host: its references, and packs of its objects.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use gix_hash::ObjectId;
use http::HeaderValue;
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use url::Url;

use super::error::GitError;
use super::objects::{Objects, TreeEntry, TreeEntryKind, object_id};
use super::pack::Pack;
use super::revision::Revision;
use super::wire::{self, NotALine, PacketLine, PacketLines};
use crate::digest::CommitSha;
use crate::fetch::{Body, FetchAnswer, Fetcher, Message, Request};
use crate::limits;
use crate::timestamp::Timestamp;

const VERSION_2: (&str, &str) = ("git-protocol", "version=2");

/// A Git repository over HTTP, protocol version 2 (git documentation, "gitprotocol-v2" and "gitprotocol-http").
#[derive(Debug, Clone)]
pub struct Remote {
    fetcher: Arc<Fetcher>,
    url: Url,
    authorization: Option<HeaderValue>,
    /// The host's capabilities, asked for before the first pack.
    offers: Arc<OnceCell<Offers>>,
}

/// The capabilities of a host beside version 2 of the protocol.
#[derive(Debug, Clone)]
struct Offers {
    /// The URL to which its commands are sent, after all redirects.
    service: Url,
    filter: bool,
}

/// The objects that a pack leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Nothing.
    Nothing,
    /// Files.
    Blobs,
    /// Files of so many bytes or more, unless they are asked for by their ids.
    FilesFrom(u64),
    /// Trees and files that are so deep or deeper; the root tree is at depth 0.
    Depth(u8),
}

/// A pack to ask for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    /// Commits, trees or files, which come with all that they reach.
    pub objects: &'w [ObjectId],
    /// A commit whose history is not sent.
    pub known: Option<&'w CommitSha>,
    /// Most commits in a row of each history; none: all.
    pub depth: Option<u32>,
    /// The objects that are left out where the host can do so. Other hosts send more.
    pub filter: Filter,
    /// Most bytes of the pack.
    pub limit_bytes: u64,
}

impl<'w> Wanted<'w> {
    /// Commits without their histories.
    pub fn commit(objects: &'w [ObjectId], filter: Filter) -> Self {
        Self { objects, known: None, depth: Some(1), filter, limit_bytes: limits::PACK_BYTES }
    }
}

/// A folder of a commit, with everything below it.
#[derive(Debug)]
pub struct FolderPack {
    /// The objects.
    pub pack: Pack,
    /// The folder's id.
    pub folder: ObjectId,
    /// The author date of the commit; `None` when the commit does not say it.
    pub authored: Option<Timestamp>,
}

/// A pack, and the commits in it whose parents were left out.
#[derive(Debug)]
pub struct Packed {
    /// The objects.
    pub pack: Pack,
    /// Commits at the end of `depth`.
    pub shallow: HashSet<ObjectId>,
}

impl Remote {
    /// Takes the URL of a repository; connects nothing yet. `authorization` is sent to the host of the URL alone.
    pub fn new(fetcher: &Arc<Fetcher>, url: Url, authorization: Option<HeaderValue>) -> Self {
        Self { fetcher: Arc::clone(fetcher), url, authorization, offers: Arc::default() }
    }

    /// The same repository with other credentials.
    #[must_use]
    pub fn authorized(&self, authorization: Option<HeaderValue>) -> Self {
        Self { authorization, ..self.clone() }
    }

    /// Returns the commit that a revision names now, with one request.
    ///
    /// # Errors
    /// [`GitError`] when the host does not answer, or the repository has no such revision.
    pub async fn resolve(&self, revision: &Revision, deadline: Instant) -> Result<CommitSha, GitError> {
        let names = match revision {
            Revision::Commit(commit) => return Ok(commit.clone()),
            Revision::Default => vec!["HEAD".to_owned()],
            Revision::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        };
        let found = self.references(&names, deadline).await?;
        let of = |name: &String| found.iter().find(|(found, _)| found == name);
        let commit = names.iter().find_map(of).map(|(_, commit)| commit.clone());
        commit.ok_or_else(|| match revision {
            Revision::Name(name) => GitError::NoSuchRevision { host: self.host(), name: name.clone() },
            _ => GitError::Empty(self.host()),
        })
    }

    /// Returns the commit that a full reference names, such as `refs/pull/7/head`, with one request; `None` when there is none.
    ///
    /// # Errors
    /// [`GitError`] when the host does not answer.
    pub async fn reference(&self, name: &str, deadline: Instant) -> Result<Option<CommitSha>, GitError> {
        let found = self.references(&[name.to_owned()], deadline).await?;
        Ok(found.into_iter().find(|(found, _)| found == name).map(|(_, commit)| commit))
    }

    /// The references that begin with one of some names, and their commits.
    async fn references(&self, names: &[String], deadline: Instant) -> Result<Vec<(String, CommitSha)>, GitError> {
        let mut arguments = vec!["peel".to_owned()];
        arguments.extend(names.iter().map(|name| format!("ref-prefix {name}")));
        // Every command is a request of its own, so the host's offers need not be known.
        let service = self.path("git-upload-pack");
        let answer = self.command(&service, "ls-refs", &arguments, limits::GIT_ANSWER_BYTES, deadline).await?;
        let mut lines = PacketLines::default();
        lines.push(&answer.bytes().await?);
        let mut found: Vec<(String, CommitSha)> = Vec::new();
        loop {
            match self.line(lines.next())? {
                Some(PacketLine::Data(data)) => found.extend(reference(&data)),
                Some(PacketLine::Section) => {}
                Some(PacketLine::End) => break,
                None => return Err(self.protocol("its list of references ends early")),
            }
        }
        Ok(found)
    }

    /// Returns the name of the default branch, with one request.
    ///
    /// # Errors
    /// [`GitError`] when the host does not answer, or names no branch.
    pub async fn default_branch(&self, deadline: Instant) -> Result<String, GitError> {
        let arguments = ["symrefs".to_owned(), "ref-prefix HEAD".to_owned()];
        let service = self.path("git-upload-pack");
        let answer = self.command(&service, "ls-refs", &arguments, limits::GIT_ANSWER_BYTES, deadline).await?;
        let mut lines = PacketLines::default();
        lines.push(&answer.bytes().await?);
        while let Some(PacketLine::Data(data)) = self.line(lines.next())? {
            let mut words = std::str::from_utf8(&data).unwrap_or_default().trim_end().split(' ');
            let target = words.find_map(|word| word.strip_prefix("symref-target:refs/heads/"));
            if let Some(branch) = target {
                return Ok(branch.to_owned());
            }
        }
        Err(GitError::Empty(self.host()))
    }

    /// Whether the host applies a [`Filter`] to packs.
    ///
    /// # Errors
    /// [`GitError`] when the host does not answer, or not in version 2 of the protocol.
    pub async fn has_filters(&self, deadline: Instant) -> Result<bool, GitError> {
        Ok(self.offers(deadline).await?.filter)
    }

    /// Fetches a pack.
    ///
    /// # Errors
    /// [`GitError`] when the host does not send it whole, in time and within the limit, or it cannot be read.
    pub async fn fetch(&self, wanted: Wanted<'_>, deadline: Instant) -> Result<Packed, GitError> {
        self.download(wanted, deadline).await.map_err(|error| match error {
            // The words of `git upload-pack`, which other servers use as well.
            GitError::Refused { host, reason } if reason.contains("not our ref") => GitError::NoSuchCommit { host },
            error => error,
        })
    }

    async fn download(&self, wanted: Wanted<'_>, deadline: Instant) -> Result<Packed, GitError> {
        let offers = self.offers(deadline).await?;
        let mut arguments: Vec<String> = wanted.objects.iter().map(|id| format!("want {id}")).collect();
        arguments.extend(wanted.known.map(|commit| format!("have {commit}")));
        arguments.extend(wanted.depth.map(|depth| format!("deepen {depth}")));
        if offers.filter {
            match wanted.filter {
                Filter::Nothing => {}
                Filter::Blobs => arguments.push("filter blob:none".to_owned()),
                Filter::FilesFrom(bytes) => arguments.push(format!("filter blob:limit={bytes}")),
                Filter::Depth(depth) => arguments.push(format!("filter tree:{depth}")),
            }
        }
        arguments.extend(["no-progress", "ofs-delta", "done"].map(str::to_owned));
        let mut body = self.command(&offers.service, "fetch", &arguments, wanted.limit_bytes, deadline).await?;
        let scratch = tempfile::tempdir().map_err(|error| GitError::temporary(&error))?;
        let path = scratch.path().join("fetched.pack");
        let mut file = tokio::fs::File::create(&path).await.map_err(|error| GitError::temporary(&error))?;
        let mut shallow = HashSet::new();
        let (mut lines, mut in_pack, mut is_whole) = (PacketLines::default(), false, false);
        while let Some(chunk) = body.chunk().await? {
            lines.push(&chunk);
            while let Some(line) = self.line(lines.next())? {
                match line {
                    PacketLine::Data(data) if in_pack => match data.split_first() {
                        Some((1, pack)) => {
                            file.write_all(pack).await.map_err(|error| GitError::temporary(&error))?;
                        }
                        Some((3, reason)) => return Err(self.refused(reason)),
                        // Progress, for people.
                        _ => {}
                    },
                    PacketLine::Data(data) => match data.trim_ascii_end() {
                        b"packfile" => in_pack = true,
                        other => {
                            shallow.extend(other.strip_prefix(b"shallow ").and_then(|id| ObjectId::from_hex(id).ok()))
                        }
                    },
                    PacketLine::End => is_whole |= in_pack,
                    PacketLine::Section => {}
                }
            }
        }
        if !is_whole {
            return Err(self.protocol("its pack ends early"));
        }
        file.flush().await.map_err(|error| GitError::temporary(&error))?;
        drop(file);
        Ok(Packed { pack: Pack::open(path, scratch, deadline).await?, shallow })
    }

    /// Fetches a folder of a commit with everything below it. Where the host has filters, nothing else is sent but folders.
    ///
    /// # Errors
    /// [`GitError::NoSuchFolder`], or as [`Remote::fetch`].
    pub async fn folder(
        &self,
        commit: &CommitSha,
        path: &str,
        limit_bytes: u64,
        deadline: Instant,
    ) -> Result<FolderPack, GitError> {
        let commit = [object_id(commit)?];
        let has_filters = !path.is_empty() && self.has_filters(deadline).await?;
        let filter = if has_filters { Filter::Blobs } else { Filter::Nothing };
        let wanted = Wanted { limit_bytes, ..Wanted::commit(&commit, filter) };
        let Packed { pack, .. } = self.fetch(wanted, deadline).await?;
        let root = pack.root(&commit[0])?;
        let folder = if path.is_empty() { root } else { pack.folder(root, path)? };
        let authored = pack.commit(&commit[0])?.and_then(|commit| commit.authored);
        if !has_filters {
            return Ok(FolderPack { pack, folder, authored });
        }
        let wanted = Wanted { objects: &[folder], depth: None, filter: Filter::Nothing, ..wanted };
        Ok(FolderPack { pack: self.fetch(wanted, deadline).await?.pack, folder, authored })
    }

    /// Fetches the first of some files of a commit: which it is, and its content. `None` when the commit has none of them.
    ///
    /// # Errors
    /// As [`Remote::fetch`].
    pub async fn first_file(
        &self,
        commit: &CommitSha,
        paths: &[String],
        limit_bytes: u64,
        deadline: Instant,
    ) -> Result<Option<(usize, Vec<u8>)>, GitError> {
        let commit = [object_id(commit)?];
        let wanted = Wanted { limit_bytes, ..Wanted::commit(&commit, Filter::Blobs) };
        let Packed { pack, .. } = self.fetch(wanted, deadline).await?;
        let root = pack.root(&commit[0])?;
        for (number, path) in paths.iter().enumerate() {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let folder = if folder.is_empty() { Ok(root) } else { pack.folder(root, folder) };
            let folder = match folder {
                Err(GitError::NoSuchFolder(_)) => continue,
                folder => folder?,
            };
            let mut entries = pack.entries(&folder)?.into_iter();
            let is_file = |entry: &TreeEntry| matches!(entry.kind, TreeEntryKind::File(_)) && entry.is_utf8;
            let Some(entry) = entries.find(|entry| is_file(entry) && entry.path == name) else { continue };
            if let Some(content) = pack.find(&entry.id, gix_object::Kind::Blob)? {
                return Ok(Some((number, content)));
            }
            let wanted = Wanted { objects: &[entry.id], depth: None, filter: Filter::Nothing, ..wanted };
            let file = self.fetch(wanted, deadline).await?.pack.object(&entry.id, gix_object::Kind::Blob)?;
            return Ok(Some((number, file)));
        }
        Ok(None)
    }

    /// The host, for errors and logs.
    pub fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }

    async fn offers(&self, deadline: Instant) -> Result<&Offers, GitError> {
        self.offers.get_or_try_init(|| self.discover(deadline)).await
    }

    /// Asks for the host's capabilities.
    async fn discover(&self, deadline: Instant) -> Result<Offers, GitError> {
        let mut url = self.path("info/refs");
        url.set_query(Some("service=git-upload-pack"));
        let body = self.ask(&url, &[VERSION_2], None, limits::GIT_ANSWER_BYTES, deadline).await?;
        let mut service = body.url().clone();
        let mut lines = PacketLines::default();
        lines.push(&body.bytes().await?);
        let (mut is_version_2, mut filter) = (false, false);
        while let Some(line) = self.line(lines.next())? {
            // Over HTTP, a first section may name the service.
            let PacketLine::Data(data) = line else { continue };
            let data = data.trim_ascii_end();
            is_version_2 |= data == b"version 2";
            if data.starts_with(b"object-format=") && data != b"object-format=sha1" {
                return Err(self.protocol("its object names are not SHA-1"));
            }
            let features = data.strip_prefix(b"fetch=").unwrap_or_default();
            filter |= features.split(|byte| *byte == b' ').any(|feature| feature == b"filter");
        }
        if !is_version_2 {
            return Err(self.protocol("its first answer has no `version 2`"));
        }
        let path = service.path().strip_suffix("/info/refs").map(|path| format!("{path}/git-upload-pack"));
        service.set_path(&path.ok_or_else(|| self.protocol("it redirects to something else"))?);
        service.set_query(None);
        Ok(Offers { service, filter })
    }

    async fn command(
        &self,
        service: &Url,
        command: &str,
        arguments: &[String],
        limit: u64,
        deadline: Instant,
    ) -> Result<Body, GitError> {
        const HEADERS: [(&str, &str); 3] = [
            VERSION_2,
            ("content-type", "application/x-git-upload-pack-request"),
            ("accept", "application/x-git-upload-pack-result"),
        ];
        let body: Bytes = wire::command(command, arguments).into();
        self.ask(service, &HEADERS, Some(&body), limit, deadline).await
    }

    async fn ask(
        &self,
        url: &Url,
        headers: &[(&'static str, &'static str)],
        body: Option<&Bytes>,
        limit: u64,
        deadline: Instant,
    ) -> Result<Body, GitError> {
        let time = deadline.saturating_duration_since(Instant::now());
        let request = Request { url: url.as_str(), limit, time, known: None };
        let message = Message { headers, body, authorization: self.authorization.as_ref() };
        match self.fetcher.ask(&request, message).await? {
            FetchAnswer::Found(body) => Ok(*body),
            FetchAnswer::NotModified => Err(self.protocol("it answers 304 to a request without conditions")),
        }
    }

    fn path(&self, name: &str) -> Url {
        let mut url = self.url.clone();
        let mut path = self.url.path().trim_end_matches('/').to_owned();
        // Writing to a string cannot fail.
        let _ = write!(path, "/{name}");
        url.set_path(&path);
        url
    }

    fn line(&self, line: Result<Option<PacketLine>, NotALine>) -> Result<Option<PacketLine>, GitError> {
        line.map_err(|error| match error {
            NotALine::Malformed(reason) => self.protocol(reason),
            NotALine::Refusal(reason) => self.refused(&reason),
        })
    }

    fn protocol(&self, reason: &'static str) -> GitError {
        GitError::Protocol { host: self.host(), reason }
    }

    fn refused(&self, reason: &[u8]) -> GitError {
        let reason = String::from_utf8_lossy(reason.trim_ascii());
        let reason = reason.chars().filter(|c| !c.is_control()).take(200).collect();
        GitError::Refused { host: self.host(), reason }
    }
}

/// Name and commit of a line `<hash> <name>[ peeled:<hash>]`; a tag counts as the commit that it is on.
fn reference(line: &[u8]) -> Option<(String, CommitSha)> {
    let mut words = std::str::from_utf8(line).ok()?.trim_end().split(' ');
    let (hash, name) = (words.next()?, words.next()?);
    let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
    Some((name.to_owned(), peeled.unwrap_or(hash).parse().ok()?))
}
