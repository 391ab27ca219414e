//! What `serve` is told by its environment.

use std::net::SocketAddr;
use std::time::Duration;

use devfile_registry::environment::{Environment, InvalidEnvironment};
use devfile_registry::fetch::Rules;
use devfile_registry::public_url::PublicUrl;

/// The configuration of `serve`.
#[derive(Debug, Clone)]
pub struct Config {
    /// `CACHE_BUCKET`: the bucket to read.
    pub bucket: String,
    /// `REVALIDATE_SECONDS`: how old a snapshot may be before the bucket is asked for a newer one.
    pub(crate) revalidate: Duration,
    /// `LISTEN_ADDR`: where plain HTTP listens.
    pub listen: SocketAddr,
    /// `METRICS_ADDR`: where plain HTTP shows metrics; none when it does not.
    pub metrics: Option<SocketAddr>,
    /// `USAGE_EVENTS`: whether usage is counted.
    pub usage: UsageEvents,
    /// `REDIRECT_BLOBS`: whether large blobs are answered with a redirect to the bucket.
    pub(crate) large_blobs: LargeBlobs,
    /// `FETCH_HOSTS`, `FETCH_ALLOW_LOOPBACK`: what may be fetched.
    pub(crate) fetches: Rules,
    /// `REGISTRY_NAME`: the name that people see.
    pub(crate) name: String,
    /// `PUBLIC_URL`: the URL under which clients reach the registry; without it the one that each request names.
    pub(crate) public_url: Option<PublicUrl>,
    /// `REGISTRY_HEADLESS`: `true` turns the viewer off.
    pub(crate) viewer: Mode,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Variables are missing or malformed; all of them are named.
    pub fn from_env() -> Result<Self, InvalidEnvironment> {
        let mut environment = Environment::of_process();
        let bucket = environment.required("CACHE_BUCKET", "the name of the S3 bucket that refresh writes");
        let revalidate = environment.or("REVALIDATE_SECONDS", "a number of seconds, such as 5", 5_u16);
        let listen = environment.or(
            "LISTEN_ADDR",
            "an address and port, such as 127.0.0.1:8080",
            SocketAddr::from(([127, 0, 0, 1], 8080)),
        );
        let name = environment.or("REGISTRY_NAME", "a name for people", "Devfile Registry".to_owned());
        let public_url = environment.optional("PUBLIC_URL", "https:// and a host, without a path");
        let metrics = environment.optional("METRICS_ADDR", "an address and port, such as 127.0.0.1:9100");
        let usage = match environment.or("USAGE_EVENTS", "true or false", false) {
            true => UsageEvents::Counted,
            false => UsageEvents::Off,
        };
        let headless = environment.or("REGISTRY_HEADLESS", "true or false", false);
        let viewer = if headless { Mode::Headless } else { Mode::Pages };
        let large_blobs = match environment.or("REDIRECT_BLOBS", "true or false", true) {
            true => LargeBlobs::Redirected,
            false => LargeBlobs::Sent,
        };
        let fetches = Rules::from_environment(&mut environment);
        environment.finish()?;
        let revalidate = Duration::from_secs(revalidate.into());
        Ok(Self { bucket, revalidate, listen, metrics, usage, large_blobs, fetches, name, public_url, viewer })
    }
}

/// Whether there is a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// There is.
    Pages,
    /// There is none: `REGISTRY_HEADLESS=true`.
    Headless,
}

/// How blobs above [`REDIRECT_BYTES`](devfile_registry::limits::REDIRECT_BYTES) leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LargeBlobs {
    /// By a redirect to the bucket.
    Redirected,
    /// Like all others, where the bucket is out of the clients' reach.
    Sent,
}

/// Whether usage is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageEvents {
    /// Each is an event in the log and a count in the metrics.
    Counted,
    /// It is nobody's business.
    Off,
}
