//! Reads the bytes of a file into a tree.

use granit_parser::{ErrorKind, Event, Parser, ScanError};
use serde::de::IgnoredAny;

use super::build::{Builder, position};
use super::fault::Fault;
use super::node::{Data, FilePosition, Node};
use super::text::{count, decode};
use crate::diagnostic::Position;
use crate::limits;

/// A file as far as it could be read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The document; none when a fault made the rest unreadable.
    pub(crate) node: Option<Node>,
    /// The problem.
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
    let text = decode(bytes)?;
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
        let (event, span) = next.map_err(|error| syntax(&error, &text))?;
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
    Ok(builder.take_root().unwrap_or(Node::new(FilePosition { file: builder.file(), position: start }, Data::Null)))
}

/// The first tab in the indentation of a line, from the line before on: the parser stops behind it, or at the text before it.
fn tab_in_indent(text: &str, line: usize) -> Option<Position> {
    let tab = |line: &str| line.find(|character: char| character != ' ').filter(|at| line[*at..].starts_with('\t'));
    let mut lines = text.split('\n').enumerate().skip(line.saturating_sub(2));
    lines.find_map(|(number, line)| Some(Position { line: count(number), column: count(tab(line)?) }))
}

fn syntax(error: &ScanError, text: &str) -> Fault {
    let position = Position { line: count(error.marker().line().max(1) - 1), column: count(error.marker().col()) };
    let info = error.info();
    if let Some(tab) = tab_in_indent(text, error.marker().line()).filter(|_| info.contains("tab")) {
        return Fault::new(tab, "yaml/tab", "a line begins with a tab", "indent with spaces");
    }
    let (rule, hint) = match error.kind() {
        ErrorKind::RecursionLimitExceeded => ("yaml/depth", "nest less deeply"),
        ErrorKind::UnknownAnchor => ("yaml/anchor", "name an anchor that is set before it with &"),
        _ if info.contains("tab") => ("yaml/tab", "indent with spaces"),
        _ => ("yaml/syntax", ""),
    };
    Fault::new(position, rule, info, hint)
}
