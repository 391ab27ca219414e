//! Points in time as the index shows them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point in time in RFC 3339, with the offset in which it was written.
///
/// The index of the reference keeps the offset (`2025-08-20T04:59:02-04:00`), so the text is kept beside the
/// instant; the order is that of the instants.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("format" = "date-time"))]
pub struct Timestamp {
    text: String,
    instant: jiff::Timestamp,
}

/// Why a text is not a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date and time; write RFC 3339, such as 2026-02-18T16:55:18+02:00")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// The time that stands for "not known" in an index, the first moment of the year 1, as the reference writes it.
    pub fn unknown() -> Self {
        "0001-01-01T00:00:00Z".parse().unwrap_or_else(|_| Self::from_instant(jiff::Timestamp::UNIX_EPOCH))
    }

    /// A time in UTC, to the second.
    pub fn from_instant(instant: jiff::Timestamp) -> Self {
        let instant = jiff::Timestamp::from_second(instant.as_second()).unwrap_or(instant);
        Self { text: instant.to_string(), instant }
    }

    /// The time as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The instant, without its offset.
    pub fn instant(&self) -> jiff::Timestamp {
        self.instant
    }

    /// The day in UTC.
    pub fn utc_day(&self) -> jiff::civil::Date {
        jiff::tz::Offset::UTC.to_datetime(self.instant).date()
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::unknown()
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;

    fn try_from(mut text: String) -> Result<Self, Self::Error> {
        let shaped = text.len() >= 20 && text.as_bytes()[10] == b'T' && text.is_ascii();
        let Some(instant) = shaped.then(|| text.parse().ok()).flatten() else {
            return Err(InvalidTimestamp(text.chars().take(64).collect()));
        };
        if text.ends_with("+00:00") {
            text.truncate(text.len() - "+00:00".len());
            text.push('Z');
        }
        Ok(Self { text, instant })
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.instant == other.instant
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.instant.cmp(&other.instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_keeps_its_offset_and_is_ordered_by_instant() {
        let a: Timestamp = "2025-01-01T00:30:00+02:00".parse().unwrap();
        let b: Timestamp = "2024-12-31T23:00:00Z".parse().unwrap();
        assert!(a < b);
        assert_eq!(a.to_string(), "2025-01-01T00:30:00+02:00");
        assert_eq!(a.utc_day().to_string(), "2024-12-31");
    }

    #[test]
    fn utc_has_one_spelling() {
        let t: Timestamp = "2025-01-01T00:30:00+00:00".parse().unwrap();
        assert_eq!(t.as_str(), "2025-01-01T00:30:00Z");
        assert_eq!(Timestamp::unknown().as_str(), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn timestamp_in_another_form_is_refused() {
        for text in ["", "yesterday", "2025-01-01", "2025-01-01T00:00", "2025-13-01T00:00:00Z", "2025-01-01 00:00:00Z"]
        {
            assert!(text.parse::<Timestamp>().is_err(), "{text:?}");
        }
    }
}
