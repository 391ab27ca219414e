//! Plain HTTP: requests on one address, and metrics on another one if that is configured.

use std::future::{pending, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use devfile_registry::logging;
use devfile_registry::plain_http::{RequestBody, Server};
use devfile_registry::settings;

use crate::observe::Observer;

/// The text format of OpenMetrics, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Time for requests under way when the process is asked to end. Container runtimes wait for 10 s before they kill it.
const GRACE: Duration = Duration::from_secs(8);

/// Answers requests until the process is asked to end.
pub(super) async fn run(
    observer: Arc<Observer>,
    listen: SocketAddr,
    metrics: Option<SocketAddr>,
) -> anyhow::Result<()> {
    let server = Server::of_setting(listen, settings::LISTEN_ADDR.name).await?;
    let metrics = match metrics {
        Some(address) => Some(Server::of_setting(address, settings::METRICS_ADDR.name).await?),
        None => None,
    };
    tracing::info!("serving on http://{}", server.address()?);
    if let Some(server) = metrics {
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
