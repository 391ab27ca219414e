//! Publication: index generation, and refreshes from a folder and from a Git host.

use anyhow::Result;

use super::changes::{refresh_changes, refresh_commits, trigger};
use super::stage::{Stage, refresh, refresh_process};
use super::table::{Measurement, Table};
use crate::figures::median;
use crate::github::GitHub;
use crate::registry::TestRegistry;

pub(super) async fn index(stage: &Stage, table: &mut Table) -> Result<()> {
    let registry = stage.registry().await;
    let mut seconds = Vec::new();
    for _ in 0..stage.times(3, 15) {
        seconds.push(stage.generate_index(&registry, false).await?.seconds);
    }
    table.add(Measurement::time("index generation, with validation", median(seconds), 0.060));
    Ok(())
}

pub(super) async fn refreshes(stage: &Stage, table: &mut Table) -> Result<()> {
    let mut firsts = Vec::new();
    let mut registry = stage.registry().await;
    firsts.push(refresh(&registry).await?.0);
    for _ in 1..stage.times(1, 3) {
        registry = stage.registry().await;
        firsts.push(refresh(&registry).await?.0);
    }
    table.add(Measurement::time("refresh, the first", median(firsts), 2.0));
    let times = stage.times(3, 9);
    let changed = median(refresh_changes(&registry, times).await?);
    table.add(Measurement::time("refresh, one version changed", changed, 0.2));
    table.add(Measurement::time("refresh, nothing changed", median(refresh_again(&registry, times).await?), 0.03));

    let refreshing = registry.refreshing().await;
    let serving = stage.serve_following(&registry).await?.serving;
    let triggered = median(trigger(&registry, &refreshing, &serving, times).await?);
    table.add(Measurement::time("from a trigger, one version changed, to the new bytes served", triggered, 0.5));
    serving.kill().await;
    refreshing.kill().await;
    Ok(())
}

pub(super) async fn git(stage: &Stage, table: &mut Table) -> Result<()> {
    let times = stage.times(3, 9);
    let (registry, host) = hosted(stage, &stage.registry().await).await?;
    let first = refresh_process(&registry, true).await?;
    table.add(Measurement::time("over Git: refresh, the first", first.seconds, 2.0));
    table.add(Measurement::new("over Git: memory of the first refresh", format!("{:.0} MB", first.megabytes)));
    let changed = median(refresh_commits(&registry, times).await?);
    table.add(Measurement::time("over Git: refresh, one version changed", changed, 0.2));
    host.take_requests();
    let nothing = median(refresh_again(&registry, times).await?);
    table.add(Measurement::time("over Git: refresh, nothing changed", nothing, 0.03));
    let requests = host.take_requests().len() as f64 / times as f64;
    let row = Measurement::new("over Git: requests when nothing changed", format!("{requests:.0}"));
    table.add(row.against("1", requests == 1.0));
    Ok(())
}

/// Returns a copy of a registry, committed, behind a Git host and not published yet.
pub(super) async fn hosted(stage: &Stage, registry: &TestRegistry) -> Result<(TestRegistry, GitHub)> {
    let registry = stage.of(registry.repository.path()).await;
    tokio::task::block_in_place(|| registry.commit());
    let host = GitHub::start_example(registry.repository.path()).await?;
    let url = format!("{}/example/registry", host.url());
    Ok((registry.with("REGISTRY_REPO_URL", &url), host))
}

async fn refresh_again(registry: &TestRegistry, times: usize) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for _ in 0..times {
        seconds.push(refresh(registry).await?.0);
    }
    Ok(seconds)
}
