//! Measures programs against the targets; `scripts/bench` builds and starts it.

use std::process::ExitCode;

use clap::Parser;
use registry_tests::bench::{BenchOptions, run};
use registry_tests::command;

#[tokio::main]
async fn main() -> ExitCode {
    let options = BenchOptions::parse();
    // A run that is dropped ends its programs and removes its folders.
    command::run(async { run(&options).await.map(|()| 0) }).await
}
