//! Entries of stacks: `stack.yaml` and the versions put together, by the rules of the reference's index generator.

use std::collections::BTreeMap;

use super::content::Facts;
use crate::artifact::{CATALOG, Layer};
use crate::devfile::Metadata;
use crate::index::{Entry, EntryType, VersionEntry};
use crate::repository::{Stack, StackVersion};
use crate::timestamp::Timestamp;

/// The entry of a version: its devfile's metadata, and the facts from its files.
pub(super) fn version_entry(
    stack: &Stack,
    version: &StackVersion,
    layers: &[Layer],
    last_modified: Timestamp,
) -> VersionEntry {
    let devfile = &version.devfile;
    let metadata = &devfile.metadata;
    let mut resources: Vec<String> = layers.iter().map(|layer| layer.title.clone()).collect();
    resources.sort();
    VersionEntry {
        version: devfile.version.to_string(),
        schema_version: devfile.schema_version.to_string(),
        default: version.folder == stack.version_folder(&stack.default),
        git: None,
        description: metadata.description.clone(),
        tags: metadata.tags.clone(),
        architectures: metadata.architectures.clone(),
        icon: metadata.icon.clone(),
        links: BTreeMap::from([("self".to_owned(), format!("{CATALOG}/{}:{}", stack.folder, devfile.version))]),
        command_groups: devfile.command_groups.clone(),
        deployment_scopes: metadata.deployment_scopes.clone(),
        resources,
        starter_projects: devfile.starter_projects.clone(),
        last_modified,
    }
}

pub(super) fn facts(version: &StackVersion) -> Facts {
    let metadata = &version.devfile.metadata;
    Facts {
        project_type: metadata.project_type.clone(),
        language: metadata.language.clone(),
        provider: metadata.provider.clone(),
        support_url: metadata.support_url.clone(),
    }
}

/// The entry of a stack with its versions, which come newest first.
///
/// Tags are the stack's, then the default version's. Architectures are the union, or none (which means all) when a version
/// names none. Language, project type, provider, support URL and description are the stack's, or the first that a version has.
pub(super) fn stack_entry(fields: &Metadata, versions: Vec<(VersionEntry, Facts)>) -> Entry {
    let first = |own: &str, of: fn(&(VersionEntry, Facts)) -> &str| {
        let values = std::iter::once(own).chain(versions.iter().map(of));
        values.into_iter().find(|value| !value.is_empty()).unwrap_or_default().to_owned()
    };
    let default = versions.iter().find(|(version, _)| version.default);
    let default_tags = default.map_or(&[][..], |(version, _)| &version.tags);
    let architectures = if versions.iter().any(|(version, _)| version.architectures.is_empty()) {
        fields.architectures.clone()
    } else {
        union(&fields.architectures, versions.iter().flat_map(|(version, _)| &version.architectures))
    };
    Entry {
        name: fields.name.clone(),
        attributes: fields.attributes.clone(),
        display_name: fields.display_name.clone(),
        description: first(&fields.description, |(version, _)| &version.description),
        entry_type: EntryType::Stack,
        tags: union(&fields.tags, default_tags),
        architectures,
        icon: fields.icon.clone(),
        global_memory_limit: fields.global_memory_limit.clone(),
        project_type: first(&fields.project_type, |(_, facts)| &facts.project_type),
        language: first(&fields.language, |(_, facts)| &facts.language),
        provider: first(&fields.provider, |(_, facts)| &facts.provider),
        support_url: first(&fields.support_url, |(_, facts)| &facts.support_url),
        last_modified: versions.iter().map(|(version, _)| &version.last_modified).max().cloned().unwrap_or_default(),
        versions: versions.into_iter().map(|(version, _)| version).collect(),
        ..Entry::default()
    }
}

fn union<'a>(own: &[String], more: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut all = own.to_vec();
    for item in more {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
    all
}
