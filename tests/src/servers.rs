//! The two servers that a registry stores into: SeaweedFS for S3, and Distribution for OCI.
//!
//! Each gets free loopback ports of its own, so that any number of pairs runs side by side. A port can be lost between its choice and
//! its use, so a server that ends at once is started again with others. A server is ready once it answers the requests of its users, or its
//! log says that it listens: another one may answer on its port.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use aws_config::retry::RetryConfig;
use aws_sdk_s3::config::{Credentials, Region};
use serde_json::json;

use crate::ports::{free_ports, is_free};
use crate::processes::{Logged, Processes};

const REGION: &str = "us-east-1";

/// Longest that a server may take to get ready.
const START: Duration = Duration::from_secs(60);

/// Time between two requests to a server that is not ready.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts of a server, each with other ports.
const STARTS: usize = 3;

/// Part of the disk that must be free. Below half of this part SeaweedFS stores nothing, and answers every write with an inner error.
const LEAST_FREE: f64 = 0.02;

/// The ports of SeaweedFS. Without an option each is a well-known one, and two servers could not run at once.
const WEED_PORTS: [&str; 10] = [
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
];

/// The folders of both servers.
#[derive(Debug)]
pub struct Folders {
    /// The programs `weed` and `docker-registry`.
    pub tools: PathBuf,
    /// Their data.
    pub data: PathBuf,
    /// Their logs.
    pub logs: PathBuf,
}

/// A bucket that the S3 server makes, and the key to it.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The id of the access key.
    pub access_key: String,
    /// The secret of the access key.
    pub secret_key: String,
}

/// An S3 server that runs.
#[derive(Debug)]
pub struct S3Server {
    /// Its URL.
    pub endpoint: String,
    /// Its bucket.
    pub bucket: Bucket,
    /// Its process.
    pub process: Logged,
}

/// An OCI registry that runs.
#[derive(Debug)]
pub struct OciServer {
    /// Its address, `host:port`.
    pub address: String,
    /// Its process.
    pub process: Logged,
}

impl Folders {
    /// Makes the folders of data and logs.
    ///
    /// # Errors
    /// A folder cannot be made, or the disk is nearly full.
    pub fn create(&self) -> Result<()> {
        for folder in [&self.data, &self.logs] {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let cannot = || format!("cannot find the free space of {}", self.data.display());
        let disk = rustix::fs::statvfs(&self.data).with_context(cannot)?;
        let problem = lack_of_space(disk.f_bavail, disk.f_blocks);
        ensure!(problem.is_none(), "the disk of {} {}", self.data.display(), problem.unwrap_or_default());
        Ok(())
    }
}

impl S3Server {
    /// Starts SeaweedFS, and waits until it has the bucket.
    ///
    /// # Errors
    /// It does not start, or does not get ready in time.
    pub async fn start(processes: &Processes, folders: &Folders, bucket: Bucket) -> Result<Self> {
        let data = folder(&folders.data, "s3")?;
        let start = |ports: &[u16]| {
            let named = WEED_PORTS.iter().zip(ports).map(|(name, port)| format!("-{name}={port}"));
            let sockets = ["s3", "filer"]
                .map(|name| format!("-{name}.localSocket={}", data.join(name).with_extension("sock").display()));
            let mut command: Vec<OsString> = vec![folders.tools.join("weed").into()];
            command.extend(["-logtostderr=true", "mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"].map(OsString::from));
            command
                .extend([format!("-dir={}", data.display()), format!("-bucket={}", bucket.name)].map(OsString::from));
            command.extend(
                ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"].map(OsString::from),
            );
            // Each bucket takes a volume. They start empty, so the disk's size, the default limit, says nothing here.
            command.extend(
                ["-volume.max=1000", "-master.volumeSizeLimitMB=128", "-master.telemetry=false"].map(OsString::from),
            );
            command.extend(named.chain(sockets).map(OsString::from));
            let key = [("AWS_ACCESS_KEY_ID", &*bucket.access_key), ("AWS_SECRET_ACCESS_KEY", &*bucket.secret_key)];
            processes.start_logged("SeaweedFS", &command, &key, &folders.logs.join("s3.log"))
        };
        // An S3 server answers unsigned requests long before it is of use, and so does another server on the same port.
        let connect = |port: u16| client(&endpoint(port), &bucket);
        let is_ready =
            async |client: &aws_sdk_s3::Client| client.head_bucket().bucket(&bucket.name).send().await.is_ok();
        // SeaweedFS files its state under its ports.
        let (port, process) = start_on(&data.join("ports.json"), WEED_PORTS.len(), start, connect, is_ready).await?;
        Ok(Self { endpoint: endpoint(port), bucket, process })
    }

