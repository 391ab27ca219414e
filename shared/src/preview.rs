//! Previews: releases of proposals (pull requests and merge requests), each reachable under its own path and never live.
//!
//! - [`Preview`]: the object in the bucket that names one; nothing else does
//! - [`Proposed`]: a proposal, for the preview of its head
//! - [`comment`]: a preview in the words of a comment on its proposal

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cache::{Bucket, CacheError, Object, PREVIEWS, preview_key};
use crate::diff::{Diff, markdown};
use crate::digest::{CommitSha, Digest};
use crate::index::to_compact_json;
use crate::limits::PREVIEW_BYTES;
use crate::release::{Changes, InvalidDocument, LiveIndex};
use crate::text::shortened;
use crate::timestamp::Timestamp;

/// Longest text of a proposal that a preview repeats, in bytes: a title of GitHub has 256 characters.
const TEXT_BYTES: usize = 1024;

/// The proposals that get a preview (`PREVIEWS`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// None.
    #[default]
    Off,
    /// Those of members of the repository.
    Members,
    /// Those of members, and those that a member labels `preview`.
    Labelled,
}

/// A text that names no [`Policy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not off, members or labelled")]
pub struct UnknownPolicy;

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        match text {
            "off" => Ok(Self::Off),
            "members" => Ok(Self::Members),
            "labelled" => Ok(Self::Labelled),
            _ => Err(UnknownPolicy),
        }
    }
}

/// A proposal, for the preview of its head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposed {
    /// The number of the proposal.
    pub number: u64,
    /// Its head.
    pub commit_hash: CommitSha,
    /// Its title, or the branch of its head where the host sends none.
    #[serde(default)]
    pub title: String,
    /// The login of its author; empty when the host sends none.
    #[serde(default)]
    pub author: String,
    /// Its page on the Git host; empty when that is unknown.
    #[serde(default)]
    pub url: String,
    /// The branch that it would change; empty when that was checked.
    #[serde(default)]
    pub base_branch: String,
    /// The reference that its host keeps at its head, such as `refs/pull/7/head`; `None` when the host has none, and the head is
    /// taken as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When the host changed it last, by the clock of the host; `None` when it is meant as it is, however old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
}

/// The object that names the release of a preview.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The number of the proposal.
    pub number: u64,
    /// The head of the proposal.
    pub commit_hash: CommitSha,
    /// Name of the release.
    pub release: Digest,
    /// Name of the live release that it is built upon and compared with.
    pub base: Digest,
    /// The commit of that.
    pub base_commit: CommitSha,
    /// The title of the proposal, or the branch of its head.
    #[serde(default)]
    pub title: String,
    /// The login of its author.
    #[serde(default)]
    pub author: String,
    /// Its page on the Git host.
    #[serde(default)]
    pub url: String,
    /// When the preview was opened.
    pub opened_at: Timestamp,
    /// When its release was built.
    pub updated_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it ended; `None` while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When the proposal was closed or lost its label, by the clock of its host: earlier changes of it are late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
    /// Its changes against the live release, the first [`LISTED_CHANGES`](crate::limits::LISTED_CHANGES) of each kind.
    pub changes: Changes,
    /// The number of quarantined parts.
    #[serde(default)]
    pub quarantined: usize,
    /// The number of the comment on the proposal that describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<u64>,
}

impl Proposed {
    /// The same proposal with texts of bounded length.
    pub(crate) fn bounded(&self) -> Self {
        let bounded = |text: &str| shortened(text, TEXT_BYTES).into_owned();
        let url = if self.url.len() <= TEXT_BYTES { self.url.clone() } else { String::new() };
        Self { title: bounded(&self.title), author: bounded(&self.author), url, ..self.clone() }
    }
}

