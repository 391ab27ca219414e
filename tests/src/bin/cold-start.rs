//! Measures a cold start of `serve`: from the start of its process in AWS Lambda to its first answer.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use registry_tests::cold_start::measure;

/// Measure cold starts of serve, with the Lambda runtime API played on the loopback.
///
/// Reads the environment of serve (CACHE_BUCKET, AWS_ENDPOINT_URL_S3, ...); the bucket must hold a release. Prints one JSON
/// document: the time from the start of the process to its first answer, and the time of each step.
#[derive(Parser)]
struct Options {
    /// The program.
    #[arg(long, default_value = "target/release/serve")]
    serve: PathBuf,
    /// Number of starts
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// Path to ask for
    #[arg(long, default_value = "/v2index/all")]
    path: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let report = measure(&options.serve, &[], options.runs, &options.path).await?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
