//! Stacks: `stacks/<folder>/`, with `stack.yaml` and a folder for each version, or with one version in the folder itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Part, Repository};
use crate::devfile::{Devfile, Metadata};
use crate::diagnostic::Diagnostic;
use crate::source::{File, Tree};
use crate::version::Version;
use crate::yaml::{self, nullable, position_of};

/// Names of a devfile, of which a version has exactly one.
const DEVFILE_NAMES: [&str; 2] = ["devfile.yaml", ".devfile.yaml"];

/// A stack that can be published.
#[derive(Debug)]
pub struct Stack {
    /// Folder below `stacks/`, also the name of its repository in the OCI registry.
    pub folder: String,
    /// What the stack says of itself.
    pub fields: StackFields,
    /// The version that clients get when they name none, as listed: the name of its folder.
    pub default: String,
    /// Versions that can be published, newest first.
    pub versions: Vec<StackVersion>,
    /// Whether the fields come from a `stack.yaml`.
    has_stack_yaml: bool,
}

/// The fields of `stack.yaml`; for a stack without one, the metadata of its only devfile.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are those of the index")]
pub struct StackFields {
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    #[serde(deserialize_with = "nullable")]
    pub display_name: String,
    #[serde(deserialize_with = "nullable")]
    pub description: String,
    #[serde(deserialize_with = "nullable")]
    pub icon: String,
    #[serde(deserialize_with = "nullable")]
    pub tags: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub architectures: Vec<String>,
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
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// One version of a stack.
#[derive(Debug)]
pub struct StackVersion {
    /// Folder in the tree, without a slash at its end.
    pub folder: String,
    /// Its devfile.
    pub devfile: Devfile,
    /// Its files by path below the folder, in byte order.
    pub files: Vec<(String, File)>,
}

#[derive(Deserialize)]
struct StackYaml {
    #[serde(default, deserialize_with = "nullable")]
    versions: Vec<Spanned<VersionRow>>,
}

#[derive(Deserialize)]
struct VersionRow {
    #[serde(default, deserialize_with = "nullable")]
    version: String,
    #[serde(default, deserialize_with = "nullable")]
    default: bool,
    git: Option<serde::de::IgnoredAny>,
}

impl Stack {
    /// The folder of a listed version: without `stack.yaml`, the stack's own.
    pub fn version_folder(&self, listed: &str) -> String {
        if self.has_stack_yaml { format!("stacks/{}/{listed}", self.folder) } else { format!("stacks/{}", self.folder) }
    }

