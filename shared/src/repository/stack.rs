//! Stacks: `stacks/<folder>/`, with `stack.yaml` and a folder for each version, or with one version in the folder itself.

use std::collections::BTreeSet;

use super::part::Part;
use crate::devfile::{DEPLOYMENT_SCOPES, Devfile, Metadata};
use crate::diagnostic::{Diagnostic, Position};
use crate::index::Git;
use crate::limits::ENTRY_NAME_BYTES;
use crate::tree::{File, Tree};
use crate::version::Version;
use crate::yaml::{self, Data, Node};

/// Names of a devfile, of which a version has exactly one.
pub(crate) const DEVFILE_NAMES: [&str; 2] = ["devfile.yaml", ".devfile.yaml"];

/// The position at which a problem of a whole file is shown.
pub(super) const START: Position = Position { line: 1, column: 1 };

/// Message and hint of a stack without tags.
pub(super) const NO_TAGS: [&str; 2] =
    ["no tags are given", "add some: Eclipse Che and other consoles hide a stack without tags"];

/// A stack that can be published.
#[derive(Debug)]
pub struct Stack {
    /// Folder below `stacks/`, also the name of its repository in the OCI registry.
    pub folder: String,
    /// The fields of `stack.yaml`; for a stack without one, some of the metadata of its only devfile.
    pub fields: Metadata,
    /// The version that clients get when they name none, as listed: the name of its folder.
    pub default: String,
    /// The position of the default version in the file that defines the stack.
    pub default_at: Position,
    /// Versions that can be published, newest first.
    pub versions: Vec<StackVersion>,
    /// Whether the fields come from a `stack.yaml`.
    has_stack_yaml: bool,
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

/// A stack before its devfiles are checked.
#[derive(Debug)]
pub(super) struct StackListing {
    pub(super) folder: String,
    /// The fields of `stack.yaml`; none for a stack without one.
    pub(super) fields: Option<Metadata>,
    /// Number of the default version; empty without `stack.yaml`.
    pub(super) default: String,
    /// The position of the default version in `stack.yaml`.
    pub(super) default_at: Position,
    /// Newest first.
    pub(super) versions: Vec<Listed>,
    /// The position of the name.
    pub(super) name_at: Position,
    /// Warnings for its owner about `stack.yaml`.
    pub(super) warnings: Vec<Diagnostic>,
}

/// A version as it is listed.
#[derive(Debug)]
pub(super) struct Listed {
    /// Empty without `stack.yaml`.
    pub(super) number: String,
    /// Folder in the tree.
    pub(super) folder: String,
    pub(super) position: Option<Position>,
    /// Its repository, if it is not in the tree.
    pub(super) git: Option<Git>,
}

impl StackVersion {
    /// Name of its devfile.
    pub(crate) fn devfile_name(&self) -> &str {
        let is_devfile = |name: &&str| self.files.iter().any(|(path, _)| path == name);
        DEVFILE_NAMES.into_iter().find(is_devfile).unwrap_or(DEVFILE_NAMES[0])
    }
}

impl StackListing {
    /// A stack of which its `stack.yaml` says nothing.
    fn empty(folder: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            fields: Some(Metadata::default()),
            default: String::new(),
            default_at: START,
            versions: Vec::new(),
            name_at: START,
            warnings: Vec::new(),
        }
    }

    /// The file that defines the stack, for diagnostics.
    pub(super) fn defining_file(&self) -> String {
        let name = if self.fields.is_some() { "stack.yaml" } else { DEVFILE_NAMES[0] };
        format!("stacks/{}/{name}", self.folder)
    }
}

impl Listed {
    /// Whether its files are in another repository and have not been brought into the tree.
    pub(super) fn is_upstream(&self, tree: &Tree) -> bool {
        self.git.is_some() && tree.below(&self.folder).next().is_none()
    }

