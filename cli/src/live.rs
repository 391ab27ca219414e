//! A live registry, asked as a client asks it: at a bounded rate, for answers of bounded size, in bounded time.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use devfile_registry::artifact;
use devfile_registry::diff::FileDigests;
use devfile_registry::digest::Digest;
use devfile_registry::index::Entry;
use devfile_registry::limits;
pub(crate) use devfile_registry::text::url_segment as segment;
use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Client, Method, redirect};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};
use url::Url;

/// Longest time for a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest time for an answer, its body included.
const ANSWER: Duration = Duration::from_secs(60);

/// Most redirects of one request: blobs of some registries are in a bucket.
const REDIRECTS: usize = 5;

/// The media types of manifests that registries have.
const MANIFEST: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// A live registry.
#[derive(Debug)]
pub(crate) struct Registry {
    base: Url,
    client: Client,
    pace: Mutex<Interval>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It took too long.
    #[error("no answer within {} s", ANSWER.as_secs())]
    Slow,
    /// It has more bytes than it may have.
    #[error("the answer has more than {0} bytes")]
    TooLarge(u64),
    /// The connection failed.
    #[error("{0}")]
    Broken(String),
}

/// A layer of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The name of its file; empty when it has none.
    pub(crate) title: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl Registry {
    /// Connects nothing yet. `rate` is the most requests a second.
    ///
    /// # Errors
    /// The URL has a path, credentials or another scheme than http and https.
    pub(crate) fn new(url: &Url, rate: NonZeroU32) -> anyhow::Result<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            bail!("cannot ask {url}: a registry has an http or https URL");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            bail!("cannot ask {url}: the URL of a registry has no path, such as https://registry.example.org");
        }
        if !url.username().is_empty() || url.password().is_some() {
            bail!("cannot ask {}: the URL has credentials in it", url.host_str().unwrap_or_default());
        }
        // Content is never taken from an unencrypted connection when an encrypted one was asked for.
        let redirects = redirect::Policy::custom(|attempt| {
            let is_downgrade = attempt.url().scheme() != "https"
                && attempt.previous().last().is_some_and(|before| before.scheme() == "https");
            if is_downgrade || attempt.previous().len() > REDIRECTS { attempt.stop() } else { attempt.follow() }
        });
        let client = Client::builder()
            .user_agent(concat!("devfile-registry/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .referer(false)
            .redirect(redirects)
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build()?;
        let mut pace = interval(Duration::from_secs(1) / rate.get());
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { base: url.clone(), client, pace: Mutex::new(pace) })
    }

    /// Its URL, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Answers a GET of a path, which begins with a slash and is encoded.
    pub(crate) async fn get(&self, path: &str, limit: u64) -> Result<Answer, Failure> {
        self.ask(Method::GET, path, "*/*", limit).await
    }

    /// Answers a HEAD.
    pub(crate) async fn head(&self, path: &str) -> Result<Answer, Failure> {
        self.ask(Method::HEAD, path, "*/*", 0).await
    }

    /// Answers a GET of a manifest.
    pub(crate) async fn manifest(&self, repository: &str, reference: &str) -> Result<Answer, Failure> {
        let path = format!("/v2/{}/manifests/{}", path_of(repository), segment(reference));
        self.ask(Method::GET, &path, MANIFEST, limits::MANIFEST_BYTES).await
    }

    async fn ask(&self, method: Method, path: &str, accept: &str, limit: u64) -> Result<Answer, Failure> {
        self.pace.lock().await.tick().await;
        let url = format!("{}{path}", self.url());
        let mut response = self.client.request(method, url).header(ACCEPT, accept).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(Failure::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }

    /// The entries of its index.
    pub(crate) async fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let path = "/v2index/all";
        let cannot = || format!("cannot read {}{path}", self.url());
        let answer = self.get(path, limits::RELEASE_BYTES).await.with_context(cannot)?;
        if answer.status != 200 {
            bail!("{}: its status is {}", cannot(), answer.status);
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("{}: this is no index", cannot()))
    }
}

impl Failure {
    /// Whether the registry did not answer; it may be down.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::Slow | Self::Broken(_) => true,
            Self::TooLarge(_) => false,
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Slow;
        }
        // The cause says more than reqwest's own words, which repeat the URL.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Broken(cause.to_string())
    }
}

impl Answer {
    /// A header as text, empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The media type without parameters, in lower case.
    pub(crate) fn media_type(&self) -> String {
        self.header("content-type").split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// Several segments of a path.
pub(crate) fn path_of(text: &str) -> String {
    text.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The repository and the tag of a version, from its `links.self`.
pub(crate) fn artifact_of(entry: &devfile_registry::index::VersionEntry) -> Option<(&str, &str)> {
    entry.links.get("self")?.rsplit_once(':').filter(|(repository, _)| !repository.is_empty())
}

/// The layers of a manifest.
///
/// # Errors
/// The bytes are no manifest.
pub(crate) fn layers(manifest: &[u8]) -> serde_json::Result<Vec<Layer>> {
    #[derive(Deserialize)]
    struct Manifest {
        layers: Vec<Descriptor>,
    }
    #[derive(Deserialize)]
    struct Descriptor {
        digest: Digest,
        size: u64,
        #[serde(default)]
        annotations: Option<std::collections::HashMap<String, String>>,
    }
    let manifest: Manifest = serde_json::from_slice(manifest)?;
    let layer = |Descriptor { digest, size, annotations }| {
        let title = annotations.and_then(|mut all| all.remove(artifact::TITLE)).unwrap_or_default();
        Layer { title, digest, size }
    };
    Ok(manifest.layers.into_iter().map(layer).collect())
}

/// The files of an archive.
pub(crate) fn unpacked(archive: &[u8]) -> std::io::Result<FileDigests> {
    let files = artifact::unpack(archive)?.into_iter();
    Ok(files.map(|(path, content)| (path.trim_start_matches("./").to_owned(), Digest::of(&content))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn url_of_a_registry_has_no_path_and_no_credentials() {
        let rate = NonZeroU32::MIN;
        for url in ["https://registry.example.org", "http://127.0.0.1:8080/"] {
            Registry::new(&url.parse().unwrap(), rate).unwrap();
        }
        for url in ["https://example.org/registry", "ftp://example.org", "https://a:b@example.org", "https://x/?a"] {
            assert!(Registry::new(&url.parse().unwrap(), rate).is_err(), "{url}");
        }
    }

    #[test]
    fn name_with_a_space_is_encoded_in_its_segment() {
        assert_eq!(path_of("devfile-catalog/java maven"), "devfile-catalog/java%20maven");
    }

    #[test]
    fn layers_are_read_with_and_without_titles() {
        let digest = Digest::of(b"x");
        let without = serde_json::json!({"digest": digest, "size": 1});
        let with = serde_json::json!({"digest": digest, "size": 1, "annotations": {(artifact::TITLE): "x"}});
        let manifest = serde_json::json!({"layers": [with, without]}).to_string();
        let titles: Vec<_> = layers(manifest.as_bytes()).unwrap().into_iter().map(|layer| layer.title).collect();
        assert_eq!(titles, ["x", ""]);
        assert!(layers(b"{}").is_err());
    }
}
