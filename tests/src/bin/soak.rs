//! Reads a registry while everything around it fails in turn; `scripts/soak` builds and starts it.

use anyhow::{Result, bail};
use clap::Parser;
use registry_tests::soak::{Options, run};

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    // A run that is dropped ends its programs and removes its folders.
    tokio::select! {
        ended = run(&options) => ended,
        () = devfile_registry::logging::stop_signal() => bail!("interrupted"),
    }
}
