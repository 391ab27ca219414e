//! Hostile inputs against the binaries: repository content, clients, and servers that answer as none should. `scripts/test hostile`
//! runs them all.

#![allow(clippy::unwrap_used)]

mod bucket;
mod checker;
mod connections;
mod memory;
mod oci;
mod pages;
mod repositories;
mod strangers;
