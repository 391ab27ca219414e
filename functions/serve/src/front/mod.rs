//! The front doors: the Lambda runtime, and plain HTTP.

mod lambda;
mod plain;

use std::sync::Arc;
use std::time::{Duration, Instant};

use devfile_registry::logging;
use devfile_registry::request::milliseconds;

use crate::config::Config;
use crate::observe::Observer;
use crate::state::App;

/// Time limit for work on other threads after everything else has ended. Unfinished work is lost with the process.
const LAST_WORK: Duration = Duration::from_millis(500);

/// Runs the function `serve`, whose process `started` then, until it is asked to end.
///
/// It reads the configuration once, builds the clients once, and puts one [`App`] behind one of two front doors: the Lambda
/// runtime when `AWS_LAMBDA_RUNTIME_API` is set, plain HTTP on `LISTEN_ADDR` otherwise.
///
/// # Errors
/// The environment is not complete, or an address cannot be listened on.
pub fn run(started: Instant) -> anyhow::Result<()> {
    heap::keep_together();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(answer_all(started));
    runtime.shutdown_timeout(LAST_WORK);
    result
}

async fn answer_all(started: Instant) -> anyhow::Result<()> {
    let _log = logging::start(env!("CARGO_PKG_NAME"));
    let config = Config::from_env()?;
    let configured = started.elapsed();
    let cache = config.bucket.open().await;
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
        return lambda::run(observer).await.map_err(|error| anyhow::anyhow!(error));
    }
    plain::run(observer, listen, metrics).await
}