    /// Its files by path below the folder, in byte order.
    pub(super) fn files(&self, tree: &Tree) -> Vec<(String, File)> {
        tree.below(&self.folder).map(|(path, file)| (path.to_owned(), file.clone())).collect()
    }
}

impl Stack {
    /// Puts a stack together from its listing and those of its versions that can be published.
    pub(super) fn new(listing: StackListing, versions: Vec<StackVersion>) -> Self {
        let StackListing { folder, fields, default, default_at, .. } = listing;
        match (fields, versions.first()) {
            (Some(fields), _) => Self { folder, fields, default, default_at, versions, has_stack_yaml: true },
            (None, None) => {
                Self { folder, fields: Metadata::default(), default, default_at, versions, has_stack_yaml: false }
            }
            (None, Some(only)) => {
                let metadata = &only.devfile.metadata;
                let fields = Metadata {
                    name: metadata.name.clone(),
                    display_name: metadata.display_name.clone(),
                    description: metadata.description.clone(),
                    icon: metadata.icon.clone(),
                    global_memory_limit: metadata.global_memory_limit.clone(),
                    ..Metadata::default()
                };
                let default = only.devfile.version.to_string();
                Self { folder, fields, default, default_at, versions, has_stack_yaml: false }
            }
        }
    }

    /// Returns the facts that people look for and that neither the stack nor all of its versions state.
    pub(super) fn missing_facts(&self) -> impl Iterator<Item = &'static str> {
        let some_lacks =
            |get: fn(&Metadata) -> bool| self.versions.iter().any(|version| get(&version.devfile.metadata));
        let fields = &self.fields;
        let default = self.versions.iter().find(|version| self.is_default(version));
        [
            ("tags", fields.tags.is_empty() && default.is_some_and(|version| version.devfile.metadata.tags.is_empty())),
            ("provider", fields.provider.is_empty() && some_lacks(|metadata| metadata.provider.is_empty())),
            ("supportUrl", fields.support_url.is_empty() && some_lacks(|metadata| metadata.support_url.is_empty())),
            (
                "architectures",
                fields.architectures.is_empty() && some_lacks(|metadata| metadata.architectures.is_empty()),
            ),
        ]
        .into_iter()
        .filter_map(|(field, missing)| missing.then_some(field))
    }

    /// Whether clients get a version when they name none.
    fn is_default(&self, version: &StackVersion) -> bool {
        !self.has_stack_yaml || version.folder == self.version_folder(&self.default)
    }

    /// The file that defines the stack, for diagnostics.
    pub fn defining_file(&self) -> String {
        let name = if self.has_stack_yaml { "stack.yaml" } else { DEVFILE_NAMES[0] };
        format!("stacks/{}/{name}", self.folder)
    }

    /// The part of the repository that a version is.
    pub(crate) fn part_of(&self, version: &StackVersion) -> Part {
        let stack = self.folder.clone();
        match version.folder.strip_prefix(&format!("stacks/{stack}/")) {
            Some(listed) => Part::Version { version: listed.to_owned(), stack },
            None => Part::Stack { stack },
        }
    }

    /// The folder of a listed version: without `stack.yaml`, the stack's own.
    pub fn version_folder(&self, listed: &str) -> String {
        if self.has_stack_yaml { format!("stacks/{}/{listed}", self.folder) } else { format!("stacks/{}", self.folder) }
    }
}

