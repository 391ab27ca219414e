//! A TCP proxy that can be told to fail, as networks and servers do.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const BACKLOG: u32 = 1024;
const CHUNK: usize = 64 << 10;

/// A failure of a network or a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpFault {
    /// Nobody listens, and open connections are reset.
    Refuse,
    /// Bytes are taken and go nowhere until the proxy heals.
    Stall,
    /// Open connections are reset, and new ones as soon as they are accepted.
    Reset,
}

impl TcpFault {
    /// Every fault.
    pub const ALL: [Self; 3] = [Self::Refuse, Self::Stall, Self::Reset];
}

impl fmt::Display for TcpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "refuse",
            Self::Stall => "stall",
            Self::Reset => "reset",
        })
    }
}

/// A proxy on a loopback port. It ends when this is dropped.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    target: String,
    fault: watch::Sender<Option<TcpFault>>,
    /// The task that accepts connections; none while the proxy refuses them.
    acceptor: Option<JoinHandle<()>>,
    /// The socket that keeps the port while nobody listens: an outgoing connection could take a free one.
    reserved: Option<TcpSocket>,
}

impl TcpProxy {
    /// Passes connections on to an address, `host:port`.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(target: &str) -> io::Result<Self> {
        let socket = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = socket.local_addr()?;
        let fault = watch::Sender::new(None);
        let mut proxy = Self { address, target: target.to_owned(), fault, acceptor: None, reserved: Some(socket) };
        proxy.heal().await?;
        Ok(proxy)
    }

    /// Returns the address on which it listens, `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Has a fault from now on, also on the connections that are open.
    ///
    /// # Errors
    /// The port cannot be kept.
    pub async fn fail(&mut self, fault: TcpFault) -> io::Result<()> {
        if fault != TcpFault::Refuse {
            self.listen()?;
        } else if let Some(acceptor) = self.acceptor.take() {
            acceptor.abort();
            // The listener is closed once its task has ended.
            let _ = acceptor.await;
            self.reserved = Some(bind(self.address)?);
        }
        self.fault.send_replace(Some(fault));
        Ok(())
    }

    /// Has no fault any more. Stalled bytes arrive.
    ///
    /// # Errors
    /// The port cannot be listened on.
    pub async fn heal(&mut self) -> io::Result<()> {
        self.fault.send_replace(None);
        self.listen()
    }

    fn listen(&mut self) -> io::Result<()> {
        if let Some(socket) = self.reserved.take() {
            let accepting = accept(socket.listen(BACKLOG)?, self.target.clone(), self.fault.subscribe());
            self.acceptor = Some(tokio::spawn(accepting));
        }
        Ok(())
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        if let Some(acceptor) = &self.acceptor {
            acceptor.abort();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of the listener before may still be there.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, target: String, fault: watch::Receiver<Option<TcpFault>>) {
    loop {
        if let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, target.clone(), fault.clone()));
        }
    }
}

/// Passes on both directions of a connection until both have ended, or until a fault or the drop of the proxy resets it.
async fn pass(mut client: TcpStream, target: String, fault: watch::Receiver<Option<TcpFault>>) -> io::Result<()> {
    let mut reset = fault.clone();
    let reset = reset.wait_for(|fault| matches!(fault, Some(TcpFault::Refuse | TcpFault::Reset)));
    let passed = async {
        let mut server = TcpStream::connect(target).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        tokio::try_join!(pump(from_client, to_server, fault.clone()), pump(from_server, to_client, fault.clone()))
    };
    tokio::select! {
        biased;
        _ = reset => {}
        passed = passed => if passed.is_ok() { return Ok(()) },
    }
    client.set_zero_linger()
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut fault: watch::Receiver<Option<TcpFault>>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = from.read(&mut chunk).await?;
        // The end of the proxy ends the stall as well.
        let _ = fault.wait_for(|fault| *fault != Some(TcpFault::Stall)).await;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::within_a_minute;

    /// A proxy in front of a server that sends back the bytes that it gets.
    async fn before_an_echo() -> TcpProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = TcpProxy::start(&listener.local_addr().unwrap().to_string()).await.unwrap();
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        proxy
    }

    async fn echo(connection: &mut TcpStream) -> io::Result<[u8; 5]> {
        let mut echoed = [0; 5];
        connection.write_all(b"hello").await?;
        within_a_minute("an echo, or an error", connection.read_exact(&mut echoed)).await?;
        Ok(echoed)
    }

    #[tokio::test]
    async fn refusing_proxy_closes_connections_and_heals_on_its_port() {
        let mut proxy = before_an_echo().await;
        let mut before = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(echo(&mut before).await.unwrap(), *b"hello");
        for _ in 0..3 {
            proxy.fail(TcpFault::Refuse).await.unwrap();
            echo(&mut before).await.unwrap_err();
            let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            proxy.heal().await.unwrap();
            before = TcpStream::connect(proxy.address()).await.unwrap();
            assert_eq!(echo(&mut before).await.unwrap(), *b"hello");
        }
    }

    #[tokio::test]
    async fn stalled_bytes_arrive_when_the_proxy_heals() {
        let mut proxy = before_an_echo().await;
        let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(echo(&mut connection).await.unwrap(), *b"hello");
        proxy.fail(TcpFault::Stall).await.unwrap();
        {
            let mut late = std::pin::pin!(echo(&mut connection));
            let waited = tokio::time::timeout(std::time::Duration::from_millis(200), late.as_mut()).await;
            waited.expect_err("nothing gets through");
            proxy.heal().await.unwrap();
            assert_eq!(late.await.unwrap(), *b"hello");
        }
        assert_eq!(echo(&mut connection).await.unwrap(), *b"hello");
    }

    #[tokio::test]
    async fn resetting_proxy_ends_open_and_new_connections() {
        let mut proxy = before_an_echo().await;
        let mut open = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(echo(&mut open).await.unwrap(), *b"hello");
        proxy.fail(TcpFault::Reset).await.unwrap();
        assert_eq!(echo(&mut open).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        // A new connection may be reset before it is seen to be there.
        let new = async { echo(&mut TcpStream::connect(proxy.address()).await?).await };
        new.await.unwrap_err();
        proxy.heal().await.unwrap();
        let mut healed = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(echo(&mut healed).await.unwrap(), *b"hello");
    }
}
