//! Entries of a small index, for tests.

use devfile_registry::index::Entry;
use serde_json::json;

/// Three stacks and two samples; one sample has the name of a stack.
pub(crate) fn entries() -> Vec<Entry> {
    let index = json!([
        {
            "name": "kiln", "displayName": "Kiln", "description": "Bakes pages from Markdown & serves them",
            "type": "stack", "tags": ["Python", "Markdown"], "architectures": ["amd64", "arm64"],
            "icon": "https://icons.example/kiln.svg", "projectType": "Kiln", "language": "Python",
            "provider": "Potters", "supportUrl": "https://example.com/kiln/help",
            "versions": [
                {"version": "1.1.0", "schemaVersion": "2.2.2", "default": true, "description": "Bakes pages",
                 "links": {"self": "devfile-catalog/kiln:1.1.0"}, "commandGroups": {"build": true, "run": true},
                 "starterProjects": ["kiln-starter"], "lastModified": "2025-09-12T14:05:00+02:00"},
                {"version": "1.0.0", "schemaVersion": "2.2.0", "links": {"self": "devfile-catalog/kiln:1.0.0"},
                 "lastModified": "2025-03-04T09:30:00Z"}
            ],
            "lastModified": "2025-09-12T14:05:00+02:00"
        },
        {
            "name": "loom", "displayName": "Loom", "description": "Weaves cloth", "type": "stack", "tags": ["Cloth"],
            "language": "Rust", "projectType": "Loom", "provider": "Weavers",
            "versions": [{"version": "0.3.0", "schemaVersion": "2.3.0", "default": true,
                          "links": {"self": "devfile-catalog/loom:0.3.0"}, "lastModified": "2025-06-01T08:00:00Z"}],
            "lastModified": "2025-06-01T08:00:00Z"
        },
        {
            "name": "forge", "displayName": "Forge", "description": "An old way to make nails", "type": "stack",
            "tags": ["Iron", "Deprecated"], "language": "C", "projectType": "Forge",
            "versions": [{"version": "0.1.0", "schemaVersion": "2.1.0", "default": true,
                          "lastModified": "2024-01-01T00:00:00Z"}],
            "lastModified": "2024-01-01T00:00:00Z"
        },
        {
            "name": "pot", "displayName": "Pot", "description": "A shop, made with Kiln", "type": "sample",
            "tags": ["Python", "Shop"], "language": "Python", "projectType": "Kiln", "provider": "Potters",
            "versions": [{"version": "1.0.0", "schemaVersion": "2.2.0", "default": true,
                          "git": {"remotes": {"origin": "https://github.com/example/pot.git"}, "revision": "v1"},
                          "lastModified": "2025-10-02T16:45:00Z"}],
            "lastModified": "2025-10-02T16:45:00Z"
        },
        {
            "name": "loom", "displayName": "Loom shop", "description": "A shop for cloth", "type": "sample",
            "tags": ["Cloth"], "language": "Rust", "projectType": "Loom",
            "git": {"remotes": {"origin": "https://github.com/example/loom.git"}},
            "lastModified": "2025-05-01T00:00:00Z"
        }
    ]);
    serde_json::from_value(index).unwrap()
}
