//! The one retry policy: how often a call to another server is repeated, and how long it waits in between.
//!
//! A refresh has seconds, not the hour that a rate limit may ask for. A wait that ends after the deadline is not begun;
//! the error then names the time of the next attempt. The client of AWS has a policy of its own, set in `cache`.

#![warn(clippy::arithmetic_side_effects)]

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::timestamp::Timestamp;

/// Wait after the first failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Most attempts of one call, those that meet a rate limit aside. The waits between them take about five seconds.
const MAX_ATTEMPTS: u32 = 6;

/// Shortest wait for a rate limit, also when its answer names less: only the budget bounds attempts that meet one.
const LIMITED_WAIT: Duration = Duration::from_secs(1);

/// The failure of one attempt. `E` is the error of the caller, `R` the reason of a failure that may pass.
#[derive(Debug)]
pub(crate) enum Failure<E, R = E> {
    /// The next attempt may succeed: the connection was lost, or the server is in trouble.
    Passing(R),
    /// An attempt succeeds after a wait, not before: a rate limit.
    Wait(R, Duration),
    /// No attempt will succeed.
    Final(E),
}

/// The end of a call that did not succeed.
#[derive(Debug)]
pub(crate) enum RetryError<E, R = E> {
    /// An attempt failed for good.
    Final(E),
    /// The last of so many attempts failed.
    Exhausted(R, u32),
    /// The server asks for a wait that ends at this time, after the deadline.
    Postponed(R, Timestamp),
    /// The budget ended during an attempt; the failure is that of the attempt before.
    TimedOut(Duration, Option<R>),
}

impl<E: fmt::Display, R: fmt::Display> fmt::Display for RetryError<E, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final(error) => error.fmt(f),
            Self::Exhausted(reason, 1) => reason.fmt(f),
            Self::Exhausted(reason, attempts) => write!(f, "{reason} (tried {attempts} times)"),
            Self::Postponed(reason, time) => write!(f, "{reason}; try again after {time}"),
            Self::TimedOut(budget, None) => write!(f, "no answer within {} s", budget.as_secs_f32()),
            Self::TimedOut(budget, Some(reason)) => {
                write!(f, "no answer within {} s; before that: {reason}", budget.as_secs_f32())
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display, R: fmt::Debug + fmt::Display> std::error::Error for RetryError<E, R> {}

/// Calls `attempt` until it succeeds, fails for good or uses up `budget`. `what` names the call in the log.
///
/// # Errors
/// [`RetryError`], with the failure of the last attempt.
pub(crate) async fn retry<T, E, R, F>(
    what: &str,
    budget: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, RetryError<E, R>>
where
    F: Future<Output = Result<T, Failure<E, R>>>,
    R: fmt::Display,
{
    let start = Instant::now();
    let deadline = start.checked_add(budget).unwrap_or(start);
    let mut last = None;
    let (mut attempts, mut failures) = (0_u32, 0_u32);
    loop {
        attempts = attempts.saturating_add(1);
        // On the heap, because the futures of a refresh nest deeper than the compiler computes the layout of one.
        let failure = match timeout_at(deadline, Box::pin(attempt())).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => failure,
            Err(_) => return Err(RetryError::TimedOut(budget, last)),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let (reason, wait) = match failure {
            Failure::Final(error) => return Err(RetryError::Final(error)),
            Failure::Passing(reason) => {
                failures = failures.saturating_add(1);
                (reason, jittered(doubled(failures)))
            }
            Failure::Wait(reason, wait) if wait >= left => {
                let time = jiff::Timestamp::now().checked_add(wait).unwrap_or(jiff::Timestamp::MAX);
                return Err(RetryError::Postponed(reason, Timestamp::from_instant(time)));
            }
            // Clients that wait for the same end would otherwise return at the same moment. Of many that share a limit, some lose
            // many times in a row, so only the budget ends that.
            Failure::Wait(reason, wait) => (reason, wait.max(LIMITED_WAIT).saturating_add(jittered(FIRST_WAIT))),
        };
        if failures == MAX_ATTEMPTS || wait >= left {
            return Err(RetryError::Exhausted(reason, attempts));
        }
        tracing::debug!(what, %reason, attempts, wait_ms = wait.as_millis() as u64, "retrying");
        last = Some(reason);
        sleep(wait).await;
    }
}

/// Returns the wait after so many attempts.
fn doubled(attempts: u32) -> Duration {
    FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)))
}

