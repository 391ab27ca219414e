//! Problems with the bytes of a file.

use std::borrow::Cow;

use crate::diagnostic::Position;

/// A problem with a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Its position.
    pub(crate) position: Position,
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// The problem.
    pub(crate) message: Cow<'static, str>,
    /// A remedy; may be empty.
    pub(crate) hint: &'static str,
}

impl Fault {
    pub(crate) fn new(
        position: Position,
        rule: &'static str,
        message: impl Into<Cow<'static, str>>,
        hint: &'static str,
    ) -> Self {
        Self { position, rule, message: message.into(), hint }
    }
}
