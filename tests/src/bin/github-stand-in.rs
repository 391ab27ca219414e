//! Serves a local Git repository as GitHub would, for development and scripts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use registry_tests::github::{GitHub, Webhook};

/// Serve a local Git repository as GitHub would.
///
/// Prints its base URL, the value for GITHUB_API_URL and OIDC_ISSUER, as one line.
#[derive(Parser)]
struct Options {
    /// The Git repository.
    #[arg(long)]
    repo: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Owner of the repository.
    #[arg(long, default_value = "example")]
    owner: String,
    /// Name of the repository.
    #[arg(long, default_value = "registry")]
    name: String,
    /// File with the secret that signs push events.
    #[arg(long, requires = "deliver_to")]
    webhook_secret_file: Option<PathBuf>,
    /// Where to deliver a push event whenever the head of the default branch moves.
    #[arg(long, requires = "webhook_secret_file")]
    deliver_to: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let github = GitHub::start(&options.repo, &options.owner, &options.name, options.listen).await?;
    println!("{}", github.url());
    let watch = async {
        match (options.deliver_to, options.webhook_secret_file) {
            (Some(url), Some(file)) => {
                let secret = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                let webhook = Webhook { url, secret: secret.trim_end().to_owned() };
                github.watch(&webhook, Duration::from_millis(300), |line| eprintln!("{line}")).await
            }
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        watched = watch => watched,
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}