/// Returns between half of a wait and the whole.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const BUDGET: Duration = Duration::from_secs(20);

    /// Retries an attempt with these failures, one by one, before it succeeds. Returns the result as text, and the time of each attempt.
    async fn run(failures: Vec<Failure<&str>>) -> (Result<(), String>, Vec<Duration>) {
        let start = Instant::now();
        let (failures, times) = (RefCell::new(failures.into_iter()), RefCell::new(vec![]));
        let result = retry("a call", BUDGET, || {
            times.borrow_mut().push(start.elapsed());
            std::future::ready(failures.borrow_mut().next().map_or(Ok(()), Err))
        });
        let result = result.await.map_err(|error| error.to_string());
        (result, times.into_inner())
    }

    fn wait(seconds: u64) -> Failure<&'static str> {
        Failure::Wait("rate limited", Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn passing_failure_is_retried_with_growing_waits() {
        let (result, times) = run((0..3).map(|_| Failure::Passing("answered 502")).collect()).await;
        assert_eq!((result, times.len()), (Ok(()), 4));
        for (pair, most) in times.windows(2).zip([200, 400, 800]) {
            let wait = (pair[1] - pair[0]).as_millis() as u64;
            // A paused clock moves in whole milliseconds.
            assert!((most / 2..=most + 1).contains(&wait), "{times:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn passing_failure_that_stays_ends_after_six_attempts() {
        let (result, times) = run((0..9).map(|_| Failure::Passing("answered 500")).collect()).await;
        assert_eq!((result, times.len()), (Err("answered 500 (tried 6 times)".into()), 6));
    }

    #[tokio::test(start_paused = true)]
    async fn final_failure_is_not_retried() {
        let (result, times) = run(vec![Failure::Passing("answered 500"), Failure::Final("answered 403")]).await;
        assert_eq!((result, times.len()), (Err("answered 403".into()), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn wait_before_the_deadline_is_kept() {
        let (result, times) = run(vec![wait(12), wait(7)]).await;
        assert_eq!(result, Ok(()));
        assert!(times[1] >= Duration::from_secs(12) && times[2] >= Duration::from_secs(19), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn rate_limit_is_no_attempt_that_counts_and_ends_with_the_budget() {
        let (result, times) = run((0..10).map(|_| wait(1)).collect()).await;
        assert_eq!((result, times.len()), (Ok(()), 11));
        let (result, times) = run((0..1000).map(|_| wait(0)).collect()).await;
        assert!(result.unwrap_err().starts_with("rate limited") && times.len() < 40, "{}", times.len());
    }

    #[tokio::test(start_paused = true)]
    async fn wait_beyond_the_deadline_fails_immediately_and_names_its_end() {
        for (failures, seconds) in [(vec![wait(3600)], 0), (vec![wait(12), wait(9)], 12), (vec![wait(u64::MAX)], 0)] {
            let start = Instant::now();
            let text = run(failures).await.0.unwrap_err();
            let end = text.strip_prefix("rate limited; try again after ").unwrap();
            assert!(end.parse::<Timestamp>().is_ok(), "{text}");
            assert_eq!(start.elapsed().as_secs(), seconds, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempt_ends_with_the_budget() {
        let pending = std::future::pending::<Result<(), Failure<&str>>>;
        let error = retry("a call", BUDGET, pending).await.unwrap_err();
        assert_eq!(error.to_string(), "no answer within 20 s");
        let mut is_first = true;
        let error = retry("a call", BUDGET, || {
            let first = std::mem::take(&mut is_first);
            async move { if first { Err(Failure::Passing("answered 502")) } else { pending().await } }
        });
        assert_eq!(error.await.unwrap_err().to_string(), "no answer within 20 s; before that: answered 502");
    }
}
