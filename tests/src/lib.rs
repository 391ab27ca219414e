//! Real servers to test against, stand-ins for those that cannot be run here, and the programs that scripts start.
//!
//! - Servers: `servers` (an S3 server and an OCI registry), `distribution` (an OCI registry with a configuration of its own), `browser`;
//!   `tools` has the folder of their programs, `ports` free ports, `processes` their end
//! - Stand-ins: `github` (and other Git hosts: `webhooks`, `feedback`), `ecr` and `moto` (AWS), `lambda` and `emulator` (AWS Lambda),
//!   `collector` (OpenTelemetry)
//! - Faults: `proxy` and `tcp_proxy` in front of servers, `fused` (ends a process at a chosen write), `guard` (a registry that wants
//!   tokens)
//! - A registry under test: `registry`; its content: `git`, `large`; requests: `http`, `raw`, `answer`; bounds: `bounded`, `memory`
//! - Programs: `dev`, `soak`, `bench` and `cold_start`; their output is `console`, their figures are `figures`, their end is `command`

pub mod answer;
pub mod bench;
pub mod bounded;
pub mod browser;
pub mod cold_start;
pub mod collector;
pub mod command;
pub mod console;
pub mod dev;
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
pub mod ports;
pub mod processes;
pub mod proxy;
pub mod raw;
pub mod registry;
pub mod servers;
pub mod soak;
pub mod tcp_proxy;
pub mod tools;
pub mod webhooks;
