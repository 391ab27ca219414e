//! What the registry reads from a devfile: its metadata and the names that the index shows.
//!
//! The rest of a devfile is passed on as it is. Field names are those of the devfile schema.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use crate::diagnostic::Diagnostic;
use crate::version::Version;
use crate::yaml::{self, nullable};

/// Kinds of command groups, in the order of the index.
pub const COMMAND_GROUPS: [&str; 5] = ["build", "debug", "deploy", "run", "test"];

/// Kinds of deployment scopes.
pub const DEPLOYMENT_SCOPES: [&str; 2] = ["innerloop", "outerloop"];

/// A devfile that has what a registry needs: a schema version and the required metadata.
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

/// The metadata of a devfile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
}

/// A devfile as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<Spanned<String>>,
    metadata: Option<Spanned<Metadata>>,
    #[serde(default, deserialize_with = "nullable")]
    starter_projects: Vec<Named>,
    #[serde(default, deserialize_with = "nullable")]
    commands: Vec<Command>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Command {
    exec: Option<CommandBody>,
    apply: Option<CommandBody>,
    composite: Option<CommandBody>,
}

#[derive(Deserialize)]
struct CommandBody {
    group: Option<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default, deserialize_with = "nullable")]
    kind: String,
}

impl Devfile {
    /// Reads a devfile; `path` is for the diagnostics.
    ///
    /// # Errors
    /// All that is missing or unreadable, at its place.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let raw: Raw = yaml::parse(path, bytes).map_err(|problem| vec![*problem])?;
        let mut problems = Vec::new();
        let schema_version = schema_version(path, raw.schema_version.as_ref()).map_err(|p| problems.push(*p)).ok();
        let Some(metadata) = raw.metadata else {
            let hint = "add metadata with name, displayName, version, language and projectType";
            problems.push(Diagnostic::error(path, "metadata/all", "metadata is missing", hint));
            return Err(problems);
        };
        let place = yaml::position_of(&metadata);
        let metadata = metadata.value;
        let required = [
            ("name", &metadata.name),
            ("displayName", &metadata.display_name),
            ("version", &metadata.version),
            ("language", &metadata.language),
            ("projectType", &metadata.project_type),
        ];
        for (field, value) in required {
            if value.is_empty() {
                let message = format!("metadata.{field} is missing");
                let hint = format!("add a line `{field}:` below `metadata:`");
                problems.push(Diagnostic::error(path, &format!("metadata/{field}"), message, hint).at(place));
            }
        }
        let version = metadata.version.parse::<Version>();
        if let Err(reason) = &version
            && !metadata.version.is_empty()
        {
            problems.push(Diagnostic::error(path, "metadata/version", reason.to_string(), "").at(place));
        }
        for scope in metadata.deployment_scopes.keys().filter(|scope| !DEPLOYMENT_SCOPES.contains(&scope.as_str())) {
            let message = format!("the deployment scope `{scope}` is not known");
            problems.push(Diagnostic::error(path, "index/scopes", message, "use innerloop and outerloop").at(place));
        }
        match (schema_version, version) {
            (Some(schema_version), Ok(version)) if problems.is_empty() => Ok(Self {
                schema_version,
                version,
                metadata,
                command_groups: command_groups(&raw.commands),
                starter_projects: raw.starter_projects.into_iter().map(|starter| starter.name).collect(),
            }),
            _ => Err(problems),
        }
    }
}

fn schema_version(path: &str, written: Option<&Spanned<String>>) -> Result<Version, Box<Diagnostic>> {
    let hint = "write the devfile schema's version, such as `schemaVersion: 2.2.2`";
    match written {
        None => Err(Box::new(Diagnostic::error(path, "schemaVersion/absent", "schemaVersion is missing", hint))),
        Some(text) => text.value.parse().map_err(|_| {
            let message = format!("`{}` is not a schema version", text.value);
            Box::new(Diagnostic::error(path, "schemaVersion/value", message, hint).at(yaml::position_of(text)))
        }),
    }
}

fn command_groups(commands: &[Command]) -> BTreeMap<String, bool> {
    let bodies = commands.iter().flat_map(|command| [&command.exec, &command.apply, &command.composite]).flatten();
    let kinds: Vec<&str> = bodies.filter_map(|body| Some(body.group.as_ref()?.kind.as_str())).collect();
    COMMAND_GROUPS.iter().map(|&kind| (kind.to_owned(), kinds.contains(&kind))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILN: &str = "schemaVersion: 2.2.2\nmetadata:\n  name: kiln\n  displayName: Kiln\n  version: 1.0.0\n  \
                        language: Rust\n  projectType: axum\n";

    #[test]
    fn reads_what_the_index_shows() {
        let text = format!(
            "{KILN}starterProjects:\n  - name: clay\n    git: {{}}\ncommands:\n  - id: b\n    exec:\n      group: {{kind: \
             build}}\n  - id: d\n    composite:\n      group: {{kind: deploy, isDefault: true}}\n  - id: n\n    exec: {{}}\n"
        );
        let devfile = Devfile::parse("devfile.yaml", text.as_bytes()).unwrap();
        assert_eq!(devfile.version.as_str(), "1.0.0");
        assert_eq!(devfile.starter_projects, ["clay"]);
        let groups: Vec<_> = devfile.command_groups.iter().filter(|(_, has)| **has).map(|(kind, _)| kind).collect();
        assert_eq!(groups, ["build", "deploy"]);
        assert_eq!(devfile.command_groups.len(), 5);
    }

    #[test]
    fn names_all_that_is_missing_at_once() {
        let problems = Devfile::parse("d.yaml", b"metadata:\n  name: kiln\n  version: one\n").unwrap_err();
        let rules: Vec<_> = problems.iter().map(|p| p.rule.as_str()).collect();
        assert_eq!(
            rules,
            [
                "schemaVersion/absent",
                "metadata/displayName",
                "metadata/language",
                "metadata/projectType",
                "metadata/version"
            ]
        );
        assert_eq!(problems[1].position.unwrap().line, 2);
        assert_eq!(Devfile::parse("d.yaml", b"schemaVersion: 2.2.0\n").unwrap_err()[0].rule, "metadata/all");
    }
}
