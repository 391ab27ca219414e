//! The parts of a devfile as tables.

use maud::{Markup, PreEscaped, html};

use super::budget::{left_out, section};
use super::devfile::{Command, CommandBody, Component, Devfile, Endpoint, StarterProject};
use super::link::{remote_link, segment};
use super::page::{Glyph, glyph};

/// Starter projects; `rest` is the path of the devfile in the REST API, from which they are downloaded.
pub(super) fn starter_projects(devfile: &Devfile, rest: Option<&str>) -> Markup {
    let fitting = section(&devfile.starter_projects, |project| html! { li { (starter_project(project, rest)) } });
    html! {
        @if !devfile.starter_projects.is_empty() {
            section aria-labelledby="starter-projects" {
                h2 #starter-projects { "Starter projects" }
                ul.starters { (fitting.rows) }
                (left_out(devfile.starter_projects.len() - fitting.count + devfile.omitted.starter_projects))
            }
        }
    }
}

fn starter_project(project: &StarterProject, rest: Option<&str>) -> Markup {
    let remote = project.git.as_ref().and_then(|git| git.remotes.get("origin").or_else(|| git.remotes.values().next()));
    let zip = project.zip.as_ref().map(|zip| &zip.location);
    let checkout = project.git.as_ref().and_then(|git| git.checkout_from.as_ref());
    let revision = checkout.map(|checkout| &checkout.revision).filter(|revision| !revision.is_empty());
    html! {
        div.starter-text {
            h3 { (project.name) }
            @if !project.description.is_empty() { p { (project.description) } }
            p.side-note {
                @if let Some(source) = remote.or(zip) { (remote_link(source)) }
                @if let Some(revision) = revision { " at " code { (revision) } }
                @if !project.sub_dir.is_empty() { " in " code { (project.sub_dir) } }
            }
        }
        @if let Some(rest) = rest {
            a.plain href={ (rest) "/starter-projects/" (segment(&project.name)) } download={ (project.name) ".zip" }
                aria-label={ "Download " (project.name) } { (glyph(Glyph::Download)) "Download" }
        }
    }
}

/// Commands, and the picture of where they run.
pub(super) fn commands(devfile: &Devfile, picture: Option<&str>) -> Markup {
    let fitting = section(&devfile.commands, |command| command_row(command, devfile));
    html! {
        @if !devfile.commands.is_empty() {
            section.tab-body aria-labelledby="commands" {
                h2 #commands { "Commands" }
                @if let Some(picture) = picture {
                    div.drawing tabindex="0" role="region" aria-label="Picture of commands and components" { (PreEscaped(picture)) }
                }
                div.table tabindex="0" role="region" aria-label="Table of commands" {
                    table {
                        thead { tr { th scope="col" { "Command" } th scope="col" { "Group" } th scope="col" { "Runs on" } th scope="col" { "Effect" } } }
                        tbody { (fitting.rows) }
                    }
                }
                (left_out(devfile.commands.len() - fitting.count + devfile.omitted.commands))
            }
        }
    }
}

fn command_row(command: &Command, devfile: &Devfile) -> Markup {
    let nothing = CommandBody::default();
    let body = command.body().unwrap_or(&nothing);
    let events = devfile.events.iter().filter(|(_, commands)| commands.contains(&command.id));
    html! {
        tr {
            th scope="row" {
                code { (command.id) }
                @if !body.label.is_empty() { span.side-note { (body.label) } }
            }
            td {
                @if let Some(group) = body.group.as_ref().filter(|group| !group.kind.is_empty()) {
                    span.mark { (group.kind) }
                    @if group.is_default { " " span.side-note { "default" } }
                }
                @for (event, _) in events { span.mark { (event) } }
            }
            td { @if body.component.is_empty() { "–" } @else { code { (body.component) } } }
            td.does {
                @if command.composite.is_some() {
                    (if body.parallel { "At once: " } else { "In order: " })
                    @for (position, part) in body.commands.iter().enumerate() { @if position > 0 { ", " } code { (part) } }
                } @else if command.apply.is_some() {
                    "Applies the component"
                } @else if body.command_line.contains('\n') {
                    pre { (body.command_line.trim_end()) }
                } @else {
                    code { (body.command_line) }
                }
            }
        }
    }
}

/// Components.
pub(super) fn components(devfile: &Devfile) -> Markup {
    let fitting = section(&devfile.components, component_row);
    html! {
        @if !devfile.components.is_empty() {
            section.tab-body aria-labelledby="components" {
                h2 #components { "Components" }
                div.table tabindex="0" role="region" aria-label="Table of components" {
                    table {
                        thead { tr { th scope="col" { "Component" } th scope="col" { "Kind" } th scope="col" { "Image, file or size" } th scope="col" { "Limits" } th scope="col" { "Endpoints" } } }
                        tbody { (fitting.rows) }
                    }
                }
                (left_out(devfile.components.len() - fitting.count + devfile.omitted.components))
            }
        }
    }
}

fn component_row(component: &Component) -> Markup {
    let container = component.container.as_ref();
    let limits = [
        container.map(|container| container.memory_limit.as_str()),
        container.map(|container| container.cpu_limit.as_str()).filter(|cpu| !cpu.is_empty()),
    ];
    let limits: Vec<&str> = limits.into_iter().flatten().filter(|limit| !limit.is_empty()).collect();
    html! {
        tr {
            th scope="row" { code { (component.name) } }
            td { span.mark { (component.kind()) } }
            td.does { @if component.source().is_empty() { "–" } @else { code { (component.source()) } } }
            td { @if limits.is_empty() { "–" } @else { (limits.join(", ")) } }
            td {
                @if component.endpoints().is_empty() { "–" }
                @for (position, endpoint) in component.endpoints().iter().enumerate() { @if position > 0 { br; } (endpoint_text(endpoint)) }
            }
        }
    }
}

fn endpoint_text(endpoint: &Endpoint) -> Markup {
    html! {
        (endpoint.name) " " code { (endpoint.target_port) }
        @if !endpoint.exposure.is_empty() { " " span.side-note { (endpoint.exposure) } }
    }
}
