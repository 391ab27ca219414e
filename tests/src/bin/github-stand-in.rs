//! Serves a local Git repository as GitHub would, for development and scripts.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use registry_tests::github::GitHub;

/// Serve a local Git repository as GitHub would.
///
/// Prints its base URL, the value for GITHUB_API_URL and the beginning of OIDC_ISSUER, as one line.
#[derive(Parser)]
struct Options {
    /// The Git repository.
    #[arg(long)]
    repo: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Owner of the repository.
    #[arg(long, default_value = "example")]
    owner: String,
    /// Name of the repository.
    #[arg(long, default_value = "registry")]
    name: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let github = GitHub::start(&options.repo, &options.owner, &options.name, options.listen).await?;
    println!("{}", github.url());
    Ok(tokio::signal::ctrl_c().await?)
}
