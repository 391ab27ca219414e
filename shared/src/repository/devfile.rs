//! The devfiles of a tree, each checked, with parents from the tree, from its own stacks or from upstream.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use super::named_files::missing;
use super::stack::{DEVFILE_NAMES, Listed, StackListing};
use crate::devfile::Devfile;
use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::tree::Tree;
use crate::validate::{self, Checked, ExternalParent, Found, Parents, Surroundings};
use crate::version::Version;
use crate::yaml;

/// A devfile with its problems.
#[derive(Debug)]
pub(super) struct CheckedDevfile {
    pub(super) path: String,
    /// The position of its reference to its parent.
    pub(super) parent_at: Option<Position>,
    /// Its own problems.
    pub(super) problems: Vec<Diagnostic>,
    /// Those of its parents.
    pub(super) of_parents: Vec<Diagnostic>,
    /// None with an error; for a sample always none.
    pub(super) devfile: Option<Devfile>,
}

/// Checks the devfile of a version; `file` is the one that lists the version.
pub(super) fn check_version(tree: &Tree, file: &str, version: &Listed, around: &Surroundings<'_>) -> CheckedDevfile {
    let path = |name: &str| format!("{}/{name}", version.folder);
    let nothing = |path: &str, problem: Diagnostic| CheckedDevfile {
        path: path.to_owned(),
        parent_at: None,
        problems: vec![problem],
        of_parents: Vec::new(),
        devfile: None,
    };
    let found: Vec<_> = DEVFILE_NAMES.map(path).into_iter().filter_map(|path| Some((tree.get(&path)?, path))).collect();
    match found.as_slice() {
        [(content, path)] => {
            let checked = validate::devfile(path, content, around);
            let is_valid = checked.is_valid();
            let devfile = checked.document.as_ref().map(|document| Devfile::new(path, document));
            let missing = checked.document.as_ref().map(|document| missing(tree, &version.folder, path, document));
            let mut taken = CheckedDevfile::new(path, checked);
            match devfile {
                Some(Ok(devfile)) => taken.devfile = is_valid.then_some(devfile),
                Some(Err(problems)) => taken.add_of_index(problems),
                None => {}
            }
            taken.problems.extend(missing.into_iter().flatten());
            taken.problems.sort();
            taken
        }
        [] if tree.below(&version.folder).next().is_none() => {
            let message = format!("the folder of version {} is not there", version.number);
            let hint = format!("add {}, or take the version out of the list", path(DEVFILE_NAMES[0]));
            nothing(file, Diagnostic::error(file, "stack/versionDir", message, hint).at(version.position))
        }
        [] => {
            let path = path(DEVFILE_NAMES[0]);
            let hint = "a version is a folder with a devfile.yaml";
            nothing(&path, Diagnostic::error(&path, "stack/devfile", "there is no devfile", hint))
        }
        _ => {
            let path = path(DEVFILE_NAMES[1]);
            let message = "there are both devfile.yaml and .devfile.yaml";
            nothing(&path, Diagnostic::error(&path, "stack/devfile", message, "keep one of them"))
        }
    }
}

/// Checks the devfile of a sample.
pub(super) fn check_sample(path: &str, content: &[u8], around: &Surroundings<'_>) -> CheckedDevfile {
    CheckedDevfile::new(path, validate::sample(path, content, around))
}

impl CheckedDevfile {
    /// Whether it can be published, its parents included.
    pub(super) fn is_valid(&self) -> bool {
        self.problems.iter().chain(&self.of_parents).all(|problem| problem.severity != Severity::Error)
    }

    /// Checks the requirements of the index beyond the rules of devfiles, but nothing about a value that has an error already.
    fn add_of_index(&mut self, problems: Vec<Diagnostic>) {
        let is_error = |problem: &&Diagnostic| problem.severity == Severity::Error;
        let taken: HashSet<Option<Position>> =
            self.problems.iter().filter(is_error).map(|problem| problem.position).collect();
        // A missing version is reported at `metadata`, as other missing fields are.
        let is_new = |problem: &Diagnostic| problem.rule == "metadata/version" || !taken.contains(&problem.position);
        self.problems.extend(problems.into_iter().filter(is_new));
    }

    fn new(path: &str, checked: Checked) -> Self {
        let parent = checked.document.as_ref().and_then(|document| document.get("parent"));
        Self {
            path: path.to_owned(),
            parent_at: parent.map(|parent| parent.key_at.position),
            problems: checked.diagnostics,
            of_parents: checked.of_parents,
            devfile: None,
        }
    }
}

/// Parents of the devfiles of a tree: first its own stacks, then upstream ones.
pub(super) struct AllParents<'a> {
    tree: &'a Tree,
    listings: &'a [StackListing],
    external: &'a dyn Parents,
    /// Stacks by name. Most registries have no parents by name, so it is made when it is asked for.
    by_name: OnceLock<BTreeMap<String, &'a StackListing>>,
}

impl<'a> AllParents<'a> {
    pub(super) fn new(tree: &'a Tree, listings: &'a [StackListing], external: &'a dyn Parents) -> Self {
        Self { tree, listings, external, by_name: OnceLock::new() }
    }

    /// The devfile of a stack, in the default or a certain version.
    fn devfile_of(&self, id: &str, version: Option<&str>) -> Option<String> {
        let by_name = self.by_name.get_or_init(|| {
            let named = self.listings.iter().filter_map(|listing| Some((self.name_of(listing)?, listing)));
            // The first stack of a name is the one that is published.
            named.rev().collect()
        });
        let listing = by_name.get(id)?;
        let same = |number: &str, asked: &str| match (number.parse::<Version>(), asked.parse::<Version>()) {
            (Ok(number), Ok(asked)) => number == asked,
            _ => false,
        };
        let listed = match version {
            _ if listing.fields.is_none() => listing.versions.first(),
            Some("latest") => listing.versions.first(),
            Some(asked) => listing.versions.iter().find(|listed| same(&listed.number, asked)),
            None => listing.versions.iter().find(|listed| listed.number == listing.default),
        }?;
        let mut paths = DEVFILE_NAMES.iter().map(|name| format!("{}/{name}", listed.folder));
        paths.find(|path| self.tree.get(path).is_some())
    }

    /// The name that a stack claims, valid or not.
    pub(super) fn name_of(&self, listing: &StackListing) -> Option<String> {
        if let Some(fields) = &listing.fields {
            return Some(fields.name.clone());
        }
        let paths = DEVFILE_NAMES.map(|name| format!("stacks/{}/{name}", listing.folder));
        let (path, content) = paths.iter().find_map(|path| Some((path, self.tree.get(path)?)))?;
        let document = yaml::parse(path, content).ok()?;
        document.get("metadata")?.text_of("name").map(str::to_owned)
    }
}

impl Parents for AllParents<'_> {
    fn in_tree(&self, parent: &ExternalParent) -> Option<String> {
        match parent {
            ExternalParent::Stack { id, version, registry: None } => self.devfile_of(id, version.as_deref()),
            _ => None,
        }
    }

    fn fetch(&self, parent: &ExternalParent) -> Found {
        match parent {
            ExternalParent::Stack { registry: None, .. } => Found::Missing,
            _ => self.external.fetch(parent),
        }
    }
}
