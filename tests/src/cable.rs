//! A cable to a server that can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Forwards connections to a server. It ends when this is dropped.
#[derive(Debug)]
pub struct Cable {
    /// The URL of this end.
    pub url: String,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: AtomicBool,
    changed: Notify,
}

impl Cable {
    /// A cable to the server with a URL `http://HOST:PORT`.
    pub async fn to(url: &str) -> Self {
        let server = url.strip_prefix("http://").expect("plain HTTP").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let state = Arc::new(State::default());
        let own = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), Arc::clone(&own)));
            }
        });
        Self { url, state, task }
    }

    /// Cuts it: connections end, and new ones are closed at once.
    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
        self.state.changed.notify_waiters();
    }

    /// Mends it.
    pub fn mend(&self) {
        self.state.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut client: TcpStream, server: String, state: Arc<State>) {
    let cut = state.changed.notified();
    if state.is_cut.load(Ordering::SeqCst) {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    // How a connection ends is the business of its two ends.
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        () = cut => {}
    }
}
