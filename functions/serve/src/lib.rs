//! What the function `serve` is made of, beside the library that both functions share.
//!
//! A request goes through [`observe`], which tells of it, to [`app`], which picks the module of its API; each answers from a
//! [`Snapshot`](snapshot::Snapshot).

mod app;
mod blobs;
mod body;
mod catalog;
mod config;
mod content;
mod devfiles;
mod earlier;
mod error;
mod files;
mod icons;
pub mod lambda;
mod live;
mod observe;
mod oci;
mod openapi;
mod snapshot;
mod starters;
mod status;
mod viewer;
mod workers;

pub use app::App;
pub use catalog::{BadParameter, IndexSchema, Query};
pub use config::Config;
pub use observe::{Observer, UsageEvents};
pub use viewer::Gallery;
