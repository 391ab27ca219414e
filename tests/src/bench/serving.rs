//! `serve`: its starts, its answers and its memory.

use std::fmt::Write;
use std::time::Instant;

use anyhow::{Context, Result};

use super::nginx::Nginx;
use super::stage::{Headers, Stage, is_community, memory, read, read_json, refresh, viewer_path};
use super::table::{Measurement, Table, duration, whole};
use crate::cold_start;
use crate::figures::median;
use crate::git::git;
use crate::github::Git;
use crate::registry::Serving;

const MANIFEST: &Headers<'static> = &[("accept", "application/vnd.oci.image.manifest.v1+json")];

/// Most memory that `serve` should take with the community registry, in MB.
const MEMORY: f64 = 20.0;

/// Returns a stack with an archive, and its default version.
fn stack() -> (&'static str, &'static str) {
    if is_community() { ("go", "2.6.0") } else { ("kiln", "1.1.0") }
}

pub(super) async fn start(stage: &Stage, table: &mut Table) -> Result<()> {
    let registry = stage.published().await?;
    let (mut starts, mut sizes) = (Vec::new(), Vec::new());
    for _ in 0..stage.times(3, 9) {
        let started = stage.serve(registry).await?;
        starts.push(started.seconds);
        sizes.push(memory(&started.serving));
        started.serving.kill().await;
    }
    table.add(Measurement::time("serve: start to healthy", median(starts), 0.03));
    table.add(Measurement::size("serve: memory when loaded", median(sizes), MEMORY));
    Ok(())
}

pub(super) async fn cold_starts(stage: &Stage, table: &mut Table) -> Result<()> {
    let registry = stage.published().await?;
    let (serve, runs) = (stage.program("serve")?, stage.times(5, 20));
    let cold = cold_start::measure(&serve, &registry.variables(), runs, "/v2index/all").await?;
    let seconds = cold.first_answer_ms.median / 1000.0;
    table.add(Measurement::time("serve: cold start, from its process to its first answer", seconds, 0.03));
    let mut steps = String::new();
    for (name, milliseconds) in &cold.steps_ms {
        let separator = if steps.is_empty() { "" } else { ", " };
        write!(steps, "{separator}{} {milliseconds:.1}", name.trim_end_matches("_ms"))?;
    }
    table.add(Measurement::new("serve: steps of a cold start, in milliseconds", steps));
    Ok(())
}

/// An answer under load: its requests a second beside those of the reference server, which are those of the community registry.
struct RatedAnswer<'r> {
    subject: &'r str,
    path: &'r str,
    headers: &'r Headers<'r>,
    /// Requests a second of the reference server.
    reference: Option<f64>,
    /// Times that rate that are wanted.
    factor: Option<f64>,
    /// Longest time of 99 percent of the answers, in milliseconds.
    p99_ms: Option<f64>,
}

