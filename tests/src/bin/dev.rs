//! A whole registry on this machine; `scripts/dev` builds and starts it.

use std::process::ExitCode;

use clap::Parser;
use registry_tests::command;
use registry_tests::dev::{DevOptions, run};

#[tokio::main]
async fn main() -> ExitCode {
    let options = DevOptions::parse();
    command::run(async { match run(&options).await? {} }).await
}
