//! The questions of a comparison, about the entries that two registries have.

use std::collections::BTreeSet;

use devfile_registry::index::{Entry, EntryType};
use devfile_registry::version::Version;

use crate::live::{artifact_of, path_of, segment};

/// Most values of a filter that are asked for.
const SAMPLES: usize = 3;

/// Filters that the reference server answers in another way, deliberately changed here (docs/operators/migrate.md).
const CHANGED_FILTERS: [&str; 8] = [
    "gitRemoteName=",
    "gitRemoteNames=",
    "gitRemotes=",
    "gitRevision=",
    "gitSubDir=",
    "gitUrl=",
    "linkNames=",
    "links=",
];

/// A question to both registries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    pub(super) area: Area,
    /// The path, with its query; of an artifact its repository and tag.
    pub(super) subject: String,
}

impl Question {
    /// Whether it has a filter that the reference server answers in another way.
    pub(super) fn has_changed_filter(&self) -> bool {
        let query = self.subject.split_once('?').map_or("", |(_, query)| query);
        self.area == Area::Filters && CHANGED_FILTERS.iter().any(|filter| query.starts_with(filter))
    }
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
        for filter in common_filters(entries) {
            ask(Area::Filters, format!("{index}/all?{filter}"));
        }
    }
    for filter in version_filters(entries) {
        ask(Area::Filters, format!("/v2index/all?{filter}"));
    }
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

/// Filters that both schemas have, with values that some entries have.
fn common_filters(entries: &[Entry]) -> Vec<String> {
    let versions = || entries.iter().flat_map(|entry| &entry.versions);
    let gits = || entries.iter().flat_map(|entry| &entry.git).chain(versions().flat_map(|version| &version.git));
    let links = || entries.iter().map(|entry| &entry.links).chain(versions().map(|version| &version.links)).flatten();
    let first_words = entries.iter().filter_map(|entry| entry.description.split_whitespace().next());
    let pairs = entries.iter().filter_map(|entry| entry.tags.first_chunk::<2>());
    let pairs: BTreeSet<String> =
        pairs.map(|[one, other]| format!("{}&tags={}", segment(one), segment(other))).collect();
    let mut filters = Filters::default();
    filters.add("name", entries.iter().map(|entry| &*entry.name));
    filters.add("displayName", entries.iter().map(|entry| &*entry.display_name));
    filters.add("description", first_words);
    filters.add("attributeNames", entries.iter().flat_map(|entry| entry.attributes.keys()).map(String::as_str));
    filters.add("tags", entries.iter().flat_map(|entry| &entry.tags).map(String::as_str));
    filters.0.extend(sample(&Vec::from_iter(&pairs)).map(|pair| format!("tags={pair}")));
    filters.add("arch", versions().flat_map(|version| &version.architectures).map(String::as_str));
    filters.add("icon", ["base64"]);
    filters.add("iconUri", entries.iter().map(|entry| &*entry.icon));
    filters.add("projectType", entries.iter().map(|entry| &*entry.project_type));
    filters.add("language", entries.iter().map(|entry| &*entry.language));
    filters.add("deprecated", ["true", "false"]);
    filters.add("resources", versions().flat_map(|version| &version.resources).map(String::as_str));
    filters.add("starterProjects", versions().flat_map(|version| &version.starter_projects).map(String::as_str));
    filters.add("linkNames", links().map(|(name, _)| name.as_str()));
    filters.add("links", links().map(|(_, url)| url.as_str()));
    filters.add("gitRemoteNames", gits().flat_map(|git| git.remotes.keys()).map(String::as_str));
    filters.add("gitRemotes", gits().flat_map(|git| git.remotes.values()).map(String::as_str));
    filters.add("gitUrl", gits().map(|git| &*git.url));
    filters.add("gitRemoteName", gits().map(|git| &*git.remote_name));
    filters.add("gitSubDir", gits().map(|git| &*git.sub_dir));
    filters.add("gitRevision", gits().map(|git| &*git.revision));
    filters.add("provider", entries.iter().map(|entry| &*entry.provider));
    filters.add("supportUrl", entries.iter().map(|entry| &*entry.support_url));
    filters.0
}

/// Filters that index schema 2 alone has: those of versions.
fn version_filters(entries: &[Entry]) -> Vec<String> {
    let versions = || entries.iter().flat_map(|entry| &entry.versions);
    let days: BTreeSet<String> = versions().map(|version| version.last_modified.utc_day().to_string()).collect();
    let mut filters = Filters::default();
    filters.add("default", ["true", "false"]);
    filters.add("commandGroups", versions().flat_map(|version| version.command_groups.keys()).map(String::as_str));
    filters
        .add("deploymentScopes", versions().flat_map(|version| version.deployment_scopes.keys()).map(String::as_str));
    filters.add_ranges("Version", numbers(versions().map(|version| &*version.version)));
    filters.add_ranges("SchemaVersion", numbers(versions().map(|version| &*version.schema_version)));
    filters.add_ranges("LastModified", days);
    filters.0
}

