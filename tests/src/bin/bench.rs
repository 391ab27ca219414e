//! Measures programs against the targets; `scripts/bench` builds and starts it.

use anyhow::{Result, bail};
use clap::Parser;
use registry_tests::bench::{BenchOptions, run};

#[tokio::main]
async fn main() -> Result<()> {
    let options = BenchOptions::parse();
    // A run that is dropped ends its programs and removes its folders.
    tokio::select! {
        ended = run(&options) => ended,
        () = devfile_registry::logging::stop_signal() => bail!("interrupted"),
    }
}
