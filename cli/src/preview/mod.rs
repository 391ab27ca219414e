//! `preview`: a registry repository served from this machine, following its changes.
//!
//! - [`run`]: the start, the loop and the end
//! - `workshop`: publishes the folder, with the library of `refresh` into stores in memory; `ledger` is its record
//! - `watch`: changes of the folder
//! - `pages`: the answers of `serve`, whose pages reload when their content changes

mod ledger;
mod pages;
mod watch;
mod workshop;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use devfile_registry::environment::Environment;
use devfile_registry::git::GitCredentials;
use devfile_registry::logging;
use devfile_registry::plain_http::Server;
use devfile_registry::settings;
use devfile_registry::terminal::print;
use devfile_registry::upstream::UpstreamFetcher;

use self::pages::Pages;
use self::watch::Changes;
use self::workshop::Workshop;
use crate::PROGRAM;
use crate::command::Preview;

/// The number of ports that are tried after one that is taken.
const PORTS: u16 = 100;

/// Time for requests under way when the preview is asked to end.
const GRACE: Duration = Duration::from_secs(1);

/// Serves a folder, in a process that `started` then, until the process is asked to end.
///
/// # Errors
/// The folder is no registry repository, no port is free, or the folder cannot be watched.
pub(crate) async fn run(options: &Preview, started: Instant) -> anyhow::Result<()> {
    // The terminal is for the author; the log of requests and publications is opt-in.
    let _log = std::env::var_os("RUST_LOG").map(|_| logging::start("preview"));
    let server = listen(options.port).await?;
    let url = format!("http://{}", server.address()?);
    let mut workshop = Workshop::new(&options.dir, fetcher(options.fetch)?)?;
    // Before the first publication, so that no change is missed.
    let mut changes = Changes::of(&options.dir)?;
    let published = workshop.publish().await;
    let pages = Arc::new(Pages::new(configuration(options.fetch)?, workshop.bucket()).await);
    let answering = Arc::clone(&pages);
    let answer = move |request| {
        let pages = Arc::clone(&answering);
        async move { pages.answer(request).await }
    };
    let stop = {
        let pages = Arc::clone(&pages);
        async move {
            logging::stop_signal().await;
            pages.end();
        }
    };
    let served = tokio::spawn(server.run(answer, stop, GRACE));
    print(&greeting(&options.dir, &url, started.elapsed()))?;
    published.print()?;
    workshop.print_problems(&options.dir).await?;
    if options.open
        && let Err(error) = open::that_detached(format!("{url}/viewer"))
    {
        eprintln!("{PROGRAM}: cannot open a browser: {error}");
    }
    let follow = async {
        loop {
            changes.next().await?;
            let published = workshop.publish().await;
            if published.is_new() {
                pages.release_changed().await;
            }
            published.print()?;
            workshop.print_problems(&options.dir).await?;
        }
    };
    tokio::select! {
        ended = served => ended.map(drop).context("cannot serve"),
        failed = follow => failed,
    }
}

/// Listens on a port of this machine, or on the next free one.
async fn listen(port: u16) -> anyhow::Result<Server> {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for next in port..=port.saturating_add(PORTS) {
        match Server::bind(address(next)).await {
            Ok(server) => {
                if next != port {
                    print(&format!("port {port} is taken; using port {next}\n"))?;
                }
                return Ok(server);
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(error).with_context(|| format!("cannot listen on {}", address(next))),
        }
    }
    bail!("cannot listen on 127.0.0.1: ports {port} to {} are taken; use --port", port.saturating_add(PORTS))
}

/// Fetches from other hosts as the environment allows it, or not at all.
fn fetcher(fetch: bool) -> anyhow::Result<UpstreamFetcher> {
    if !fetch {
        return Ok(UpstreamFetcher::without_fetches());
    }
    let mut environment = Environment::of_process();
    let credentials = GitCredentials::from_environment(&mut environment);
    let fetcher = UpstreamFetcher::from_environment(&mut environment, credentials);
    environment.finish()?;
    Ok(fetcher)
}

/// The settings of `serve`: those of the process, but for its address and its bucket.
fn configuration(fetch: bool) -> anyhow::Result<serve::Config> {
    let lookup = move |name: &str| match name {
        _ if name == settings::CACHE_BUCKET.name => Some("in memory".to_owned()),
        // A bucket in memory has no URLs.
        _ if name == settings::REDIRECT_BLOBS.name => Some("false".to_owned()),
        // Each release is announced.
        _ if name == settings::REVALIDATE_SECONDS.name => Some("60".to_owned()),
        _ if name == settings::STORE.name => None,
        _ if name == settings::LISTEN_ADDR.name || name == settings::PUBLIC_URL.name => None,
        _ => std::env::var(name).ok(),
    };
    let config = serve::Config::read(Environment::new(lookup))?.for_owners();
    Ok(if fetch { config } else { config.without_fetches("this preview fetches nothing; start it with --fetch") })
}

/// The address of the preview, and the commands of clients that use it.
fn greeting(dir: &Path, url: &str, elapsed: Duration) -> String {
    format!(
        "preview of {dir} after {elapsed} ms

  viewer            {url}/viewer
  odo               odo preference add registry preview {url}
  registry-library  registry list {url}
  curl              curl {url}/v2index

Changes are published at once. Ctrl-C ends the preview.
",
        dir = dir.display(),
        elapsed = elapsed.as_millis()
    )
}
