//! Answers the registry's REST API, the OCI pull API and the viewer from the live release.
//!
//! `main` reads the configuration once, builds the clients once, and puts one [`App`] behind one of two front doors: the
//! Lambda runtime when `AWS_LAMBDA_RUNTIME_API` is set, plain HTTP on `LISTEN_ADDR` otherwise.

use std::future::{pending, ready};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use devfile_registry::cache::{Cache, Patience};
use devfile_registry::logging;
use devfile_registry::plain_http::{RequestBody, Server};
use devfile_registry::request::milliseconds;
use devfile_registry::settings::{Function, help};
use serve::{App, Config, Observer};

/// The text format of OpenMetrics, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Time for requests under way when the process is asked to end. Container runtimes wait for 10 s before they kill it.
const GRACE: Duration = Duration::from_secs(8);

/// Time for work on other threads when everything else has ended; what is unfinished then is lost with the process anyway.
const LAST_WORK: Duration = Duration::from_millis(500);

fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--help" | "-h") => {
            print!(
                "Answers clients of a devfile registry from the release in the cache bucket.\n\nusage: serve\n\n{}",
                help(Function::Serve)
            );
            return Ok(());
        }
        Some(_) => bail!("usage: serve [--help]"),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run(started));
    runtime.shutdown_timeout(LAST_WORK);
    result
}

async fn run(started: Instant) -> anyhow::Result<()> {
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
    let server = Server::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!("serving on http://{}", server.address()?);
    if let Some(address) = metrics {
        let server = Server::bind(address).await.with_context(|| format!("METRICS_ADDR {address}"))?;
        tracing::info!("metrics at http://{}/metrics", server.address()?);
        let observer = Arc::clone(&observer);
        let answer = move |request: Request<RequestBody>| ready(show_metrics(&observer, request.uri().path()));
        tokio::spawn(server.run(answer, pending(), GRACE));
    }
    let answer = move |request: Request<RequestBody>| {
        let observer = Arc::clone(&observer);
        async move { observer.answer(request.map(Body::new)).await }
    };
    server.run(answer, logging::stop_signal(), GRACE).await;
    Ok(())
}

fn show_metrics(observer: &Observer, path: &str) -> Response {
    match path {
        "/metrics" => ([(CONTENT_TYPE, OPEN_METRICS)], observer.metrics()).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
