//! The older shape of an entry, which `/index` answers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Entry, EntryType, Git};
use crate::timestamp::Timestamp;

/// An [`Entry`] without `versions`: the entry itself has the fields of the default version.
///
/// Both take tags and architectures from the default version where it has some. A stack also takes version, links,
/// resources and starter projects from it, a sample its Git repository; the rest is the entry's own (the reference's
/// index server, conversion to index schema 1).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct V1Entry<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, serde_json::Value>,
    #[serde(skip_serializing_if = "str::is_empty")]
    display_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(rename = "type")]
    entry_type: EntryType,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    architectures: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    icon: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    global_memory_limit: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    project_type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    language: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    links: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    command_groups: &'a BTreeMap<String, bool>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    deployment_scopes: &'a BTreeMap<String, bool>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    resources: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    starter_projects: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<&'a Git>,
    #[serde(skip_serializing_if = "str::is_empty")]
    provider: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    support_url: &'a str,
    last_modified: &'a Timestamp,
}

impl<'a> From<&'a Entry> for V1Entry<'a> {
    fn from(entry: &'a Entry) -> Self {
        let own = Self {
            name: &entry.name,
            version: &entry.version,
            attributes: &entry.attributes,
            display_name: &entry.display_name,
            description: &entry.description,
            entry_type: entry.entry_type,
            tags: &entry.tags,
            architectures: &entry.architectures,
            icon: &entry.icon,
            global_memory_limit: &entry.global_memory_limit,
            project_type: &entry.project_type,
            language: &entry.language,
            links: &entry.links,
            command_groups: &entry.command_groups,
            deployment_scopes: &entry.deployment_scopes,
            resources: &entry.resources,
            starter_projects: &entry.starter_projects,
            git: entry.git.as_ref(),
            provider: &entry.provider,
            support_url: &entry.support_url,
            last_modified: &entry.last_modified,
        };
        let Some(default) = entry.default_version() else { return own };
        let own = Self {
            tags: default_or_own(&default.tags, own.tags),
            architectures: default_or_own(&default.architectures, own.architectures),
            ..own
        };
        match entry.entry_type {
            EntryType::Stack => Self {
                version: &default.version,
                links: &default.links,
                resources: &default.resources,
                starter_projects: &default.starter_projects,
                ..own
            },
            EntryType::Sample => Self { git: default.git.as_ref(), ..own },
        }
    }
}

fn default_or_own<'a>(default: &'a [String], own: &'a [String]) -> &'a [String] {
    if default.is_empty() { own } else { default }
}
