//! The differences of two devfiles in words: "Component runtime: image 3.12 to 3.13".

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::budget::short;
use super::devfile::{Command, Component, Devfile, Endpoint};

/// Most sentences of a summary.
const SENTENCES: usize = 40;

/// The differences as a list; nothing when there are none that have words.
pub(super) fn list(old: &Devfile, new: &Devfile) -> Markup {
    let sentences = sentences(old, new);
    html! {
        @if !sentences.is_empty() {
            ul.summary aria-label="Summary" {
                @for sentence in sentences.iter().take(SENTENCES) { li { (sentence) } }
                @if sentences.len() > SENTENCES { li { "and " (sentences.len() - SENTENCES) " more" } }
            }
        }
    }
}

fn sentences(old: &Devfile, new: &Devfile) -> Vec<String> {
    let mut said = Vec::new();
    change(&mut said, "Schema version", &old.schema_version, &new.schema_version);
    let names = |devfile: &Devfile| devfile.components.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    sets(&mut said, "Component", &names(old), &names(new));
    for (was, is) in pairs(&old.components, &new.components, |component| &component.name) {
        component(&mut said, was, is);
    }
    let names = |devfile: &Devfile| devfile.commands.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    sets(&mut said, "Command", &names(old), &names(new));
    for (was, is) in pairs(&old.commands, &new.commands, |command| &command.id) {
        command(&mut said, was, is);
    }
    let names = |devfile: &Devfile| devfile.starter_projects.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    sets(&mut said, "Starter project", &names(old), &names(new));
    said
}

/// Elements that are in both lists, by name.
fn pairs<'a, T>(old: &'a [T], new: &'a [T], name: fn(&T) -> &String) -> impl Iterator<Item = (&'a T, &'a T)> {
    new.iter().filter_map(move |is| Some((old.iter().find(|was| name(was) == name(is))?, is)))
}

fn sets(said: &mut Vec<String>, what: &str, old: &[String], new: &[String]) {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
    said.extend(after.difference(&before).map(|name| format!("{what} {} added", short(name))));
    said.extend(before.difference(&after).map(|name| format!("{what} {} removed", short(name))));
}

fn change(said: &mut Vec<String>, what: &str, old: &str, new: &str) {
    match (old.trim(), new.trim()) {
        (old, new) if old == new => {}
        ("", new) => said.push(format!("{what} {} added", short(new))),
        (old, "") => said.push(format!("{what} {} removed", short(old))),
        (old, new) => said.push(format!("{what} {} to {}", short(old), short(new))),
    }
}

fn component(said: &mut Vec<String>, old: &Component, new: &Component) {
    let of = |what: &str| format!("Component {}: {what}", short(&new.name));
    if old.kind() != new.kind() {
        return change(said, &of("kind"), old.kind(), new.kind());
    }
    if let (Some(was), Some(is)) = (&old.container, &new.container) {
        match (tagged(&was.image), tagged(&is.image)) {
            ((name, was), (same, is)) if name == same => change(said, &of("image"), was, is),
            _ => change(said, &of("image"), &was.image, &is.image),
        }
        change(said, &of("memory limit"), &was.memory_limit, &is.memory_limit);
        change(said, &of("CPU limit"), &was.cpu_limit, &is.cpu_limit);
    } else {
        change(said, &of(new.kind()), old.source(), new.source());
    }
    let ports = |component: &Component| component.endpoints().iter().map(port).collect::<Vec<_>>();
    sets(said, &of("port"), &ports(old), &ports(new));
}

fn port(endpoint: &Endpoint) -> String {
    format!("{} {}", endpoint.name, endpoint.target_port)
}

fn command(said: &mut Vec<String>, old: &Command, new: &Command) {
    let of = |what: &str| format!("Command {}: {what}", short(&new.id));
    let (Some(was), Some(is)) = (old.body(), new.body()) else { return };
    change(said, &of("component"), &was.component, &is.component);
    if was.command_line != is.command_line {
        said.push(of("command line changed"));
    }
    if was.commands != is.commands || was.parallel != is.parallel {
        said.push(of("order changed"));
    }
    let group =
        |body: &super::devfile::CommandBody| body.group.as_ref().map_or("", |group| group.kind.as_str()).to_owned();
    change(said, &of("group"), &group(was), &group(is));
}

/// An image without its tag or digest, and that.
fn tagged(image: &str) -> (&str, &str) {
    if let Some(parts) = image.split_once('@') {
        return parts;
    }
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::fixture::KILN;

    fn said(new: &str) -> Vec<String> {
        sentences(&Devfile::read(KILN).unwrap(), &Devfile::read(new).unwrap())
    }

    #[test]
    fn change_of_a_devfile_is_summarised_in_words() {
        let new = KILN
            .replace("schemaVersion: 2.2.2", "schemaVersion: 2.3.0")
            .replace("python:3.13-slim", "python:3.14-slim")
            .replace("memoryLimit: 512Mi", "memoryLimit: 1Gi")
            .replace("targetPort: 8000", "targetPort: 9000")
            .replace("python bake.py pages site", "python bake.py")
            .replace("id: build-image", "id: image")
            .replace("name: kiln-pages", "name: pages");
        assert_eq!(
            said(&new),
            [
                "Schema version 2.2.2 to 2.3.0",
                "Component runtime: image 3.13-slim to 3.14-slim",
                "Component runtime: memory limit 512Mi to 1Gi",
                "Component runtime: port http 9000 added",
                "Component runtime: port http 8000 removed",
                "Command image added",
                "Command build-image removed",
                "Command build: command line changed",
                "Starter project pages added",
                "Starter project kiln-pages removed",
            ]
        );
        assert_eq!(said(KILN), [""; 0]);
        let other = said(&KILN.replace("docker.io/library/python:3.13-slim", "quay.io/x/python@sha256:12"));
        assert_eq!(
            other,
            ["Component runtime: image docker.io/library/python:3.13-slim to quay.io/x/python@sha256:12"]
        );
    }

    #[test]
    fn tag_is_what_follows_the_name_of_an_image() {
        for (image, parts) in [
            ("python:3.12", ("python", "3.12")),
            ("host:5000/python", ("host:5000/python", "")),
            ("host:5000/python:3", ("host:5000/python", "3")),
            ("python@sha256:ab", ("python", "sha256:ab")),
        ] {
            assert_eq!(tagged(image), parts, "{image}");
        }
    }
}
