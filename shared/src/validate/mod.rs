//! Validation of devfiles.
pub mod yaml;
