//! YAML at the edge: bytes of a file into a tree that knows its positions, and from there into typed values.
//!
//! The grammar is the parser's; the meaning of scalars, the size limits and the refusals follow the
//! readers that clients of a registry have (YAML 1.1), so that published devfiles load there.
//!
//! - `read`: from bytes to a tree; start here. `text` decodes the bytes, `build` puts the events of the parser together
//! - `node`: the tree; `scalar`: the meaning of a scalar; `fault`: problems with the bytes
//! - `typed`: from a tree to typed values; `edit`: changes to the text that leave the rest as it is

mod build;
pub(crate) mod edit;
mod fault;
mod node;
mod read;
mod scalar;
mod text;
mod typed;

pub(crate) use self::fault::Fault;
pub use self::node::{Data, FilePosition, Node};
pub(crate) use self::read::read;
pub(crate) use self::text::decode as text_of;
pub use self::typed::{decode, nullable, parse};

#[cfg(test)]
mod tests;
