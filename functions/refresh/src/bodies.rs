//! Request bodies in bounded memory and time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use devfile_registry::limits::{self, REQUEST_BODIES_BYTES};
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Time limit for the arrival of a body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Longest wait for memory for the next bytes of a body.
const MEMORY_TIME: Duration = Duration::from_secs(1);

/// Bytes per permit.
const UNIT: usize = 1 << 10;

/// The memory for all request bodies.
#[derive(Debug)]
pub(crate) struct Bodies(Semaphore);

/// A body. Dropping it frees its memory.
#[derive(Debug)]
pub(crate) struct HeldBody<'m> {
    bytes: Bytes,
    _memory: SemaphorePermit<'m>,
}

/// The reason why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive within {} s", BODY_TIME.as_secs())]
    CutOff,
    #[error("too many requests are under way; retry")]
    Busy,
}

impl Bodies {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(REQUEST_BODIES_BYTES / UNIT))
    }

    /// Reads a body of at most `limit` bytes. A larger announced length fails before the first
    /// read.
    ///
    /// Memory is claimed as bytes arrive, so a client that announces bytes without sending them
    /// blocks no other client. A body claims at least the read buffer of its connection.
    pub(crate) async fn read(&self, announced: usize, limit: usize, body: Body) -> Result<HeldBody<'_>, Unread> {
        if announced > limit {
            return Err(Unread::TooLarge(limit));
        }
        let read = self.collect(limit, body);
        tokio::time::timeout(BODY_TIME, read).await.unwrap_or(Err(Unread::CutOff))
    }

    async fn collect(&self, limit: usize, mut body: Body) -> Result<HeldBody<'_>, Unread> {
        let mut memory = self.claim(limits::REQUEST_HEAD_BYTES).await?;
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::CutOff)?.into_data() else { continue };
            let length = bytes.len() + data.len();
            if length > limit {
                return Err(Unread::TooLarge(limit));
            }
            if let Some(more) = length.checked_sub(memory.num_permits() * UNIT) {
                memory.merge(self.claim(more).await?);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(HeldBody { bytes: bytes.freeze(), _memory: memory })
    }

    async fn claim(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Unread> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| Unread::Busy)?;
        let claimed = tokio::time::timeout(MEMORY_TIME, self.0.acquire_many(units)).await;
        claimed.ok().and_then(Result::ok).ok_or(Unread::Busy)
    }
}

impl std::ops::Deref for HeldBody<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use devfile_registry::limits::REQUEST_BODY_BYTES;

    use super::*;

    /// Returns a body that sends some bytes and then stays open.
    fn unending(length: usize) -> Body {
        let sent = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; length]))]);
        Body::from_stream(futures_util::StreamExt::chain(sent, futures_util::stream::pending()))
    }

    #[tokio::test]
    async fn body_within_the_limit_is_read() {
        let bodies = Bodies::new();
        for length in [0, 1, 100_000, REQUEST_BODY_BYTES] {
            let text = vec![b'x'; length];
            assert_eq!(&*bodies.read(length, REQUEST_BODY_BYTES, Body::from(text.clone())).await.unwrap(), text);
        }
    }

    #[tokio::test]
    async fn body_beyond_the_limit_is_too_large() {
        let bodies = Bodies::new();
        let announced = bodies.read(REQUEST_BODY_BYTES + 1, REQUEST_BODY_BYTES, Body::empty()).await;
        assert!(matches!(announced, Err(Unread::TooLarge(REQUEST_BODY_BYTES))), "{announced:?}");
        let sent = bodies.read(0, REQUEST_BODY_BYTES, unending(REQUEST_BODY_BYTES + 1)).await;
        assert!(matches!(sent, Err(Unread::TooLarge(REQUEST_BODY_BYTES))), "{sent:?}");
        assert_eq!(bodies.0.available_permits(), REQUEST_BODIES_BYTES / UNIT);
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_does_not_end_is_cut_off() {
        let bodies = Bodies::new();
        let cut = bodies.read(10, REQUEST_BODY_BYTES, unending(5)).await;
        assert!(matches!(cut, Err(Unread::CutOff)), "{cut:?}");
        assert_eq!(bodies.0.available_permits(), REQUEST_BODIES_BYTES / UNIT);
    }

    #[tokio::test(start_paused = true)]
    async fn body_without_memory_is_busy_until_another_is_dropped() {
        let bodies = Bodies::new();
        let whole = || Body::from(vec![b'x'; REQUEST_BODY_BYTES]);
        let mut held = Vec::new();
        for _ in 0..REQUEST_BODIES_BYTES / REQUEST_BODY_BYTES {
            held.push(bodies.read(0, REQUEST_BODY_BYTES, whole()).await.unwrap());
        }
        let busy = bodies.read(0, REQUEST_BODY_BYTES, Body::from("{}")).await;
        assert!(matches!(busy, Err(Unread::Busy)), "{busy:?}");
        held.pop();
        assert_eq!(&*bodies.read(0, REQUEST_BODY_BYTES, Body::from("{}")).await.unwrap(), b"{}");
        assert!(bodies.read(0, REQUEST_BODY_BYTES, whole()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn announced_bytes_that_do_not_come_leave_memory_to_others() {
        let bodies = Bodies::new();
        let silent = futures_util::future::join_all(
            (0..200).map(|_| bodies.read(REQUEST_BODY_BYTES, REQUEST_BODY_BYTES, unending(1))),
        );
        let honest = async {
            tokio::task::yield_now().await;
            bodies.read(100, REQUEST_BODY_BYTES, Body::from("{}")).await.map(|body| body.len())
        };
        let (silent, honest) = tokio::join!(silent, honest);
        assert!(matches!(honest, Ok(2)), "{honest:?}");
        assert!(silent.iter().all(|read| matches!(read, Err(Unread::CutOff))));
    }
}
