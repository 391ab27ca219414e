//! The modules of the function `serve`, above the library that both functions share. A lower layer knows nothing of a higher one:
//!
//! - [`front`]: the front doors, the Lambda runtime and plain HTTP;
//! - [`observe`]: records each request, in the log and in metrics;
//! - [`router`]: from a request to its route, and the headers of all answers;
//! - [`openapi`], [`viewer`], [`status`], [`oci`], [`starters`], [`files`], [`devfiles`], [`index`], [`previews`]: the APIs. Each declares its routes
//!   with [`route`] and answers from the release in [`state`];
//! - [`large_answers`]: answers that are too large for AWS Lambda;
//! - [`release`]: the snapshot of the live release, how it stays up to date, and blobs;
//! - [`view`]: derived once per release, the catalog and the index of the viewer;
//! - [`http`]: paths, queries, bodies, conditional requests, ranges and problems;
//! - [`config`]; [`workers`] and [`aside`]: work away from the threads that serve connections.

mod aside;
mod config;
mod devfiles;
mod files;
mod front;
mod http;
mod index;
mod large_answers;
mod observe;
mod oci;
mod openapi;
mod previews;
mod release;
mod route;
mod router;
mod starters;
mod state;
mod status;
mod view;
mod viewer;
mod workers;

pub use config::{Config, UsageEvents};
pub use front::run;
pub use observe::Observer;
pub use state::App;
pub use view::catalog::{BadParameter, IndexSchema, Query};
pub use viewer::Gallery;
