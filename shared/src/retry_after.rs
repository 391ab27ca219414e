//! The wait that an answer asks for: `Retry-After`, and the headers of rate limits.

#![warn(clippy::arithmetic_side_effects)]

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

/// Longest wait that a server can ask for; a longer one counts as this. No caller waits for more than minutes, so it only keeps sums in range.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the wait that an answer asks for before the next call, or `None` when it is not about waiting: 429, a 403 that speaks
/// of a rate limit, or a server error with `Retry-After`. A limit that names no time counts as `default`.
///
/// `x-ratelimit-*` are headers of GitHub
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>), which other hosts took over.
pub(crate) fn requested_wait(
    status: StatusCode,
    headers: &HeaderMap,
    message: &str,
    default: Duration,
    now: Timestamp,
) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let after = retry_after(headers, now);
    let used_up = number("x-ratelimit-remaining") == Some(0);
    let limited = match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => used_up || after.is_some() || message.to_ascii_lowercase().contains("rate limit"),
        status => status.is_server_error() && after.is_some(),
    };
    let until_reset =
        || Some(i64::try_from(number("x-ratelimit-reset")?).map_or(LONGEST_WAIT, |reset| until(reset, now)));
    let reset = if used_up { until_reset() } else { None };
    limited.then(|| after.or(reset).unwrap_or(default))
}

/// Returns the time that `Retry-After` asks for, in seconds or until a date (RFC 9110, section 10.2.3), or `None` when it is absent or is neither.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a long time, too.
        return Some(capped(text.parse().unwrap_or(u64::MAX)));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(until(date.as_second(), now))
}

/// Returns the time until a second since 1970, zero when that has passed.
fn until(second: i64, now: Timestamp) -> Duration {
    capped(u64::try_from(second.saturating_sub(now.as_second())).unwrap_or_default())
}

fn capped(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn asked(value: HeaderValue, now: Timestamp) -> Option<Duration> {
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]), now)
    }

    #[test]
    fn retry_after_is_a_number_or_a_date_and_capped() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let day = Some(LONGEST_WAIT.as_secs());
        for (text, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("007", Some(7)),
            ("Thu, 01 Jan 2026 00:01:00 GMT", Some(60)),
            ("Wed, 31 Dec 2025 00:00:00 GMT", Some(0)),
            ("Thu, 31 Dec 9998 23:59:59 GMT", day),
            ("Fri, 31 Dec 99999 23:59:59 GMT", None),
            ("86401", day),
            ("9223372036854775807", day),
            ("18446744073709551615", day),
            ("18446744073709551616", day),
            ("99999999999999999999999999999999", day),
            ("soon", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
        ] {
            let value = HeaderValue::from_str(text).unwrap();
            assert_eq!(asked(value, now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
        assert_eq!(until(i64::MIN, now), Duration::ZERO);
        assert_eq!(until(i64::MAX, Timestamp::MIN), LONGEST_WAIT);
    }

    #[test]
    fn rate_limits_and_retry_after_ask_for_a_wait() {
        let now = Timestamp::from_second(1_000).unwrap();
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
            (502, &[("retry-after", "3")], "", Some(3)),
            (503, &[], "", None),
            (404, exhausted, "", None),
            (429, &[("retry-after", "18446744073709551615")], "", Some(86_400)),
            (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "18446744073709551615")], "", Some(86_400)),
            (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9223372036854775807")], "", Some(86_400)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let wait = requested_wait(status, &headers, message, Duration::from_secs(60), now);
            assert_eq!(wait.map(|wait| wait.as_secs()), seconds, "{status} {pairs:?} {message}");
        }
    }

    proptest! {
        #[test]
        fn any_retry_after_is_capped(
            value in prop_oneof!["[ -~]{0,40}", "[0-9]{1,40}", "[A-Z][a-z]{2}, [0-9]{1,2} Dec [0-9]{4,6} [0-9:]{5,9} (GMT|[+-][0-9]{4})"],
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            now in Timestamp::MIN.as_second()..=Timestamp::MAX.as_second(),
        ) {
            let now = Timestamp::from_second(now).unwrap();
            for value in [HeaderValue::from_str(&value).ok(), HeaderValue::from_bytes(&bytes).ok()].into_iter().flatten() {
                prop_assert!(asked(value, now).is_none_or(|wait| wait <= LONGEST_WAIT));
            }
        }
    }
}
