//! Answers the registry's REST API, the OCI pull API and the viewer from the live release.
//!
//! `main` reads the configuration once, builds the clients once, and puts one [`App`] behind one of two front doors: the
//! Lambda runtime when `AWS_LAMBDA_RUNTIME_API` is set, plain HTTP on `LISTEN_ADDR` otherwise.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use devfile_registry::cache::{Cache, Patience};
use devfile_registry::logging;
use devfile_registry::request::milliseconds;
use serve::{App, Config, Observer};
use tokio::net::TcpListener;

/// The text format of OpenMetrics, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    let _log = logging::start(env!("CARGO_PKG_NAME"));
    let config = Config::from_env()?;
    let configured = started.elapsed();
    let cache = Cache::from_env(&config.bucket, Patience::Reader).await;
    let connected = started.elapsed();
    let (listen, metrics, usage) = (config.listen, config.metrics, config.usage);
    let app = Arc::new(App::new(config, cache).await);
    let loaded = started.elapsed();
    tracing::info!(
        configure_ms = milliseconds(configured),
        client_ms = milliseconds(connected - configured),
        load_ms = milliseconds(loaded - connected),
        release = app.release_age().is_some(),
        "startup"
    );
    let observer = Arc::new(Observer::new(app, usage));
    if logging::is_lambda() {
        return serve::lambda::run(observer).await.map_err(|error| anyhow::anyhow!(error));
    }
    let router = Router::new().fallback(answer).with_state(Arc::clone(&observer));
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!("serving on http://{}", listener.local_addr()?);
    if let Some(address) = metrics {
        let listener = TcpListener::bind(address).await.with_context(|| format!("METRICS_ADDR {address}"))?;
        tracing::info!("metrics at http://{}/metrics", listener.local_addr()?);
        let router = Router::new().route("/metrics", get(show_metrics)).with_state(observer);
        tokio::spawn(axum::serve(listener, router).into_future());
    }
    let router = router.into_make_service();
    axum::serve(NoDelay(listener), router).with_graceful_shutdown(logging::stop_signal()).await?;
    Ok(())
}

async fn answer(State(observer): State<Arc<Observer>>, request: Request) -> Response {
    observer.answer(request).await
}

async fn show_metrics(State(observer): State<Arc<Observer>>) -> Response {
    ([(CONTENT_TYPE, OPEN_METRICS)], observer.metrics()).into_response()
}

/// Small answers leave at once instead of waiting for more to send.
struct NoDelay(TcpListener);

impl axum::serve::Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
