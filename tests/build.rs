//! Looks for the recorded answers of the community registry beside the repository; the tests that ask them exist where they are.

use std::path::Path;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(community)");
    println!("cargo::rerun-if-changed=build.rs");
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared"));
    if let Some(found) = folders.find(|folder| folder.join("conformance/check").is_file()) {
        println!("cargo::rustc-cfg=community");
        println!("cargo::rustc-env=COMMUNITY={}", found.display());
    }
}
