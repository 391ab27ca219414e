//! The statements of a release about starter projects and parents that were fetched with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format::StoredFile;
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;

/// Which stacks are published with all upstream content that their devfiles name, and under which URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfflineSettings {
    /// The registry's own URL, without a slash at its end.
    pub public_url: String,
    /// The stacks.
    pub stacks: OfflineStacks,
}

/// Some stacks, or all: `all`, or their names separated by commas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum OfflineStacks {
    /// All.
    All,
    /// Those of these names.
    Named(BTreeSet<String>),
}

/// A list of stacks is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`all`, or names of stacks, separated by commas")]
pub struct InvalidOfflineStacks;

/// The offline content of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offline {
    /// The settings that it was built with.
    #[serde(flatten)]
    pub settings: OfflineSettings,
    /// The stacks of which some upstream content is missing. The next refresh tries again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lacking: BTreeSet<String>,
}

/// The content that a version has of other hosts. As long as its devfile is the same, none of it is fetched again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineVersion {
    /// Digest of the devfile as committed; the published one names this registry in place of other hosts.
    pub committed: Digest,
    /// Files in the version's folder, by name, that are not in the repository.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, StoredFile>,
    /// The references that stay on other hosts, with the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Diagnostic>,
}

/// The prefix of the rules about upstream content that an offline stack still needs.
pub(crate) const OFFLINE_RULES: &str = "offline/";

/// The end of the name of a fetched parent; before it stands its digest.
const PARENT: &str = "-offline.yaml";

impl StoredFile {
    /// The name of a parent that was fetched, in a version's folder.
    pub(crate) fn parent_name(digest: Digest) -> String {
        format!("{}{PARENT}", digest.hex())
    }

    /// Whether a path ends with a name that nothing but this content has.
    pub fn is_named_by(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().and_then(|name| name.strip_suffix(PARENT));
        name.is_some_and(|name| name == self.digest.hex())
    }
}

impl OfflineStacks {
    /// Whether a stack with one of these names is meant.
    pub fn has(&self, names: [&str; 2]) -> bool {
        match self {
            Self::All => true,
            Self::Named(stacks) => names.iter().any(|name| stacks.contains(*name)),
        }
    }
}

impl FromStr for OfflineStacks {
    type Err = InvalidOfflineStacks;

    /// Reads `all` or `go,nodejs`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self::All);
        }
        let name = |name: &str| match name.trim() {
            // The hint names both accepted values.
            "" | "true" | "false" => Err(InvalidOfflineStacks),
            name if name.contains(|c: char| c.is_control() || c.is_whitespace()) => Err(InvalidOfflineStacks),
            name => Ok(name.to_owned()),
        };
        Ok(Self::Named(text.split(',').map(name).collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for OfflineStacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Named(stacks) => f.write_str(&stacks.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
        }
    }
}

impl TryFrom<String> for OfflineStacks {
    type Error = InvalidOfflineStacks;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<OfflineStacks> for String {
    fn from(stacks: OfflineStacks) -> Self {
        stacks.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_offline_stacks_is_parsed_or_refused() {
        for (text, written) in [("all", "all"), ("go", "go"), ("nodejs, go,go", "go,nodejs")] {
            let stacks: OfflineStacks = text.parse().unwrap();
            assert_eq!(stacks.to_string(), written);
            assert_eq!(serde_json::to_value(&stacks).unwrap(), written);
            assert_eq!(serde_json::from_value::<OfflineStacks>(written.into()).unwrap(), stacks);
        }
        for text in ["", "true", "false", "go,", "go, ,x", "a b"] {
            assert_eq!(text.parse::<OfflineStacks>(), Err(InvalidOfflineStacks), "{text}");
        }
        let some: OfflineStacks = "go".parse().unwrap();
        assert!(some.has(["go", "golang"]) && some.has(["golang", "go"]) && !some.has(["all", "x"]));
    }
}
