//! A small index with one of each: several versions, a default that is not the newest, a sample, an entry without
//! versions, a stack and a sample of one name.

use devfile_registry::index::Entry;
use serde_json::json;

pub(super) fn entries() -> Vec<Entry> {
    let index = json!([
        {
            "name": "go", "displayName": "Go Runtime", "description": "Go, an  Open Source language", "type": "stack",
            "tags": ["Go"], "icon": "https://icons.example/go.svg", "projectType": "Go", "language": "Go",
            "provider": "Red Hat",
            "versions": [
                {
                    "version": "2.10.0", "schemaVersion": "2.2.2", "default": true, "description": "Go 1.25", "tags": ["Go"],
                    "icon": "https://icons.example/go.svg", "links": {"self": "devfile-catalog/go:2.10.0"},
                    "commandGroups": {"build": true, "deploy": true, "test": false},
                    "resources": ["archive.tar", "devfile.yaml"], "starterProjects": ["go-starter"],
                    "lastModified": "2026-02-18T00:30:00+02:00"
                },
                {
                    "version": "2.9.0", "schemaVersion": "2.2.0", "description": "Go 1.19", "tags": ["Go", "Deprecated"],
                    "icon": "https://icons.example/old \"go\".svg", "links": {"self": "devfile-catalog/go:2.9.0"},
                    "commandGroups": {"build": true, "deploy": false}, "resources": ["archive.tar", "devfile.yaml"],
                    "starterProjects": ["go-starter"], "lastModified": "2025-07-01T10:00:00Z"
                },
                {
                    "version": "1.2.0", "schemaVersion": "2.1.0", "description": "Go 1.18", "tags": ["Go", "Deprecated"],
                    "links": {"self": "devfile-catalog/go:1.2.0", "docs": "https://go.example"},
                    "commandGroups": {"build": true}, "resources": ["devfile.yaml"],
                    "lastModified": "2024-01-01T00:00:00Z"
                }
            ],
            "lastModified": "2026-02-18T00:30:00+02:00"
        },
        {
            "name": "java", "displayName": "Java runtime", "description": "Java & <friends>", "type": "stack",
            "attributes": {"icon": "https://icons.example/java.png", "alpha.build-context": "."},
            "tags": ["Java", "Maven", "Deprecated"], "architectures": ["amd64", "s390x"],
            "icon": "https://icons.example/java.png", "projectType": "maven", "language": "Java",
            "supportUrl": "https://support.example",
            "versions": [
                {
                    "version": "1.3.0-rc", "schemaVersion": "2.2.0-alpha", "tags": ["Java"], "architectures": ["arm64"],
                    "resources": ["devfile.yaml"], "lastModified": "2024-02-29T23:59:59Z"
                },
                {
                    "version": "1.2.0", "schemaVersion": "2.1.0", "default": true, "tags": ["Java", "Maven"],
                    "architectures": ["amd64", "s390x"], "icon": "https://icons.example/java.png",
                    "deploymentScopes": {"innerloop": true, "outerloop": false}, "resources": ["devfile.yaml"],
                    "starterProjects": ["a", "b"], "lastModified": "2024-03-01T00:00:00Z"
                }
            ],
            "lastModified": "2024-03-01T00:00:00Z"
        },
        {
            "name": "go", "displayName": "Basic Go", "type": "sample", "tags": ["Go"], "language": "Go",
            "icon": "https://icons.example/lost.svg",
            "versions": [
                {
                    "version": "1.0.0", "schemaVersion": "2.2.0", "lastModified": "2024-01-01T00:00:00Z",
                    "git": {"remotes": {"origin": "https://git.example/go.git"}, "remoteName": "origin", "revision": "v1"}
                },
                {
                    "version": "2.0.0", "schemaVersion": "2.2.0", "default": true, "lastModified": "2024-01-02T00:00:00Z",
                    "git": {"remotes": {"origin": "https://git.example/go.git"}, "revision": "main", "subDir": "app"}
                }
            ],
            "lastModified": "2024-01-02T00:00:00Z"
        },
        {
            "name": "plain", "version": "0.1.0", "displayName": "Plain", "type": "sample", "tags": ["go", "Plain"],
            "git": {"url": "https://git.example/plain.git"}, "lastModified": "0001-01-01T00:00:00Z"
        }
    ]);
    serde_json::from_value(index).unwrap()
}
