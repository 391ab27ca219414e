//! `devfile-registry` as people run it.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

mod checking;
mod comparing;
mod creating;
mod differences;
mod help;
mod output;
mod previewing;
mod program;
