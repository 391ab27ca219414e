//! The parts of AWS that refresh uses beside the bucket: Amazon ECR, and secrets that are read at run time.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

mod ecr;
mod secrets;
