//! Commands: ids, references, composites and groups.

use super::elements::{COMMAND_KINDS, Element, FlatDevfile, duplicates, names, where_is};
use crate::devfile::COMMAND_GROUPS;
use crate::validate::findings::Findings;
use crate::validate::suggest;
use crate::yaml::Node;

/// The components that a command of a kind can run on.
const TARGETS: [(&str, &[&str], &str); 2] = [
    ("exec", &["container"], "a container"),
    (
        "apply",
        &["container", "image", "kubernetes", "openshift"],
        "a container, image, kubernetes or openshift component",
    ),
];

pub(super) fn check(devfile: &FlatDevfile<'_>, findings: &mut Findings) {
    let commands = &devfile.commands;
    duplicates(commands.iter().map(|command| (command.name, command.name_at)), |id, at, first| {
        let message = format!("the command `{id}` is already there, {}", where_is(first, at));
        findings.error(at, "command/duplicate", message, "rename one of them; ids are unique over all kinds");
    });
    for command in commands {
        for (kind, targets, described) in TARGETS {
            if let Some(body) = command.of(kind) {
                check_target(devfile, body, targets, described, findings);
            }
        }
        if let Some((kind @ ("vscodeTask" | "vscodeLaunch"), body)) = command.kind {
            let message = format!("no client runs `{kind}` commands");
            findings.error(body.key_at, "command/type", message, "use an exec command");
        }
    }
    check_composites(devfile, findings);
    check_groups(devfile, findings);
}

fn check_target(devfile: &FlatDevfile<'_>, body: &Node, kinds: &[&str], described: &str, findings: &mut Findings) {
    let Some(component) = body.get("component") else { return };
    let Some(name) = component.text() else { return };
    let fits = |kind: &str| kinds.contains(&kind);
    match devfile.component(name) {
        Some(Element { kind: Some((kind, _)), .. }) if !fits(kind) => {
            let message = format!("the component `{name}` is of kind `{kind}`, and {described} is needed");
            let others = devfile.components.iter().filter(|other| other.kind.is_some_and(|(kind, _)| fits(kind)));
            let hint = findings.hint(name, others.map(|other| other.name));
            findings.error(component.file_position(), "command/reference", message, hint);
        }
        None if devfile.complete => {
            let message = format!("there is no component `{name}`");
            let hint = findings.hint(name, names(&devfile.components));
            findings.error(component.file_position(), "command/reference", message, hint);
        }
        _ => {}
    }
}

/// The members of a composite, each as written.
pub(super) fn members<'a>(command: &Element<'a>) -> impl Iterator<Item = &'a Node> {
    command.of("composite").map_or(&[][..], |body| body.items_of("commands")).iter()
}

/// Members exist, and no composite comes round to itself. Every cycle is reported once, where it closes.
fn check_composites(devfile: &FlatDevfile<'_>, findings: &mut Findings) {
    let mut state = vec![Walk::New; devfile.commands.len()];
    for start in 0..devfile.commands.len() {
        if state[start] != Walk::New {
            continue;
        }
        state[start] = Walk::Open;
        let mut path = vec![(start, members(&devfile.commands[start]))];
        while let Some((current, rest)) = path.last_mut() {
            let Some(member) = rest.next() else {
                state[*current] = Walk::Done;
                path.pop();
                continue;
            };
            let name = member.text().unwrap_or_default();
            match devfile.command_index.get(name) {
                None if !devfile.complete || member.text().is_none() => {}
                None => {
                    let message = format!("there is no command `{name}`");
                    let hint = findings.hint(name, names(&devfile.commands));
                    findings.error(member.file_position(), "composite/reference", message, hint);
                }
                Some(next) if state[*next] == Walk::New => {
                    state[*next] = Walk::Open;
                    path.push((*next, members(&devfile.commands[*next])));
                }
                Some(next) if state[*next] == Walk::Open => {
                    let from = path.iter().position(|(index, _)| index == next).unwrap_or(0);
                    let round = path[from..].iter().map(|(index, _)| devfile.commands[*index].name);
                    let round = round.chain([name]).collect::<Vec<_>>().join(" -> ");
                    let message = format!("the composite runs itself: {round}");
                    findings.error(member.at, "composite/cycle", message, "take this member out");
                }
                Some(_) => {}
            }
        }
    }
}

/// The progress of the walk over composites with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    New,
    Open,
    Done,
}

/// The group that a command is in.
fn group<'a>(command: &Element<'a>) -> Option<&'a Node> {
    COMMAND_KINDS.iter().find_map(|kind| command.of(kind)?.get("group"))
}

/// A group kind has one default command as soon as it has several.
fn check_groups(devfile: &FlatDevfile<'_>, findings: &mut Findings) {
    for kind in COMMAND_GROUPS {
        let members = devfile.commands.iter().filter_map(|command| Some((command, group(command)?)));
        let members: Vec<_> = members.filter(|(_, group)| group.text_of("kind") == Some(kind)).collect();
        let mut defaults = members.iter().filter(|(_, group)| group.is_true("isDefault"));
        match defaults.next() {
            Some((first, _)) => {
                for (_, group) in defaults {
                    let at = group.get("isDefault").map_or(group.key_at, |value| value.key_at);
                    let message = format!("the default command of the group `{kind}` is `{}` already", first.name);
                    findings.error(at, "group/twoDefaults", message, "leave isDefault with one of them");
                }
            }
            None if members.len() > 1 && devfile.complete => {
                let names = suggest::quoted(members.iter().map(|(command, _)| command.name), "or");
                let message = format!("the group `{kind}` has {} commands and no default", members.len());
                let hint = format!("set `isDefault: true` in the group of {names}");
                let at = members[0].1.key_at;
                findings.error(at, "group/noDefault", message, hint);
            }
            None => {}
        }
    }
}
