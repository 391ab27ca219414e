//! Bounds and settings that tests share: waits end, and findings of property runs are stored.

use std::future::Future;
use std::time::Duration;

use proptest::test_runner::{Config, FileFailurePersistence};

/// Longest that a test waits for something to become true.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is done.
///
/// # Panics
/// Panics after a minute, with the name `what`.
pub async fn within_a_minute<T>(what: &str, done: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, done).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// The configuration of a property run of so many cases in a file of tests, `file!()`. The cases that fail are kept beside it, in
/// a file that ends in `.proptest-regressions`, and tried first from then on.
pub fn property(cases: u32, file: &'static str) -> Config {
    let kept = FileFailurePersistence::WithSource("proptest-regressions");
    Config { cases, source_file: Some(file), failure_persistence: Some(Box::new(kept)), ..Config::default() }
}
