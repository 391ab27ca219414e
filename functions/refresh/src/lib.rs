//! What the function `refresh` is made of, beside the library that both functions share.

pub mod app;
pub mod auth;
pub mod config;
pub mod observe;
pub mod source;
