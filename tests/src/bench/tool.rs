//! The command-line tool: a preview, and `run` with a directory.

use anyhow::{Context, Result};

use super::changes::{devfile, reload, trigger};
use super::stage::{Stage, memory, viewer_path};
use super::table::{Measurement, Table};
use crate::figures::median;

pub(super) async fn tool(stage: &Stage, table: &mut Table) -> Result<()> {
    let size = stage.program("devfile-registry")?.metadata()?.len() as f64 / 1e6;
    table.add(Measurement::size("devfile-registry: size of the program", size, 30.0));
    preview(stage, table).await?;
    run(stage, table).await
}

async fn preview(stage: &Stage, table: &mut Table) -> Result<()> {
    let registry = stage.registry().await;
    let (mut starts, mut sizes) = (Vec::new(), Vec::new());
    for _ in 0..stage.times(3, 9) {
        let started = stage.preview(&registry).await?;
        starts.push(started.seconds);
        sizes.push(memory(&started.serving));
        started.serving.kill().await;
    }
    table.add(Measurement::time("preview: start to first answer", median(starts), 0.3));

    let serving = stage.preview(&registry).await?.serving;
    let stacks = registry.repository.path().join("stacks");
    let changed = devfile(registry.repository.path())?;
    let stack = changed.strip_prefix(stacks)?.iter().next().context("a devfile is in the folder of a stack")?;
    let page = viewer_path(&serving, &stack.to_string_lossy()).await?;
    let seconds = reload(&registry, &serving, &page, stage.times(3, 9)).await?;
    table.add(Measurement::time("preview: a change of a file to the page with it", median(seconds), 0.1));
    sizes.push(memory(&serving));
    serving.kill().await;
    let most = sizes.into_iter().fold(0.0, f64::max);
    table.add(Measurement::size("preview: memory", most, 40.0));
    Ok(())
}

async fn run(stage: &Stage, table: &mut Table) -> Result<()> {
    let (registry, store) = (stage.registry().await, tempfile::tempdir()?);
    let started = stage.run(&registry, store.path()).await?;
    table.add(Measurement::time("run with a directory: start to the first publication", started.seconds, 1.0));
    let serving = started.serving;
    let seconds = trigger(&registry, &serving, &serving, stage.times(3, 9)).await?;
    let subject = "run with a directory: one version changed, to the new bytes served";
    table.add(Measurement::time(subject, median(seconds), 0.06));
    serving.kill().await;
    Ok(())
}
