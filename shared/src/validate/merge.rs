//! Merges a devfile with its parent and plugins, and applies overrides, as the devfile specification says.

use std::collections::HashMap;

use super::findings::Findings;
use crate::yaml::{Data, FilePosition, Node};

/// The lists at the top with the field that identifies an element.
const LISTS: [(&str, &str); 5] = [
    ("components", "name"),
    ("commands", "id"),
    ("projects", "name"),
    ("starterProjects", "name"),
    ("dependentProjects", "name"),
];

/// The mappings at the top whose keys belong to parent and child together.
const MAPS: [&str; 2] = ["variables", "attributes"];

/// Fields of which an object has one: an override with another one replaces it.
const UNIONS: [&[&str]; 5] = [
    &["container", "kubernetes", "openshift", "volume", "image", "plugin"],
    &["exec", "apply", "composite", "vscodeTask", "vscodeLaunch"],
    &["git", "github", "zip"],
    &["uri", "inlined"],
    &["uri", "git", "devfileRegistry"],
];

/// Applies the overrides in a `parent` or `plugin` to the devfile that it brings in.
pub(crate) fn apply_overrides(base: &mut Node, overrides: &Node, rule: &str, findings: &mut Findings) {
    for (list, key) in LISTS {
        let Some(Node { data: Data::List(items), .. }) = base.get_mut(list) else {
            overrides.items_of(list).iter().for_each(|element| unknown_element(element, list, key, rule, findings));
            continue;
        };
        let own = slots(items.iter().map(|item| item.text_of(key)));
        for element in overrides.items_of(list) {
            match element.text_of(key).and_then(|name| own.get(name)) {
                Some(slot) => overlay(&mut items[*slot], element, rule, findings),
                None => unknown_element(element, list, key, rule, findings),
            }
        }
    }
    for map in MAPS {
        let Some(patch) = overrides.get(map) else { continue };
        let own = slots(base.get(map).map_or(&[][..], Node::entries).iter().map(|(key, _)| Some(key.as_str())));
        for (key, value) in patch.entries().iter().filter(|(key, _)| !own.contains_key(key)) {
            overrides_nothing(key, value.key_at, map, rule, findings);
        }
        match base.get_mut(map) {
            Some(target) => override_values(target, patch, rule, findings),
            None => push_entry(base, map, patch.clone()),
        }
    }
}

fn unknown_element(element: &Node, list: &str, key: &str, rule: &str, findings: &mut Findings) {
    // An element without a name has the schema's complaint.
    if let Some(name) = element.get(key) {
        overrides_nothing(name.text().unwrap_or_default(), name.file_position(), list, rule, findings);
    }
}

fn overrides_nothing(written: &str, at: FilePosition, field: &str, rule: &str, findings: &mut Findings) {
    let owner = owner(rule);
    let message = format!("`{written}` overrides nothing: the {owner} has no such element in its `{field}`");
    findings.error(at, rule, message, format!("move it to the devfile's own `{field}` if it is new"));
}

/// The kind of devfile that a rule's overrides are for.
fn owner(rule: &str) -> &'static str {
    if rule.starts_with("plugin") { "plugin" } else { "parent" }
}

/// Returns the position of the first of each name.
fn slots<'a>(names: impl DoubleEndedIterator<Item = Option<&'a str>> + ExactSizeIterator) -> HashMap<String, usize> {
    names.enumerate().rev().filter_map(|(slot, name)| Some((name?.to_owned(), slot))).collect()
}

/// Lays a patch over a value: mappings by key, lists of named things by name, everything else whole.
fn overlay(base: &mut Node, patch: &Node, rule: &str, findings: &mut Findings) {
    match (&mut base.data, &patch.data) {
        (Data::Map(entries), Data::Map(changes)) => {
            for union in UNIONS {
                if let Some((kept, _)) = changes.iter().find(|(key, _)| union.contains(&key.as_str())) {
                    entries.retain(|(key, _)| key == kept || !union.contains(&key.as_str()));
                }
            }
            let own = slots(entries.iter().map(|(key, _)| Some(key.as_str())));
            for (key, change) in changes {
                match own.get(key) {
                    Some(slot) if key == "attributes" => {
                        override_values(&mut entries[*slot].1, change, rule, findings);
                    }
                    Some(slot) => overlay(&mut entries[*slot].1, change, rule, findings),
                    None => entries.push((key.clone(), change.clone())),
                }
            }
        }
        (Data::List(items), Data::List(changes)) if changes.iter().all(|change| change.text_of("name").is_some()) => {
            let own = slots(items.iter().map(|item| item.text_of("name")));
            for change in changes {
                match change.text_of("name").and_then(|name| own.get(name)) {
                    Some(slot) => overlay(&mut items[*slot], change, rule, findings),
                    None => items.push(change.clone()),
                }
            }
        }
        _ => *base = patch.clone(),
    }
}

