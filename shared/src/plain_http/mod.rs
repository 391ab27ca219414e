//! The server of plain HTTP, one for both functions and for their metrics.
//!
//! It speaks HTTP/1.1 and HTTP/1.0. It offers no upgrade: `Upgrade` headers are ignored, as RFC 9110, section 7.8, allows, and a
//! connection that begins with the preface of HTTP/2 is closed. Every request of HTTP/1.1 has exactly one valid `Host`.
//!
//! A client cannot hold a connection for long without use, nor take all of them; see [`Timeouts`] and [`Connections`]. One task
//! accepts connections, sweeps them once a second and closes them. So a request costs no timer: the one that hyper offers is
//! allocated and registered anew for each.
//!
//! Start reading at [`Server::run`]. `connections` has the limits and timeouts of all connections, `activity` the party that one waits
//! for, as `body` notes it; `socket` reads and writes, and `host` checks the header `Host`.

mod activity;
mod body;
mod connections;
mod host;
mod socket;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::activity::Timeouts;
use self::connections::{Connections, SWEEP};
use crate::limits;

pub use self::body::RequestBody;

/// A server of plain HTTP that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    timeouts: Timeouts,
    connections: usize,
}

/// The address of a setting cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({setting}): {error}")]
pub struct ListenError {
    address: SocketAddr,
    setting: &'static str,
    error: io::Error,
}

impl Server {
    /// Listens on an address.
    ///
    /// # Errors
    /// The address is taken, or is not one of this machine.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, timeouts: Timeouts::DEFAULT, connections: connection_limit() })
    }

    /// Listens on the address that a setting has.
    ///
    /// # Errors
    /// [`ListenError`] names the address and the setting.
    pub async fn of_setting(address: SocketAddr, setting: &'static str) -> Result<Self, ListenError> {
        Self::bind(address).await.map_err(|error| ListenError { address, setting, error })
    }

    /// Takes a socket that listens already, such as one of systemd.
    ///
    /// # Errors
    /// The socket cannot be used so.
    pub fn from_listener(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self { listener, timeouts: Timeouts::DEFAULT, connections: connection_limit() })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers requests until `stop` is ready. From then on it accepts no connections, and answers the requests that it has for
    /// `grace` at most; clients that hold a connection open without waiting for an answer have less. Returns the end of `grace`.
    pub async fn run<A, F, B>(self, answer: A, stop: impl Future<Output = ()>, grace: Duration) -> Instant
    where
        A: Fn(Request<RequestBody>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { listener, timeouts, connections } = self;
        let mut open = Connections::new(timeouts, connections);
        let mut tick = interval(SWEEP);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(stop);
        let mut accepted = None;
        loop {
            if let Some(stream) = accepted.take_if(|_| open.make_room()) {
                open.serve(stream, answer.clone());
            }
            tokio::select! {
                () = &mut stop => break,
                result = listener.accept(), if accepted.is_none() && open.can_accept() => match result {
                    Ok((stream, _)) => accepted = Some(stream),
                    Err(error) => open.not_accepted(&error),
                },
                Some(()) = open.ended() => {}
                _ = tick.tick() => open.sweep(),
            }
        }
        drop(listener);
        let end = Instant::now() + grace;
        open.stop(end).await;
        end
    }
}

/// [`limits::CONNECTIONS`], but at most half of the file descriptors that the process may have: stores need the others.
fn connection_limit() -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = descriptors.and_then(|descriptors| usize::try_from(descriptors / 2).ok());
    half.map_or(limits::CONNECTIONS, |half| half.clamp(1, limits::CONNECTIONS))
}
