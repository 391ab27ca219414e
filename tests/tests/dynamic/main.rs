//! Dynamic updates, from a push at GitHub to the answers for clients, with the functions as processes, a real S3 server and a real OCI
//! registry; GitHub is the stand-in over a real Git repository.

#![allow(clippy::unwrap_used)]

mod actions;
mod faults;
mod fixture;
mod hosts;
mod many_previews;
mod previews;
mod protocol;
mod races;
mod settling;
mod triggers;
mod walk;
