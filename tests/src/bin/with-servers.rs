//! Runs a command with an S3 server and an OCI registry beside it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use registry_tests::command;
use registry_tests::processes::Processes;
use registry_tests::servers::{Bucket, Folders, OciServer, S3Server};

/// Run a command with an S3 server and an OCI registry beside it.
///
/// The command finds them by TEST_S3_ENDPOINT, TEST_OCI_REGISTRY and the variables of AWS, and the tools by TEST_TOOLS. Both servers, and all
/// that the command has started, are gone when it has ended, and when this program is stopped or killed.
#[derive(Debug, Parser)]
struct Options {
    /// Folder of the programs `weed` and `docker-registry`, and of the tools of the tests.
    #[arg(long, value_name = "DIR", default_value = ".tools/bin")]
    tools: PathBuf,
    /// Folder of the servers' logs.
    #[arg(long, value_name = "DIR", default_value = ".dev/test-logs")]
    logs: PathBuf,
    /// End when standard input does: the caller who holds its other end was killed.
    #[arg(long)]
    tied: bool,
    /// The command with its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

#[tokio::main]
async fn main() -> ExitCode {
    command::run(run(Options::parse())).await
}

/// Runs the command, and returns its status.
async fn run(options: Options) -> Result<u8> {
    let Options { tools, logs, tied, command } = options;
    let data = tempfile::Builder::new().prefix("devfile-registry-").tempdir()?;
    let folders = Folders { tools: std::path::absolute(tools)?, data: data.path().to_owned(), logs };
    folders.create()?;
    // Dropped after the command, which uses the servers, and before the data, which they write.
    let processes = Processes::start(None)?;
    let secret_key = format!("secret-{}", std::process::id());
    let bucket = Bucket { name: "test".into(), access_key: "test".into(), secret_key };
    let s3 = S3Server::start(&processes, &folders, bucket);
    let (mut s3, mut oci) = tokio::try_join!(s3, OciServer::start(&processes, &folders))?;

    let of_command = Processes::start(None)?;
    let (program, arguments) = command.split_first().context("there is no command")?;
    let mut command = of_command.command(program);
    command.args(arguments).envs(s3.variables()).env("TEST_S3_ENDPOINT", &s3.endpoint);
    command.env("TEST_OCI_REGISTRY", &oci.address).env("TEST_TOOLS", &folders.tools);
    let mut command = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    tokio::select! {
        biased;
        ended = s3.process.ended() => Err(ended),
        ended = oci.process.ended() => Err(ended),
        status = command.wait() => Ok(command::shell_status(status?)),
        () = input_ended(), if tied => Ok(143),
    }
}

/// Waits for the end of standard input.
async fn input_ended() {
    let (sender, ended) = tokio::sync::oneshot::channel::<()>();
    // The runtime would wait for a thread of its own before it ends.
    std::thread::spawn(move || {
        // An input that cannot be read has ended, too.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(sender);
    });
    let _ = ended.await;
}