/// The versions without a pre-release, in their order: filters take no others.
fn numbers<'v>(versions: impl Iterator<Item = &'v str>) -> impl Iterator<Item = String> {
    let versions = versions.filter_map(|version| version.parse::<Version>().ok());
    let versions: BTreeSet<Version> = versions.filter(|version| version.pre_release().is_none()).collect();
    versions.into_iter().map(|version| version.to_string())
}

/// Queries of an index.
#[derive(Debug, Default)]
struct Filters(Vec<String>);

impl Filters {
    /// Adds a parameter with a few of the values that entries have.
    fn add<'v>(&mut self, name: &str, values: impl IntoIterator<Item = &'v str>) {
        let values: BTreeSet<&str> = values.into_iter().filter(|value| !value.is_empty()).collect();
        self.0.extend(sample(&Vec::from_iter(values)).map(|value| format!("{name}={}", segment(value))));
    }

    /// Adds both limits with a few of some sorted values, and a range of the lower half of these.
    fn add_ranges(&mut self, limit: &str, values: impl IntoIterator<Item = String>) {
        let values = Vec::from_iter(values);
        for value in sample(&values) {
            self.0.extend([format!("min{limit}={}", segment(value)), format!("max{limit}={}", segment(value))]);
        }
        if let (Some(min), Some(max)) = (values.first(), values.get(values.len() / 2)) {
            self.0.push(format!("min{limit}={}&max{limit}={}", segment(min), segment(max)));
        }
    }
}

/// A few values, from the whole range, always the same ones.
fn sample<T>(values: &[T]) -> impl Iterator<Item = &T> {
    let last = values.len().saturating_sub(1);
    let numbers: BTreeSet<usize> = (0..SAMPLES).map(|number| number * last / (SAMPLES - 1)).collect();
    numbers.into_iter().filter_map(|number| values.get(number))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use devfile_registry::index::{Git, VersionEntry};

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
        assert_eq!(
            tags,
            ["/index/all?tags=C%2B%2B", "/index/all?tags=Go", "/index/all?tags=Go&tags=Web", "/index/all?tags=Web"]
        );
        assert!(questions(&[entry], false).iter().all(|one| one.area != Area::Starters));
    }

    #[test]
    fn every_filter_of_the_interface_is_asked_for() {
        let text = || "x".to_owned();
        let map = || [(text(), text())].into();
        let git = Git { remotes: map(), url: text(), remote_name: text(), sub_dir: text(), revision: text() };
        let version = VersionEntry {
            version: "1.0.0".to_owned(),
            schema_version: "2.2.2".to_owned(),
            git: Some(git),
            architectures: vec![text()],
            command_groups: [(text(), true)].into(),
            deployment_scopes: [(text(), true)].into(),
            resources: vec![text()],
            starter_projects: vec![text()],
            ..VersionEntry::default()
        };
        let entry = Entry {
            name: text(),
            attributes: [(text(), text().into())].into(),
            display_name: text(),
            description: text(),
            tags: vec![text()],
            icon: text(),
            project_type: text(),
            language: text(),
            links: map(),
            provider: text(),
            support_url: text(),
            versions: vec![version],
            ..Entry::default()
        };
        let asked = questions(&[entry], false);
        let names = |index: &str| -> BTreeSet<&str> {
            let queries = asked.iter().filter_map(|one| one.subject.strip_prefix(index)?.strip_prefix("/all?"));
            queries.flat_map(|query| query.split('&')).filter_map(|pair| Some(pair.split_once('=')?.0)).collect()
        };
        for index in ["/index", "/v2index"] {
            assert_eq!(names(index), filters_of(index), "{index}");
        }
    }

    /// The filters of an index, by the OpenAPI document of `serve`.
    fn filters_of(index: &str) -> BTreeSet<&'static str> {
        static API: LazyLock<serde_json::Value> = LazyLock::new(|| {
            let snapshot =
                include_str!("../../../functions/serve/src/openapi/snapshots/serve__openapi__tests__document.snap");
            serde_json::from_str(snapshot.splitn(3, "---").nth(2).unwrap()).unwrap()
        });
        let parameters = API["paths"][index]["get"]["parameters"].as_array().unwrap();
        parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn limits_of_versions_are_asked_for_in_numeric_order() {
        let versions = ["1.2.0", "1.10.0", "2.0.0-rc", "1.9.0"]
            .map(|number| VersionEntry { version: number.to_owned(), ..VersionEntry::default() });
        let entry = Entry { versions: versions.into(), ..Entry::default() };
        let filters: Vec<_> =
            version_filters(&[entry]).into_iter().filter(|filter| filter.starts_with("minVersion")).collect();
        let expected =
            ["minVersion=1.2.0", "minVersion=1.9.0", "minVersion=1.10.0", "minVersion=1.2.0&maxVersion=1.9.0"];
        assert_eq!(filters, expected);
    }
}
