//! Generates the index of a registry repository, a drop-in for the reference's command of this name, or only checks it.

use std::process::ExitCode;

use clap::Parser;
use devfile_registry::checker::{self, Arguments};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    checker::run("index-generator", &Arguments::parse()).await
}
