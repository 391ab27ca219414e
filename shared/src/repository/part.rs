//! Parts of a repository, each of which is published or quarantined by itself.

use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;

/// A part of the repository that is not published as it stands; its last published state stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The part that keeps its last published state.
    #[serde(flatten)]
    pub part: Part,
    /// The reasons.
    pub problems: Vec<Diagnostic>,
}

/// A part of a repository that can be published or quarantined by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "part")]
pub enum Part {
    /// One version of a stack.
    Version {
        /// Folder of the stack below `stacks/`.
        stack: String,
        /// Folder of the version below the stack's, as listed in stack.yaml.
        version: String,
    },
    /// A stack with all its versions.
    Stack {
        /// Folder of the stack below `stacks/`.
        stack: String,
    },
    /// One sample.
    Sample {
        /// Its name.
        name: String,
    },
    /// The samples and stacks of `extraDevfileEntries.yaml`.
    ExtraEntries,
    /// The dates of `last_modified.json`.
    Dates,
}

impl Part {
    /// Returns its path in the repository, as releases name their changes.
    pub fn path(&self) -> String {
        match self {
            Self::Version { stack, version } => format!("stacks/{stack}/{version}"),
            Self::Stack { stack } => format!("stacks/{stack}"),
            Self::Sample { name } => format!("samples/{name}"),
            Self::ExtraEntries => "extraDevfileEntries.yaml".to_owned(),
            Self::Dates => "last_modified.json".to_owned(),
        }
    }
}
