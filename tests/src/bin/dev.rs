//! A whole registry on this machine; `scripts/dev` builds and starts it.

use std::process::ExitCode;

use clap::Parser;
use registry_tests::dev::{DevOptions, run};
use registry_tests::processes::run_until_stopped;

#[tokio::main]
async fn main() -> ExitCode {
    let options = DevOptions::parse();
    run_until_stopped(run(&options)).await
}
