//! The texts that filters read: where each stands in an entry and in a version.

use std::collections::BTreeMap;

use devfile_registry::index::{Entry, EntryType, Git, VersionEntry};

/// A field of the index that is filtered by text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    DisplayName,
    Description,
    AttributeNames,
    Tags,
    Architectures,
    Icon,
    ProjectType,
    Language,
    Resources,
    StarterProjects,
    LinkNames,
    Links,
    CommandGroups,
    DeploymentScopes,
    GitRemoteNames,
    GitRemotes,
    GitUrl,
    GitRemoteName,
    GitSubDir,
    GitRevision,
    Provider,
    SupportUrl,
}

impl Field {
    /// All fields, each at the position that its number names.
    pub(super) const ALL: [Self; 23] = [
        Self::Name,
        Self::DisplayName,
        Self::Description,
        Self::AttributeNames,
        Self::Tags,
        Self::Architectures,
        Self::Icon,
        Self::ProjectType,
        Self::Language,
        Self::Resources,
        Self::StarterProjects,
        Self::LinkNames,
        Self::Links,
        Self::CommandGroups,
        Self::DeploymentScopes,
        Self::GitRemoteNames,
        Self::GitRemotes,
        Self::GitUrl,
        Self::GitRemoteName,
        Self::GitSubDir,
        Self::GitRevision,
        Self::Provider,
        Self::SupportUrl,
    ];

    /// The field's texts in the entry itself.
    ///
    /// A text that is not there is an empty text, a list that is not there has no element.
    pub(super) fn of_entry(self, entry: &Entry) -> Vec<&str> {
        match self {
            Self::Name => vec![&entry.name],
            Self::DisplayName => vec![&entry.display_name],
            Self::Description => vec![&entry.description],
            Self::AttributeNames => entry.attributes.keys().map(String::as_str).collect(),
            Self::Tags => texts(&entry.tags),
            Self::Architectures => texts(&entry.architectures),
            Self::Icon => vec![&entry.icon],
            Self::ProjectType => vec![&entry.project_type],
            Self::Language => vec![&entry.language],
            Self::Resources => texts(&entry.resources),
            Self::StarterProjects => texts(&entry.starter_projects),
            Self::LinkNames => keys(&entry.links),
            Self::Links => values(&entry.links),
            Self::CommandGroups => set(&entry.command_groups),
            Self::DeploymentScopes => set(&entry.deployment_scopes),
            Self::Provider => vec![&entry.provider],
            Self::SupportUrl => vec![&entry.support_url],
            Self::GitRemoteNames
            | Self::GitRemotes
            | Self::GitUrl
            | Self::GitRemoteName
            | Self::GitSubDir
            | Self::GitRevision => self.of_git(entry.git.as_ref()),
        }
    }

    /// The field's texts in a version; none where versions have no such field.
    pub(super) fn of_version(self, version: &VersionEntry) -> Vec<&str> {
        match self {
            Self::Description => vec![&version.description],
            Self::Tags => texts(&version.tags),
            Self::Architectures => texts(&version.architectures),
            Self::Icon => vec![&version.icon],
            Self::Resources => texts(&version.resources),
            Self::StarterProjects => texts(&version.starter_projects),
            Self::LinkNames => keys(&version.links),
            Self::Links => values(&version.links),
            Self::CommandGroups => set(&version.command_groups),
            Self::DeploymentScopes => set(&version.deployment_scopes),
            Self::GitRemoteNames
            | Self::GitRemotes
            | Self::GitUrl
            | Self::GitRemoteName
            | Self::GitSubDir
            | Self::GitRevision => self.of_git(version.git.as_ref()),
            Self::Name
            | Self::DisplayName
            | Self::AttributeNames
            | Self::ProjectType
            | Self::Language
            | Self::Provider
            | Self::SupportUrl => Vec::new(),
        }
    }

    fn of_git(self, git: Option<&Git>) -> Vec<&str> {
        let text = |field: fn(&Git) -> &String| vec![git.map_or("", |git| field(git))];
        match self {
            Self::GitRemoteNames => git.map_or_else(Vec::new, |git| keys(&git.remotes)),
            Self::GitRemotes => git.map_or_else(Vec::new, |git| values(&git.remotes)),
            Self::GitUrl => text(|git| &git.url),
            Self::GitRemoteName => text(|git| &git.remote_name),
            Self::GitSubDir => text(|git| &git.sub_dir),
            Self::GitRevision => text(|git| &git.revision),
            _ => Vec::new(),
        }
    }

    /// The texts that the shape of index schema 1 shows, of those of the entry and those of its default version.
    ///
    /// The rule is that of [`devfile_registry::index::V1Entry`]; filters must see the values of the answer.
    pub(super) fn shown<'a, T>(self, entry_type: EntryType, own: &'a [T], default: &'a [T]) -> &'a [T] {
        let of_default = match (self, entry_type) {
            (Self::Tags | Self::Architectures, _) => !default.is_empty(),
            (Self::LinkNames | Self::Links | Self::Resources | Self::StarterProjects, EntryType::Stack)
            | (
                Self::GitRemoteNames
                | Self::GitRemotes
                | Self::GitUrl
                | Self::GitRemoteName
                | Self::GitSubDir
                | Self::GitRevision,
                EntryType::Sample,
            ) => true,
            _ => false,
        };
        if of_default { default } else { own }
    }
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

fn keys(map: &BTreeMap<String, String>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

fn values(map: &BTreeMap<String, String>) -> Vec<&str> {
    map.values().map(String::as_str).collect()
}

/// The names that are set: `"test": false` says that there is no such thing.
fn set(map: &BTreeMap<String, bool>) -> Vec<&str> {
    map.iter().filter(|(_, set)| **set).map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use devfile_registry::index::{V1Entry, to_compact_json};

    #[test]
    fn fields_stand_where_their_numbers_say() {
        for (position, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, position, "{field:?}");
        }
    }

    #[test]
    fn schema_1_is_filtered_as_it_is_shown() {
        for entry in fixture::entries() {
            let shown: Entry = serde_json::from_slice(&to_compact_json(&V1Entry::from(&entry))).unwrap();
            for field in Field::ALL {
                let own = field.of_entry(&entry);
                let default = entry.default_version().map(|version| field.of_version(version));
                let seen = default.as_ref().map_or(&*own, |default| field.shown(entry.entry_type, &own, default));
                assert_eq!(seen, field.of_entry(&shown), "{} {field:?}", entry.name);
            }
        }
    }
}
