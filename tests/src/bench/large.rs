//! A registry of 10,000 versions.

use anyhow::Result;

use super::changes::{refresh_commits, until_live};
use super::publishing::hosted;
use super::serving::BROWSER;
use super::stage::{Stage, memory, read_json, refresh, refresh_process};
use super::table::{Measurement, Table, whole};
use crate::figures::median;
use crate::registry::TestRegistry;

pub(super) async fn large(stage: &Stage, table: &mut Table) -> Result<()> {
    let Some(registry) = stage.large_registry(stage.times(450, 4550)).await? else {
        let reason = "not measured: its generator (../shared/tools) is missing";
        table.add(Measurement::new("a registry of 10,000 versions", reason));
        return Ok(());
    };
    let ended = stage.generate_index(&registry, true).await?;
    let (seconds, megabytes) = (ended.seconds, ended.megabytes);
    let row = Measurement::new("10,000 versions: index generation", format!("{seconds:.2} s, {megabytes:.0} MB"));
    table.add(row.against("under 3 s and 300 MB", seconds < 3.0 && megabytes < 300.0));
    tokio::task::block_in_place(|| registry.commit());
    let first = refresh(&registry).await?.0;
    let name = serve(stage, &registry, first, table).await?;
    updates(stage, &registry, &name, table).await?;
    let times = stage.times(3, 5);
    let changed = median(refresh_commits(&registry, times).await?);
    table.add(Measurement::time(format!("{name}: refresh, one version changed"), changed, 0.4));
    over_git(stage, &registry, &name, times, table).await
}

/// Measures `serve` with the registry, whose first refresh took so many seconds; returns the name of the registry.
async fn serve(stage: &Stage, registry: &TestRegistry, first: f64, table: &mut Table) -> Result<String> {
    let started = stage.serve(registry).await?;
    let serving = started.serving;
    let loaded = memory(&serving);
    let (entries, versions) = count(&read_json(&serving, "/v2index/all", &[]).await?);
    let name = format!("{} versions", whole(versions as f64));
    table.add(Measurement::time(format!("{name}: refresh, the first"), first, 120.0));
    table.add(Measurement::time(format!("{name}: start to healthy"), started.seconds, 0.4));
    let row = Measurement::new(format!("{name}: memory when loaded"), format!("{loaded:.0} MB"));
    table.add(row.against("under 150 MB", loaded < 150.0));
    let load = stage.load(&serving.url, "/v2index?tags=Java&language=java", &[]).await?;
    let row = Measurement::new(format!("{name}: filtered"), load.to_string());
    table.add(row.against("p99 under 10 ms", load.p99_ms < 10.0));
    let entries = whole(entries as f64);
    for (subject, path, limit) in [
        ("the list of the viewer", "/viewer?page=7", 10.0),
        ("a search with a typo", "/viewer?search=jvaa", 3.0),
        ("the feed", "/viewer/feed.atom", 5.0),
    ] {
        let load = stage.load(&serving.url, path, BROWSER).await?;
        table.add(load.page(format!("{entries} entries: {subject}"), Some(limit)));
    }
    serving.kill().await;
    Ok(name)
}

/// Counts the entries of an index, and the versions of all.
fn count(index: &serde_json::Value) -> (usize, usize) {
    let entries = index.as_array().map(Vec::as_slice).unwrap_or_default();
    (entries.len(), entries.iter().filter_map(|entry| entry["versions"].as_array()).map(Vec::len).sum())
}

/// Measures the memory of a `serve` that has seen eight updates.
async fn updates(stage: &Stage, registry: &TestRegistry, name: &str, table: &mut Table) -> Result<()> {
    let serving = stage.serve_following(registry).await?.serving;
    let loaded = memory(&serving);
    for _ in 0..8 {
        refresh_commits(registry, 1).await?;
        until_live(&serving, &registry.git(&["rev-parse", "HEAD"])).await?;
    }
    let after = memory(&serving);
    serving.kill().await;
    let measured = format!("{after:.0} MB, {:.2} of {loaded:.0} MB when loaded", after / loaded);
    let row = Measurement::new(format!("{name}: memory after eight updates"), measured);
    let is_met = after < 200.0 && after < 1.3 * loaded;
    table.add(row.against("under 200 MB, 1.3 of that when loaded", is_met));
    Ok(())
}

async fn over_git(stage: &Stage, registry: &TestRegistry, name: &str, times: usize, table: &mut Table) -> Result<()> {
    let (registry, host) = hosted(stage, registry).await?;
    let first = refresh_process(&registry, true).await?;
    table.add(Measurement::time(format!("{name} over Git: refresh, the first"), first.seconds, 120.0));
    let megabytes = first.megabytes;
    let row = Measurement::new(format!("{name} over Git: memory of the first refresh"), format!("{megabytes:.0} MB"));
    table.add(row.against("under 300 MB", megabytes < 300.0));
    let (mut sent, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..times {
        host.take_sent_bytes();
        seconds.extend(refresh_commits(&registry, 1).await?);
        sent.push(host.take_sent_bytes() as f64 / 1000.0);
    }
    table.add(Measurement::time(format!("{name} over Git: refresh, one version changed"), median(seconds), 0.4));
    let kilobytes = median(sent);
    let row = Measurement::new(format!("{name} over Git: bytes from the host"), format!("{kilobytes:.0} kB"));
    table.add(row.against("under 500 kB", kilobytes < 500.0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::count;

    #[test]
    fn entry_without_versions_counts_as_an_entry() {
        let index = json!([{"versions": [{}, {}]}, {"name": "sample"}, {"versions": [{}]}]);
        assert_eq!(count(&index), (3, 3));
    }
}
