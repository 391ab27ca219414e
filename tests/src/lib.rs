//! Real servers to test against, and stand-ins for those that cannot be run here.

pub mod browser;
pub mod github;
pub mod registry;
