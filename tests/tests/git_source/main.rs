//! The Git source and GitHub's own API against the stand-in, which answers from real Git repositories.

#![allow(clippy::unwrap_used)]

mod access;
mod faults;
mod feedback;
mod fixture;
mod reading;
mod stand_in;
