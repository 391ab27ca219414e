//! Turns a devfile registry repository into a release and publishes it; both functions are built on it.

pub mod artifact;
pub mod cache;
pub mod context;
pub mod devfile;
pub mod diagnostic;
pub mod digest;
pub mod emf;
pub mod environment;
pub mod fetch;
pub mod index;
pub mod limits;
pub mod logging;
pub mod outside;
pub mod publish;
pub mod registry;
pub mod release;
pub mod report;
pub mod repository;
pub mod request;
pub mod source;
pub mod starter;
pub mod timestamp;
pub mod trace;
pub mod validate;
pub mod version;
pub mod yaml;