/// Reads the files of a stack, but not its devfiles.
///
/// A listing comes with problems as far as it could be read, so that its devfiles can be checked all the same.
pub(super) fn list(tree: &Tree, folder: &str) -> (StackListing, Vec<Diagnostic>) {
    let path = format!("stacks/{folder}/stack.yaml");
    let mut problems = Vec::new();
    let listing = match tree.get(&path) {
        Some(bytes) => match yaml::parse(&path, bytes) {
            Ok(document) => with_stack_yaml(folder, &path, &document, &mut problems),
            Err(faults) => {
                problems.extend(faults);
                of_folders(tree, folder)
            }
        },
        None => {
            let only = Listed { number: String::new(), folder: format!("stacks/{folder}"), position: None, git: None };
            StackListing { fields: None, versions: vec![only], ..StackListing::empty(folder) }
        }
    };
    if !is_repository_name(folder) {
        let message = format!("`{folder}` cannot be the name of a repository in an OCI registry");
        let hint = "use lower-case letters and digits, with single `.`, `_` or `-` between them";
        let file = if tree.get(&path).is_some() { path } else { format!("stacks/{folder}/{}", DEVFILE_NAMES[0]) };
        problems.push(Diagnostic::error(file, "stack/folder", message, hint).at(START));
    }
    (listing, problems)
}

/// The versions of a stack whose `stack.yaml` cannot be read, by their folders.
fn of_folders(tree: &Tree, folder: &str) -> StackListing {
    let stack = format!("stacks/{folder}");
    let names = tree.below(&stack).filter_map(|(path, _)| path.split_once('/'));
    let names: BTreeSet<&str> = names.filter(|(_, file)| DEVFILE_NAMES.contains(file)).map(|(name, _)| name).collect();
    let versions = names.into_iter().map(|name| Listed {
        number: name.to_owned(),
        folder: format!("stacks/{folder}/{name}"),
        position: None,
        git: None,
    });
    StackListing { versions: versions.collect(), ..StackListing::empty(folder) }
}

