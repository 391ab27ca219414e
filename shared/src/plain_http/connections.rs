//! The open connections: their number, their timeouts and their end.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, interval, sleep, timeout_at};

use super::activity::{Activity, Timeouts};
use super::body::{AnswerBody, RequestBody};
use super::host;
use super::socket::Socket;
use crate::limits;

/// Time between two sweeps; timeouts are exact to this.
pub(super) const SWEEP: Duration = Duration::from_secs(1);

/// Fewest time between two log lines about the limit.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// Time for the first request of a connection that was accepted right before the end.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// The open connections.
///
/// At their limit, a new one displaces the one that has waited longest for its client, so clients that hold connections open
/// cannot keep others out. While all clients wait for an answer, new connections wait for one of them to get it.
#[derive(Debug)]
pub(super) struct Connections {
    timeouts: Timeouts,
    limit: usize,
    tasks: JoinSet<()>,
    open: HashMap<Id, Connection>,
    /// The process has no file descriptors left, so accepting another connection would fail again.
    out_of_descriptors: bool,
    /// Connections closed for the limit that no log line counts.
    displaced: u64,
    logged: Option<Instant>,
}

#[derive(Debug)]
struct Connection {
    activity: Arc<Activity>,
    task: AbortHandle,
    /// Dropped to end the connection once its request is answered.
    stop: Option<oneshot::Sender<()>>,
}

impl Connections {
    pub(super) fn new(timeouts: Timeouts, limit: usize) -> Self {
        let (tasks, open) = (JoinSet::new(), HashMap::new());
        Self { timeouts, limit, tasks, open, out_of_descriptors: false, displaced: 0, logged: None }
    }

    /// Whether a connection can be accepted; it may have to wait for room.
    pub(super) fn can_accept(&self) -> bool {
        !self.out_of_descriptors
    }

    /// Whether there is room for another connection, in the place of one that waits for its client if need be.
    pub(super) fn make_room(&mut self) -> bool {
        self.open.len() < self.limit || self.displace()
    }

    /// Answers the requests of a new connection.
    pub(super) fn serve<A, F, B>(&mut self, stream: TcpStream, answer: A)
    where
        A: Fn(Request<RequestBody>) -> F + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let activity = Arc::new(Activity::new());
        let (stop, stopped) = oneshot::channel();
        let task = self.tasks.spawn(converse(stream, Arc::clone(&activity), answer, stopped));
        self.open.insert(task.id(), Connection { activity, task, stop: Some(stop) });
    }

    /// Makes room when a connection could not be accepted for want of file descriptors.
    pub(super) fn not_accepted(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        // The client has given up; the next one has not.
        if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
            tracing::debug!(%error, "cannot accept a connection");
            self.out_of_descriptors = true;
            self.displace();
        }
    }

    /// Waits until a connection has ended; `None` when there are none.
    pub(super) async fn ended(&mut self) -> Option<()> {
        let id = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        self.open.remove(&id);
        self.out_of_descriptors = false;
        Some(())
    }

    /// Closes the connections whose clients have kept them waiting for too long.
    pub(super) fn sweep(&mut self) {
        let now = Instant::now();
        self.out_of_descriptors = false;
        self.close(|activity| activity.is_overdue(now, &self.timeouts));
    }

    /// Lets requests under way end, until a time at most. Clients that are not waiting for an answer have less time.
    pub(super) async fn stop(mut self, end: Instant) {
        let clients_end = Instant::now() + self.timeouts.stop;
        for connection in self.open.values_mut() {
            connection.stop = None;
        }
        let mut tick = interval(SWEEP);
        let drained = async {
            loop {
                tokio::select! {
                    ended = self.ended() => if ended.is_none() { break },
                    now = tick.tick() => {
                        self.sweep();
                        if now >= clients_end {
                            self.close(|activity| activity.waiting_since().is_some());
                        }
                    }
                }
            }
        };
        if timeout_at(end, drained).await.is_err() {
            tracing::warn!(open = self.open.len(), "connections are closed before their requests are answered");
        }
    }

    fn close(&self, is_due: impl Fn(&Activity) -> bool) {
        for connection in self.open.values().filter(|connection| is_due(&connection.activity)) {
            connection.task.abort();
        }
    }

    /// Closes the connection that has waited longest for its client, if there is one.
    fn displace(&mut self) -> bool {
        let waiting = self.open.iter().filter_map(|(id, open)| Some((open.activity.waiting_since()?, *id)));
        let longest = waiting.min_by_key(|(since, _)| *since);
        let Some(connection) = longest.and_then(|(_, id)| self.open.remove(&id)) else { return false };
        connection.task.abort();
        self.displaced += 1;
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_PAUSE) {
            let (open, closed) = (self.open.len(), self.displaced);
            tracing::warn!(open, closed, "the connection limit is reached; the longest waiting connections are closed");
            (self.logged, self.displaced) = (Some(Instant::now()), 0);
        }
        true
    }
}

/// Answers the requests of a connection, one after the other, until it ends.
async fn converse<A, F, B>(stream: TcpStream, activity: Arc<Activity>, answer: A, stopped: oneshot::Receiver<()>)
where
    A: Fn(Request<RequestBody>) -> F,
    F: Future<Output = Response<B>>,
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Small answers leave at once instead of waiting for more to send.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let (socket, asked) = (Socket::new(stream, Arc::clone(&activity)), Arc::clone(&activity));
    let service = service_fn(move |request: Request<Incoming>| {
        activity.request();
        let answered = match host::defect(request.version(), request.headers()) {
            None => Ok(answer(request.map(|body| RequestBody::new(body, Arc::clone(&activity))))),
            Some(defect) => Err(defect),
        };
        let activity = Arc::clone(&activity);
        async move {
            let response = match answered {
                Ok(response) => response.await.map(Either::Right),
                Err(defect) => malformed(defect).map(Either::Left),
            };
            Ok::<_, Infallible>(response.map(|body| AnswerBody::new(body, activity)))
        }
    });
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits::REQUEST_HEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped => {
            // hyper closes a connection at once that has read nothing, though the first request may be on its way.
            let first = async { if !asked.has_asked() { sleep(FIRST_REQUEST).await } };
            tokio::select! {
                // A request that has arrived is read before its time is seen to be over, however late both are noticed.
                biased;
                ended = connection.as_mut() => ended,
                () = first => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The answer to a request whose `Host` is not valid.
fn malformed(defect: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!(r#"{{"status":"{defect}"}}"#)));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Its sender may not agree with this server about the beginning of the next request.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
