//! YAML at the edge: bytes of a file into a tree that knows its places, and from there into typed values.
//!
//! The grammar is the parser's; what scalars mean, which documents are too big and what else is refused follows the
//! readers that clients of a registry have (YAML 1.1), so that what is published loads there.

mod build;
pub(crate) mod edit;
mod node;
mod scalar;
mod text;
mod typed;

use std::borrow::Cow;

use granit_parser::{ErrorKind, Event, Parser, ScanError, Span};
use serde::de::IgnoredAny;

use self::build::Builder;
pub(crate) use self::node::Measure;
pub use self::node::{Data, Node, Place};
use self::text::count;
pub(crate) use self::text::decode as text_of;
pub use self::typed::{decode, nullable, parse};
use crate::diagnostic::Position;
use crate::limits;

/// A problem with a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where it is.
    pub(crate) position: Position,
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What is wrong.
    pub(crate) message: Cow<'static, str>,
    /// What to do; may be empty.
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

/// A file as far as it could be read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The document; none when a fault made the rest unreadable.
    pub(crate) node: Option<Node>,
    /// What is wrong with it.
    pub(crate) faults: Vec<Fault>,
}

/// Reads the only document of a file.
pub(crate) fn read(file: u16, bytes: &[u8]) -> Reading {
    let mut builder = Builder::new(file);
    match document(&mut builder, bytes) {
        Ok(node) => Reading { node: Some(node), faults: builder.into_faults() },
        Err(fault) => {
            let mut faults = builder.into_faults();
            faults.push(fault);
            Reading { node: None, faults }
        }
    }
}

fn document(builder: &mut Builder, bytes: &[u8]) -> Result<Node, Fault> {
    let start = Position { line: 1, column: 1 };
    if bytes.len() > limits::DEVFILE_BYTES {
        let message = format!("the file has {} bytes, more than {}", bytes.len(), limits::DEVFILE_BYTES);
        return Err(Fault::new(start, "yaml/size", message, "move data out of the devfile"));
    }
    let text = text_of(bytes)?;
    let json = text.trim_ascii_start().starts_with('{');
    if json {
        let checked = serde_json::from_str::<IgnoredAny>(&text);
        checked.map_err(|error| {
            let position = Position { line: count(error.line().max(1) - 1), column: count(error.column().max(1) - 1) };
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            let hint = "a file that begins with { is read as JSON; write keys without braces for YAML";
            Fault::new(position, "yaml/json", format!("not JSON: {reason}"), hint)
        })?;
    }

    let mut options = granit_parser::options! {
        flow_nesting_limit: limits::DEVFILE_DEPTH,
        block_nesting_limit: limits::DEVFILE_DEPTH,
    };
    options.set_emit_comments(false);
    let mut ended = false;
    for next in Parser::new_from_str_with_options(&text, options) {
        let (event, span) = next.map_err(syntax)?;
        match event {
            Event::StreamStart | Event::StreamEnd => {}
            Event::DocumentEnd => {
                builder.event(&event, &span, &text, json)?;
                ended = true;
            }
            _ if ended => {
                let hint = "keep one document; clients read the first and ignore the rest";
                return Err(Fault::new(position(&span), "yaml/multiDocument", "a second document begins here", hint));
            }
            Event::DocumentStart(_, Some(version)) if (version.major, version.minor) != (1, 1) => {
                let hint = "delete the directive: clients read YAML 1.1";
                return Err(Fault::new(position(&span), "yaml/document", "this YAML version is not 1.1", hint));
            }
            Event::DocumentStart(..) => {}
            event => builder.event(&event, &span, &text, json)?,
        }
    }
    Ok(builder.take_root().unwrap_or(Node::new(Place { file: builder.file(), position: start }, Data::Null)))
}

/// Where an event begins.
fn position(span: &Span) -> Position {
    Position { line: count(span.start.line().max(1) - 1), column: count(span.start.col()) }
}

fn syntax(error: ScanError) -> Fault {
    let position = Position { line: count(error.marker().line().max(1) - 1), column: count(error.marker().col()) };
    let info = error.info();
    let (rule, hint) = match error.kind() {
        ErrorKind::RecursionLimitExceeded => ("yaml/depth", "nest less deeply"),
        ErrorKind::UnknownAnchor => ("yaml/anchor", "name an anchor that is set before it with &"),
        _ if info.contains("tab") => ("yaml/tab", "indent with spaces"),
        _ => ("yaml/syntax", ""),
    };
    Fault::new(position, rule, info, hint)
}

#[cfg(test)]
mod tests;
