//! A registry of many versions, none of which has an artifact, so that it is published in a moment.

use std::fmt::Write;

/// The text of an `extraDevfileEntries.yaml` with so many stacks of so many versions each.
pub fn extra_entries(stacks: usize, versions: usize) -> String {
    let mut text = String::from("schemaVersion: 1.0.0\nstacks:\n");
    for stack in 0..stacks {
        let write = write!(
            text,
            "  - name: anvil-{stack}\n    displayName: Anvil {stack}\n    description: \"Forges horseshoes and \\\"nails\\\" for workshop {stack}\"\n    \
             icon: https://example.org/anvil-{stack}.png\n    tags: [Forge, Iron, Java]\n    projectType: smithy\n    language: java\n    \
             provider: Anvils of the valley\n    versions:\n"
        );
        write.expect("a string takes all text");
        for version in 0..versions {
            let default = version + 1 == versions;
            let write = writeln!(
                text,
                "      - {{version: 1.{version}.0, schemaVersion: 2.2.0, default: {default}, description: \"Forges \\\"nails\\\" of pattern {version}, each of them straight, sharp and of good iron, by the dozen or by the hundredweight, \
                 delivered to the door of every workshop between the sea and the hills before the first snow of the year\", \
                 tags: [Forge, Iron, Java], architectures: [amd64, arm64], links: {{self: \"devfile-catalog/anvil-{stack}:1.{version}.0\"}}, \
                 resources: [devfile.yaml], starterProjects: [anvil-starter-{version}, hammer-starter-{version}]}}"
            );
            write.expect("a string takes all text");
        }
    }
    text
}
