//! Projects and starter projects: their Git remotes, names and paths.

use super::elements::{FlatDevfile, duplicates, where_is};
use crate::validate::findings::Findings;
use crate::validate::suggest::quoted;
use crate::yaml::Node;

pub(super) fn check(devfile: &FlatDevfile<'_>, findings: &mut Findings) {
    for list in ["projects", "starterProjects", "dependentProjects"] {
        let projects = devfile.root.items_of(list);
        let names = projects.iter().filter_map(|project| {
            let name = project.get("name")?;
            Some((name.text()?, name.at))
        });
        duplicates(names, |name, at, first| {
            let message = format!("`{name}` is already there, {}", where_is(first, at));
            findings.warning(at, "projects/duplicate", message, "clients find the first only; rename one of them");
        });
        for project in projects {
            check_path(project, findings);
            let Some(git) = project.get("git") else { continue };
            let what = format!("the project `{}`", project.text_of("name").unwrap_or_default());
            match list {
                "projects" => one_to_check_out(git, &what, "projects/remotes", findings),
                "starterProjects" => exactly_one_remote(git, &what, "starterProjects/remotes", findings),
                // No other tool checks these, so they are not refused here.
                _ if remotes(git).is_empty() => {
                    let message = format!("{what} has no remote");
                    findings.warning(git.key_at, "dependentProjects/remotes", message, "add one");
                }
                _ => {}
            }
        }
    }
}

fn remotes(git: &Node) -> Vec<&str> {
    git.get("remotes").map_or(&[][..], Node::entries).iter().map(|(name, _)| name.as_str()).collect()
}

/// At least one remote; with several, `checkoutFrom.remote` says which.
fn one_to_check_out(git: &Node, what: &str, rule: &str, findings: &mut Findings) {
    let remotes = remotes(git);
    let chosen = git.at_path(&["checkoutFrom", "remote"]).and_then(Node::text).unwrap_or_default();
    let at = git.get("remotes").map_or(git.key_at, |remotes| remotes.key_at);
    match remotes.len() {
        0 => findings.error(at, rule, format!("{what} has no remote"), "add one, such as `origin: https://...`"),
        2.. if chosen.is_empty() => {
            let message = format!("{what} has {} remotes and does not say which to check out", remotes.len());
            let hint = format!("set checkoutFrom.remote to {}", quoted(remotes, "or"));
            findings.error(at, rule, message, hint);
        }
        _ => checkout_is_a_remote(git, &remotes, what, rule, findings),
    }
}

/// One remote and no more; `checkoutFrom.remote` may only name it.
pub(super) fn exactly_one_remote(git: &Node, what: &str, rule: &str, findings: &mut Findings) {
    let remotes = remotes(git);
    let at = git.get("remotes").map_or(git.key_at, |remotes| remotes.key_at);
    match remotes.len() {
        0 => findings.error(at, rule, format!("{what} has no remote"), "add one, such as `origin: https://...`"),
        1 => checkout_is_a_remote(git, &remotes, what, rule, findings),
        several => findings.error(at, rule, format!("{what} has {several} remotes, and one is allowed"), "keep one"),
    }
}

fn checkout_is_a_remote(git: &Node, remotes: &[&str], what: &str, rule: &str, findings: &mut Findings) {
    let Some(chosen) = git.at_path(&["checkoutFrom", "remote"]) else { return };
    let name = chosen.text().unwrap_or_default();
    if !name.is_empty() && !remotes.contains(&name) {
        let message = format!("{what} has no remote `{name}`");
        let hint = findings.hint(name, remotes.iter().copied());
        findings.error(chosen.at, rule, message, hint);
    }
}

/// A clone path stays below the projects' root.
fn check_path(project: &Node, findings: &mut Findings) {
    let Some(path) = project.get("clonePath") else { return };
    let text = path.text().unwrap_or_default();
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        let message = format!("the clone path `{text}` leaves the projects' folder");
        findings.warning(path.at, "projects/clonePath", message, "use a relative path without ..");
    }
}
