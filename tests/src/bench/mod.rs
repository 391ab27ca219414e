//! The bench: programs in plain HTTP, with a real S3 server and a real OCI registry, measured against the targets.
//!
//! - `stage`: the programs under test and the registries that they are measured with; `changes`: changes of those
//! - `load`: requests by `wrk`; `nginx`: the server that answers are compared with
//! - `publishing`, `serving`, `tool`, `large`: the measurements, one function a part
//! - `table`: the results
//!
//! This module is the command. It reports and does not judge: a missed target is shown and is no failure. Times and rates of the
//! reference server were measured with the same tool on a machine like the one that the targets are for.

mod changes;
mod large;
mod load;
mod nginx;
mod publishing;
mod serving;
mod stage;
mod table;
mod tool;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use self::stage::Stage;
use self::table::{Table, whole};
use crate::console::step;

/// Measure programs against the targets.
///
/// Runs them in plain HTTP, with the servers at TEST_S3_ENDPOINT and TEST_OCI_REGISTRY, and prints one table of the measurements
/// beside their targets. Where the recorded registry (../shared/community) is missing, the example of tests/fixtures is measured
/// instead, and the table says so.
#[derive(Debug, Clone, Parser)]
pub struct BenchOptions {
    /// Parts to measure; all if none is given.
    #[arg(value_name = "PART")]
    pub parts: Vec<Part>,
    /// Shorter and fewer measurements, and a smaller large registry.
    #[arg(long)]
    pub quick: bool,
    /// Folder of the programs under test.
    #[arg(long, value_name = "DIR", default_value = "target/release")]
    pub programs: PathBuf,
    /// Write the table to a file, as Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Index generation, with validation.
    Index,
    /// A refresh: first, one version changed, nothing changed.
    Refresh,
    /// A refresh over a local Git host: first, one version changed, nothing changed.
    Git,
    /// Start of serve on a filled bucket, and its memory.
    Start,
    /// A cold start in AWS Lambda, with a stand-in for its runtime API.
    ColdStart,
    /// Requests per second and latencies, beside the reference.
    Http,
    /// Requests per second beside nginx, which serves the same bytes from disk.
    Nginx,
    /// Pages of the viewer: their size and the time that one takes.
    Viewer,
    /// A starter project: packed, and given again.
    Starters,
    /// The command-line tool: a preview, and `run` with a directory.
    Tool,
    /// A registry of 10,000 versions: filtered answers, one version changed.
    Large,
}

impl Part {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    async fn measure(self, stage: &Stage, table: &mut Table) -> Result<()> {
        match self {
            Self::Index => publishing::index(stage, table).await,
            Self::Refresh => publishing::refreshes(stage, table).await,
            Self::Git => publishing::git(stage, table).await,
            Self::Start => serving::start(stage, table).await,
            Self::ColdStart => serving::cold_starts(stage, table).await,
            Self::Http => serving::http(stage, table).await,
            Self::Nginx => serving::beside_nginx(stage, table).await,
            Self::Viewer => serving::viewer(stage, table).await,
            Self::Starters => serving::starters(stage, table).await,
            Self::Tool => tool::tool(stage, table).await,
            Self::Large => large::large(stage, table).await,
        }
    }
}

/// Measures the parts and prints the table.
///
/// # Errors
/// A server or a program is missing or fails, or the table cannot be written.
pub async fn run(options: &BenchOptions) -> Result<()> {
    let stage = Stage::new(&options.programs, options.quick)?;
    let parts = if options.parts.is_empty() { Part::value_variants() } else { &options.parts[..] };
    let (mut conditions, mut table) = (machine(), Table::default());
    for part in parts {
        let (name, begin) = (part.name(), Instant::now());
        step("measure", &name);
        part.measure(&stage, &mut table).await.with_context(|| format!("cannot measure {name}"))?;
        step("", &format!("({:.0} s)", begin.elapsed().as_secs_f64()));
    }
    conditions.push(format!("Registry: {}.", stage.description()));
    if options.quick {
        conditions.push("Quick run: short measurements.".to_owned());
    }
    let conditions = conditions.join("\n");
    println!("\n{}{conditions}", table.text());
    if let Some(file) = &options.markdown {
        let report = format!("{}\n{conditions}\n", table.markdown());
        std::fs::write(file, report).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Describes the machine of the measurement, and says so if it was not calm.
fn machine() -> Vec<String> {
    let known = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let system = System::new_with_specifics(known.with_memory(MemoryRefreshKind::nothing().with_ram()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let brand = system.cpus().first().map(|cpu| cpu.brand().trim()).filter(|brand| !brand.is_empty());
    let model = brand.map_or_else(System::cpu_arch, str::to_owned);
    let memory = whole(system.total_memory() as f64 / f64::from(1 << 30));
    let mut lines = vec![format!(
        "Machine: {cores} cores of {model}, {memory} GiB of memory; wrk, servers and functions share it."
    )];
    let load = System::load_average().one;
    if load > cores as f64 / 2.0 {
        lines.push(format!("The machine was not calm: a load of {load:.1} before the first measurement."));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_parts_are_measured() {
        let options = BenchOptions::try_parse_from(["bench", "index", "cold-start", "--quick"]).unwrap();
        assert_eq!(options.parts, [Part::Index, Part::ColdStart]);
        let error = BenchOptions::try_parse_from(["bench", "everything"]).unwrap_err().to_string();
        assert!(error.contains("everything") && error.contains("cold-start"), "{error}");
    }

    #[test]
    fn machine_has_cores_and_memory() {
        let lines = machine();
        assert!(lines[0].starts_with("Machine: ") && !lines[0].contains(" 0 GiB"), "{lines:?}");
    }
}
