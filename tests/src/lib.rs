//! Real servers to test against, and stand-ins for those that cannot be run here.

pub mod answer;
pub mod bounded;
pub mod browser;
pub mod collector;
pub mod dev;
pub mod distribution;
pub mod ecr;
pub mod emulator;
pub mod feedback;
pub mod fused;
pub mod git;
pub mod github;
pub mod guard;
pub mod http;
pub mod lambda;
pub mod large;
pub mod moto;
pub mod processes;
pub mod proxy;
pub mod raw;
pub mod registry;
pub mod servers;
pub mod soak;
pub mod tcp_proxy;
pub mod webhooks;
