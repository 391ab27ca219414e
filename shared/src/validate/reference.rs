//! References of devfiles to their parents and plugins.

use crate::yaml::Node;

/// The devfile that a `parent` or `plugin` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'d> {
    /// By an address, or by a path from the devfile that refers to it. An empty one brings nothing in.
    Uri(&'d str),
    /// By the name of a stack.
    Id {
        /// The name.
        id: &'d str,
        /// Its version; `None` for the default one.
        version: Option<&'d str>,
        /// The address of its registry; `None` for the registry that the devfile belongs to.
        registry: Option<&'d str>,
    },
    /// By a resource in a cluster.
    Kubernetes,
}

impl<'d> Reference<'d> {
    /// Reads the value of a `parent` or `plugin`; `None` when it names nothing. The first of `uri`, `id` and `kubernetes` counts.
    pub fn of(node: &'d Node) -> Option<Self> {
        if let Some(uri) = node.get("uri") {
            return Some(Self::Uri(uri.text().unwrap_or_default()));
        }
        if let Some(id) = node.get("id") {
            let registry = node.text_of("registryUrl").filter(|url| !url.is_empty());
            return Some(Self::Id { id: id.text().unwrap_or_default(), version: node.text_of("version"), registry });
        }
        node.get("kubernetes").map(|_| Self::Kubernetes)
    }
}

/// Whether a `uri` is an address, and not a path.
pub fn is_web(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

/// The path of the tree that a `uri` means in the devfile at `path`; `None` when it leads out of the tree.
pub fn path_from(path: &str, uri: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in uri.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn first_field_of_a_reference_counts() {
        let id = |version, registry| Some(Reference::Id { id: "go", version, registry });
        for (text, expected) in [
            ("{uri: ../x.yaml, id: go}", Some(Reference::Uri("../x.yaml"))),
            ("{uri: '', id: go}", Some(Reference::Uri(""))),
            ("{id: go}", id(None, None)),
            ("{id: go, registryUrl: ''}", id(None, None)),
            ("{id: go, version: 1.0.0, registryUrl: 'https://x'}", id(Some("1.0.0"), Some("https://x"))),
            ("{kubernetes: {name: x}}", Some(Reference::Kubernetes)),
            ("{version: 1.0.0}", None),
            ("go", None),
        ] {
            let document = yaml::parse("", format!("parent: {text}").as_bytes()).unwrap();
            assert_eq!(Reference::of(document.get("parent").unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn path_starts_at_the_folder_of_its_devfile() {
        for (path, uri, expected) in [
            ("stacks/a/1.0.0/devfile.yaml", "../../../samples/x.yaml", Some("samples/x.yaml")),
            ("stacks/a/devfile.yaml", "./b//c.yaml", Some("stacks/a/b/c.yaml")),
            ("base.yaml", "stacks/a/devfile.yaml", Some("stacks/a/devfile.yaml")),
            ("base.yaml", "../x.yaml", None),
        ] {
            assert_eq!(path_from(path, uri).as_deref(), expected, "{path} {uri}");
        }
    }
}
