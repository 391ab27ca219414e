//! nginx with the bytes of some answers on disk: the speed of an HTTP server on this machine.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::ports::free_port;
use crate::tools::tool;

/// A running nginx; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Nginx {
    pub(super) url: String,
    process: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx, which answers each path with some bytes, and waits until it listens.
    pub(super) async fn start<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for (path, content) in files {
            let file = folder.path().join("root").join(path.trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().unwrap_or(folder.path()))?;
            std::fs::write(file, content)?;
        }
        let port = free_port()?;
        let settings = folder.path().join("nginx.conf");
        std::fs::write(&settings, configuration(folder.path(), port))?;
        let mut command = Command::new(tool("nginx"));
        // Killed, it would leave its workers behind, so it is asked to end instead.
        command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(settings).stderr(Stdio::piped());
        let mut process = command.spawn().context("cannot start nginx")?;
        let log = process.stderr.take().context("its log is piped")?;
        let nginx = Self { url: format!("http://127.0.0.1:{port}"), process, _folder: folder };
        let (mut lines, mut last) = (BufReader::new(log).lines(), String::new());
        // It listens before it starts workers.
        while !last.contains("start worker process") {
            let line = lines.next_line().await?;
            last = line.with_context(|| format!("nginx ended: {last}"))?;
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(nginx)
    }

    /// Asks it to end, and waits until it has.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.terminate();
        self.process.wait().await?;
        Ok(())
    }

    fn terminate(&self) {
        if let Some(id) = self.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            // It may have ended already.
            let _ = kill_process(id, Signal::TERM);
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.terminate();
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    // The workers of a master that root starts run as somebody else, who cannot read our folder.
    let user = if geteuid().is_root() { "user root;" } else { "" };
    format!(
        "\
daemon off;
{user}
error_log stderr notice;
pid {folder}/nginx.pid;
worker_processes auto;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=64;
    keepalive_requests 1000000000;
    default_type application/json;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/root;
    }}
}}
"
    )
}
