//! The index: the stacks and samples of a registry, with their metadata.
//!
//! The fields, their order and the omission of empty ones are those of the reference's index schema
//! (devfile registry `index.json`); the REST API, the viewer and clients read the same shape.

mod json;
mod v1;

pub use json::{to_compact_json, to_pretty_json};
pub use v1::V1Entry;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;
use crate::yaml::nullable;

/// The kind of an [`Entry`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryType {
    /// A stack of this registry, published as OCI artifacts.
    #[default]
    Stack,
    /// A sample: a Git repository with a devfile.
    Sample,
}

/// One element of the index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Entry {
    /// Name of the stack or sample. Unique among stacks and among samples; a stack and a sample may share it.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Version, only in entries without `versions`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Free attributes, any JSON values.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// Name for people.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// One sentence or two.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Stack or sample.
    #[serde(rename = "type")]
    pub entry_type: EntryType,
    /// Tags of the stack and of its default version.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Processor architectures; empty means all.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// URL of the icon.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub icon: String,
    /// Memory limit for the whole, a Kubernetes quantity.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub global_memory_limit: String,
    /// Framework or kind of project.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub project_type: String,
    /// Programming language.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// Links by name.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
    /// Whether there is a command of a group.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub command_groups: BTreeMap<String, bool>,
    /// Whether it serves the inner or outer loop.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub deployment_scopes: BTreeMap<String, bool>,
    /// Names of the artifact's layers.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names of starter projects.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub starter_projects: Vec<String>,
    /// The repository of a sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// The provider.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// A page where people get help.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub support_url: String,
    /// Versions: of a stack the newest first, of a sample in the order of the file.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionEntry>,
    /// When it last changed.
    pub last_modified: Timestamp,
}

/// One version of an [`Entry`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VersionEntry {
    /// The version: `metadata.version` of the devfile.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Schema version of the devfile.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub schema_version: String,
    /// Whether clients get this one when they name none.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// The repository of a sample's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// One sentence or two.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Tags.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Processor architectures; empty means all.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// URL of the icon.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub icon: String,
    /// Links by name; `self` is the artifact's reference without the host.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
    /// Whether there is a command of a group.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub command_groups: BTreeMap<String, bool>,
    /// Whether it serves the inner or outer loop.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub deployment_scopes: BTreeMap<String, bool>,
    /// Names of the artifact's layers.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names of starter projects.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub starter_projects: Vec<String>,
    /// When it last changed.
    pub last_modified: Timestamp,
}

/// A Git repository, and the revision and folder to use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Git {
    /// Remote URLs by name.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub remotes: BTreeMap<String, String>,
    /// URL, where only one is given.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Name of the remote to use.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub remote_name: String,
    /// Folder inside the repository.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub sub_dir: String,
    /// Branch, tag or commit.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub revision: String,
}

impl Entry {
    /// The default version, if there are versions and one is the default.
    pub fn default_version(&self) -> Option<&VersionEntry> {
        self.versions.iter().find(|version| version.default)
    }
}
