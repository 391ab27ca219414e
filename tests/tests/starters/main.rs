//! Starter projects: from a devfile to the files in a client's folder, with real Git repositories and a real bucket.

#![allow(clippy::unwrap_used)]

mod caching;
mod faults;
mod fixture;
mod offline;
mod sources;
