//! The texts that filters look at: where each stands in an entry and in a version.

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
    /// All fields, each at the place that its number names.
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

    /// Whether versions have the field too.
    pub(super) fn is_of_versions(self) -> bool {
        !matches!(
            self,
            Self::Name
                | Self::DisplayName
                | Self::AttributeNames
                | Self::ProjectType
                | Self::Language
                | Self::Provider
                | Self::SupportUrl
        )
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

    /// Whether the shape of index schema 1 shows the default version's field in place of the entry's own.
    ///
    /// The rule is that of [`devfile_registry::index::V1Entry`]; filters must see what the answer shows.
    pub(super) fn shown_of_default(self, entry_type: EntryType) -> bool {
        match entry_type {
            EntryType::Stack => {
                matches!(self, Self::LinkNames | Self::Links | Self::Resources | Self::StarterProjects)
            }
            EntryType::Sample => matches!(
                self,
                Self::GitRemoteNames
                    | Self::GitRemotes
                    | Self::GitUrl
                    | Self::GitRemoteName
                    | Self::GitSubDir
                    | Self::GitRevision
            ),
        }
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
        for (place, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, place, "{field:?}");
        }
    }

    #[test]
    fn schema_1_is_filtered_as_it_is_shown() {
        for entry in fixture::entries() {
            let shown: Entry = serde_json::from_slice(&to_compact_json(&V1Entry::from(&entry))).unwrap();
            for field in Field::ALL {
                let of_default = entry.default_version().filter(|_| field.shown_of_default(entry.entry_type));
                let seen = of_default.map_or_else(|| field.of_entry(&entry), |version| field.of_version(version));
                assert_eq!(seen, field.of_entry(&shown), "{} {field:?}", entry.name);
            }
        }
    }
}
