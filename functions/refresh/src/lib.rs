//! What the function `refresh` is made of, beside the library that both functions share.

pub mod auth;
