//! Reads a registry while everything around it fails in turn; `scripts/soak` builds and starts it.

use std::process::ExitCode;

use clap::Parser;
use registry_tests::command;
use registry_tests::soak::{Options, run};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // A run that is dropped ends its programs and removes its folders.
    command::run(async { run(&options).await.map(|()| 0) }).await
}
