//! `run`: `serve`, `refresh` and the schedule in one process, on one address.
//!
//! - [`run`]: the start, and the end
//! - `configuration`: the settings of both functions, and the socket
//! - `answers`: requests to either function, and the metrics of both
//! - `schedule`: the first publication, and what is done from time to time
//!
//! Every action of `refresh` is announced to `serve`, which loads the release before the caller of the action gets an answer.

mod answers;
mod configuration;
mod schedule;

use std::future::pending;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use devfile_registry::logging;
use devfile_registry::plain_http::Server;
use refresh::app::Announcement;
use serve::Observer;
use tokio::sync::watch;
use tokio::time::timeout_at;
use tracing::Level;

use self::answers::Answers;
use self::configuration::Configuration;
pub(crate) use self::configuration::inherited_listener;
use crate::progress::Place;

/// Time for requests and a refresh under way when the process is asked to end. Container runtimes wait for 10 s before they kill it.
const GRACE: Duration = Duration::from_secs(8);

/// Runs a registry, in a process that `started` then, until the process is asked to end.
///
/// It listens first, so that `/health` says that no release is there yet, and then publishes for the first time.
///
/// # Errors
/// The environment is not complete, or an address cannot be listened on.
pub(crate) async fn run(started: Instant, inherited: Option<TcpListener>) -> anyhow::Result<()> {
    let place = Place::of_server();
    // A line for each request is for machines, and for those who ask for it.
    let level = if place == Place::Terminal { Level::WARN } else { Level::INFO };
    let _log = logging::start_at("run", level);
    let Configuration { serve, refresh, schedule } = Configuration::from_env()?;
    let (listen, metrics, usage) = (serve.listen, serve.metrics, serve.usage);
    let server = match inherited {
        Some(listener) => {
            Server::from_listener(listener).context("cannot listen on the socket of the service manager")?
        }
        None => Server::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?,
    };
    let app = Arc::new(serve::App::open(serve).await);
    let refresh = {
        let app = Arc::clone(&app);
        let announcement = Announcement::to(move || {
            let app = Arc::clone(&app);
            async move { app.revalidate().await }
        });
        Arc::new(refresh::app::App::announcing(refresh, announcement).await)
    };
    let answers = Arc::new(Answers { observer: Observer::new(app, usage), refresh: Arc::clone(&refresh) });
    let url = format!("http://{}", server.address()?);
    tracing::info!(start_ms = started.elapsed().as_millis() as u64, "serving on {url}");
    if place == Place::Terminal {
        println!("registry on {url}; the viewer is at {url}/viewer. Ctrl-C ends it.");
    }
    if let Some(address) = metrics {
        let server = Server::bind(address).await.with_context(|| format!("METRICS_ADDR {address}"))?;
        tracing::info!("metrics at http://{}/metrics", server.address()?);
        let answers = Arc::clone(&answers);
        let answer = move |request: axum::http::Request<_>| std::future::ready(answers.metrics(request.uri().path()));
        tokio::spawn(server.run(answer, pending(), GRACE));
    }

    let (stop, stopped) = watch::channel(());
    let scheduled = tokio::spawn(schedule::follow(Arc::clone(&refresh), schedule, place, stopped));
    let stop_signal = async move {
        logging::stop_signal().await;
        drop(stop);
    };
    let answer = move |request| {
        let answers = Arc::clone(&answers);
        async move { answers.answer(request).await }
    };
    let end = server.run(answer, stop_signal, GRACE).await;
    // Stopping in between would harm nothing; the next start finishes the work.
    let ended = async {
        let _ended = scheduled.await;
        refresh.idle().await;
    };
    if timeout_at(end, ended).await.is_err() {
        tracing::warn!("a refresh is left unfinished; the next one completes it");
    }
    Ok(())
}
