//! The content of a devfile, as far as pages show it. The viewer checks no devfile: it shows the parts that it can read.

use std::collections::BTreeMap;

use devfile_registry::yaml::{self, nullable};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A devfile, as far as it is shown in tables.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Devfile {
    #[serde(deserialize_with = "text")]
    pub(super) schema_version: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "nullable")]
    pub(super) components: Vec<Component>,
    #[serde(deserialize_with = "nullable")]
    pub(super) commands: Vec<Command>,
    #[serde(deserialize_with = "nullable")]
    pub(super) starter_projects: Vec<StarterProject>,
    /// Commands by the event that runs them.
    #[serde(deserialize_with = "nullable")]
    pub(super) events: BTreeMap<String, Vec<String>>,
    #[serde(skip)]
    pub(super) omitted: Omitted,
}

/// The numbers of elements beyond those that are shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Omitted {
    pub(super) components: usize,
    pub(super) commands: usize,
    pub(super) starter_projects: usize,
}

/// Most components, commands and starter projects that are shown, and most names in a list of one of them. Published devfiles have
/// below twenty; each command is searched in all lists.
const SHOWN: usize = 200;

/// Most events that are shown; the schema has four.
const EVENTS: usize = 8;

/// The metadata that the index does not repeat, and the version for comparisons.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    #[serde(deserialize_with = "text")]
    pub(super) website: String,
    #[serde(deserialize_with = "text")]
    pub(super) support_url: String,
    #[serde(deserialize_with = "text")]
    pub(super) global_memory_limit: String,
}

/// A component, on which commands run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Component {
    #[serde(deserialize_with = "text")]
    pub(super) name: String,
    pub(super) container: Option<Container>,
    pub(super) kubernetes: Option<Manifest>,
    pub(super) openshift: Option<Manifest>,
    pub(super) image: Option<ImageBuild>,
    pub(super) volume: Option<Volume>,
}

/// A container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    #[serde(deserialize_with = "text")]
    pub(super) image: String,
    #[serde(deserialize_with = "text")]
    pub(super) memory_limit: String,
    #[serde(deserialize_with = "text")]
    pub(super) cpu_limit: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) endpoints: Vec<Endpoint>,
}

/// Kubernetes or OpenShift resources.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Manifest {
    #[serde(deserialize_with = "text")]
    pub(super) uri: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) endpoints: Vec<Endpoint>,
}

/// An image to build.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ImageBuild {
    #[serde(deserialize_with = "text")]
    pub(super) image_name: String,
}

/// A volume.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Volume {
    #[serde(deserialize_with = "text")]
    pub(super) size: String,
}

/// A port that a component opens.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    #[serde(deserialize_with = "text")]
    pub(super) name: String,
    #[serde(deserialize_with = "text")]
    pub(super) target_port: String,
    #[serde(deserialize_with = "text")]
    pub(super) exposure: String,
}

/// A command.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Command {
    #[serde(deserialize_with = "text")]
    pub(super) id: String,
    pub(super) exec: Option<CommandBody>,
    pub(super) apply: Option<CommandBody>,
    pub(super) composite: Option<CommandBody>,
}

/// The action of a command.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CommandBody {
    #[serde(deserialize_with = "text")]
    pub(super) component: String,
    #[serde(deserialize_with = "text")]
    pub(super) command_line: String,
    #[serde(deserialize_with = "text")]
    pub(super) label: String,
    /// Commands that a composite command runs.
    #[serde(deserialize_with = "nullable")]
    pub(super) commands: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) parallel: bool,
    pub(super) group: Option<Group>,
}

/// The group of a command.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Group {
    #[serde(deserialize_with = "text")]
    pub(super) kind: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) is_default: bool,
}

/// A project to start from.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StarterProject {
    #[serde(deserialize_with = "text")]
    pub(super) name: String,
    #[serde(deserialize_with = "text")]
    pub(super) description: String,
    #[serde(deserialize_with = "text")]
    pub(super) sub_dir: String,
    pub(super) git: Option<GitSource>,
    pub(super) zip: Option<ZipSource>,
}

/// A starter project in Git.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GitSource {
    #[serde(deserialize_with = "nullable")]
    pub(super) remotes: BTreeMap<String, String>,
    pub(super) checkout_from: Option<CheckoutFrom>,
}

/// The revision of a Git repository to check out.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CheckoutFrom {
    #[serde(deserialize_with = "text")]
    pub(super) revision: String,
}

