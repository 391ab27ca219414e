//! Answers the registry's REST API, the OCI pull API and the viewer from the live release.
//!
//! `main` reads the configuration once, builds the clients once, and puts one [`App`](app::App) behind one of two front doors: the
//! Lambda runtime when `AWS_LAMBDA_RUNTIME_API` is set, plain HTTP on `LISTEN_ADDR` otherwise. A request goes
//! through [`app`], which picks the module of its API; each answers from a [`Snapshot`](snapshot::Snapshot).

mod app;
mod blobs;
mod body;
mod catalog;
mod config;
mod content;
mod devfiles;
mod error;
mod files;
mod icons;
mod live;
mod oci;
mod openapi;
mod snapshot;
mod starters;
mod status;

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::{Request, State};
use devfile_registry::cache::{Cache, Patience};
use tokio::net::TcpListener;

use crate::app::App;
use crate::config::Config;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    devfile_registry::logging::start();
    let config = Config::from_env()?;
    let cache = Cache::from_env(&config.bucket, Patience::Reader).await;
    let listen = config.listen;
    let app = Arc::new(App::new(config, cache).await);
    let router = Router::new().fallback(answer).with_state(app);
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return lambda_http::run(router).await.map_err(|error| anyhow::anyhow!(error));
    }
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!("serving on http://{}", listener.local_addr()?);
    let router = router.into_make_service();
    axum::serve(NoDelay(listener), router).with_graceful_shutdown(devfile_registry::logging::stop_signal()).await?;
    Ok(())
}

async fn answer(State(app): State<Arc<App>>, request: Request) -> axum::response::Response {
    app.answer(request).await
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
