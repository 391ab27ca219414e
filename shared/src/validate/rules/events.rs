//! Events: their commands exist and are of a kind that can run then.

use super::commands::members;
use super::elements::{FlatDevfile, names};
use crate::validate::findings::Findings;
use crate::yaml::Node;

/// The events with the kind of command that they run.
const EVENTS: [(&str, &str); 4] =
    [("preStart", "apply"), ("postStart", "exec"), ("preStop", "exec"), ("postStop", "apply")];

pub(super) fn check(devfile: &FlatDevfile<'_>, findings: &mut Findings) {
    let Some(events) = devfile.root.get("events") else { return };
    for (event, kind) in EVENTS {
        for entry in events.items_of(event) {
            check_entry(devfile, event, kind, entry, findings);
        }
    }
}

fn check_entry(devfile: &FlatDevfile<'_>, event: &str, kind: &str, entry: &Node, findings: &mut Findings) {
    let Some(id) = entry.text() else { return };
    let Some(command) = devfile.command(id) else {
        if devfile.complete {
            let hint = findings.hint(id, names(&devfile.commands));
            findings.error(entry.file_position(), "events/reference", format!("there is no command `{id}`"), hint);
        }
        return;
    };
    let Some((own, _)) = command.kind else { return };
    // Members that do not exist are reported with the composite.
    let unfit = members(command).find_map(|member| {
        let member = devfile.command(member.text()?)?;
        member.kind.filter(|(own, _)| *own != kind).map(|(own, _)| (member.name, own))
    });
    let message = match (own, unfit) {
        ("composite", None) => return,
        ("composite", Some((member, unfit))) => {
            format!("{event} cannot run `{id}`: its member `{member}` is of kind {unfit}")
        }
        (own, _) if own == kind => return,
        _ => format!("{event} cannot run `{id}`, which is of kind {own}"),
    };
    let hint = format!("{event} runs {kind} commands and composites of {kind} commands");
    findings.error(entry.at, "events/type", message, hint);
}
