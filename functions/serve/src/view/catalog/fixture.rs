//! A small index with one of each: several versions, a default that is not the newest, a sample, an entry without
//! versions, a stack and a sample of one name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use devfile_registry::index::Entry;
use serde_json::json;

use super::{Catalog, IndexKind, IndexSchema, Query};

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

pub(super) fn icons() -> BTreeMap<String, String> {
    [("go.svg", "Z28="), ("old \"go\".svg", "b2xk"), ("java.png", "amF2YQ==")]
        .into_iter()
        .map(|(name, data)| (format!("https://icons.example/{name}"), format!("data:image/svg+xml;base64,{data}")))
        .collect()
}

pub(super) fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::new(&mut entries(), &icons()));
    &CATALOG
}

pub(super) fn parse(schema: IndexSchema, query: &str) -> Query {
    Query::parse(schema, query).unwrap_or_else(|bad| panic!("{query}: {bad}"))
}

/// The answer of the fixture, as `name@version,version` of each entry.
pub(super) fn names(schema: IndexSchema, kind: IndexKind, query: &str) -> String {
    let answer = answer(catalog(), schema, kind, &parse(schema, query));
    let entries: Vec<Entry> = serde_json::from_slice(&answer.body).unwrap();
    entries.iter().map(label).collect::<Vec<_>>().join(" ")
}

/// `name@version,version`.
pub(super) fn label(entry: &Entry) -> String {
    let versions: Vec<_> = entry.versions.iter().map(|version| version.version.as_str()).collect();
    let at = if versions.is_empty() { "" } else { "@" };
    format!("{}{at}{}", entry.name, versions.join(","))
}

/// An index of so many stacks with so many versions each, the last of them the default.
pub(super) fn many(stacks: usize, versions: usize) -> Vec<Entry> {
    let version = |stack: usize, number: usize| {
        json!({
            "version": format!("{number}.0.0"), "schemaVersion": "2.2.2", "default": number + 1 == versions,
            "description": format!("Stack {stack} in its release {number}, with a text of some length"),
            "tags": [format!("Tag {}", stack % 50), "Everything", format!("Release {number}")],
            "icon": format!("https://icons.example/{stack}.svg"),
            "links": {"self": format!("devfile-catalog/stack-{stack}:{number}.0.0")},
            "commandGroups": {"build": true, "debug": false, "deploy": stack.is_multiple_of(3), "run": true, "test": false},
            "resources": ["archive.tar", "devfile.yaml"], "starterProjects": [format!("starter-{stack}")],
            "lastModified": "2025-07-01T10:00:00Z"
        })
    };
    let stack = |stack: usize| {
        json!({
            "name": format!("stack-{stack}"), "displayName": format!("Stack {stack}"), "type": "stack",
            "description": format!("Stack {stack}, with a text of some length"),
            "tags": [format!("Tag {}", stack % 50), "Everything"], "icon": format!("https://icons.example/{stack}.svg"),
            "projectType": format!("project {}", stack % 20), "language": format!("Language {}", stack % 10),
            "provider": "Red Hat", "versions": (0..versions).map(|number| version(stack, number)).collect::<Vec<_>>(),
            "lastModified": "2025-07-01T10:00:00Z"
        })
    };
    serde_json::from_value((0..stacks).map(stack).collect()).unwrap()
}

/// An answer of an index route.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IndexAnswer {
    pub(super) body: Bytes,
    pub(super) etag: String,
}

pub(super) fn answer(catalog: &Catalog, schema: IndexSchema, kind: IndexKind, query: &Query) -> IndexAnswer {
    let selection = catalog.select(schema, kind, query);
    IndexAnswer { body: selection.body(), etag: selection.etag() }
}
