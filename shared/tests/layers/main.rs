//! Imports of the crate point one way: from the upper layers to the lower ones, and never in a circle.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

mod rules;
mod scan;

use std::path::Path;

use rules::{Layer, circular, upward};
use scan::{Imports, imports};

/// The layers of the crate, lower ones first. A module may import those before it in its own layer, too.
const LAYERS: [Layer; 20] = [
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
            "settings",
            "environment",
            "public_url",
            "open_in",
            "media_type",
            "tree",
        ],
        &[],
    ),
    ("calls", &["retry_after", "retry", "aws", "secret"], &["base"]),
    ("observe", &["trace", "context", "telemetry", "request", "logging", "emf"], &["base"]),
    ("terminal", &["terminal"], &["observe"]),
    ("yaml", &["yaml", "devfile"], &["base"]),
    ("validate", &["validate", "report"], &["yaml"]),
    ("fetch", &["fetch"], &["calls", "observe"]),
    ("git", &["git"], &["fetch"]),
    ("source", &["source"], &["git"]),
    ("index", &["index"], &["yaml"]),
    ("artifact", &["artifact"], &["index"]),
    ("repository", &["repository"], &["source", "validate", "artifact"]),
    ("release", &["release"], &["repository"]),
    ("diff", &["diff"], &["release"]),
    ("stores", &["directory", "registry", "cache"], &["calls", "observe"]),
    ("upstream", &["starter", "upstream"], &["release", "stores"]),
    ("preview", &["preview"], &["diff", "stores"]),
    ("publish", &["publish"], &["upstream", "preview"]),
    ("checker", &["checker"], &["upstream", "terminal"]),
    ("server", &["plain_http", "gateway"], &["observe"]),
];

#[test]
fn modules_import_lower_layers_and_no_circles() {
    rules::check(&LAYERS, &imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));
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
        assert_eq!(!upward(&LAYERS, &of(&[(from, to)])).is_empty(), is_upward, "{from} -> {to}");
    }
    let imports =
        of(&[("a::x", "a::y"), ("a::y", "a::z"), ("a::z", "a::x"), ("a", "a::x"), ("a::z", "b"), ("b", "a::w")]);
    assert_eq!(Vec::from_iter(circular(&imports)), ["a::x", "a::y", "a::z"]);
}
