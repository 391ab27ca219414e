//! Merges the parent and the plugins into a devfile.

use std::sync::{Arc, OnceLock};

use url::Url;

use super::alone::{Read, read_parent};
use super::findings::Findings;
use super::known_parents::{DevfileOrigin, FlatParent, KnownParents, Parent};
use super::merge;
use super::parents::ExternalParent;
use super::reference::Reference;
use super::surroundings::Surroundings;
use crate::limits;
use crate::version::Version;
use crate::yaml::{Data, FilePosition, Node};

/// Most parents above each other. The clients' own limit is lower than any chain that somebody wrote on purpose.
const GENERATIONS: usize = 20;

/// A devfile with everything that it takes from others.
#[derive(Debug)]
pub(crate) struct Flat {
    /// The whole.
    pub(crate) root: Node,
    /// Whether everything was there.
    pub(crate) complete: bool,
}

/// Resolves the parents and plugins of one devfile.
pub(crate) struct Flattening<'a, 'b> {
    pub(crate) around: &'a Surroundings<'b>,
    /// Reads each parent and plugin.
    read_alone: Read,
    pub(crate) findings: &'a mut Findings,
    /// The devfiles that led here.
    pub(crate) chain: Vec<DevfileOrigin>,
    /// Bytes of the parents and plugins that were read.
    read: usize,
    /// The origins of all of them.
    origins: Vec<DevfileOrigin>,
    /// The longest that the chain was.
    generations: usize,
    /// The parents that are being flattened for others, each because of the one before.
    sharing: Vec<DevfileOrigin>,
}

impl<'a, 'b> Flattening<'a, 'b> {
    /// Begins with a devfile.
    pub(super) fn new(
        origin: DevfileOrigin,
        around: &'a Surroundings<'b>,
        read_alone: Read,
        findings: &'a mut Findings,
    ) -> Self {
        Self {
            around,
            read_alone,
            findings,
            chain: vec![origin],
            read: 0,
            origins: Vec::new(),
            generations: 1,
            sharing: Vec::new(),
        }
    }

    /// Flattens a devfile that came from the last of the chain.
    pub(crate) fn flatten(&mut self, mut root: Node) -> Flat {
        let mut complete = true;
        let mut brought = Vec::new();
        let parent = take_parent(&mut root);
        let plugins = take_plugins(&mut root);
        let version = root.text_of("schemaVersion").map(str::to_owned);
        let parent = parent.iter().map(|parent| (parent, "parent"));
        for (reference, kind) in parent.chain(plugins.iter().map(|plugin| (plugin, "plugin"))) {
            match self.resolve(reference, kind, version.as_deref()) {
                Some(Resolved::Nothing) => {}
                Some(Resolved::Devfile(flat)) => {
                    complete &= flat.complete;
                    let mut base = flat.root;
                    merge::apply_overrides(&mut base, reference, &format!("{kind}/override"), self.findings);
                    brought.push((base, kind));
                }
                None => complete = false,
            }
        }
        for (base, kind) in brought.into_iter().rev() {
            merge::inherit(&mut root, base, &format!("{kind}/merge"), self.findings);
        }
        Flat { root, complete }
    }

