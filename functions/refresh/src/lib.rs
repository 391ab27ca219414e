//! The function `refresh`: publishes the registry repository after each trigger.
//!
//! A request or event enters at [`run`], which makes an [`Action`](action::Action) of it, and
//! [`App`](app::App) runs that action with the shared library. Start reading at [`app`].
//!
//! - `front`: the entry points: Lambda runtime, plain HTTP, command line
//! - `http`: webhooks and `POST /refresh`; `bodies`: their bodies in bounded memory
//! - [`auth`]: signatures of webhooks and OIDC tokens of workflows
//! - [`hosts`]: the webhook formats of each Git host
//! - [`action`]: the actions and the events that cause them
//! - [`app`]: runs actions and reports their results
//! - `runner`: one refresh at a time in a server process; `handover`: its counterpart in Lambda
//! - `previews`: previews of pull requests and merge requests
//! - [`source`]: the registry repository, in a folder or on a Git host
//! - [`config`]: the environment; [`observe`]: logs and metrics

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
