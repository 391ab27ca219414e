//! A registry in one directory (`STORE`): `devfile-registry run` over a Git host, and the functions as processes of their own.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

mod disk;
mod fixture;
mod programs;
mod restart;
mod running;
