//! The entry points of the function: the Lambda runtime, plain HTTP, and one direct invocation from
//! a command line.

use std::future::{pending, ready};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{self, StatusCode};
use axum::response::{IntoResponse, Response};
use devfile_registry::gateway::{Answer, Event};
use devfile_registry::plain_http::{RequestBody, Server};
use devfile_registry::{logging, settings, telemetry};
use lambda_http::{LambdaEvent, RequestExt};
use serde_json::Value;
use tokio::time::Instant;
use tracing::Level;

use crate::action::Action;
use crate::app::App;
use crate::config::Config;
use crate::observe;

/// The text format of OpenMetrics, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Time limit for open requests and refreshes after the process receives a signal to stop.
const LAST_WORK: Duration = Duration::from_secs(20);

/// Runs the function `refresh`.
///
/// It reads the configuration once, builds the clients once, and puts one [`App`] behind its front doors: the Lambda runtime
/// when `AWS_LAMBDA_RUNTIME_API` is set (HTTP events, schedules and direct invocations), plain HTTP on `LISTEN_ADDR` otherwise.
///
/// # Errors
/// Fails when the environment is incomplete or an address cannot be bound.
pub async fn run() -> anyhow::Result<()> {
    let _log = logging::start(env!("CARGO_PKG_NAME"));
    let config = Config::from_env()?;
    let (listen, metrics) = (config.listen, config.metrics);
    let app = Arc::new(App::new(config).await);
    app.warn_without_repository();
    if logging::is_lambda() {
        let handler = |event: LambdaEvent<Value>| invoke(Arc::clone(&app), event);
        return lambda_runtime::run(lambda_runtime::service_fn(handler)).await.map_err(|error| anyhow::anyhow!(error));
    }
    let server = Server::of_setting(listen, settings::LISTEN_ADDR.name).await?;
    let metrics = match metrics {
        Some(address) => Some(Server::of_setting(address, settings::METRICS_ADDR.name).await?),
        None => None,
    };
    tracing::info!("listening on http://{}", server.address()?);
    if let Some(server) = metrics {
        tracing::info!("metrics at http://{}/metrics", server.address()?);
        let answer = |request: http::Request<RequestBody>| ready(show_metrics(request.uri().path()));
        tokio::spawn(server.run(answer, pending(), LAST_WORK));
    }
    let answering = Arc::clone(&app);
    let answer = move |request: http::Request<RequestBody>| {
        let app = Arc::clone(&answering);
        async move { answer(&app, request.map(Body::new)).await }
    };
    let end = server.run(answer, logging::stop_signal(), LAST_WORK).await;
    // Answered triggers finish first. A stop halfway is safe, because the next refresh completes
    // it.
    if tokio::time::timeout_at(end, app.idle()).await.is_err() {
        tracing::warn!("a refresh is left unfinished; the next one completes it");
    }
    Ok(())
}

/// Runs one action, the event of a direct invocation, and returns its result.
/// `level` is the log level when `RUST_LOG` is unset.
///
/// # Errors
/// Fails when the environment is incomplete, the event is no action, or the action fails.
pub async fn run_action(event: &str, level: Level) -> anyhow::Result<crate::action::Answer> {
    let _log = logging::start_at(env!("CARGO_PKG_NAME"), level);
    let app = App::new(Config::from_env()?).await;
    let event = serde_json::from_str(event).context(r#"the event is not JSON such as {"action":"refresh"}"#)?;
    Ok(app.act(Action::of_event(event)?, None).await?)
}

/// Answers a request and logs it.
pub async fn answer(app: &App, request: Request) -> Response {
    observe::request(request, |request| app.answer(request)).await
}

/// Returns whether a path is one of this function's triggers.
pub fn is_trigger(path: &str) -> bool {
    path == "/refresh" || path.starts_with("/webhooks/")
}

fn show_metrics(path: &str) -> Response {
    match path {
        "/metrics" => ([(CONTENT_TYPE, OPEN_METRICS)], observe::metrics()).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Answers one event of the Lambda runtime, after the export of its spans.
async fn invoke(app: Arc<App>, event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    let answer = answer_event(app, event).await;
    telemetry::flush().await;
    answer
}

/// Answers an HTTP request of the gateway, or a direct invocation.
async fn answer_event(app: Arc<App>, event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    let LambdaEvent { payload, context } = event;
    if payload.get("requestContext").is_some() {
        let response = match serde_json::from_value::<Event>(payload)?.into_request() {
            Ok(mut request) => {
                if let Some(trace) = context.xray_trace_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
                    request.headers_mut().insert("x-amzn-trace-id", trace);
                }
                answer(&app, request.with_lambda_context(context).map(Body::from)).await
            }
            Err(malformed) => (StatusCode::BAD_REQUEST, malformed.to_string()).into_response(),
        };
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await?;
        return Ok(serde_json::to_value(Answer::new(Response::from_parts(head, bytes)))?);
    }
    let action = Action::of_event(payload)?;
    // `cargo lambda watch` sends a deadline in 1970, which counts as none.
    let left = context.deadline().duration_since(SystemTime::now()).ok();
    let deadline = left.and_then(|left| Instant::now().checked_add(left));
    Ok(serde_json::to_value(app.act(action, deadline).await?)?)
}
