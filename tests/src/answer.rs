//! Requests to `serve`, all that is in its answers, and waits for an answer: a busy machine may answer from what it has while it reads
//! from the bucket.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::registry::{Serving, TestRegistry};

/// Longest that a test waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer of `serve`.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: bytes::Bytes,
}

impl Answer {
    /// The value of a header; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Serving {
    /// The answer to a request, with any status. Redirects are not followed.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let method = method.parse().expect("a method");
        let mut request = crate::http::direct_client().request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("serve answers");
        let status = answer.status().as_u16();
        let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let headers = answer.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        Answer { status, headers, body: answer.bytes().await.expect("the body arrives") }
    }

    /// Asks until a GET is answered as a test wants it, a minute at most, and returns the body.
    async fn until(&self, path: &str, enough: impl Fn(u16, &str) -> bool) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.get(path).await;
            if enough(status, &body) {
                return body;
            }
            let is_late = tokio::time::Instant::now() >= deadline;
            assert!(!is_late, "{path} does not become what is expected within {PATIENCE:?}: {status} {body}");
        }
    }

    /// Waits until a GET is answered with this body.
    pub async fn shows(&self, path: &str, body: &str) {
        self.until(path, |status, found| (status, found) == (200, body)).await;
    }

    /// Waits until a page has a text in it, and returns the page.
    pub async fn shows_text(&self, path: &str, text: &str) -> String {
        self.until(path, |status, found| status == 200 && found.contains(text)).await
    }

    /// Waits until it answers from the live release of a registry.
    pub async fn until_serves(&self, registry: &TestRegistry) {
        let index = registry.object("index.json").await;
        self.shows("/index.json", std::str::from_utf8(&index).expect("index.json is text")).await;
    }

    /// Waits until it answers from the release of a commit.
    pub async fn until_live(&self, commit: &str) {
        self.until_status(|status| status["live"]["commit_hash"] == commit).await;
    }

    /// Waits until `/status` is as a test wants it, and returns it.
    pub async fn until_status(&self, enough: impl Fn(&Value) -> bool) -> Value {
        let read = |body: &str| serde_json::from_str(body).unwrap_or_else(|error| panic!("/status: {error}: {body}"));
        read(&self.until("/status", |_, body| enough(&read(body))).await)
    }

    /// Waits until `/status` has an outcome of the last refresh, which it leaves out while the bucket is slow, and returns it.
    pub async fn last_refresh(&self) -> Value {
        let mut status = self.until_status(|status| !status["last_refresh"].is_null()).await;
        status["last_refresh"].take()
    }
}
