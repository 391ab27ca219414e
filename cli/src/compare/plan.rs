//! The questions of a comparison: everything that a client could ask of the entries that two registries have.

use std::collections::BTreeSet;

use devfile_registry::index::{Entry, EntryType};

use crate::live::{artifact_of, path_of, segment};

/// Most values of a filter that are asked for.
const SAMPLES: usize = 3;

/// A question to both registries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    pub(super) area: Area,
    /// The path, with its query; of an artifact its repository and tag.
    pub(super) subject: String,
}

/// The kind of a question, and how its answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Area {
    /// JSON with entries.
    Index,
    /// The same, filtered: registries may have their own order.
    Filters,
    /// A text.
    Devfiles,
    /// A manifest by tag and digest, with its blobs.
    Artifacts,
    /// A file by its path.
    Files,
    /// A zip.
    Starters,
}

impl Area {
    /// All of them, in the order of a report.
    pub(super) const ALL: [Self; 6] =
        [Self::Index, Self::Filters, Self::Devfiles, Self::Artifacts, Self::Files, Self::Starters];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Index => "indexes",
            Self::Filters => "filters",
            Self::Devfiles => "devfiles",
            Self::Artifacts => "artifacts",
            Self::Files => "files",
            Self::Starters => "starter projects",
        }
    }
}

/// The questions about the entries of both registries, each once.
pub(super) fn questions(entries: &[Entry], with_starters: bool) -> BTreeSet<Question> {
    let mut questions = BTreeSet::new();
    let mut ask = |area, subject: String| questions.extend([Question { area, subject }]);
    for index in ["/index", "/v2index"] {
        for kind in ["", "/all", "/stack", "/sample"] {
            ask(Area::Index, format!("{index}{kind}"));
        }
        for filter in filters(entries) {
            ask(Area::Filters, format!("{index}/all?{filter}"));
        }
    }
    ask(Area::Filters, "/v2index/all?default=true".to_owned());
    for entry in entries {
        let devfile = format!("/devfiles/{}", segment(&entry.name));
        ask(Area::Devfiles, devfile.clone());
        if with_starters && entry.versions.is_empty() {
            let starters = entry.starter_projects.iter();
            starters.for_each(|name| ask(Area::Starters, format!("{devfile}/starter-projects/{}", segment(name))));
        }
        for version in &entry.versions {
            let devfile = format!("{devfile}/{}", segment(&version.version));
            ask(Area::Devfiles, devfile.clone());
            if with_starters {
                let starters = version.starter_projects.iter();
                starters.for_each(|name| ask(Area::Starters, format!("{devfile}/starter-projects/{}", segment(name))));
            }
            let artifact = artifact_of(version).filter(|_| entry.entry_type == EntryType::Stack);
            let Some((repository, tag)) = artifact else { continue };
            ask(Area::Artifacts, format!("{repository}:{tag}"));
            let folder = repository.rsplit('/').next().unwrap_or_default();
            for file in version.resources.iter().filter(|file| !file.ends_with(".tar")) {
                ask(Area::Files, format!("/stacks/{}/{}/{}", segment(folder), segment(tag), path_of(file)));
            }
        }
    }
    questions
}

/// Filters with values that some entries have.
fn filters(entries: &[Entry]) -> Vec<String> {
    let words = |text: &str| text.split_whitespace().next().map(str::to_owned);
    let one = |text: &str| vec![text.to_owned()];
    type Values = fn(&Entry) -> Vec<String>;
    let of_versions = |values: fn(&devfile_registry::index::VersionEntry) -> Vec<String>| {
        entries.iter().flat_map(|entry| &entry.versions).flat_map(values).collect::<BTreeSet<_>>()
    };
    let of = |values: &dyn Fn(&Entry) -> Vec<String>| entries.iter().flat_map(values).collect::<BTreeSet<_>>();
    let tags: Values = |entry| entry.tags.clone();
    let values = [
        ("name", of(&|entry| one(&entry.name))),
        ("displayName", of(&|entry| one(&entry.display_name))),
        ("description", of(&|entry| words(&entry.description).into_iter().collect())),
        ("tags", of(&tags)),
        ("arch", of_versions(|version| version.architectures.clone())),
        ("projectType", of(&|entry| one(&entry.project_type))),
        ("language", of(&|entry| one(&entry.language))),
        ("provider", of(&|entry| one(&entry.provider))),
        ("resources", of_versions(|version| version.resources.clone())),
        ("starterProjects", of_versions(|version| version.starter_projects.clone())),
        ("deprecated", ["true", "false"].map(str::to_owned).into()),
        ("icon", ["base64".to_owned()].into()),
    ];
    let mut filters = Vec::new();
    for (name, values) in values {
        let values: Vec<_> = values.into_iter().filter(|value| !value.is_empty()).collect();
        filters.extend(sample(&values).map(|value| format!("{name}={}", segment(value))));
    }
    filters
}

/// A few values, from the whole range, always the same ones.
fn sample(values: &[String]) -> impl Iterator<Item = &String> {
    let last = values.len().saturating_sub(1);
    let numbers: BTreeSet<usize> = (0..SAMPLES).map(|number| number * last / (SAMPLES - 1)).collect();
    numbers.into_iter().filter_map(|number| values.get(number))
}

#[cfg(test)]
mod tests {
    use devfile_registry::index::VersionEntry;

    use super::*;

    #[test]
    fn every_version_is_asked_for_by_all_of_its_names() {
        let version = VersionEntry {
            version: "1.0.0".to_owned(),
            links: [("self".to_owned(), "devfile-catalog/kiln:1.0.0".to_owned())].into(),
            resources: ["devfile.yaml", "archive.tar"].map(str::to_owned).into(),
            starter_projects: vec!["a b".to_owned()],
            ..VersionEntry::default()
        };
        let tags = ["Go", "Web", "C++", "Rust"].map(str::to_owned).into();
        let entry = Entry { name: "kiln".to_owned(), versions: vec![version], tags, ..Entry::default() };
        let all = questions(&[entry.clone(), entry.clone()], true);
        let of = |area| all.iter().filter(|one| one.area == area).map(|one| one.subject.as_str()).collect::<Vec<_>>();
        assert_eq!(of(Area::Artifacts), ["devfile-catalog/kiln:1.0.0"]);
        assert_eq!(of(Area::Devfiles), ["/devfiles/kiln", "/devfiles/kiln/1.0.0"]);
        assert_eq!(of(Area::Files), ["/stacks/kiln/1.0.0/devfile.yaml"]);
        assert_eq!(of(Area::Starters), ["/devfiles/kiln/1.0.0/starter-projects/a%20b"]);
        let tags: Vec<_> = of(Area::Filters).into_iter().filter(|path| path.starts_with("/index/all?tags")).collect();
        assert_eq!(tags, ["/index/all?tags=C%2B%2B", "/index/all?tags=Go", "/index/all?tags=Web"]);
        assert!(questions(&[entry], false).iter().all(|one| one.area != Area::Starters));
    }
}
