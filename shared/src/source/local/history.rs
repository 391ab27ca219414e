//! When folders and files were last touched: one walk through the history for all of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::PARTS;
use crate::digest::CommitSha;
use crate::timestamp::Timestamp;

/// What stands before the date of each commit: no path begins with it.
const COMMIT: char = '\u{1}';

/// The author date of the newest commit, up to `commit`, that touched each path. Ends as soon as it knows all of them.
///
/// An uncommitted tree has no commit, and the history that counts is that of `HEAD`.
pub(super) async fn last_modified(folder: &Path, commit: &CommitSha, paths: &[String]) -> BTreeMap<String, Timestamp> {
    for start in [commit.as_str(), "HEAD"] {
        if let Some(dates) = walk(folder, start, paths).await {
            return dates;
        }
    }
    BTreeMap::new()
}

/// None when there is no such commit.
async fn walk(folder: &Path, start: &str, paths: &[String]) -> Option<BTreeMap<String, Timestamp>> {
    let format = format!("--format={COMMIT}%aI");
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "core.quotePath=false", "log", &format, "--name-only", "--no-renames"]);
    command.args([start, "--"]).args(PARTS).kill_on_drop(true);
    let mut git = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut lines = BufReader::new(git.stdout.take()?).split(b'\n');
    let mut missing: Vec<&str> = paths.iter().map(String::as_str).collect();
    missing.sort_unstable();
    let mut dates = BTreeMap::new();
    let mut date: Option<Timestamp> = None;
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line);
        if let Some(text) = line.strip_prefix(COMMIT) {
            date = text.parse().ok();
            continue;
        }
        let Some(date) = &date else { continue };
        // The file itself or a folder above it.
        let ends = line.match_indices('/').map(|(end, _)| end).chain([line.len()]);
        for wanted in ends.map(|end| &line[..end]) {
            if let Ok(at) = missing.binary_search(&wanted) {
                dates.insert(missing.remove(at).to_owned(), date.clone());
            }
        }
        if missing.is_empty() {
            return Some(dates);
        }
    }
    git.wait().await.ok().filter(std::process::ExitStatus::success)?;
    Some(dates)
}
