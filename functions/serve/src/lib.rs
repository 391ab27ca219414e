//! What the function `serve` is made of, beside the library that both functions share.
//!
//! A request goes through [`observe`], which tells of it, to [`router`], which picks the module of its API; each answers from
//! a [`Snapshot`](release::snapshot::Snapshot).

mod config;
mod devfiles;
mod error;
mod files;
mod front;
mod http;
mod observe;
mod oci;
mod openapi;
mod release;
mod router;
mod starters;
mod status;
mod view;
mod viewer;
mod workers;

pub use config::{Config, UsageEvents};
pub use front::lambda;
pub use observe::Observer;
pub use router::App;
pub use view::catalog::{BadParameter, IndexSchema, Query};
pub use viewer::Gallery;
