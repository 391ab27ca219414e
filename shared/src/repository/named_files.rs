//! Files that a devfile names in the folder of its version.

use url::Url;

use crate::diagnostic::Diagnostic;
use crate::tree::Tree;
use crate::validate::{path_from, suggest};
use crate::yaml::Node;

/// The fields in which components name files.
const OF_COMPONENTS: [&[&str]; 3] = [&["kubernetes", "uri"], &["openshift", "uri"], &["image", "dockerfile", "uri"]];

/// The fields in which projects name files.
const OF_PROJECTS: [&[&str]; 1] = [&["zip", "location"]];

/// Warns of each file that the devfile at `path` names in its own `folder` and that is not there.
///
/// Clients resolve such a name against the devfile, so they ask the registry for a file that it does not have.
pub(super) fn missing(tree: &Tree, folder: &str, path: &str, document: &Node) -> Vec<Diagnostic> {
    let lists = [
        ("components", &OF_COMPONENTS[..]),
        ("projects", &OF_PROJECTS),
        ("starterProjects", &OF_PROJECTS),
        ("dependentProjects", &OF_PROJECTS),
    ];
    let named = lists.iter().flat_map(|(list, fields)| {
        let items = document.items_of(list).iter();
        items.flat_map(|item| fields.iter().filter_map(|field| item.at_path(field)))
    });
    named
        .filter_map(|node| {
            let name = node.text().filter(|name| is_file_name(name))?;
            let target = path_from(path, name)?;
            let relative = target.strip_prefix(folder)?.strip_prefix('/')?;
            if exists(tree, &target) {
                return None;
            }
            let files: Vec<&str> = tree.below(folder).map(|(path, _)| path).collect();
            let near = suggest::nearest(relative, files.iter().copied()).or_else(|| only_neighbour(relative, &files));
            let hint = near.map_or_else(
                || "add the file, or correct the path: clients get the files of this folder only".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("there is no file `{name}` beside the devfile");
            Some(Diagnostic::warning(path, "uri/missing", message, hint).at(node.at.position))
        })
        .collect()
}

/// Whether a `uri` or `location` is the path of a file, and neither an address nor a text with variables.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('/') && !name.contains("{{") && Url::parse(name).is_err()
}

/// Whether a path is that of a file or folder, be it one that cannot be published and is reported for that.
fn exists(tree: &Tree, path: &str) -> bool {
    tree.get(path).is_some()
        || tree.below(path).next().is_some()
        || tree.refused().iter().any(|refused| refused.path == path)
}

/// The only file in the folder of a missing one.
fn only_neighbour<'a>(missing: &str, files: &[&'a str]) -> Option<&'a str> {
    let (folder, _) = missing.rsplit_once('/')?;
    let mut beside = files.iter().filter(|file| file.rsplit_once('/').is_some_and(|(of, _)| of == folder));
    beside.next().copied().filter(|_| beside.next().is_none())
}
