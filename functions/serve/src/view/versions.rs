//! The one way to choose a version of a stack or sample, and the order of versions.

use std::cmp::Reverse;
use std::fmt;

use devfile_registry::index::VersionEntry;
use devfile_registry::version::Version;

/// The name that stands for the default version.
const DEFAULT: &str = "default";

/// The name that stands for the newest version.
const LATEST: &str = "latest";

/// A version as a client names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    /// The default version.
    Default,
    /// The newest version that the client can read.
    Latest,
    /// The version of this name.
    Named(&'a str),
}

/// The values to choose from.
pub(crate) trait Versioned {
    /// The name of the version.
    fn version(&self) -> &str;
    /// Whether it is the default one.
    fn is_default(&self) -> bool;
}

impl<'a> Wanted<'a> {
    /// The version that a text names; no text names the default one.
    pub(crate) fn named(text: &'a str) -> Self {
        match text {
            "" | DEFAULT => Self::Default,
            LATEST => Self::Latest,
            name => Self::Named(name),
        }
    }

    /// Chooses among versions in their [order](sort). `is_readable` counts for the latest alone.
    pub(crate) fn choose<V: Versioned>(self, versions: &[V], is_readable: impl Fn(&V) -> bool) -> Option<&V> {
        versions.iter().find(|version| match self {
            Self::Default => version.is_default(),
            Self::Latest => is_readable(version),
            Self::Named(name) => version.version() == name,
        })
    }
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => DEFAULT,
            Self::Latest => LATEST,
            Self::Named(name) => name,
        })
    }
}

/// Sorts versions, the newest first. Names that are no versions come last, in their order.
pub(crate) fn sort<V: Versioned>(versions: &mut [V]) {
    versions.sort_by_cached_key(|version| Reverse(number(version.version())));
}

/// The number of a version, to compare it by.
pub(crate) fn number(version: &str) -> Option<Version> {
    version.parse().ok()
}

impl Versioned for &VersionEntry {
    fn version(&self) -> &str {
        &self.version
    }

    fn is_default(&self) -> bool {
        self.default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Versioned for (&str, bool) {
        fn version(&self) -> &str {
            self.0
        }

        fn is_default(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn version_is_chosen_by_its_name_or_one_that_stands_for_it() {
        let mut versions = [("odd", false), ("1.9.0", true), ("1.10.0", false), ("2.0.0-rc", false)];
        sort(&mut versions);
        assert_eq!(versions.map(|(name, _)| name), ["2.0.0-rc", "1.10.0", "1.9.0", "odd"]);
        for (text, is_readable, chosen) in [
            ("", false, Some("1.9.0")),
            ("default", false, Some("1.9.0")),
            ("latest", true, Some("1.10.0")),
            ("latest", false, None),
            ("odd", false, Some("odd")),
            ("3.0.0", true, None),
        ] {
            let found = Wanted::named(text).choose(&versions, |(name, _)| is_readable && !name.contains('-'));
            assert_eq!(found.map(|(name, _)| *name), chosen, "{text}");
        }
    }
}
