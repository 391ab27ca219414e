//! Publishes the registry repository after each trigger; see [`refresh::run`].

// The futures below `main` nest deeper than the default limit.
#![recursion_limit = "256"]

use std::process::ExitCode;

use anyhow::bail;
use devfile_registry::settings::{Function, help};
use devfile_registry::terminal::print;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => refresh::run().await?,
        ["invoke", event] => {
            let answer = refresh::run_action(event, tracing::Level::INFO).await?;
            print(&answer.line()?)?;
            return Ok(ExitCode::from(u8::from(answer.names_damage())));
        }
        ["--help" | "-h"] => print(&format!(
            "Publishes a registry repository after each trigger.\n\nusage: refresh [invoke EVENT]\n\n{}",
            help(Function::Refresh)
        ))?,
        _ => bail!("usage: refresh [invoke EVENT]; an event is JSON such as {{\"action\":\"refresh\"}}"),
    }
    Ok(ExitCode::SUCCESS)
}
