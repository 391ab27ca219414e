//! The function `serve`: answers clients from the live release, which it holds in memory.
//!
//! A request goes through these modules in order; start reading at `router`:
//!
//! 1. `front`: [`run`], and the two entry points: the Lambda runtime and plain HTTP.
//! 2. `observe`: the log line, the metrics and the usage event of the request.
//! 3. `router`: one spelling of its path, the allowed methods, its route, and the headers that all answers have.
//! 4. One API, a module each. It declares its routes with `route`, which `openapi` describes:
//!    - `index`: `/index`, `/v2index` and `/index.json`, filtered or whole
//!    - `devfiles`: `/devfiles/{name}`; `starters`: the starter projects below it, as zips
//!    - `files`: `/stacks/...`, the files of stacks
//!    - `oci`: `/v2/...`, the pull half of the OCI distribution API
//!    - `status`: `/`, `/health` and `/status`
//!    - `viewer`: pages for people
//!    - `previews`: `/previews/{number}/...`, the routes above for the release of a proposal
//! 5. `state`: the state that the APIs share; a request takes one snapshot from it and answers from that alone.
//! 6. `view`: the indexes that are derived once per release, `catalog` for filters and `browse` for the viewer.
//! 7. `release`: the snapshot, how it is revalidated, and the blobs that are not in it.
//! 8. `http`: the bytes of the answer: codings, entity tags, ranges, redirects and errors.
//! 9. `large_answers`: an answer above the limit of AWS Lambda, on its way back.
//!
//! Beside them:
//!
//! - `config`: the environment
//! - `workers`: threads for work of more than a few milliseconds; `aside`: work that no request waits for
//!
//! `tests/layers.rs` has the layers: a lower one imports no higher one.

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
