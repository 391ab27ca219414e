//! The settings of `serve`, read from its environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use devfile_registry::cache::{Cache, RetryPolicy};
use devfile_registry::directory::Directory;
use devfile_registry::environment::{Environment, InvalidEnvironment};
use devfile_registry::fetch::Rules;
use devfile_registry::open_in::OpenIn;
use devfile_registry::public_url::PublicUrl;
use devfile_registry::settings;

/// The configuration of `serve`.
#[derive(Debug, Clone)]
pub struct Config {
    /// `STORE`, `CACHE_BUCKET`: the bucket to read.
    pub(crate) bucket: BucketName,
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
    /// `FETCH_HOSTS`, `FETCH_ALLOW_LOOPBACK`: limits on fetches.
    pub(crate) fetches: Rules,
    /// `REGISTRY_NAME`: the name that people see.
    pub(crate) name: String,
    /// `PUBLIC_URL`: the URL under which clients reach the registry; without it the one that each request names.
    pub(crate) public_url: Option<PublicUrl>,
    /// `REGISTRY_HEADLESS`: `true` turns the viewer off.
    pub(crate) viewer: Mode,
    /// `OPEN_IN`: environments that open a devfile by a link.
    pub(crate) open_in: OpenIn,
    /// The readers of the viewer's pages. No variable sets them.
    pub(crate) readers: Readers,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Variables are missing or malformed; all of them are named.
    pub fn from_env() -> Result<Self, InvalidEnvironment> {
        Self::read(Environment::of_process())
    }

    /// Reads settings that need not be those of the process.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn read(mut environment: Environment) -> Result<Self, InvalidEnvironment> {
        let bucket = match environment.store() {
            Some(folder) => BucketName::InDirectory(folder),
            None => BucketName::S3(environment.required(&settings::CACHE_BUCKET)),
        };
        let revalidate: u16 = environment.or_default(&settings::REVALIDATE_SECONDS);
        let listen = environment.or_default(&settings::LISTEN_ADDR);
        let name = environment.or_default(&settings::REGISTRY_NAME);
        let public_url = environment.optional(&settings::PUBLIC_URL);
        let metrics = environment.optional(&settings::METRICS_ADDR);
        let usage = match environment.or_default(&settings::USAGE_EVENTS) {
            true => UsageEvents::Counted,
            false => UsageEvents::Off,
        };
        let headless: bool = environment.or_default(&settings::REGISTRY_HEADLESS);
        let viewer = if headless { Mode::Headless } else { Mode::Pages };
        let open_in = environment.optional(&settings::OPEN_IN).unwrap_or_default();
        let large_blobs = match (&bucket, environment.or_default(&settings::REDIRECT_BLOBS)) {
            (BucketName::S3(_), true) => LargeBlobs::Redirected,
            // Nobody but this process can read a directory.
            (BucketName::InDirectory(_), _) | (_, false) => LargeBlobs::Sent,
        };
        let fetches = Rules::from_environment(&mut environment);
        environment.finish()?;
        let revalidate = Duration::from_secs(revalidate.into());
        Ok(Self {
            bucket,
            revalidate,
            listen,
            metrics,
            usage,
            large_blobs,
            fetches,
            name,
            public_url,
            viewer,
            open_in,
            readers: Readers::Everyone,
        })
    }

    /// The same for the owners of the stacks: each stack's pages have the warnings about its files.
    #[must_use]
    pub fn for_owners(self) -> Self {
        Self { readers: Readers::Owners, ..self }
    }

    /// The same without fetches from other hosts, which get this reason as their answer.
    #[must_use]
    pub fn without_fetches(self, reason: &'static str) -> Self {
        Self { fetches: Rules::refusing(reason), ..self }
    }
}

/// The bucket to read.
#[derive(Debug, Clone)]
pub(crate) enum BucketName {
    /// At an S3 server, by its name.
    S3(String),
    /// In a directory.
    InDirectory(PathBuf),
}

impl BucketName {
    /// Makes a client; nothing is read yet. The log names a folder that does not exist.
    pub(crate) async fn open(&self) -> Cache {
        match self {
            Self::S3(name) => Cache::from_env(name, RetryPolicy::Reader).await,
            Self::InDirectory(folder) => {
                if !folder.is_dir() {
                    let reason = "answers are 503 until refresh publishes into it";
                    tracing::warn!(folder = %folder.display(), "cannot find the folder of STORE; {reason}");
                }
                Cache::in_directory(Directory::at(folder))
            }
        }
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

/// The readers of the viewer's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Everyone: warnings about stacks are on the page for operators alone.
    Everyone,
    /// The owners of the stacks, as in a preview.
    Owners,
}

/// The delivery of blobs above [`REDIRECT_BYTES`](devfile_registry::limits::REDIRECT_BYTES).
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use devfile_registry::settings::Function;

    use super::*;

    #[test]
    fn settings_that_are_declared_for_this_function_are_read_and_no_others() {
        let read = Arc::new(Mutex::new(BTreeSet::new()));
        let noted = Arc::clone(&read);
        let lookup = move |name: &str| {
            noted.lock().unwrap().insert(name.to_owned());
            (name == settings::CACHE_BUCKET.name).then(|| "bucket".to_owned())
        };
        Config::read(Environment::new(lookup)).unwrap();
        let declared = settings::of(Function::Serve).map(|(setting, _)| setting.name.to_owned());
        assert_eq!(*read.lock().unwrap(), declared.collect());
    }
    fn read(variables: &'static [(&'static str, &'static str)]) -> Result<Config, String> {
        let lookup = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Config::read(Environment::new(lookup)).map_err(|error| error.to_string())
    }

    #[test]
    fn store_takes_the_place_of_the_bucket_and_its_blobs_are_sent() {
        let config = read(&[("STORE", "/data"), ("REDIRECT_BLOBS", "true")]).unwrap();
        assert!(matches!(config.bucket, BucketName::InDirectory(_)));
        assert_eq!(config.large_blobs, LargeBlobs::Sent);
        let error = read(&[("STORE", "/data"), ("CACHE_BUCKET", "bucket")]).unwrap_err();
        assert_eq!(error.lines().count(), 2, "{error}");
        assert!(error.contains("STORE excludes CACHE_BUCKET; set STORE alone, "), "{error}");
    }
}
