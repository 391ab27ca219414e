//! The parts of a devfile that the registry reads: its metadata and the names that the index shows.
//!
//! The rest of a devfile is passed on as it is. Field names are those of the devfile schema.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::diagnostic::Diagnostic;
use crate::version::{InvalidVersion, Version};
use crate::yaml::{self, Node, nullable};

/// Kinds of command groups, in the order of the index.
pub const COMMAND_GROUPS: [&str; 5] = ["build", "debug", "deploy", "run", "test"];

/// Kinds of deployment scopes.
pub const DEPLOYMENT_SCOPES: [&str; 2] = ["innerloop", "outerloop"];

/// Longest version, in bytes: it is a tag in the OCI registry (OCI distribution specification, "Pulling manifests").
const VERSION_BYTES: usize = 128;

/// A devfile with the fields that a registry needs: a schema version and the required metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct Devfile {
    /// `schemaVersion`.
    pub schema_version: Version,
    /// `metadata.version`, the version under which it is published.
    pub version: Version,
    /// `metadata`.
    pub metadata: Metadata,
    /// Which of [`COMMAND_GROUPS`] has a command.
    pub command_groups: BTreeMap<String, bool>,
    /// Names of the starter projects, in their order.
    pub starter_projects: Vec<String>,
}

/// The metadata of a devfile, and of a stack: the same fields stand in `stack.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are those of the devfile schema")]
pub struct Metadata {
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    #[serde(deserialize_with = "nullable")]
    pub version: String,
    #[serde(deserialize_with = "nullable")]
    pub display_name: String,
    #[serde(deserialize_with = "nullable")]
    pub description: String,
    #[serde(deserialize_with = "nullable")]
    pub tags: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub architectures: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub icon: String,
    #[serde(deserialize_with = "nullable")]
    pub global_memory_limit: String,
    #[serde(deserialize_with = "nullable")]
    pub project_type: String,
    #[serde(deserialize_with = "nullable")]
    pub language: String,
    #[serde(deserialize_with = "nullable")]
    pub provider: String,
    #[serde(deserialize_with = "nullable")]
    pub support_url: String,
    #[serde(deserialize_with = "nullable")]
    pub deployment_scopes: BTreeMap<String, bool>,
    #[serde(deserialize_with = "nullable")]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

impl Devfile {
    /// Takes a devfile that [`validate::devfile`](crate::validate::devfile) found nothing wrong with; `path` is for the diagnostics.
    ///
    /// # Errors
    /// Checks the further needs of a registry: a version to publish it under, and metadata that fits the index.
    pub fn new(path: &str, document: &Node) -> Result<Self, Vec<Diagnostic>> {
        let metadata = document.get("metadata").unwrap_or(document);
        let at = metadata.key_at.position;
        let schema_version = Version::of_schema(document.text_of("schemaVersion").unwrap_or_default());
        let schema_version = schema_version.map_err(|reason: InvalidVersion| {
            vec![
                Diagnostic::error(path, "schemaVersion/value", reason.to_string(), "write, for instance, 2.3.0").at(at),
            ]
        })?;
        let fields: Metadata = yaml::decode(path, metadata).map_err(|problem| vec![*problem])?;
        let mut problems = Vec::new();
        let version = fields.version.parse::<Version>();
        match &version {
            Err(_) if fields.version.is_empty() => {
                let hint = "add a line such as `version: 1.0.0` below `metadata:`";
                let message = "metadata.version is missing";
                problems.push(Diagnostic::error(path, "metadata/version", message, hint).at(at));
            }
            Err(reason) => {
                let at = metadata.get("version").map_or(at, |version| version.at.position);
                problems.push(Diagnostic::error(path, "metadata/version", reason.to_string(), "").at(at));
            }
            Ok(version) if version.as_str().len() > VERSION_BYTES => {
                let at = metadata.get("version").map_or(at, |version| version.at.position);
                let message = format!("metadata.version has more than {VERSION_BYTES} characters");
                let hint = "write a version such as 1.2.0";
                problems.push(Diagnostic::error(path, "metadata/version", message, hint).at(at));
            }
            Ok(_) => {}
        }
        let scopes = metadata.get("deploymentScopes").map_or(&[][..], Node::entries);
        for (scope, node) in scopes.iter().filter(|(scope, _)| !DEPLOYMENT_SCOPES.contains(&scope.as_str())) {
            let message = format!("the deployment scope `{scope}` is not known");
            let problem = Diagnostic::error(path, "index/scopes", message, "use innerloop and outerloop");
            problems.push(problem.at(node.key_at.position));
        }
        match version {
            Ok(version) if problems.is_empty() => Ok(Self {
                schema_version,
                version,
                metadata: fields,
                command_groups: command_groups(document),
                starter_projects: starter_projects(document),
            }),
            _ => Err(problems),
        }
    }
}

fn starter_projects(document: &Node) -> Vec<String> {
    let named = document.items_of("starterProjects").iter();
    named.filter_map(|project| project.text_of("name")).map(str::to_owned).collect()
}

fn command_groups(document: &Node) -> BTreeMap<String, bool> {
    let commands = document.items_of("commands").iter();
    let kinds: Vec<&str> = commands
        .flat_map(|command| ["exec", "apply", "composite"].map(|body| command.at_path(&[body, "group", "kind"])))
        .filter_map(|kind| kind?.text())
        .collect();
    COMMAND_GROUPS.iter().map(|&kind| (kind.to_owned(), kinds.contains(&kind))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILN: &str = "schemaVersion: 2.2.2\nmetadata:\n  name: kiln\n  displayName: Kiln\n  version: 1.0.0\n  \
                        language: Rust\n  projectType: axum\n";

    fn read(text: &str) -> Result<Devfile, Vec<Diagnostic>> {
        Devfile::new("devfile.yaml", &yaml::parse("devfile.yaml", text.as_bytes()).unwrap())
    }

    #[test]
    fn devfile_is_read_as_the_index_shows_it() {
        let text = format!(
            "{KILN}starterProjects:\n  - name: clay\n    git: {{}}\ncommands:\n  - id: b\n    exec:\n      group: {{kind: \
             build}}\n  - id: d\n    composite:\n      group: {{kind: deploy, isDefault: true}}\n  - id: n\n    exec: {{}}\n"
        );
        let devfile = read(&text).unwrap();
        assert_eq!(devfile.version.as_str(), "1.0.0");
        assert_eq!(devfile.starter_projects, ["clay"]);
        let groups: Vec<_> = devfile.command_groups.iter().filter(|(_, has)| **has).map(|(kind, _)| kind).collect();
        assert_eq!(groups, ["build", "deploy"]);
        assert_eq!(devfile.command_groups.len(), 5);
    }

    #[test]
    fn schema_version_with_pre_release_and_build_is_read() {
        let devfile = read(&KILN.replace("2.2.2", "2.2.0-alpha.1+b.7")).unwrap();
        assert_eq!(devfile.schema_version.as_str(), "2.2.0-alpha.1+b.7");
    }

    #[test]
    fn devfile_that_lacks_fields_of_the_index_is_refused() {
        let rules = |text: &str| -> Vec<String> {
            let problem = |problem: Diagnostic| {
                let position = problem.position.unwrap();
                format!("{} {}:{}", problem.rule, position.line, position.column)
            };
            read(text).unwrap_err().into_iter().map(problem).collect()
        };
        assert_eq!(rules(&KILN.replace("  version: 1.0.0\n", "")), ["metadata/version 2:1"]);
        assert_eq!(rules(&KILN.replace("version: 1.0.0", "version: one")), ["metadata/version 5:12"]);
        let version = |length: usize| KILN.replace("1.0.0", &format!("1.0.0-{}", "a".repeat(length - 6)));
        assert_eq!(rules(&version(129)), ["metadata/version 5:12"]);
        assert!(read(&version(128)).is_ok());
        assert_eq!(rules(&format!("{KILN}  deploymentScopes: {{middle: true}}\n")), ["index/scopes 8:22"]);
        assert_eq!(rules(&format!("{KILN}  provider: 5\n")), ["yaml/type 8:13"]);
    }
}
