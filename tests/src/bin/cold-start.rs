//! Measures a cold start of `serve`: from the start of its process in AWS Lambda to its first answer.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use registry_tests::cold_start::measure;
use registry_tests::{command, console};

/// Measure cold starts of serve, with a stand-in for the runtime API of AWS Lambda.
///
/// Reads the environment of serve (CACHE_BUCKET, AWS_ENDPOINT_URL_S3, ...); the bucket must hold a release. Prints one JSON
/// document: the time from the start of the process to its first answer, and the time of each step.
#[derive(Parser)]
struct Options {
    /// The program.
    #[arg(long, default_value = "target/release/serve")]
    serve: PathBuf,
    /// Number of starts.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Path of the requests.
    #[arg(long, default_value = "/v2index/all")]
    path: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    command::run(run(Options::parse())).await
}

async fn run(options: Options) -> Result<u8> {
    let report = measure(&options.serve, &[], options.runs.into(), &options.path).await?;
    console::line(&serde_json::to_string(&report)?);
    Ok(0)
}
