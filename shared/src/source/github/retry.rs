//! Trying again, within a budget of time.
//!
//! A refresh has seconds, not the hour that a rate limit may ask for. So waits that do not fit into the time left are not
//! begun; the error then says when it is worth coming back.

use std::future::Future;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};

use crate::retry_after::{LONGEST_WAIT, retry_after, until};
use crate::source::SourceError;

/// The first wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Most attempts of one call: with the waits between them, about six seconds.
const ATTEMPTS: u32 = 6;

/// GitHub's advice for a rate limit that does not say when it ends
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
const UNTOLD_WAIT: Duration = Duration::from_secs(60);

/// Why one attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may work at once: the connection was lost, or the server is in trouble.
    Passing(String),
    /// It works after a while, not before.
    Wait(String, Duration),
    /// It will not work.
    Final(SourceError),
}

/// Calls `attempt` until it succeeds, fails for good, or `budget` is used up.
///
/// # Errors
/// [`SourceError`] of the last attempt; that of a rate limit names the time at which it ends.
pub(super) async fn retry<T, F>(what: &str, budget: Duration, mut attempt: impl FnMut() -> F) -> Result<T, SourceError>
where
    F: Future<Output = Result<T, Failure>>,
{
    let start = Instant::now();
    let deadline = start.checked_add(budget).unwrap_or(start);
    let mut last = None;
    let mut tries = 0_u32;
    loop {
        tries = tries.saturating_add(1);
        let failure = match timeout_at(deadline, attempt()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => failure,
            Err(_) => {
                let before = last.map(|reason| format!("; before that: {reason}")).unwrap_or_default();
                return Err(unavailable(what, format!("no answer within {} s{before}", budget.as_secs_f32())));
            }
        };
        let (reason, wait) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing(reason) => (reason, jittered(doubled(tries))),
            Failure::Wait(reason, wait) => {
                let fits = deadline.saturating_duration_since(Instant::now()) > wait;
                if !fits {
                    let end = jiff::Timestamp::now().checked_add(wait).unwrap_or(jiff::Timestamp::MAX);
                    let end = crate::timestamp::Timestamp::from_instant(end);
                    return Err(unavailable(what, format!("{reason}; try again after {end}")));
                }
                // Everyone who waits for the same end would otherwise come at the same moment.
                (reason, wait.saturating_add(jittered(FIRST_WAIT)))
            }
        };
        if tries == ATTEMPTS || wait >= deadline.saturating_duration_since(Instant::now()) {
            return Err(unavailable(what, format!("{reason} (tried {tries} times)")));
        }
        tracing::debug!(what, reason, tries, wait_ms = wait.as_millis() as u64, "trying again");
        last = Some(reason);
        sleep(wait).await;
    }
}

/// How long GitHub asks to wait, if that is what an answer means: 429, a 403 that speaks of a rate limit, or a
/// `Retry-After`.
pub(super) fn wait_asked_for(
    status: StatusCode,
    headers: &HeaderMap,
    message: &str,
    now: jiff::Timestamp,
) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let after = retry_after(headers, now);
    let used_up = number("x-ratelimit-remaining") == Some(0);
    let limited = match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => used_up || after.is_some() || message.to_ascii_lowercase().contains("rate limit"),
        StatusCode::SERVICE_UNAVAILABLE => after.is_some(),
        _ => false,
    };
    let until_reset =
        || Some(i64::try_from(number("x-ratelimit-reset")?).map_or(LONGEST_WAIT, |reset| until(reset, now)));
    let reset = if used_up { until_reset() } else { None };
    limited.then(|| after.or(reset).unwrap_or(UNTOLD_WAIT))
}

pub(super) fn unavailable(what: &str, reason: impl Into<String>) -> SourceError {
    SourceError::Unavailable { what: what.to_owned(), reason: reason.into() }
}

/// The wait after so many tries.
fn doubled(tries: u32) -> Duration {
    FIRST_WAIT.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)))
}

/// Between half of a wait and the whole.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const BUDGET: Duration = Duration::from_secs(20);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn passing_failures_are_tried_again_with_growing_waits() {
        let start = Instant::now();
        let times = Cell::new(vec![]);
        let answer = retry("a call", BUDGET, || async {
            let mut seen = times.take();
            seen.push(start.elapsed());
            let tries = seen.len();
            times.set(seen);
            if tries < 4 { Err(Failure::Passing("answered 502".into())) } else { Ok(tries) }
        });
        assert_eq!(answer.await.unwrap(), 4);
        let waits: Vec<_> = times.take().windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (wait, most) in waits.iter().zip([200, 400, 800]) {
            // A paused clock moves in whole milliseconds.
            assert!((most / 2..=most + 1).contains(&(wait.as_millis() as u64)), "{waits:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_after_a_few_attempts_and_says_why() {
        let error = retry::<(), _>("a call", BUDGET, || async { Err(Failure::Passing("answered 500".into())) });
        assert_eq!(error.await.unwrap_err().to_string(), "a call: answered 500 (tried 6 times)");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_fits_is_waited_for() {
        let start = Instant::now();
        let first = Cell::new(true);
        let answer = retry("a call", BUDGET, || async {
            if first.replace(false) {
                Err(Failure::Wait("rate limited".into(), Duration::from_secs(15)))
            } else {
                Ok(())
            }
        });
        answer.await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_does_not_fit_is_not_begun_and_named() {
        let start = Instant::now();
        let error = retry::<(), _>("a call", BUDGET, || async {
            Err(Failure::Wait("rate limited".into(), Duration::from_secs(3600)))
        });
        let text = error.await.unwrap_err().to_string();
        let end = text.strip_prefix("a call: rate limited; try again after ").unwrap();
        assert!(end.parse::<crate::timestamp::Timestamp>().is_ok(), "{text}");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_ends_with_the_budget() {
        let error = retry::<(), _>("a call", BUDGET, std::future::pending);
        assert_eq!(error.await.unwrap_err().to_string(), "a call: no answer within 20 s");
    }

    #[test]
    fn reads_what_github_asks_for() {
        let now = jiff::Timestamp::from_second(1_000).unwrap();
        let exhausted = &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1090")][..];
        for (status, pairs, message, seconds) in [
            (200, &[("retry-after", "5")][..], "", None),
            (403, &[], "Resource not accessible by integration", None),
            (403, &[("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", "1090")], "Must have admin rights", None),
            (403, exhausted, "API rate limit exceeded", Some(90)),
            (429, exhausted, "", Some(90)),
            (429, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "900")], "", Some(0)),
            (403, &[("retry-after", "7")], "", Some(7)),
            (403, &[], "You have exceeded a secondary rate limit", Some(60)),
            (429, &[("retry-after", "soon")], "", Some(60)),
            (503, &[("retry-after", "3")], "", Some(3)),
            (503, &[], "", None),
            (404, exhausted, "", None),
            (429, &[("retry-after", "18446744073709551615")], "", Some(86_400)),
            (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "18446744073709551615")], "", Some(86_400)),
            (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9223372036854775807")], "", Some(86_400)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let wait = wait_asked_for(status, &headers(pairs), message, now);
            assert_eq!(wait.map(|wait| wait.as_secs()), seconds, "{status} {pairs:?} {message}");
        }
    }
}
