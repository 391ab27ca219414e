//! A function behind the Lambda emulator of cargo-lambda, as it runs behind the gateway.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::ports::free_port;
use crate::registry::{TestRegistry, binary};
use crate::tools::tool;

/// Longest that emulator and function may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running emulator with a function; both end when this is dropped.
#[derive(Debug)]
pub struct Emulated {
    /// Its URL.
    pub url: String,
    _processes: [Child; 2],
}

impl TestRegistry {
    /// Starts the emulator, and `serve` with its runtime API, and waits until the function answers.
    pub async fn serve_emulated(&self) -> Emulated {
        self.emulated("serve", "/health").await
    }

    /// The same with `refresh`.
    pub async fn refresh_emulated(&self) -> Emulated {
        self.emulated("refresh", "/refresh").await
    }

    /// The emulator is told not to start functions itself: it would build them first.
    async fn emulated(&self, name: &str, path: &str) -> Emulated {
        let port = free_port().expect("a port is free");
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in a workspace");
        let mut command = Command::new(tool("cargo-lambda"));
        command.args(["lambda", "watch", "--only-lambda-apis", "-A", "127.0.0.1", "-P", &port.to_string()]);
        command.current_dir(workspace).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut emulator = command.spawn().expect("the emulator starts");
        let url = format!("http://127.0.0.1:{port}");

        let mut command = Command::new(binary(name));
        command.envs(self.variables()).env("RUST_LOG", "off").env("AWS_ENDPOINT_URL_LAMBDA", &url);
        command.env("AWS_LAMBDA_RUNTIME_API", format!("{url}/.rt/{name}"));
        let about = [("NAME", name), ("VERSION", "1"), ("MEMORY_SIZE", "512")];
        command.envs(about.map(|(name, value)| (format!("AWS_LAMBDA_FUNCTION_{name}"), value))).kill_on_drop(true);
        tokio::time::timeout(PATIENCE, listens(&mut emulator, port)).await.expect("the emulator listens");
        let function = command.spawn().expect("the function starts");
        let answer = tokio::time::timeout(PATIENCE, crate::http::get(format!("{url}{path}"))).await;
        answer.expect("the function answers in time").expect("the function answers");
        Emulated { url, _processes: [function, emulator] }
    }
}

/// Waits until the emulator listens. It says so a moment before it does.
async fn listens(emulator: &mut Child, port: u16) {
    let log = emulator.stdout.take().expect("its log is piped");
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await
        && !line.contains("starting Runtime server")
    {}
    // Read on, so that it can go on writing.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::task::yield_now().await;
    }
}
