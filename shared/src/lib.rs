//! Turns a devfile registry repository into a release and publishes it; both functions are built on it.
//!
//! A refresh goes through these modules in order; start reading at [`publish`]:
//!
//! 1. [`source`] reads the repository from a folder or a Git host ([`git`]), as a [`tree`].
//! 2. [`repository`] parses its stacks and samples with [`yaml`], [`devfile`] and [`validate`].
//! 3. [`upstream`] fetches upstream content with [`fetch`]: parents, icons, samples, starter projects.
//! 4. [`release`] builds the release: [`artifact`]s, and entries of the [`index`].
//! 5. [`publish`] writes it to the OCI registry ([`registry`]) and the bucket ([`cache`]), then swaps `index.json`.
//!
//! Beside them:
//!
//! - [`starter`]: zips of starter projects; [`preview`]: the objects of previews
//! - [`checker`], [`report`], [`diff`], [`diagnostic`]: the commands `check`, `index` and `diff`, and their output
//! - [`directory`]: both stores in a directory
//! - [`plain_http`], [`gateway`], [`request`]: HTTP servers and Lambda events
//! - [`settings`], [`environment`], [`secret`]: configuration; [`limits`]: every bound with its reason
//! - [`logging`], [`telemetry`], [`trace`], [`emf`], [`context`]: observability; [`terminal`]: the output of commands
//! - `retry`, `retry_after`, `aws`: calls to other servers; [`public_url`], [`open_in`]: links for clients
//! - [`digest`], [`version`], [`timestamp`], [`text`], `media_type`, `error`: values that all others share

pub mod artifact;
mod aws;
pub mod cache;
pub mod checker;
pub mod context;
pub mod devfile;
pub mod diagnostic;
pub mod diff;
pub mod digest;
pub mod directory;
pub mod emf;
pub mod environment;
mod error;
pub mod fetch;
pub mod gateway;
pub mod git;
pub mod index;
pub mod limits;
pub mod logging;
mod media_type;
pub mod open_in;
pub mod plain_http;
pub mod preview;
pub mod public_url;
pub mod publish;
pub mod registry;
pub mod release;
pub mod report;
pub mod repository;
pub mod request;
mod retry;
mod retry_after;
pub mod secret;
pub mod settings;
pub mod source;
pub mod starter;
pub mod telemetry;
pub mod terminal;
pub mod text;
pub mod timestamp;
pub mod trace;
pub mod tree;
pub mod upstream;
pub mod validate;
pub mod version;
pub mod yaml;
