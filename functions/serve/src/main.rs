//! Answers the registry's REST API, the OCI pull API and the viewer from the live release; see [`serve::run`].

use std::time::Instant;

use anyhow::bail;
use devfile_registry::settings::{Function, help};

fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    match std::env::args().nth(1).as_deref() {
        None => serve::run(started),
        Some("--help" | "-h") => {
            print!(
                "Answers clients of a devfile registry from the release in the cache bucket.\n\nusage: serve\n\n{}",
                help(Function::Serve)
            );
            Ok(())
        }
        Some(_) => bail!("usage: serve [--help]"),
    }
}
