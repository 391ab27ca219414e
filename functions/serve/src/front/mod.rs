//! The front doors: the Lambda runtime, and plain HTTP.

pub mod lambda;