    /// Reads the target of a reference. None, after a finding, when it is unavailable.
    fn resolve(&mut self, reference: &Node, kind: &str, version: Option<&str>) -> Option<Resolved> {
        let (origin, at) = match self.locate(reference, kind) {
            Ok(Some((DevfileOrigin::Registry(stack), at))) => {
                (self.around.external.in_tree(&stack).map_or(DevfileOrigin::Registry(stack), DevfileOrigin::Tree), at)
            }
            Ok(Some(located)) => located,
            Ok(None) => return Some(Resolved::Nothing),
            Err(()) => return None,
        };
        let path = origin.to_string();
        if self.chain.contains(&origin) || self.chain.len() > GENERATIONS {
            let round: Vec<String> = self.chain.iter().map(DevfileOrigin::to_string).chain([path]).collect();
            let message = format!("the {kind} comes round to itself: {}", round.join(" -> "));
            self.findings.error(at, &format!("{kind}/cycle"), message, "take the reference out");
            return None;
        }
        // Beyond the limit nothing more is read.
        self.check_size(kind, &path, at)?;
        let shown_at = (!matches!(origin, DevfileOrigin::Tree(_))).then_some(at);
        if let Some(parent) = self.shared(&origin) {
            let file = self.findings.add_files(&parent.files, shown_at);
            self.read += parent.bytes;
            self.generations = self.generations.max(self.chain.len() + parent.generations);
            self.origins.extend_from_slice(&parent.origins);
            self.check_version(&parent.root, kind, &path, version, at);
            return Some(Resolved::Devfile(Flat { root: parent.root.shifted(file), complete: true }));
        }
        let known = self.around.known_parents.map(|known| known.get(&origin));
        let read = OnceLock::new();
        let parent = match &known {
            Some(known) => known.get_or_init(|| read_parent(&origin, self.around, self.read_alone)),
            None => read.get_or_init(|| read_parent(&origin, self.around, self.read_alone)),
        };
        let (node, problems, bytes) = match parent {
            Parent::Read { node, problems, bytes } => (node, problems, *bytes),
            Parent::Missing => {
                let message = format!("the {kind} {path} does not exist");
                self.findings.error(at, &format!("{kind}/missing"), message, "correct the reference");
                return None;
            }
            Parent::Unreachable(reason) => {
                let message = format!("the {kind} {path} could not be read: {reason}");
                let hint = "elements that depend on it were not checked";
                self.findings.unreachable(at, &format!("{kind}/unreachable"), message, hint);
                return None;
            }
        };
        self.read = self.read.saturating_add(bytes);
        self.check_size(kind, &path, at)?;
        let file = self.findings.add_file(&path, shown_at);
        self.findings.repeat(file, problems);
        let node = node.as_ref()?.shifted(file);
        self.check_version(&node, kind, &path, version, at);
        self.origins.push(origin.clone());
        self.chain.push(origin);
        self.generations = self.generations.max(self.chain.len());
        let flat = self.flatten(node);
        self.chain.pop();
        Some(Resolved::Devfile(flat))
    }

    /// Returns a parent as it was flattened for all devfiles of the run, if nothing about it depends on the one that names it: it
    /// closes no cycle, and stays within the limits here as well.
    fn shared(&self, origin: &DevfileOrigin) -> Option<Arc<FlatParent>> {
        let known = self.around.known_parents?;
        let parent = match known.flat(origin) {
            Some(parent) => parent?,
            None if self.sharing.contains(origin) || self.sharing.len() >= GENERATIONS => return None,
            None => known.keep(origin.clone(), self.flatten_alone(origin, known))?,
        };
        let fits = self.chain.len() + parent.generations <= GENERATIONS + 1
            && self.findings.files() + parent.files.len() <= limits::FLATTENED_FILES + 1
            && self.read + parent.bytes <= limits::FLATTENED_BYTES;
        let is_apart = self.chain.iter().all(|above| !parent.origins.contains(above));
        (fits && is_apart).then_some(parent)
    }

    /// Flattens a parent by itself. None when there is something to say about it, which each devfile that names it has to repeat.
    fn flatten_alone(&self, origin: &DevfileOrigin, known: &KnownParents) -> Option<FlatParent> {
        let parent = known.get(origin);
        let Parent::Read { node: Some(node), problems, bytes } =
            parent.get_or_init(|| read_parent(origin, self.around, self.read_alone))
        else {
            return None;
        };
        if !problems.is_empty() {
            return None;
        }
        let mut findings = Findings::new(&origin.to_string());
        let mut alone = Flattening::new(origin.clone(), self.around, self.read_alone, &mut findings);
        alone.origins.push(origin.clone());
        alone.read = *bytes;
        alone.sharing = self.sharing.iter().chain([origin]).cloned().collect();
        let Flat { root, complete } = alone.flatten(node.clone());
        let (origins, generations, bytes) = (alone.origins, alone.generations, alone.read);
        let files = findings.into_faultless_files().filter(|_| complete)?;
        Some(FlatParent { root, files, origins, generations, bytes })
    }

    /// A devfile cannot take from one with a later schema.
    fn check_version(&mut self, parent: &Node, kind: &str, path: &str, version: Option<&str>, at: FilePosition) {
        let number = |text: &str| Version::of_schema(text).ok();
        if let (Some(own), Some(child)) = (parent.text_of("schemaVersion").and_then(number), version.and_then(number))
            && own > child
        {
            let message = format!("the {kind} {path} has a later schemaVersion than this devfile");
            self.findings.error(at, &format!("{kind}/version"), message, "raise the schemaVersion of this devfile");
        }
    }

