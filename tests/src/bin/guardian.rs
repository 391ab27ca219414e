//! Ends the processes of a program that has ended; see `processes`.

use anyhow::{Context, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mark = std::env::args().nth(1).context("usage: guardian MARK")?;
    registry_tests::processes::guard(&mark).await
}