impl Preview {
    /// The object of a proposal that has no preview, to note when it was closed. It names what is live, and is never visited.
    pub(crate) fn mark(number: u64, live: &LiveIndex, now: &Timestamp) -> Self {
        Self {
            number,
            commit_hash: live.commit_hash.clone(),
            release: live.release,
            base: live.release,
            base_commit: live.commit_hash.clone(),
            title: String::new(),
            author: String::new(),
            url: String::new(),
            opened_at: now.clone(),
            updated_at: now.clone(),
            expires_at: now.clone(),
            ended_at: None,
            withdrawn_at: None,
            changes: Changes::default(),
            quarantined: 0,
            comment: None,
        }
    }

    /// Whether its proposal was closed, or lost its label, after a change of it.
    pub(crate) fn is_withdrawn_since(&self, changed_at: Option<&Timestamp>) -> bool {
        let withdrawn = self.withdrawn_at.as_ref().zip(changed_at);
        // Hosts tell whole seconds. Within one, the proposal stays withdrawn.
        withdrawn.is_some_and(|(withdrawn, changed)| changed.instant() <= withdrawn.instant())
    }

    /// Whether it can be visited.
    pub fn is_living(&self, now: jiff::Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at.instant()
    }

    /// The path below which `serve` answers from it, such as `/previews/7`.
    pub fn path(&self) -> String {
        format!("/{PREVIEWS}{}", self.number)
    }

    /// The bytes of the object.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_compact_json(self)
    }

    /// Reads the object of a number.
    ///
    /// # Errors
    /// [`InvalidDocument`] when it is none, or that of another number.
    pub fn from_bytes(number: u64, bytes: &[u8]) -> Result<Self, InvalidDocument> {
        let preview: Self = serde_json::from_slice(bytes)?;
        if preview.number != number {
            let reason: serde_json::Error = serde::de::Error::custom("it is that of another number");
            return Err(reason.into());
        }
        Ok(preview)
    }

    /// Reads the object of a number and its state. A damaged one names no preview, and the log says so.
    ///
    /// # Errors
    /// [`CacheError`] when the bucket fails.
    pub async fn read(bucket: &impl Bucket, number: u64) -> Result<(Option<Self>, Option<Object>), CacheError> {
        let Some(object) = bucket.get(&preview_key(number), PREVIEW_BYTES).await? else { return Ok((None, None)) };
        let preview = Self::from_bytes(number, &object.bytes);
        if let Err(reason) = &preview {
            tracing::warn!(number, %reason, "a preview cannot be read");
        }
        Ok((preview.ok(), Some(object)))
    }

    /// Returns the number of the preview that a key names.
    pub fn number_of(key: &str) -> Option<u64> {
        let number = key.strip_prefix(PREVIEWS)?.strip_suffix(".json")?;
        let parsed: u64 = number.parse().ok()?;
        (parsed.to_string() == number).then_some(parsed)
    }
}

/// Writes the comment on a proposal: the link to its preview, and what changes for clients.
pub fn comment(preview: &Preview, link: Option<&str>, diff: &Diff) -> String {
    let commit = preview.commit_hash.short();
    let heading = match link {
        Some(link) => format!("[Preview of the registry with this change]({link})"),
        None => format!("Preview of the registry with this change: `{}/viewer`", preview.path()),
    };
    let base = preview.base_commit.short();
    format!("{heading}, built from {commit} upon {base}, until {}.\n\n{}", preview.expires_at, markdown(diff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_names_one_number() {
        assert_eq!(Preview::number_of(&preview_key(7)), Some(7));
        for key in ["previews/07.json", "previews/+7.json", "previews/7", "previews/.json", "previews/a.json", "7.json"]
        {
            assert_eq!(Preview::number_of(key), None, "{key}");
        }
    }

    #[test]
    fn policy_is_one_of_three() {
        assert_eq!("labelled".parse(), Ok(Policy::Labelled));
        for text in ["", "on", "Members", "all"] {
            assert_eq!(text.parse::<Policy>(), Err(UnknownPolicy), "{text}");
        }
    }
}
