//! Real servers to test against, and stand-ins for those that cannot be run here.

pub mod answer;
pub mod bench;
pub mod bounded;
pub mod browser;
pub mod cold_start;
pub mod collector;
pub mod distribution;
pub mod ecr;
pub mod emulator;
pub mod feedback;
pub mod figures;
pub mod fused;
pub mod git;
pub mod github;
pub mod guard;
pub mod http;
pub mod lambda;
pub mod large;
pub mod memory;
pub mod moto;
pub mod proxy;
pub mod raw;
pub mod registry;
pub mod soak;
pub mod tcp_proxy;
pub mod webhooks;