    /// Whether there is room for another devfile; `None` after a finding.
    fn check_size(&mut self, kind: &str, path: &str, at: FilePosition) -> Option<()> {
        if self.findings.files() <= limits::FLATTENED_FILES && self.read <= limits::FLATTENED_BYTES {
            return Some(());
        }
        let message = format!(
            "with the {kind} {path}, this devfile takes from more than {} others, or more than {} bytes of them",
            limits::FLATTENED_FILES,
            limits::FLATTENED_BYTES
        );
        self.findings.error(at, &format!("{kind}/size"), message, "name fewer parents and plugins");
        None
    }

    /// Returns the target of a reference, and its position. `Ok(None)` for an empty one, an error after a finding.
    fn locate(&mut self, reference: &Node, kind: &str) -> Result<Option<(DevfileOrigin, FilePosition)>, ()> {
        for field in ["uri", "id", "version", "registryUrl"] {
            let Some(node) = reference.get(field) else { continue };
            let bytes = node.text().map_or(0, str::len);
            if bytes > limits::REFERENCE_BYTES {
                let message = format!("the `{field}` has {bytes} bytes, more than {}", limits::REFERENCE_BYTES);
                self.findings.error(node.at, &format!("{kind}/length"), message, "correct the reference");
                return Err(());
            }
        }
        let field = |name: &str| reference.get(name).unwrap_or(reference);
        match Reference::of(reference) {
            Some(Reference::Uri("")) => {
                let message = format!("the {kind} has an empty uri and brings nothing in");
                self.findings.warning(
                    field("uri").file_position(),
                    &format!("{kind}/empty"),
                    message,
                    "name a devfile",
                );
                Ok(None)
            }
            Some(Reference::Uri(uri)) => {
                let at = field("uri").at;
                match self.chain.last().and_then(|from| from.join(uri)) {
                    Some(origin) => Ok(Some((origin, at))),
                    None => {
                        let message = format!("the {kind} {uri} cannot be found from here");
                        self.findings.error(at, &format!("{kind}/missing"), message, "correct the uri");
                        Err(())
                    }
                }
            }
            Some(Reference::Id { id, version, registry }) => {
                let is_url = |url: &str| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
                if let Some(url) = registry.filter(|url| !is_url(url)) {
                    let message = format!("`{url}` is not the address of a registry");
                    let hint = "write an address that begins with https://";
                    self.findings.error(
                        field("registryUrl").file_position(),
                        &format!("{kind}/registry"),
                        message,
                        hint,
                    );
                    return Err(());
                }
                let (version, registry) = (version.map(str::to_owned), registry.map(str::to_owned));
                let stack = ExternalParent::Stack { id: id.to_owned(), version, registry };
                Ok(Some((DevfileOrigin::Registry(stack), field("id").at)))
            }
            Some(Reference::Kubernetes) => {
                let message = format!("a {kind} in a cluster cannot be read by clients of a registry");
                let hint = "refer to a devfile by uri or id";
                self.findings.error(field("kubernetes").key_at, &format!("{kind}/kubernetes"), message, hint);
                Err(())
            }
            // The schema complains of a reference that names nothing.
            None => Err(()),
        }
    }
}

/// The target of a reference.
enum Resolved {
    Nothing,
    Devfile(Flat),
}

/// Takes the reference to the parent out of a devfile.
fn take_parent(root: &mut Node) -> Option<Node> {
    let Data::Map(entries) = &mut root.data else { return None };
    let at = entries.iter().position(|(key, _)| key == "parent")?;
    Some(entries.remove(at).1).filter(Node::is_map)
}

/// Takes the plugins of schema version 2.0.0 out of the components.
fn take_plugins(root: &mut Node) -> Vec<Node> {
    let Some(Node { data: Data::List(components), .. }) = root.get_mut("components") else { return Vec::new() };
    let mut plugins = Vec::new();
    components.retain(|component| match component.get("plugin").filter(|plugin| plugin.is_map()) {
        Some(plugin) => {
            plugins.push(plugin.clone());
            false
        }
        None => true,
    });
    plugins
}
