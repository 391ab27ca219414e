use std::collections::HashMap;

use super::*;

/// The head of a devfile without problems; tests add lines.
const HEAD: &str = "schemaVersion: 2.2.2\nmetadata: {name: n, displayName: d, language: l, projectType: p}\n";

fn check_among(text: &str, files: &[(&str, &str)]) -> Checked {
    let files: HashMap<&str, &str> = files.iter().copied().collect();
    let files = |path: &str| files.get(path).map(|text| Bytes::copy_from_slice(text.as_bytes()));
    devfile("stacks/s/1.0.0/devfile.yaml", text.as_bytes(), &Surroundings { files: &files, ..Surroundings::ALONE })
}

mod agreement;
