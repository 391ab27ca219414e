//! Imports of the crate point one way: from the upper layers to the lower ones, and never in a circle.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

mod scan;

use std::collections::BTreeSet;
use std::path::Path;

use scan::{Imports, imports};

/// A layer: its name, its modules, and the layers that it may import with all that these may import.
type Layer = (&'static str, &'static [&'static str], &'static [&'static str]);

/// The layers of the crate, lower ones first. A module may import those before it in its own layer, too.
const LAYERS: [Layer; 16] = [
    (
        "base",
        &[
            "error",
            "limits",
            "version",
            "timestamp",
            "digest",
            "text",
            "diagnostic",
            "environment",
            "public_url",
            "media_type",
            "tree",
        ],
        &[],
    ),
    ("calls", &["retry_after", "retry"], &["base"]),
    ("observe", &["trace", "context", "telemetry", "request", "logging", "emf"], &["base"]),
    ("yaml", &["yaml", "devfile"], &["base"]),
    ("validate", &["validate", "report"], &["yaml"]),
    ("fetch", &["fetch"], &["calls", "observe"]),
    ("git", &["git"], &["fetch"]),
    ("source", &["source"], &["git"]),
    ("index", &["index"], &["yaml"]),
    ("artifact", &["artifact"], &["index"]),
    ("repository", &["repository"], &["source", "validate", "artifact"]),
    ("release", &["release"], &["repository"]),
    ("stores", &["registry", "cache"], &["calls", "observe"]),
    ("upstream", &["starter", "outside"], &["release", "stores"]),
    ("publish", &["publish"], &["upstream", "stores"]),
    ("server", &["plain_http", "gateway"], &["observe"]),
];

fn crate_imports() -> Imports {
    imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// The layer of a top-level module and its position in it.
fn layer_of(module: &str) -> Option<(&'static Layer, usize)> {
    LAYERS.iter().find_map(|layer| Some((layer, layer.1.iter().position(|name| *name == module)?)))
}

fn may_import(layer: &Layer, other: &str) -> bool {
    let below = |name: &&str| LAYERS.iter().find(|layer| layer.0 == *name).unwrap();
    layer.2.iter().any(|name| *name == other || may_import(below(name), other))
}

/// The imports that point upwards or sideways, between top-level modules.
fn upward(imports: &Imports) -> BTreeSet<String> {
    let edges = imports.iter().flat_map(|(from, to)| to.iter().map(move |to| (top(from), top(to))));
    let is_upward = |from: &str, to: &str| match (layer_of(from), layer_of(to)) {
        (Some((layer, position)), Some((other, lower))) if layer.0 == other.0 => lower > position,
        (Some((layer, _)), Some((other, _))) => !may_import(layer, other.0),
        _ => true,
    };
    edges.filter(|(from, to)| is_upward(from, to)).map(|(from, to)| format!("{from} -> {to}")).collect()
}

/// The modules from which imports within their top-level module lead back to themselves.
fn circular(imports: &Imports) -> BTreeSet<String> {
    let reaches_itself = |module: &&String| {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![*module];
        while let Some(at) = waiting.pop() {
            let inside = imports[at].iter().filter(|to| top(to) == top(module));
            waiting.extend(inside.filter(|to| reached.insert(*to)));
        }
        reached.contains(module)
    };
    imports.keys().filter(reaches_itself).cloned().collect()
}

#[test]
fn every_top_level_module_has_a_layer() {
    let found: BTreeSet<String> = crate_imports().keys().map(|module| top(module).to_owned()).collect();
    let listed: BTreeSet<String> = LAYERS.iter().flat_map(|layer| layer.1).map(|module| (*module).to_owned()).collect();
    assert_eq!(found, listed, "left: modules of the crate, right: modules of the table of layers");
}

#[test]
fn imports_point_to_lower_layers() {
    let found = upward(&crate_imports());
    assert!(found.is_empty(), "these modules import a module above or beside them: {found:#?}");
}

#[test]
fn files_of_a_module_do_not_import_each_other_in_a_circle() {
    let imports = crate_imports();
    let found = circular(&imports);
    for module in &found {
        let inside: Vec<_> =
            imports[module].iter().filter(|to| top(to) == top(module) && found.contains(*to)).collect();
        println!("{module} imports {inside:?}");
    }
    assert!(found.is_empty(), "these modules import each other in a circle: {found:#?}");
}

#[test]
fn upward_import_and_circle_are_found() {
    let of = |edges: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for (from, to) in edges {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            imports.entry((*to).to_owned()).or_default();
        }
        imports
    };
    for (from, to, is_upward) in [
        ("release::draft", "artifact", false),
        ("publish", "limits", false),
        ("publish::live", "cache::s3", false),
        ("timestamp", "limits", false),
        ("limits", "timestamp", true),
        ("registry::oci", "artifact", true),
        ("cache", "release", true),
        ("plain_http", "source", true),
        ("fetch", "new_module", true),
    ] {
        assert_eq!(!upward(&of(&[(from, to)])).is_empty(), is_upward, "{from} -> {to}");
    }
    let imports =
        of(&[("a::x", "a::y"), ("a::y", "a::z"), ("a::z", "a::x"), ("a", "a::x"), ("a::z", "b"), ("b", "a::w")]);
    assert_eq!(Vec::from_iter(circular(&imports)), ["a::x", "a::y", "a::z"]);
}