/// A starter project in a zip file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ZipSource {
    #[serde(deserialize_with = "text")]
    pub(super) location: String,
}

/// Leaves the first items of a list; returns how many are gone.
fn cut<T>(list: &mut Vec<T>) -> usize {
    let more = list.len().saturating_sub(SHOWN);
    list.truncate(SHOWN);
    more
}

/// A text, however it is written: a port may be a number, a version too.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

impl Devfile {
    /// Reads a devfile; `None` when it is not as a devfile is.
    pub(super) fn read(text: &str) -> Option<Self> {
        let document = yaml::parse("devfile.yaml", text.as_bytes()).ok()?;
        let mut devfile: Self = yaml::decode("devfile.yaml", &document).ok()?;
        devfile.omitted = Omitted {
            components: cut(&mut devfile.components),
            commands: cut(&mut devfile.commands),
            starter_projects: cut(&mut devfile.starter_projects),
        };
        for command in &mut devfile.commands {
            [&mut command.exec, &mut command.apply, &mut command.composite].into_iter().flatten().for_each(|body| {
                cut(&mut body.commands);
            });
        }
        devfile.events = devfile.events.into_iter().take(EVENTS).collect();
        devfile.events.values_mut().for_each(|commands| {
            cut(commands);
        });
        Some(devfile)
    }
}

impl Component {
    /// Its kind, as the schema names it.
    pub(super) fn kind(&self) -> &'static str {
        let kinds = [
            ("container", self.container.is_some()),
            ("kubernetes", self.kubernetes.is_some()),
            ("openshift", self.openshift.is_some()),
            ("image", self.image.is_some()),
            ("volume", self.volume.is_some()),
        ];
        kinds.into_iter().find(|(_, is)| *is).map_or("other", |(kind, _)| kind)
    }

    /// The image or file that it is made of, or the size of a volume.
    pub(super) fn source(&self) -> &str {
        let container = self.container.as_ref().map(|container| &container.image);
        let manifest = self.kubernetes.as_ref().or(self.openshift.as_ref()).map(|manifest| &manifest.uri);
        let image = self.image.as_ref().map(|image| &image.image_name);
        let volume = self.volume.as_ref().map(|volume| &volume.size);
        container.or(manifest).or(image).or(volume).map_or("", String::as_str)
    }

    /// The ports it opens.
    pub(super) fn endpoints(&self) -> &[Endpoint] {
        let container = self.container.as_ref().map(|container| &container.endpoints);
        let manifest = self.kubernetes.as_ref().or(self.openshift.as_ref()).map(|manifest| &manifest.endpoints);
        container.or(manifest).map_or(&[], Vec::as_slice)
    }
}

impl Command {
    /// Its action.
    pub(super) fn body(&self) -> Option<&CommandBody> {
        self.exec.as_ref().or(self.apply.as_ref()).or(self.composite.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::fixture;

    #[test]
    fn devfile_is_read_as_pages_show_it() {
        let devfile = Devfile::read(fixture::KILN).unwrap();
        let kinds: Vec<_> =
            devfile.components.iter().map(|part| (part.name.as_str(), part.kind(), part.source())).collect();
        assert_eq!(
            kinds,
            [
                ("image", "image", "kiln-image:latest"),
                ("deployment", "kubernetes", "kubernetes/deploy.yaml"),
                ("runtime", "container", "docker.io/library/python:3.13-slim")
            ]
        );
        assert_eq!(devfile.components[2].endpoints()[0].target_port, "8000");
        assert_eq!(devfile.commands[4].body().unwrap().commands, ["build-image", "apply-deployment"]);
    }

    #[test]
    fn parts_beyond_those_shown_are_counted() {
        let commands: String = (0..SHOWN + 3).map(|number| format!("  - id: c{number}\n")).collect();
        let devfile = Devfile::read(&format!("commands:\n{commands}")).unwrap();
        assert_eq!((devfile.commands.len(), devfile.omitted), (SHOWN, Omitted { commands: 3, ..Omitted::default() }));
    }

    #[test]
    fn devfile_with_gaps_is_read_and_a_malformed_one_is_not() {
        for text in ["{}", "components:\ncommands: []\n", "commands:\n  - id: a\n  - exec:\n"] {
            assert!(Devfile::read(text).is_some(), "{text}");
        }
        for text in ["components: 3", "a: [", "commands: {a: b}"] {
            assert!(Devfile::read(text).is_none(), "{text}");
        }
    }
}
