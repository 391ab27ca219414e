//! Distribution, the OCI registry, in a process of its own whose storage a test can reach.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A registry with its storage in a folder. It ends when this is dropped.
#[derive(Debug)]
pub struct Distribution {
    address: String,
    storage: PathBuf,
    _process: Child,
}

impl Distribution {
    /// Starts a registry on a free port that keeps everything below `folder`; `auth` is that part of its configuration.
    pub async fn start(folder: &Path, auth: Value) -> Self {
        let storage = folder.join("storage");
        let config = json!({
            "version": "0.1",
            "log": {"accesslog": {"disabled": true}},
            "storage": {"filesystem": {"rootdirectory": storage}, "delete": {"enabled": true}},
            "http": {"addr": "127.0.0.1:0"},
            "auth": auth,
        });
        std::fs::write(folder.join("config.json"), config.to_string()).expect("the configuration can be written");
        let mut command = Command::new(crate::tools::tool("docker-registry"));
        command.arg("serve").arg(folder.join("config.json")).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("Distribution starts");
        let mut log = BufReader::new(process.stderr.take().expect("its log is piped")).lines();
        let address = loop {
            let line = log.next_line().await.expect("its log is text").expect("Distribution says where it listens");
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { address, storage, _process: process }
    }

    /// Returns the address on which it listens, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The file with the bytes of a blob, which all repositories share.
    pub fn data(&self, hex: &str) -> PathBuf {
        self.storage.join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }

    /// The file that says that a repository has a blob.
    pub fn link(&self, repository: &str, hex: &str) -> PathBuf {
        self.storage.join(format!("docker/registry/v2/repositories/{repository}/_layers/sha256/{hex}/link"))
    }
}
