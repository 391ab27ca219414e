//! The rules of the devfile API that a schema cannot express, over the flattened devfile.

mod commands;
mod components;
mod elements;
mod events;
mod metadata;
mod projects;

use self::elements::FlatDevfile;
use super::findings::Findings;
use crate::yaml::Node;

pub(crate) use self::metadata::check as check_metadata;

/// Checks a devfile after parents, plugins and variables. It is `complete` when every parent and plugin was there.
pub(crate) fn check(root: &Node, complete: bool, findings: &mut Findings) {
    let devfile = FlatDevfile::new(root, complete);
    components::check(&devfile, findings);
    commands::check(&devfile, findings);
    events::check(&devfile, findings);
    projects::check(&devfile, findings);
}
