//! Versions of stacks and of devfile schemas, and their order.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A version as written, with the order of its numbers: `1.10.0` is above `1.9.9`, a pre-release such as
/// `2.2.0-alpha` below `2.2.0`, and missing numbers count as zero.
///
/// Two spellings of one version (`1.0` and `1.0.0`) are equal.
///
/// ```
/// use devfile_registry::version::Version;
/// let parse = |text: &str| text.parse::<Version>().unwrap();
/// assert!(parse("1.10.0") > parse("1.9.9"));
/// assert!(parse("2.2.0-alpha") < parse("2.2"));
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    text: String,
    numbers: Vec<u128>,
    pre_release: Option<String>,
}

/// Why a text is not a [`Version`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version; write numbers with dots, such as 1.2.0 or 2.2.0-alpha")]
pub struct InvalidVersion(String);

impl Version {
    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Parses a `schemaVersion`, which may end in build metadata after a `+` (Semantic Versioning 2.0.0, section 10).
    ///
    /// # Errors
    /// When it is no version.
    pub fn of_schema(text: &str) -> Result<Self, InvalidVersion> {
        let (version, _) = text.split_once('+').unwrap_or((text, ""));
        Ok(Self { text: text.to_owned(), ..version.parse()? })
    }

    /// Returns the number of numbers that were written: 3 for `1.2.0`.
    pub fn parts(&self) -> usize {
        self.numbers.len()
    }

    /// The part after the hyphen, if there is one.
    pub fn pre_release(&self) -> Option<&str> {
        self.pre_release.as_deref()
    }
}

impl std::str::FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidVersion(text.chars().take(64).collect());
        let (core, pre_release) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let well_formed = |pre: &str| {
            pre.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        };
        if pre_release.is_some_and(|pre| !well_formed(pre)) {
            return Err(invalid());
        }
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            // A number beyond 128 bits is above every other, which is all that its order needs.
            digits.then(|| part.parse().unwrap_or(u128::MAX)).ok_or_else(invalid)
        };
        Ok(Self {
            text: text.to_owned(),
            numbers: core.split('.').map(number).collect::<Result<_, _>>()?,
            pre_release: pre_release.map(str::to_owned),
        })
    }
}

impl TryFrom<String> for Version {
    type Error = InvalidVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.text
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let padded = |v: &Self, i: usize| v.numbers.get(i).copied().unwrap_or(0);
        (0..length)
            .map(|i| padded(self, i).cmp(&padded(other, i)))
            .find(|o| o.is_ne())
            .unwrap_or_else(|| compare_pre_releases(self.pre_release(), other.pre_release()))
    }
}

/// Order of pre-releases as in Semantic Versioning 2.0.0, section 11.
fn compare_pre_releases(a: Option<&str>, b: Option<&str>) -> Ordering {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (a, b) => return a.is_none().cmp(&b.is_none()),
    };
    let identifier = |a: &str, b: &str| match (a.parse::<u128>(), b.parse::<u128>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    };
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        match (left.next(), right.next()) {
            (Some(a), Some(b)) if identifier(a, b).is_ne() => return identifier(a, b),
            (Some(_), Some(_)) => {}
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let ordered = [
            "0.0.1",
            "0.9",
            "1",
            "1.0.1",
            "1.2.0-alpha",
            "1.2.0-alpha.1",
            "1.2.0-alpha.beta",
            "1.2.0-beta.2",
            "1.2.0-beta.11",
            "1.2.0-rc.1",
            "1.2.0",
            "1.10.0",
            "2.0",
            "999999999999999999999999.0",
        ];
        for pair in ordered.windows(2) {
            assert!(v(pair[0]) < v(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        assert_eq!(v("1.0"), v("1.0.0"));
        assert_eq!(v("01.2.0"), v("1.2"));
        assert_eq!(v("01.2.0").as_str(), "01.2.0");
    }

    #[test]
    fn text_that_is_no_version_is_refused() {
        for text in ["", "v1.0", "1.", ".1", "1..2", "1.0-", "1.0-a..b", "1.0+b", "latest", "1.0 ", "-1", "1.0-ü"] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn order_is_total_and_consistent(a in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}(-[a-z0-9]{1,3})?",
                                         b in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}(-[a-z0-9]{1,3})?",
                                         c in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}(-[a-z0-9]{1,3})?") {
            let (a, b, c) = (v(&a), v(&b), v(&c));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c { prop_assert!(a <= c); }
        }
    }
}
