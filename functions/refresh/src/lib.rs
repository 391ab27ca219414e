//! What the function `refresh` is made of, beside the library that both functions share.

pub mod action;
pub mod app;
pub mod auth;
mod bodies;
pub mod config;
mod front;
mod handover;
pub mod hosts;
mod http;
pub mod observe;
mod previews;
mod runner;
pub mod source;

pub use front::{answer, is_trigger, run, run_action};
