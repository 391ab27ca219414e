//! `run`: `serve`, `refresh` and the schedule in one process, on one address.
//!
//! - [`run`]: the start, and the end
//! - `configuration`: the settings of both functions, and the socket
//! - `dispatcher`: requests to either function, and the metrics of both
//! - `schedule`: the first publication, and the actions of the schedule
//!
//! Every action of `refresh` is announced to `serve`, which loads the release before the caller of the action gets an answer.

mod configuration;
mod dispatcher;
mod schedule;

use std::future::pending;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::http::Request;
use axum::response::Response;
use devfile_registry::logging;
use devfile_registry::plain_http::{RequestBody, Server};
use devfile_registry::settings;
use devfile_registry::terminal::{ProgressOutput, print};
use futures_util::FutureExt;
use refresh::app::Announcement;
use serve::Observer;
use tokio::sync::watch;
use tokio::time::timeout_at;

use self::configuration::Configuration;
pub(crate) use self::configuration::inherited_listener;
use self::dispatcher::Dispatcher;

/// Time for requests and a refresh under way when the process is asked to end. Container runtimes wait for 10 s before they kill it.
const GRACE: Duration = Duration::from_secs(8);

/// Runs a registry, in a process that `started` then, until the process is asked to end.
///
/// It listens first, so that `/health` says that no release is there yet, and then publishes for the first time.
///
/// # Errors
/// The environment is not complete, an address cannot be listened on, or the schedule fails.
pub(crate) async fn run(started: Instant, inherited: Option<TcpListener>) -> anyhow::Result<()> {
    let output = ProgressOutput::of_server();
    let _log = logging::start_at("run", output.log_level());
    let Configuration { serve, refresh, schedule } = Configuration::from_env()?;
    let (listen, metrics, usage) = (serve.listen, serve.metrics, serve.usage);
    let server = match inherited {
        Some(listener) => {
            Server::from_listener(listener).context("cannot listen on the socket of the service manager")?
        }
        None => Server::of_setting(listen, settings::LISTEN_ADDR.name).await?,
    };
    let metrics = match metrics {
        Some(address) => Some(Server::of_setting(address, settings::METRICS_ADDR.name).await?),
        None => None,
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
    let dispatcher = Arc::new(Dispatcher { observer: Observer::new(app, usage), refresh: Arc::clone(&refresh) });
    let url = format!("http://{}", server.address()?);
    tracing::info!(start_ms = started.elapsed().as_millis() as u64, "serving on {url}");
    if output == ProgressOutput::Terminal {
        print(&format!("registry on {url}; the viewer is at {url}/viewer. Ctrl-C ends it.\n"))?;
    }
    if let Some(server) = metrics {
        tracing::info!("metrics at http://{}/metrics", server.address()?);
        let dispatcher = Arc::clone(&dispatcher);
        let answer = move |request: Request<_>| std::future::ready(dispatcher.metrics(request.uri().path()));
        tokio::spawn(server.run(answer, pending(), GRACE));
    }

    let answer = move |request| {
        let dispatcher = Arc::clone(&dispatcher);
        async move { dispatcher.answer(request).await }
    };
    let (stop, stopped) = watch::channel(());
    let schedule = schedule::follow(Arc::clone(&refresh), schedule, output, stopped);
    let stop_signal = async move {
        logging::stop_signal().await;
        drop(stop);
    };
    serve_beside(schedule, server, answer, stop_signal, refresh.idle()).await
}

/// Serves beside the schedule until the process is asked to end, or until the schedule fails: a registry that answers and no longer
/// follows its branch would go unnoticed.
///
/// # Errors
/// The schedule panics.
async fn serve_beside<A, F>(
    schedule: impl Future<Output = ()> + Send + 'static,
    server: Server,
    answer: A,
    stop_signal: impl Future<Output = ()>,
    idle: impl Future<Output = ()>,
) -> anyhow::Result<()>
where
    A: Fn(Request<RequestBody>) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let schedule = tokio::spawn(schedule).map(|ended| ended.is_ok()).shared();
    let stop = {
        let schedule = schedule.clone();
        async move {
            tokio::select! {
                () = stop_signal => {}
                // It goes on until the stop signal, unless it panics.
                _ = schedule => {}
            }
        }
    };
    let end = server.run(answer, stop, GRACE).await;
    // Stopping in between would harm nothing; the next start finishes the work.
    let ended = async {
        schedule.clone().await;
        idle.await;
    };
    if timeout_at(end, ended).await.is_err() {
        tracing::warn!("a refresh is left unfinished; the next one completes it");
    }
    if schedule.peek() == Some(&false) {
        tracing::error!("the schedule failed; the registry ends, because it would not follow its branch");
        bail!("cannot follow the registry repository: the schedule failed; start the registry again");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::net::{Ipv4Addr, SocketAddr};

    use axum::response::IntoResponse;

    use super::*;

    async fn serve_with(schedule: impl Future<Output = ()> + Send + 'static, stop: impl Future<Output = ()>) -> bool {
        let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let answer = |_| ready("ok".into_response());
        serve_beside(schedule, server, answer, stop, ready(())).await.is_ok()
    }

    #[tokio::test]
    async fn registry_ends_with_an_error_when_its_schedule_panics() {
        assert!(!serve_with(async { panic!("a fault of the software") }, pending()).await);
    }

    #[tokio::test]
    async fn registry_ends_without_an_error_when_it_is_asked_to() {
        let (stop, mut stopped) = watch::channel(());
        let schedule = async move { drop(stopped.changed().await) };
        assert!(serve_with(schedule, async move { drop(stop) }).await);
    }
}
