//! Publishes the registry repository after each trigger; see [`refresh::run`].

// The futures below `main` nest deeper than the default limit.
#![recursion_limit = "256"]

use anyhow::bail;
use devfile_registry::settings::{Function, help};
use devfile_registry::terminal::print;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => refresh::run().await,
        ["invoke", event] => print(&refresh::run_action(event, tracing::Level::INFO).await?),
        ["--help" | "-h"] => print(&format!(
            "Publishes a registry repository after each trigger.\n\nusage: refresh [invoke EVENT]\n\n{}",
            help(Function::Refresh)
        )),
        _ => bail!("usage: refresh [invoke EVENT]; an event is JSON such as {{\"action\":\"refresh\"}}"),
    }
}
