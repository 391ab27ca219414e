//! The HTTP clients of the tests. They trust no certificates: all servers of tests speak plain HTTP, and reading the certificates of
//! the machine takes longer than a request.

use std::sync::LazyLock;

use reqwest::redirect::Policy;
use reqwest::{Client, IntoUrl, Response};

/// Returns the client that follows redirects.
pub fn client() -> &'static Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| new(Policy::default()));
    &CLIENT
}

/// Returns the client that shows redirects as answers.
pub fn direct_client() -> &'static Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| new(Policy::none()));
    &CLIENT
}

/// Answers a GET, redirects followed.
///
/// # Errors
/// There is no answer.
pub async fn get(url: impl IntoUrl) -> reqwest::Result<Response> {
    client().get(url).send().await
}

fn new(redirects: Policy) -> Client {
    // All servers are on this machine; a proxy must not be asked for them.
    let builder = Client::builder().redirect(redirects).tls_certs_only([]).no_proxy();
    // Each test has a runtime of its own, and a connection does not outlive its runtime.
    builder.pool_max_idle_per_host(0).build().expect("a client can be built")
}
