//! The outcome at a commit.

use serde::Serialize;

/// Longest description that GitHub takes, in characters. Other hosts take more.
const DESCRIPTION: usize = 140;

/// The subject of a status, by whose name hosts tell those of one commit apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusContext {
    /// The commit in the live release.
    Live,
    /// The preview of a proposal with this head.
    Preview,
}

/// The state of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CommitState {
    /// It is being worked on.
    Pending,
    /// It is live, or its preview is built.
    Success,
    /// It is not, or not all of it, because of what is in it.
    Failure,
    /// It is not because something else went wrong.
    Error,
}

/// An outcome to show at a commit.
#[derive(Debug, Clone, Copy)]
pub struct CommitStatus<'a> {
    /// Its subject.
    pub context: StatusContext,
    /// The state.
    pub state: CommitState,
    /// One line, shortened to 140 characters.
    pub description: &'a str,
    /// The link behind it.
    pub target_url: Option<&'a str>,
}

impl StatusContext {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Live => "devfile-registry",
            Self::Preview => "devfile-registry/preview",
        }
    }
}

/// A description that every host takes.
pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= DESCRIPTION {
        return text.to_owned();
    }
    text.chars().take(DESCRIPTION - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_that_is_too_long_is_shortened() {
        assert_eq!(shortened("published"), "published");
        assert_eq!(shortened(&"é".repeat(140)).chars().count(), 140);
        let long = shortened(&"é".repeat(141));
        assert_eq!(long.chars().count(), 140);
        assert!(long.ends_with('…'));
    }
}
