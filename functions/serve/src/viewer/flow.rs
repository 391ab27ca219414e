//! A picture of which command runs on which component, as SVG without styles of its own. The tables beside it say the same.

use std::collections::HashMap;

use maud::{Markup, html};

use super::devfile::Devfile;

/// Sizes, in units of the picture.
const WIDTH: usize = 176;
const HEIGHT: usize = 32;
const GAP: usize = 10;
const REACH: usize = 72;

/// Longest text that fits into a box.
const CHARACTERS: usize = 21;

/// Most boxes or lines of a picture; a larger one is no small picture any more.
const BOXES: usize = 40;
const LINES: usize = 120;

/// The kinds of boxes, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum BoxKind {
    Composite,
    Command,
    Component,
}

#[derive(Debug)]
struct Node<'a> {
    kind: BoxKind,
    text: &'a str,
    x: usize,
    y: usize,
}

/// The picture; none when there is nothing to connect or too much for a picture.
pub(super) fn picture(devfile: &Devfile) -> Option<Markup> {
    let edges = edges(devfile);
    if edges.is_empty() || edges.len() > LINES {
        return None;
    }
    let (nodes, places) = nodes(devfile, &edges);
    if nodes.len() > BOXES {
        return None;
    }
    let width = nodes.iter().map(|node| node.x + WIDTH).max()?;
    let height = nodes.iter().map(|node| node.y + HEIGHT).max()?;
    let ends = edges.iter().filter_map(|(from, to)| Some((&nodes[*places.get(from)?], &nodes[*places.get(to)?])));
    Some(html! {
        svg.flow viewBox=(format!("0 0 {} {}", width + 2, height + 2)) width=(width) height=(height) role="img"
            aria-label="Picture of the commands and the components that they run on" {
            g transform="translate(1 1)" {
                @for (from, to) in ends {
                    path.edge d=(curve(from, to)) {}
                }
                @for node in &nodes {
                    g class=(class(node.kind)) transform=(format!("translate({} {})", node.x, node.y)) {
                        title { (super::budget::short(node.text)) }
                        rect width=(WIDTH) height=(HEIGHT) rx="7" {}
                        text x="12" y="21" { (short(node.text)) }
                    }
                }
            }
        }
    })
}

type BoxKey<'a> = (BoxKind, &'a str);

/// From commands to their components, and from composite commands to their parts.
fn edges(devfile: &Devfile) -> Vec<(BoxKey<'_>, BoxKey<'_>)> {
    let kind = |id: &str| {
        let command = devfile.commands.iter().find(|command| command.id == id)?;
        Some(if command.composite.is_some() { BoxKind::Composite } else { BoxKind::Command })
    };
    let mut edges = Vec::new();
    for command in &devfile.commands {
        let Some(body) = command.body() else { continue };
        if command.composite.is_some() {
            let parts = body.commands.iter().filter(|part| kind(part) == Some(BoxKind::Command));
            edges.extend(
                parts.map(|part| ((BoxKind::Composite, command.id.as_str()), (BoxKind::Command, part.as_str()))),
            );
        } else if devfile.components.iter().any(|component| component.name == body.component) {
            edges.push(((BoxKind::Command, command.id.as_str()), (BoxKind::Component, body.component.as_str())));
        }
    }
    edges
}

/// The boxes at their positions: each column in the order of the file, without boxes that have no edge.
fn nodes<'a>(devfile: &'a Devfile, edges: &[(BoxKey<'a>, BoxKey<'a>)]) -> (Vec<Node<'a>>, HashMap<BoxKey<'a>, usize>) {
    let has_edge = |key: &BoxKey<'_>| edges.iter().any(|(from, to)| from == key || to == key);
    let commands = devfile.commands.iter().map(|command| {
        (if command.composite.is_some() { BoxKind::Composite } else { BoxKind::Command }, command.id.as_str())
    });
    let components = devfile.components.iter().map(|component| (BoxKind::Component, component.name.as_str()));
    let keys: Vec<BoxKey<'_>> = commands.chain(components).filter(has_edge).collect();
    let composites = keys.iter().any(|(kind, _)| *kind == BoxKind::Composite);
    let rows = |kind: BoxKind| keys.iter().filter(|(other, _)| *other == kind).count();
    let most = [BoxKind::Composite, BoxKind::Command, BoxKind::Component].map(rows).into_iter().max().unwrap_or(0);
    let mut filled: HashMap<BoxKind, usize> = HashMap::new();
    let (mut nodes, mut places) = (Vec::new(), HashMap::new());
    for key @ (kind, text) in keys.iter().copied() {
        let column = match kind {
            BoxKind::Composite => 0,
            BoxKind::Command => usize::from(composites),
            BoxKind::Component => usize::from(composites) + 1,
        };
        let row = filled.entry(kind).or_default();
        // A short column stands at half the height of the longest.
        let top = (most - rows(kind)) * (HEIGHT + GAP) / 2;
        places.entry(key).or_insert(nodes.len());
        nodes.push(Node { kind, text, x: column * (WIDTH + REACH), y: top + *row * (HEIGHT + GAP) });
        *row += 1;
    }
    (nodes, places)
}

fn curve(from: &Node<'_>, to: &Node<'_>) -> String {
    let (x1, y1, x2, y2) = (from.x + WIDTH, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2);
    let middle = usize::midpoint(x1, x2);
    format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}")
}

fn class(kind: BoxKind) -> &'static str {
    match kind {
        BoxKind::Composite => "node composite",
        BoxKind::Command => "node command",
        BoxKind::Component => "node component",
    }
}

fn short(text: &str) -> String {
    if text.chars().count() <= CHARACTERS {
        return text.to_owned();
    }
    text.chars().take(CHARACTERS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::fixture;

    #[test]
    fn picture_connects_commands_with_their_components() {
        let devfile = Devfile::read(fixture::KILN).unwrap();
        let edges = edges(&devfile);
        assert_eq!(edges.len(), 6, "two commands on containers, two applied, a composite of two");
        let picture = picture(&devfile).unwrap().into_string();
        assert_eq!(picture.matches("<path").count(), 6);
        assert_eq!(picture.matches("<rect").count(), 8, "five commands, three components");
        assert!(!picture.contains("style"));
    }

    #[test]
    fn devfile_without_connections_has_no_picture() {
        for text in ["{}", "commands:\n  - id: a\n    exec:\n      component: gone\n", "components:\n  - name: a\n"] {
            assert!(picture(&Devfile::read(text).unwrap()).is_none(), "{text}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(short("ééé"), "ééé");
        assert_eq!(short(&"é".repeat(30)).chars().count(), CHARACTERS);
    }
}
