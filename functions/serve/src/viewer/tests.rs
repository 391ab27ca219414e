//! Whole pages, as clients get them.
