//! Concurrent calls to the stores, within a limit.

use std::future::Future;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::error::PublishError;
use crate::context;
use crate::limits::CONCURRENT_UPLOADS;

/// Runs a task for each item, [`CONCURRENT_UPLOADS`] at a time, and returns the results in order.
/// The first error ends it. Each item is a step of the current action's progress.
///
/// A task is made when its turn comes: those of 10,000 versions at once would take hundreds of megabytes.
pub(super) fn each<'a, T, O, F>(
    items: impl IntoIterator<Item = T>,
    task: impl Fn(T) -> F + Send + 'a,
) -> BoxFuture<'a, Result<Vec<O>, PublishError>>
where
    T: Send + 'a,
    O: Send + 'a,
    F: Future<Output = Result<O, PublishError>> + Send + 'a,
{
    let items: Vec<T> = items.into_iter().collect();
    context::expect_steps(items.len());
    let results = stream::iter(items).map(task).buffered(CONCURRENT_UPLOADS);
    results.inspect_ok(|_| context::count_step()).try_collect().boxed()
}