/// Replaces the values of variables or attributes by key.
///
/// The reference makes a struct type for a mapping or list on both sides, with the key as the name of
/// its field. Go panics when that is no exported identifier (devfile/api#1268).
fn override_values(base: &mut Node, patch: &Node, rule: &str, findings: &mut Findings) {
    match (&mut base.data, &patch.data) {
        (Data::Map(entries), Data::Map(changes)) => {
            let own = slots(entries.iter().map(|(key, _)| Some(key.as_str())));
            for (key, change) in changes {
                let Some(slot) = own.get(key) else {
                    entries.push((key.clone(), change.clone()));
                    continue;
                };
                let value = &mut entries[*slot].1;
                let kind = match (&value.data, &change.data) {
                    (Data::Map(_), Data::Map(_)) => Some("mapping"),
                    (Data::List(_), Data::List(_)) => Some("list"),
                    _ => None,
                };
                if let Some(kind) = kind.filter(|_| !becomes_go_field(key)) {
                    let owner = owner(rule);
                    let reason = "Go clients crash when its key is no Go identifier";
                    let message = format!("cannot override the {kind} in the attribute `{key}`: {reason}");
                    let hint = format!("set it in the {owner} or here, or choose a key of letters and digits");
                    findings.error(change.key_at, rule, message, hint);
                }
                *value = change.clone();
            }
        }
        _ => *base = patch.clone(),
    }
}

/// Whether a key with its first letter in upper case is an exported Go identifier.
fn becomes_go_field(key: &str) -> bool {
    key.starts_with(char::is_alphabetic) && key.chars().all(|c| c == '_' || c.is_alphabetic() || c.is_ascii_digit())
}

/// Puts the elements of a parent or plugin before the devfile's own. An element may be in one of them only; the
/// devfile's own stays when it is in both.
pub(crate) fn inherit(child: &mut Node, base: Node, rule: &str, findings: &mut Findings) {
    #[cfg(test)]
    super::tests::MERGES.with(|merges| merges.set(merges.get() + 1));
    let Data::Map(inherited) = base.data else { return };
    for (field, node) in inherited {
        if let Some((_, key)) = LISTS.iter().find(|(list, _)| *list == field) {
            inherit_list(child, &field, key, node, rule, findings);
        } else if MAPS.contains(&field.as_str()) {
            inherit_map(child, &field, node, rule, findings);
        } else if field == "events" {
            inherit_events(child, node);
        }
    }
}

fn inherit_list(child: &mut Node, field: &str, key: &str, node: Node, rule: &str, findings: &mut Findings) {
    let Data::List(mut items) = node.data else { return };
    let own: HashMap<String, &Node> =
        child.items_of(field).iter().filter_map(|item| Some((item.text_of(key)?.to_owned(), item))).collect();
    items.retain(|item| match item.text_of(key).and_then(|name| Some((name, own.get(name)?))) {
        Some((name, clash)) => {
            already_there(clash.get(key).unwrap_or(clash), name, rule, findings);
            false
        }
        None => true,
    });
    match child.get_mut(field) {
        Some(Node { data: Data::List(own), .. }) => {
            own.splice(0..0, items);
        }
        Some(_) => {}
        None => push_entry(child, field, Node { data: Data::List(items), ..node }),
    }
}

fn inherit_map(child: &mut Node, field: &str, node: Node, rule: &str, findings: &mut Findings) {
    let Some(own) = child.get_mut(field) else { return push_entry(child, field, node) };
    let (Data::Map(entries), Data::Map(mut inherited)) = (&mut own.data, node.data) else { return };
    let known: HashMap<&str, &Node> = entries.iter().map(|(key, node)| (key.as_str(), node)).collect();
    inherited.retain(|(key, _)| match known.get(key.as_str()) {
        Some(clash) => {
            already_there(&Node { at: clash.key_at, ..(*clash).clone() }, key, rule, findings);
            false
        }
        None => true,
    });
    entries.splice(0..0, inherited);
}

/// Events of both are run, each command once.
fn inherit_events(child: &mut Node, node: Node) {
    let Some(own) = child.get_mut("events") else { return push_entry(child, "events", node) };
    for (event, mut inherited) in match node.data {
        Data::Map(events) => events,
        _ => return,
    } {
        match (own.get_mut(&event).map(|own| &mut own.data), &mut inherited.data) {
            (Some(Data::List(commands)), Data::List(inherited)) => {
                let own = slots(commands.iter().map(Node::text));
                inherited.retain(|command| !command.text().is_some_and(|id| own.contains_key(id)));
                commands.splice(0..0, inherited.drain(..));
            }
            (Some(_), _) => {}
            (None, _) => push_entry(own, &event, inherited),
        }
    }
}

fn already_there(own: &Node, name: &str, rule: &str, findings: &mut Findings) {
    let owner = if rule.starts_with("plugin") { "a plugin" } else { "the parent" };
    let section = if rule.starts_with("plugin") { "plugin" } else { "parent" };
    let message = format!("{owner} has `{name}` already");
    findings.error(own.at, rule, message, format!("move it into `{section}:` to override it, or rename it"));
}

fn push_entry(map: &mut Node, key: &str, node: Node) {
    if let Data::Map(entries) = &mut map.data {
        entries.push((key.to_owned(), node));
    }
}
