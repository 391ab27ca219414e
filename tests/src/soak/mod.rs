//! The soak: readers and refreshes go on while the bucket, the OCI registry and GitHub fail and heal in turn.
//!
//! - `plan`: the faults, one after the other
//! - `world`: all that runs; `functions`: the programs under test; `releases`: commits, and refreshes that publish them
//! - `readers`: sixteen connections that check every answer; `connection`: one of them
//! - `table`, `verdict`: the results
//!
//! This module follows the plan and checks the end.

mod connection;
mod functions;
mod plan;
mod readers;
mod releases;
mod table;
mod verdict;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use sysinfo::System;
use tokio::sync::watch;

use self::plan::{Phase, Target};
use self::readers::Readers;
use self::table::Row;
use self::verdict::Verdict;
use self::world::{World, address};
use crate::console::step;

/// Time between two samples of memory.
const SAMPLE: Duration = Duration::from_millis(100);

/// Longest that the last refresh may take, which may wait for a server that was away.
const LAST_REFRESH: Duration = Duration::from_secs(90);

/// Longest until `serve` shows the head when all is well.
const SHOWN: Duration = Duration::from_secs(10);

/// The header that names the commit of an answer.
const COMMIT: &str = "devfile-registry-commit";

/// Read a registry while everything around it fails in turn.
///
/// Runs both functions with the servers at TEST_S3_ENDPOINT and TEST_OCI_REGISTRY and a stand-in for GitHub, each behind a proxy
/// that can fail. 16 connections read while a commit is made and published every second; bucket, OCI registry and GitHub fail and
/// heal in turn: nobody listens, nothing gets through, connections are reset. Every answer must be of one whole release and none
/// may be a 5xx, but those that the bucket alone could answer while it was away. Memory must stay flat, every request must be in
/// the log and in the metrics, and no secret in any log.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Seconds that it takes.
    #[arg(long, value_name = "N", default_value_t = 600.0)]
    pub seconds: f64,
    /// Run one process with a directory, without servers beside it. GitHub alone fails.
    #[arg(long)]
    pub store: bool,
    /// Folder of the programs under test.
    #[arg(long, value_name = "DIR", default_value = "target/release")]
    pub programs: PathBuf,
    /// Write the table to a file, as Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// Runs the soak and prints the table.
///
/// # Errors
/// Something does not start or ends by itself, or a promise does not hold.
pub async fn run(options: &Options) -> Result<()> {
    ensure!((10.0..=86_400.0).contains(&options.seconds), "--seconds must be from 10 to 86400");
    let targets: &[Target] = if options.store { &[Target::GitHub] } else { &Target::ALL };
    let world = World::start(&options.programs, options.store).await?;
    let (rows, verdict) = follow(world, &plan::phases(options.seconds, targets)).await?;

    let notes = verdict.notes.join("\n");
    let report = format!("{}\n\n{}\n{notes}\n", table::markdown(&rows), environment(options));
    println!("\n{report}");
    if let Some(file) = &options.markdown {
        std::fs::write(file, &report).with_context(|| format!("cannot write {}", file.display()))?;
    }
    for problem in &verdict.problems {
        step("soak", problem);
    }
    ensure!(verdict.problems.is_empty(), "{} of the soak's promises did not hold", verdict.problems.len());
    println!("soak: everything held");
    Ok(())
}

/// Follows the plan: the events of each phase, and the verdict.
async fn follow(mut world: World, plan: &[Phase]) -> Result<(Vec<Row>, Verdict)> {
    let readers = Readers::start(address(world.functions[0].url()), &world.known, &releases::stacks());
    let (stop, stopped) = watch::channel(());
    let publisher = Arc::clone(&world.publisher);
    let publishing = tokio::spawn(async move { publisher.publish_every_second(stopped).await });
    let begin = Instant::now();
    let (mut rows, mut memory) = (Vec::new(), Vec::new());
    for phase in plan {
        step("soak", &format!("{} ({:.1} s)", phase.name(), phase.length.as_secs_f64()));
        rows.push(enact(phase, &mut world, &readers, || begin.elapsed().as_secs_f64(), &mut memory).await?);
    }
    let seconds = begin.elapsed().as_secs_f64();
    drop(stop);
    tokio::time::timeout(LAST_REFRESH, publishing).await.context("the last refresh does not end")???;

    let mut verdict = Verdict::default();
    check_head(&world, &mut verdict).await?;
    let (answers, problems) = readers.stop().await;
    verdict.readers(problems);
    verdict.server_errors(&rows);
    verdict.memory(&memory, seconds);
    let requests = answers + world.functions[0].polls();
    let page = crate::http::get(&world.functions[0].metrics).await?.error_for_status()?.text().await?;
    verdict.metrics(&page, requests);
    let mut logs = Vec::new();
    for function in std::mem::take(&mut world.functions) {
        logs.push((function.name, function.end().await?));
    }
    verdict.logs(&logs, requests);
    Ok((rows, verdict))
}

/// Has the fault of a phase for its time, and adds samples of memory.
async fn enact(
    phase: &Phase,
    world: &mut World,
    readers: &Readers,
    seconds: impl Fn() -> f64,
    memory: &mut Vec<(f64, f64)>,
) -> Result<Row> {
    let (before, begin) = (world.publisher.refreshes(), Instant::now());
    let mut failing = None;
    if let Some((target, fault)) = phase.trouble {
        let proxy = world.proxies.get_mut(&target).with_context(|| format!("{target} has a proxy"))?;
        proxy.fail(fault).await?;
        failing = Some(proxy);
    }
    readers.enter(phase.trouble.is_some_and(|(target, _)| target == Target::Bucket));
    let mut ticks = tokio::time::interval(SAMPLE);
    while begin.elapsed() < phase.length {
        ticks.tick().await;
        memory.push((seconds(), world.functions[0].memory_mb()));
        for function in &mut world.functions {
            function.check().await?;
        }
    }
    if let Some(proxy) = failing {
        proxy.heal().await?;
    }
    let (tally, refreshes) = (readers.leave(), world.publisher.refreshes() - before);
    Ok(Row { name: phase.name(), seconds: begin.elapsed().as_secs_f64(), tally, refreshes })
}

/// With all well again, one refresh must make the head live, and `serve` must show it.
async fn check_head(world: &World, verdict: &mut Verdict) -> Result<()> {
    let head = world.publisher.commit()?;
    if !world.publisher.publish().await? {
        verdict.problem("with all well again, a refresh fails");
        return Ok(());
    }
    let (serve, mut shown) = (&world.functions[0], None);
    let is_shown = async {
        while shown != Some(head) {
            shown = world.known.number(serve.health().await.header(COMMIT));
        }
    };
    if tokio::time::timeout(SHOWN, is_shown).await.is_err() {
        let shown = shown.map_or_else(|| "none".to_owned(), |number| number.to_string());
        verdict.problem(format!("with all well again, serve shows release {shown} instead of {head} after {SHOWN:?}"));
    }
    Ok(())
}

/// Describes the programs and the machine.
fn environment(options: &Options) -> String {
    let kind = options.programs.file_name().unwrap_or_default().to_string_lossy();
    let mut letters = kind.chars();
    let kind: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = System::load_average().one;
    format!(
        "{kind} binaries. Machine: {cores} cores, shared by readers, servers, proxies and functions; its load was {load:.1} at the end."
    )
}