impl RatedAnswer<'_> {
    async fn measure(self, stage: &Stage, serving: &Serving) -> Result<Measurement> {
        let load = stage.load(&serving.url, self.path, self.headers).await?;
        let reference = self.reference.filter(|_| is_community());
        let factor = self.factor.filter(|_| is_community());
        let times = reference.map_or(0.0, |reference| load.per_second / reference);
        let known = reference.unwrap_or_default();
        let wanted: Vec<String> = [
            factor.map(|factor| format!("{factor:.0}x of {known:.0}")),
            self.p99_ms.map(|limit| format!("p99 under {limit:.0} ms")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let measured =
            if reference.is_some() { format!("{times:.0}x of {known:.0}: {load}") } else { load.to_string() };
        let is_met = factor.is_none_or(|factor| times >= factor)
            && self.p99_ms.is_none_or(|limit| load.p99_ms < limit)
            && load.failed == 0;
        let row = Measurement::new(self.subject, measured);
        Ok(if wanted.is_empty() { row } else { row.against(wanted.join(", "), is_met) })
    }
}

pub(super) async fn http(stage: &Stage, table: &mut Table) -> Result<()> {
    let serving = stage.serve(stage.published().await?).await?.serving;
    let (stack, version) = stack();
    let manifest = format!("/v2/devfile-catalog/{stack}/manifests/{version}");
    let content = read_json(&serving, &manifest, MANIFEST).await?;
    let is_archive = |layer: &&serde_json::Value| {
        layer["annotations"].as_object().is_some_and(|all| all.values().any(|value| value == "archive.tar"))
    };
    let archive = content["layers"].as_array().and_then(|layers| layers.iter().find(is_archive));
    let digest = archive.and_then(|layer| layer["digest"].as_str()).context("the stack has an archive")?;
    let blob = format!("/v2/devfile-catalog/{stack}/blobs/{digest}");
    let filtered =
        if is_community() { "/v2index?tags=Java&language=java" } else { "/v2index?tags=Python&language=python" };
    let devfile = format!("/devfiles/{stack}");
    let (quoted_filtered, quoted_devfile) = (format!("`{filtered}`"), format!("`{devfile}`"));
    // The part `nginx` has the rates that the first answers should reach.
    let answer =
        |subject, path, reference, p99_ms| RatedAnswer { subject, path, headers: &[], reference, factor: None, p99_ms };
    for rate in [
        answer("`/v2index/all`", "/v2index/all", Some(523.0), Some(10.0)),
        answer("`/index`", "/index", Some(520.0), Some(10.0)),
        RatedAnswer { factor: Some(200.0), ..answer(&quoted_filtered, filtered, Some(173.0), None) },
        answer(&quoted_devfile, &devfile, Some(132.0), Some(10.0)),
        RatedAnswer { headers: MANIFEST, ..answer("a manifest", &manifest, None, Some(10.0)) },
        answer("a blob (`archive.tar`)", &blob, None, None),
    ] {
        table.add(rate.measure(stage, &serving).await?);
    }
    table.add(Measurement::size("serve: memory after that load", memory(&serving), MEMORY));
    serving.kill().await;
    Ok(())
}

pub(super) async fn beside_nginx(stage: &Stage, table: &mut Table) -> Result<()> {
    let serving = stage.serve(stage.published().await?).await?.serving;
    let (stack, version) = stack();
    let (devfile, manifest) =
        (format!("/devfiles/{stack}"), format!("/v2/devfile-catalog/{stack}/manifests/{version}"));
    // On disk `/index` could not be a file and a folder.
    let paths: [(&str, &Headers<'_>, &str); 4] = [
        ("/v2index/all", &[], "/file-0"),
        ("/index", &[], "/file-1"),
        (&devfile, &[], "/file-2"),
        (&manifest, MANIFEST, "/file-3"),
    ];
    let mut files = Vec::new();
    for (path, headers, file) in paths {
        files.push((file, read(&serving, path, headers).await?));
    }
    let nginx = Nginx::start(files.iter().map(|(file, content)| (*file, &content[..]))).await?;
    for (path, headers, file) in paths {
        let ours = stage.load(&serving.url, path, headers).await?;
        let theirs = stage.load(&nginx.url, file, &[]).await?;
        let share = ours.per_second / theirs.per_second;
        let measured = format!("{share:.2} of {} req/s: {ours}", whole(theirs.per_second));
        let is_met = share >= 0.8 && ours.p99_ms < 10.0;
        let row = Measurement::new(format!("`{path}`, beside nginx"), measured);
        table.add(row.against("0.8 of nginx, p99 under 10 ms", is_met));
    }
    nginx.stop().await?;
    serving.kill().await;
    Ok(())
}

/// The headers of a request for a page, as browsers send them.
pub(super) const BROWSER: &Headers<'static> = &[("accept-encoding", "br")];

pub(super) async fn viewer(stage: &Stage, table: &mut Table) -> Result<()> {
    let serving = stage.serve(stage.published().await?).await?.serving;
    let size = read(&serving, "/viewer", &[]).await?.len();
    let row = Measurement::new("viewer: HTML of the list", format!("{:.0} kB", size as f64 / 1000.0));
    table.add(row.against("under 60 kB", size < 60_000));
    let page = viewer_path(&serving, stack().0).await?;
    for (subject, path, limit) in [
        ("viewer: the list", "/viewer", Some(2.0)),
        ("viewer: a search with a typo", "/viewer?search=runtmie", Some(2.0)),
        ("viewer: a stack", &page, None),
    ] {
        table.add(stage.load(&serving.url, path, BROWSER).await?.page(subject, limit));
    }
    table.add(Measurement::size("serve: memory after these pages", memory(&serving), MEMORY));
    serving.kill().await;
    Ok(())
}

pub(super) async fn starters(stage: &Stage, table: &mut Table) -> Result<()> {
    let registry = stage.registry().await;
    let (stack, version) = stack();
    let folder = format!("stacks/{stack}/{version}");
    let devfile = std::fs::read_to_string(registry.repository.path().join(&folder).join("devfile.yaml"))?;
    const LIST: &str = "starterProjects:\n";
    let starter = format!("{LIST}  - name: bench\n    zip:\n      location: bench-offline.zip\n");
    registry.write(&format!("{folder}/devfile.yaml"), devfile.replacen(LIST, &starter, 1));
    registry.write(&format!("{folder}/bench-offline.zip"), project().await?);
    refresh(&registry).await?;

    let serving = stage.serve(&registry).await?.serving;
    let path = format!("/devfiles/{stack}/{version}/starter-projects/bench");
    let begin = Instant::now();
    let size = read(&serving, &path, &[]).await?.len();
    let first = duration(begin.elapsed().as_secs_f64());
    let subject = format!("a starter project of 500 files, {} KiB, the first time", size / 1024);
    table.add(Measurement::new(subject, first));
    let load = stage.load(&serving.url, &path, &[]).await?;
    let row = Measurement::new("the same, cached", load.to_string());
    table.add(row.against("p99 under 20 ms", load.p99_ms < 20.0 && load.failed == 0));
    serving.kill().await;
    Ok(())
}

/// Returns the archive of a project of 500 files, not compressed.
async fn project() -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("src"))?;
    for number in 0..500 {
        let text = format!("line {number} of a file\n").repeat(40);
        std::fs::write(folder.path().join(format!("src/file-{number}.txt")), text)?;
    }
    for arguments in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "--message", "A project"]] {
        git(folder.path(), arguments);
    }
    Git::new(folder.path()).run(&["archive", "--format=zip", "-0", "HEAD"]).await
}
