//! The references of a devfile to other hosts.

use std::collections::BTreeSet;

use url::Url;

use crate::diagnostic::{Diagnostic, Position};
use crate::starter::{Origin, StarterProject, StarterSource};
use crate::tree::TreePath;
use crate::validate::{ExternalParent, Reference, is_web};
use crate::yaml::{self, Node};

/// The content to fetch for a devfile, and the references that cannot be fetched.
#[derive(Debug, Default)]
pub(super) struct FetchPlan {
    pub(super) starters: Vec<Starter>,
    /// The parent on another host, and where it is named.
    pub(super) parent: Option<(ExternalParent, Option<Position>)>,
    pub(super) problems: Vec<Diagnostic>,
}

/// A starter project on another host.
#[derive(Debug)]
pub(super) struct Starter {
    /// Its place in the list of the devfile.
    pub(super) index: usize,
    /// Its name, which can be that of a file.
    pub(super) name: String,
    pub(super) source: StarterSource,
    pub(super) at: Option<Position>,
}

/// The location of a devfile, at which its relative references start.
#[derive(Debug)]
pub(super) enum Base {
    /// In the repository.
    Tree,
    /// At an address.
    Web(Url),
    /// In another registry.
    Registry,
}

/// The location of the devfile that a `parent` refers to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// In this registry, or there is none.
    Here,
    /// A devfile on another host.
    External(ExternalParent),
    /// A reference that cannot be fetched, with the reason.
    Unfetchable(&'static str),
}

impl Starter {
    /// Name of the file that it becomes in the version's folder.
    pub(super) fn file(&self) -> String {
        format!("{}-offline.zip", self.name)
    }
}

impl FetchPlan {
    /// Reads a devfile that is published; `own` is the registry's own URL, which is not upstream.
    pub(super) fn of(path: &str, devfile: &[u8], own: &str) -> Self {
        let (Ok(document), Ok(starters)) = (yaml::parse(path, devfile), StarterProject::all(devfile)) else {
            return Self::default();
        };
        let mut plan = Self::default();
        let places = document.items_of("starterProjects");
        let mut names = BTreeSet::new();
        for (index, StarterProject { name, source }) in starters.into_iter().enumerate() {
            let at = places.get(index).map(|item| item.at.position);
            let is_new = names.insert(name.clone());
            let mut stays = |reason: String| {
                let message = format!("the starter project `{}` stays where it is: {reason}", name.escape_debug());
                plan.problems.push(warning(path, "offline/starter", message, at));
            };
            match source {
                Ok(StarterSource { origin: Origin::File(_), .. }) => {}
                Ok(StarterSource { origin: Origin::Zip(url), .. }) if is_own(url.as_str(), own) => {}
                Ok(_) if !is_new => stays("another one has its name".to_owned()),
                Ok(_) if !is_file_name(&name) => stays("its name cannot be that of a file".to_owned()),
                Ok(source) => plan.starters.push(Starter { index, name, source, at }),
                Err(reason) => stays(reason.to_string()),
            }
        }
        let at = document.get("parent").map(|parent| parent.key_at.position);
        match parent(&document, &Base::Tree, own) {
            Location::Here => {}
            Location::External(target) => plan.parent = Some((target, at)),
            Location::Unfetchable(reason) => {
                let message = format!("the parent stays where it is: {reason}");
                plan.problems.push(warning(path, "offline/parent", message, at));
            }
        }
        plan
    }

    /// Whether the devfile names no upstream content.
    pub(super) fn is_empty(&self) -> bool {
        self.starters.is_empty() && self.parent.is_none() && self.problems.is_empty()
    }
}

/// A warning about missing upstream content of an offline registry.
pub(super) fn warning(path: &str, rule: &str, message: String, at: Option<Position>) -> Diagnostic {
    let hint = "clients that use it need the other host; a later refresh retries temporary failures";
    Diagnostic::warning(path, rule, message, hint).at(at)
}

