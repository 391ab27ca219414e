//! Measures a cold start of `serve`: from the start of its process in AWS Lambda to its first answer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use registry_tests::lambda::{Function, http_event};
use serde_json::{Value, json};

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
    ensure!(options.runs > 0, "--runs must be at least 1");
    let mut answers = Vec::new();
    let mut steps: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut bytes = 0;
    for _ in 0..options.runs {
        let level = [("RUST_LOG".to_owned(), "info".to_owned())];
        let mut function = Function::start(&options.serve, level).await?;
        let answer = function.invoke(http_event(&options.path, "", &[("accept-encoding", "gzip")])).await?;
        let status = answer.payload["statusCode"].as_u64().unwrap_or_default();
        let body = answer.payload["body"].as_str().unwrap_or_default();
        ensure!(status == 200, "serve answers {} with {status}: {body}", options.path);
        bytes = body.len();
        answers.push(milliseconds(answer.since_start));
        let log = function.end().await?;
        let startup = log.iter().find(|line| line["message"] == "startup").context("no line `startup` in the log")?;
        ensure!(startup["release"] == true, "the release was not loaded before the first request");
        for line in log.iter().filter(|line| line["message"] == "startup" || line["message"] == "serving a new release")
        {
            for (name, value) in line.as_object().into_iter().flatten().filter(|(name, _)| name.ends_with("_ms")) {
                steps.entry(name.clone()).or_default().extend(value.as_f64());
            }
        }
    }
    let steps: BTreeMap<String, f64> = steps.into_iter().map(|(name, values)| (name, median(values))).collect();
    let (least, most) = (answers.iter().copied().fold(f64::MAX, f64::min), answers.iter().copied().fold(0.0, f64::max));
    let report: Value = json!({
        "path": options.path,
        "runs": options.runs,
        "body_bytes": bytes,
        "first_answer_ms": {"median": median(answers), "least": least, "most": most},
        "steps_ms": steps,
    });
    println!("{report}");
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