    /// Returns the variables from which clients of AWS take the key and the region.
    pub fn variables(&self) -> [(&'static str, String); 3] {
        let Bucket { access_key, secret_key, .. } = self.bucket.clone();
        [("AWS_ACCESS_KEY_ID", access_key), ("AWS_SECRET_ACCESS_KEY", secret_key), ("AWS_REGION", REGION.to_owned())]
    }
}

impl OciServer {
    /// Starts Distribution, and waits until it listens.
    ///
    /// # Errors
    /// It does not start, or does not get ready in time.
    pub async fn start(processes: &Processes, folders: &Folders) -> Result<Self> {
        let (data, log) = (folder(&folders.data, "oci")?, folders.logs.join("oci.log"));
        let start = |ports: &[u16]| {
            let [port] = *ports else { bail!("it listens on one port") };
            let configuration = data.join("config.json"); // JSON is YAML.
            let secret = format!("secret-of-uploads-{}", std::process::id());
            let content = json!({
                "version": "0.1",
                "log": {"level": "info", "accesslog": {"disabled": true}},
                "storage": {
                    "filesystem": {"rootdirectory": data.join("storage")},
                    "delete": {"enabled": true},
                    "maintenance": {"uploadpurging": {"enabled": false}},
                },
                "http": {"addr": format!("127.0.0.1:{port}"), "secret": secret},
            });
            std::fs::write(&configuration, content.to_string())?;
            let command = [folders.tools.join("docker-registry").into(), "serve".into(), configuration.into()];
            // It makes much garbage with each request; collecting that seldom halves the pauses and costs some megabytes.
            processes.start_logged("Distribution", &command, &[("GOGC", "400")], &log)
        };
        // Another registry on the same port would answer as well.
        let is_ready = async |_: &()| std::fs::read_to_string(&log).is_ok_and(|log| log.contains("listening on "));
        let (port, process) = start_on(&data.join("ports.json"), 1, start, |_| (), is_ready).await?;
        Ok(Self { address: format!("127.0.0.1:{port}"), process })
    }
}

/// Describes a disk that is too full for the S3 server, by its free blocks and all of them.
fn lack_of_space(free: u64, total: u64) -> Option<String> {
    let free = free as f64 / total.max(1) as f64;
    (free < LEAST_FREE).then(|| {
        format!(
            "is nearly full: {:.1} % are free, and the S3 server needs {:.0} %; make room, for example with `cargo clean`",
            free * 100.0,
            LEAST_FREE * 100.0
        )
    })
}

/// Starts a server on the ports of the last time, or on new ones, and waits until it is ready. Returns its first port.
async fn start_on<C>(
    ports_of_last_time: &Path,
    count: usize,
    start: impl Fn(&[u16]) -> Result<Logged>,
    connect: impl Fn(u16) -> C,
    is_ready: impl AsyncFn(&C) -> bool,
) -> Result<(u16, Logged)> {
    let mut ports = recorded(ports_of_last_time, count).map_or_else(|| free_ports(count), Ok)?;
    let mut starts = 1;
    loop {
        let mut server = start(&ports)?;
        let first = *ports.first().context("a server listens on a port")?;
        let connection = connect(first);
        let ready = async {
            // Servers of others send no event when they are ready.
            let mut questions = tokio::time::interval(PAUSE);
            questions.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            questions.tick().await;
            while !is_ready(&connection).await {
                questions.tick().await;
            }
        };
        let ended: Option<Error> = tokio::select! {
            biased;
            ended = server.ended() => Some(ended),
            ready = tokio::time::timeout(START, ready) => match ready {
                Ok(()) => None,
                Err(_) => bail!("{} does not get ready within {START:?}", server.describe()),
            },
        };
        match ended {
            None => {
                std::fs::write(ports_of_last_time, json!(ports).to_string())?;
                return Ok((first, server));
            }
            Some(error) if starts == STARTS => return Err(error),
            Some(_) => (ports, starts) = (free_ports(count)?, starts + 1),
        }
    }
}

/// Returns the ports of the last time, if all are free.
fn recorded(path: &Path, count: usize) -> Option<Vec<u16>> {
    let ports: Vec<u16> = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (ports.len() == count && ports.iter().all(|port| is_free(*port))).then_some(ports)
}

fn folder(data: &Path, name: &str) -> Result<PathBuf> {
    let folder = std::path::absolute(data.join(name))?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn client(endpoint: &str, bucket: &Bucket) -> aws_sdk_s3::Client {
    let credentials = Credentials::new(&bucket.access_key, &bucket.secret_key, None, None, "the key of the server");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(REGION))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_below_two_percent_is_too_full() {
        assert_eq!(lack_of_space(2, 100), None);
        let problem = lack_of_space(16, 1000).unwrap();
        assert!(problem.starts_with("is nearly full: 1.6 % are free, and the S3 server needs 2 %"), "{problem}");
    }

    #[test]
    fn ports_of_the_last_time_are_used_again_unless_they_make_no_sense_or_are_taken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let ports = free_ports(2).unwrap();
        for (content, expected) in [
            ("[1, 2".to_owned(), None),
            (r#"["a", "b"]"#.to_owned(), None),
            ("[1]".to_owned(), None),
            (json!(ports).to_string(), Some(ports.clone())),
        ] {
            std::fs::write(file.path(), &content).unwrap();
            assert_eq!(recorded(file.path(), 2), expected, "{content}");
        }
        let _taken = std::net::TcpListener::bind(("127.0.0.1", ports[1])).unwrap();
        assert_eq!(recorded(file.path(), 2), None);
    }

    #[tokio::test]
    async fn server_that_ends_at_once_is_started_on_other_ports_and_its_last_line_is_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let processes = Processes::start(None).unwrap();
        let starts = std::cell::RefCell::new(Vec::new());
        let start = |ports: &[u16]| {
            starts.borrow_mut().push(ports.to_vec());
            let command = ["sh", "-c", "echo starting; echo address in use >&2; exit 3"].map(OsString::from);
            processes.start_logged("server", &command, &[], &folder.path().join("log"))
        };
        let started = start_on(&folder.path().join("ports.json"), 1, start, |_| (), async |()| false).await;
        let error = started.unwrap_err().to_string();
        assert!(error.ends_with("ended (exit status: 3): address in use"), "{error}");
        assert_eq!(starts.borrow().len(), STARTS);
    }
}