/// Returns the location of the parent of a devfile.
pub(super) fn parent(document: &Node, base: &Base, own: &str) -> Location {
    let reference = document.get("parent").and_then(Reference::of);
    match reference {
        None | Some(Reference::Uri("") | Reference::Id { id: "", .. }) => Location::Here,
        Some(Reference::Uri(uri)) => {
            let url = match base {
                _ if is_web(uri) => Url::parse(uri).ok(),
                Base::Tree => return Location::Here,
                Base::Web(from) => from.join(uri).ok(),
                Base::Registry => return Location::Unfetchable("it is a file beside a devfile of another registry"),
            };
            match url {
                Some(url) if is_own(url.as_str(), own) => Location::Here,
                Some(url) => Location::External(ExternalParent::Uri(url.to_string())),
                None => Location::Unfetchable("its uri cannot be read"),
            }
        }
        Some(Reference::Id { id, version, registry }) => match registry.filter(|url| !is_own(url, own)) {
            Some(registry) => Location::External(ExternalParent::Stack {
                id: id.to_owned(),
                version: version.map(str::to_owned),
                registry: Some(registry.to_owned()),
            }),
            None => Location::Here,
        },
        Some(Reference::Kubernetes) => Location::Unfetchable("it is in a cluster"),
    }
}

/// Whether a URL is one of this registry.
fn is_own(url: &str, own: &str) -> bool {
    url.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the name of a project can be the beginning of that of a file in any folder and URL. Those that the schema allows can.
fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=128).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with('.')
        && TreePath::parse(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://r.example.org";

    #[test]
    fn plan_has_the_parent_on_another_host() {
        let uri = |uri: &str| Location::External(ExternalParent::Uri(uri.to_owned()));
        let stack = |version: Option<&str>| {
            let registry = Some("https://o.example.org".to_owned());
            Location::External(ExternalParent::Stack {
                id: "go".to_owned(),
                version: version.map(str::to_owned),
                registry,
            })
        };
        let web = || Base::Web("https://o.example.org/a/b.yaml".parse().unwrap());
        for (text, base, expected) in [
            ("a: 1", Base::Tree, Location::Here),
            ("parent: {uri: 'https://o.example.org/x.yaml', id: go}", Base::Tree, uri("https://o.example.org/x.yaml")),
            ("parent: {uri: 'https://r.example.org/x.yaml'}", Base::Tree, Location::Here),
            ("parent: {uri: 'https://r.example.org.evil/x'}", Base::Tree, uri("https://r.example.org.evil/x")),
            ("parent: {uri: ../x.yaml}", Base::Tree, Location::Here),
            ("parent: {uri: ../x.yaml}", web(), uri("https://o.example.org/x.yaml")),
            (
                "parent: {uri: ../x.yaml}",
                Base::Registry,
                Location::Unfetchable("it is a file beside a devfile of another registry"),
            ),
            ("parent: {id: go}", Base::Tree, Location::Here),
            ("parent: {id: go, registryUrl: 'https://r.example.org'}", Base::Tree, Location::Here),
            ("parent: {id: go, registryUrl: 'https://o.example.org'}", Base::Tree, stack(None)),
            ("parent: {id: go, version: 1.0.0, registryUrl: 'https://o.example.org'}", web(), stack(Some("1.0.0"))),
            ("parent: {kubernetes: {name: x}}", Base::Tree, Location::Unfetchable("it is in a cluster")),
        ] {
            assert_eq!(parent(&yaml::parse("", text.as_bytes()).unwrap(), &base, OWN), expected, "{text}");
        }
    }

    #[test]
    fn plan_has_the_starter_projects_on_other_hosts() {
        let devfile = "starterProjects:\n- {name: git, git: {remotes: {o: 'https://x/y'}}}\n- {name: here, zip: {location: a.zip}}\n- \
                       {name: own, zip: {location: 'https://r.example.org/stacks/x/a.zip'}}\n- {name: ../up, zip: {location: \
                       'https://x/a.zip'}}\n- {name: zip, zip: {location: 'https://x/a.zip'}}\n- {name: zip, zip: {location: \
                       'https://x/b.zip'}}\n- {name: ssh, git: {remotes: {o: 'git@x:y'}}}\n";
        let plan = FetchPlan::of("d", devfile.as_bytes(), OWN);
        let found: Vec<_> = plan.starters.iter().map(|starter| (starter.index, starter.name.as_str())).collect();
        assert_eq!(found, [(0, "git"), (4, "zip")]);
        let problems: Vec<_> = plan.problems.iter().map(|p| (p.position.unwrap().line, p.rule.as_str())).collect();
        assert_eq!(problems, [(5, "offline/starter"), (7, "offline/starter"), (8, "offline/starter")]);
        assert!(FetchPlan::of("d", b"a: 1", OWN).is_empty());
    }
}
