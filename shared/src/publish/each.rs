//! Concurrent calls to the stores, within a limit.

use std::future::Future;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::error::PublishError;
use crate::limits::CONCURRENT_UPLOADS;

/// Runs a task for each item, [`CONCURRENT_UPLOADS`] at a time, and returns the results in order.
/// The first error ends it.
pub(super) async fn each<T, O, F>(
    items: impl IntoIterator<Item = T>,
    task: impl Fn(T) -> F,
) -> Result<Vec<O>, PublishError>
where
    F: Future<Output = Result<O, PublishError>>,
{
    let tasks: Vec<F> = items.into_iter().map(task).collect();
    stream::iter(tasks).buffered(CONCURRENT_UPLOADS).try_collect().await
}
