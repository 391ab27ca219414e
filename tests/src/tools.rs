//! The tools that the scripts have fetched.

use std::path::PathBuf;

/// Returns the folder of the tools.
///
/// # Panics
/// The caller of the tests does not say where it is.
pub fn folder() -> PathBuf {
    std::env::var_os("TEST_TOOLS").expect("TEST_TOOLS is not set; run the tests with scripts/test").into()
}

/// Returns the path of a tool.
///
/// # Panics
/// It was not fetched.
pub fn tool(name: &str) -> PathBuf {
    let tool = folder().join(name);
    assert!(tool.exists(), "{} is missing; run the tests with scripts/test, which fetches it", tool.display());
    tool
}
