//! Cold starts of `serve`: from the start of its process in AWS Lambda to its first answer.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::figures::median;
use crate::lambda::{Function, http_event};

/// The times of some cold starts.
#[derive(Debug, Serialize)]
pub struct ColdStarts {
    /// The path that was asked for.
    pub path: String,
    /// The number of starts.
    pub runs: usize,
    /// The bytes of the body of the last answer.
    pub body_bytes: usize,
    /// From the start of the process to its first answer, in milliseconds.
    pub first_answer_ms: Spread,
    /// The median of each step that the log tells, in milliseconds.
    pub steps_ms: BTreeMap<String, f64>,
}

/// The spread of some values.
#[derive(Debug, Serialize)]
pub struct Spread {
    /// The one in the middle.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let values = || values.iter().copied();
        Self { median: median(values()), least: values().fold(f64::MAX, f64::min), most: values().fold(0.0, f64::max) }
    }
}

/// Starts `serve` so many times as a function and asks each for a path. Its environment is that of this process and some more
/// variables; its bucket must hold a release.
///
/// # Errors
/// No run is asked for, `serve` does not start or answer with 200, or it had not loaded the release before the first request.
pub async fn measure(serve: &Path, variables: &[(String, String)], runs: usize, path: &str) -> Result<ColdStarts> {
    ensure!(runs > 0, "a cold start is measured at least once");
    let (mut answers, mut body_bytes) = (Vec::new(), 0);
    let mut steps: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..runs {
        let level = ("RUST_LOG".to_owned(), "info".to_owned());
        let mut function = Function::start(serve, variables.iter().cloned().chain([level])).await?;
        let answer = function.invoke(http_event(path, "", &[("accept-encoding", "gzip")])).await?;
        let status = answer.payload["statusCode"].as_u64().unwrap_or_default();
        let body = answer.payload["body"].as_str().unwrap_or_default();
        ensure!(status == 200, "serve answers {path} with {status}: {body}");
        body_bytes = body.len();
        answers.push(answer.since_start.as_micros() as f64 / 1000.0);
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
    let steps_ms = steps.into_iter().map(|(name, values)| (name, median(values))).collect();
    Ok(ColdStarts { path: path.to_owned(), runs, body_bytes, first_answer_ms: Spread::of(&answers), steps_ms })
}
