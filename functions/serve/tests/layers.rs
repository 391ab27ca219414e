//! Imports of `serve` point one way: from the upper layers to the lower ones, and never in a circle.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

#[path = "../../../shared/tests/layers/rules.rs"]
mod rules;
#[path = "../../../shared/tests/layers/scan.rs"]
mod scan;

use std::path::Path;

use rules::Layer;

/// The layers of the crate, lower ones first. A module may import those before it in its own layer, too.
const LAYERS: [Layer; 10] = [
    ("base", &["aside", "config", "workers"], &[]),
    ("http", &["http"], &["base"]),
    ("view", &["view"], &["http"]),
    ("release", &["release"], &["view"]),
    ("state", &["state"], &["release"]),
    ("route", &["large_answers", "route"], &["state"]),
    ("apis", &["index", "devfiles", "starters", "files", "oci", "status", "viewer", "previews", "openapi"], &["route"]),
    ("router", &["router"], &["apis"]),
    ("observe", &["observe"], &["router"]),
    ("front", &["front", "main"], &["observe"]),
];

#[test]
fn modules_import_lower_layers_and_no_circles() {
    rules::check(&LAYERS, &scan::imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));
}
