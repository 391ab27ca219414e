//! The parts of AWS that refresh uses beside the bucket: Amazon ECR, secrets that are read at run time, and invocations that continue
//! a publication.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

mod continuing;
mod ecr;
mod secrets;