fn with_stack_yaml(folder: &str, path: &str, document: &Node, problems: &mut Vec<Diagnostic>) -> StackListing {
    if !matches!(document.data, Data::Map(_) | Data::Null) {
        let problem = Diagnostic::error(path, "yaml/type", "a stack.yaml is a mapping", "begin with `name:`");
        problems.push(problem.at(document.at.position));
        return StackListing::empty(folder);
    }
    let fields = match &document.data {
        Data::Map(_) => yaml::decode(path, document).map_err(|problem| problems.push(*problem)).ok(),
        _ => Some(Metadata::default()),
    };
    let rows = document.items_of("versions");
    if let Some(fields) = &fields {
        let texts = [("name", &fields.name), ("displayName", &fields.display_name), ("icon", &fields.icon)];
        let missing = texts.iter().filter(|(_, value)| value.is_empty()).map(|(field, _)| *field);
        let missing: Vec<&str> = missing.chain(rows.is_empty().then_some("versions")).collect();
        if !missing.is_empty() {
            let message = format!("{} is missing", missing.join(", "));
            problems.push(Diagnostic::error(path, "stack/required", message, "every stack.yaml needs it").at(START));
        }
    }
    let scopes = document.get("deploymentScopes").map_or(&[][..], Node::entries);
    for (scope, value) in scopes.iter().filter(|(scope, _)| !DEPLOYMENT_SCOPES.contains(&scope.as_str())) {
        let message = format!("the deployment scope `{scope}` is not known");
        let problem = Diagnostic::error(path, "index/scopes", message, "use innerloop and outerloop");
        problems.push(problem.at(value.key_at.position));
    }
    let (mut listed, mut defaults, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    let mut has_odd_default = false;
    for row in rows {
        let written = match row.get("version").map(|version| &version.data) {
            Some(Data::Text(text)) => text.clone(),
            Some(Data::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        match row.get("default").map(|default| (&default.data, default.file_position().position)) {
            Some((Data::Bool(true), _)) => defaults.push((row, written.clone())),
            None | Some((Data::Bool(false) | Data::Null, _)) => {}
            Some((data, at)) => {
                has_odd_default = true;
                let kind = if matches!(data, Data::Text(_)) { "a text" } else { "no boolean" };
                let message = format!("cannot read `default`: it is {kind}");
                let hint = "write `default: true`, without quotes";
                problems.push(Diagnostic::error(path, "stack/default", message, hint).at(at));
            }
        }
        warnings.extend(unread_checkout(path, row.get("git")));
        match written.parse::<Version>() {
            Ok(number) if number.parts() == 3 && number.pre_release().is_none() => {
                // Clients get such a version like any other; `git: {}` names no place, and is a mistake of its own.
                let git = row.get("git").filter(|git| git.is_map());
                match git.map(|git| yaml::decode::<Git>(path, git)).transpose() {
                    Ok(git) => listed.push((number, row, git)),
                    Err(problem) => problems.push(*problem),
                }
            }
            _ => {
                let message = format!("`{}` is not a version of three numbers", written.escape_debug());
                let hint = "name the folder of the version, such as 1.2.0";
                problems.push(Diagnostic::error(path, "stack/semver", message, hint).at(row.at.position));
            }
        }
    }
    listed.sort_by(|(a, ..), (b, ..)| b.cmp(a));
    for pair in listed.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let message = format!("the version {} is listed twice", pair[1].0);
        problems.push(Diagnostic::error(path, "stack/versions", message, "list it once").at(pair[1].1.at.position));
    }
    let hint = "mark exactly one version with `default: true`";
    match defaults.as_slice() {
        [_] => {}
        // Without versions this would say the same again.
        [] if rows.is_empty() => {}
        [] if has_odd_default => {}
        [] => {
            let at = document.get("versions").map_or(document.at, |versions| versions.key_at).position;
            problems.push(Diagnostic::error(path, "stack/default", "no version is the default", hint).at(at));
        }
        [_, (second, _), ..] => {
            let message = format!("{} versions are the default", defaults.len());
            problems.push(Diagnostic::error(path, "stack/default", message, hint).at(second.at.position));
        }
    }
    let versions = listed.into_iter().map(|(number, row, git)| Listed {
        folder: format!("stacks/{folder}/{number}"),
        number: number.to_string(),
        position: Some(row.at.position),
        git,
    });
    let versions: Vec<Listed> = versions.collect();
    let default_at = defaults.first().map_or(START, |(row, _)| row.at.position);
    let default = defaults.into_iter().next().map(|(_, number)| number).unwrap_or_default();
    let name_at = document.get("name").map_or(START, |name| name.at.position);
    let fields = Some(fields.unwrap_or_default());
    StackListing { folder: folder.to_owned(), fields, default, default_at, versions, name_at, warnings }
}

/// Warns of `checkoutFrom` in the `git` of a version or sample: it belongs to projects of devfiles, and nothing reads it here.
pub(super) fn unread_checkout(path: &str, git: Option<&Node>) -> Option<Diagnostic> {
    let checkout = git?.get("checkoutFrom")?;
    let message = "nothing reads `checkoutFrom` here: the default branch is taken";
    let message = if git?.get("revision").is_some() { "nothing reads `checkoutFrom` here" } else { message };
    let hint = match checkout.text_of("revision") {
        Some(revision) => format!("write `revision: {revision}` directly below `git`"),
        None => "name branch, tag or commit as `revision` directly below `git`".to_owned(),
    };
    Some(Diagnostic::warning(path, "git/checkoutFrom", message, hint).at(checkout.key_at.position))
}

/// Whether a name can be one component of a repository name (OCI distribution specification, "Pulling manifests").
fn is_repository_name(name: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let allowed = name.bytes().all(|b| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-'));
    let ends = [name.bytes().next(), name.bytes().last()].iter().all(|end| end.is_some_and(alphanumeric));
    let separated = !["..", "._", "_.", "-.", ".-", "_-", "-_", "___"].iter().any(|pair| name.contains(pair));
    allowed && ends && separated && name.len() <= ENTRY_NAME_BYTES
}

/// Whether a name can stand in a URL of the REST API.
pub fn is_entry_name(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '/' | '\\' | '?' | '#' | '%');
    (1..=ENTRY_NAME_BYTES).contains(&name.len()) && name.chars().all(plain) && !matches!(name, "." | "..")
}
