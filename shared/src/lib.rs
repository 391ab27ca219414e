//! Turns a devfile registry repository into a release and publishes it; both functions are built on it.

pub mod diagnostic;
pub mod digest;
pub mod index;
pub mod limits;
pub mod report;
pub mod source;
pub mod timestamp;
pub mod validate;
pub mod version;