    /// The file that defines the stack, for diagnostics.
    pub fn defining_file(&self) -> String {
        let name = if self.has_stack_yaml { "stack.yaml" } else { "devfile.yaml" };
        format!("stacks/{}/{name}", self.folder)
    }
}

/// Reads one stack. What is wrong with single versions goes to `repository`, what is wrong with all of it is the error.
pub(super) fn parse(tree: &Tree, folder: &str, repository: &mut Repository) -> Result<Stack, Vec<Diagnostic>> {
    let path = format!("stacks/{folder}/stack.yaml");
    let stack = match tree.get(&path) {
        Some(bytes) => with_stack_yaml(tree, folder, &path, bytes, repository)?,
        None => without_stack_yaml(tree, folder)?,
    };
    let mut problems = Vec::new();
    if !is_repository_name(folder) {
        let message = format!("`{folder}` cannot be the name of a repository in an OCI registry");
        let hint = "use lower-case letters and digits, with single `.`, `_` or `-` between them";
        problems.push(Diagnostic::error(stack.defining_file(), "stack/folder", message, hint));
    }
    if !is_entry_name(&stack.fields.name) {
        let message = format!("`{}` cannot be a name in a URL", stack.fields.name.escape_debug());
        problems.push(Diagnostic::error(
            stack.defining_file(),
            "stack/name",
            message,
            "use letters, digits and hyphens",
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for field in missing_facts(&stack) {
        let message = format!("no {field} is given");
        let hint = "people choose stacks by it";
        repository.warnings.push(Diagnostic::warning(stack.defining_file(), &format!("index/{field}"), message, hint));
    }
    Ok(stack)
}

/// What people look for and neither the stack nor all of its versions say.
fn missing_facts(stack: &Stack) -> impl Iterator<Item = &'static str> {
    let some_lacks = |get: fn(&Metadata) -> bool| stack.versions.iter().any(|version| get(&version.devfile.metadata));
    let fields = &stack.fields;
    [
        ("provider", fields.provider.is_empty() && some_lacks(|metadata| metadata.provider.is_empty())),
        ("supportUrl", fields.support_url.is_empty() && some_lacks(|metadata| metadata.support_url.is_empty())),
        ("architectures", fields.architectures.is_empty() && some_lacks(|metadata| metadata.architectures.is_empty())),
    ]
    .into_iter()
    .filter_map(|(field, missing)| missing.then_some(field))
}

fn with_stack_yaml(
    tree: &Tree,
    folder: &str,
    path: &str,
    bytes: &[u8],
    repository: &mut Repository,
) -> Result<Stack, Vec<Diagnostic>> {
    let yaml: StackYaml = yaml::parse(path, bytes).map_err(|problem| vec![*problem])?;
    let fields: StackFields = yaml::parse(path, bytes).map_err(|problem| vec![*problem])?;
    let mut problems = Vec::new();
    let missing: Vec<&str> = [("name", &fields.name), ("displayName", &fields.display_name), ("icon", &fields.icon)]
        .iter()
        .filter(|(_, value)| value.is_empty())
        .map(|(field, _)| *field)
        .chain(yaml.versions.is_empty().then_some("versions"))
        .collect();
    if !missing.is_empty() {
        let message = format!("{} is missing", missing.join(", "));
        problems.push(Diagnostic::error(path, "stack/required", message, "every stack.yaml needs it"));
    }
    let mut listed = Vec::new();
    for row in &yaml.versions {
        match row.value.version.parse::<Version>() {
            Ok(version) if version.parts() == 3 => listed.push((version, row)),
            _ => {
                let message = format!("`{}` is not a version of three numbers", row.value.version);
                let hint = "name the folder of the version, such as 1.2.0";
                problems.push(Diagnostic::error(path, "stack/semver", message, hint).at(position_of(row)));
            }
        }
    }
    listed.sort_by(|(a, _), (b, _)| b.cmp(a));
    for pair in listed.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let message = format!("the version {} is listed twice", pair[1].0);
        problems.push(Diagnostic::error(path, "stack/versions", message, "list it once").at(position_of(pair[1].1)));
    }
    let defaults: Vec<_> = yaml.versions.iter().filter(|row| row.value.default).collect();
    let hint = "mark exactly one version with `default: true`";
    let mut default = String::new();
    match defaults.as_slice() {
        [only] => default.clone_from(&only.value.version),
        // Without versions this would say the same again.
        [] if yaml.versions.is_empty() => {}
        [] => problems.push(Diagnostic::error(path, "stack/default", "no version is the default", hint)),
        [_, second, ..] => {
            let message = format!("{} versions are the default", defaults.len());
            problems.push(Diagnostic::error(path, "stack/default", message, hint).at(position_of(second)));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut versions: Vec<StackVersion> = Vec::new();
    for (number, row) in listed {
        let version_folder = format!("stacks/{folder}/{number}");
        if row.value.git.is_some() {
            let message = format!("version {number} lives in another Git repository and is left out");
            let warning = Diagnostic::warning(path, "stack/git", message, "keep the version in this repository");
            repository.warnings.push(warning.at(position_of(row)));
            continue;
        }
        let read = if tree.below(&version_folder).next().is_none() {
            let message = format!("the folder of version {number} is not there");
            let hint = format!("add {version_folder}/devfile.yaml, or take the version out of the list");
            Err(vec![Diagnostic::error(path, "stack/versionDir", message, hint).at(position_of(row))])
        } else {
            version(tree, version_folder)
        };
        let taken = |new: &StackVersion| versions.iter().any(|v| v.devfile.version == new.devfile.version);
        match read {
            Ok(new) if taken(&new) => {
                let message = format!("another version has metadata.version {} already", new.devfile.version);
                let path = format!("{}/{}", new.folder, DEVFILE_NAMES[0]);
                let problem =
                    Diagnostic::error(path, "stack/versionMismatch", message, "let it name its folder's version");
                repository.quarantine(part(folder, &number), vec![problem]);
            }
            Ok(new) => versions.push(new),
            Err(problems) => repository.quarantine(part(folder, &number), problems),
        }
    }
    Ok(Stack { folder: folder.to_owned(), fields, default, versions, has_stack_yaml: true })
}

fn part(stack: &str, version: &Version) -> Part {
    Part::Version { stack: stack.to_owned(), version: version.to_string() }
}

fn without_stack_yaml(tree: &Tree, folder: &str) -> Result<Stack, Vec<Diagnostic>> {
    let version = version(tree, format!("stacks/{folder}"))?;
    let metadata = &version.devfile.metadata;
    let fields = StackFields {
        name: metadata.name.clone(),
        display_name: metadata.display_name.clone(),
        description: metadata.description.clone(),
        icon: metadata.icon.clone(),
        global_memory_limit: metadata.global_memory_limit.clone(),
        ..Default::default()
    };
    let default = version.devfile.version.to_string();
    Ok(Stack { folder: folder.to_owned(), fields, default, versions: vec![version], has_stack_yaml: false })
}

fn version(tree: &Tree, folder: String) -> Result<StackVersion, Vec<Diagnostic>> {
    let files: Vec<(String, File)> = tree.below(&folder).map(|(path, file)| (path.to_owned(), file.clone())).collect();
    let path = |name: &str| format!("{folder}/{name}");
    let found: Vec<_> = files.iter().filter(|(name, _)| DEVFILE_NAMES.contains(&name.as_str())).collect();
    let devfile = match found.as_slice() {
        [(name, file)] => Devfile::parse(&path(name), &file.content)?,
        [] => {
            let hint = "a version is a folder with a devfile.yaml";
            return Err(vec![Diagnostic::error(path(DEVFILE_NAMES[0]), "stack/devfile", "there is no devfile", hint)]);
        }
        _ => {
            let message = "there are both devfile.yaml and .devfile.yaml";
            return Err(vec![Diagnostic::error(path(DEVFILE_NAMES[1]), "stack/devfile", message, "keep one of them")]);
        }
    };
    Ok(StackVersion { folder, devfile, files })
}

/// Whether a name can be one component of a repository name (OCI distribution specification, "Pulling manifests").
fn is_repository_name(name: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let allowed = name.bytes().all(|b| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-'));
    let ends = [name.bytes().next(), name.bytes().last()].iter().all(|end| end.is_some_and(alphanumeric));
    let separated = !["..", "._", "_.", "-.", ".-", "_-", "-_", "___"].iter().any(|pair| name.contains(pair));
    allowed && ends && separated && name.len() <= 128
}

/// Whether a name can stand in a URL of the REST API.
pub(super) fn is_entry_name(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '/' | '\\' | '?' | '#' | '%');
    (1..=128).contains(&name.len()) && name.chars().all(plain) && !matches!(name, "." | "..")
}
