//! The publications of a preview, and the problems of the folder.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use devfile_registry::cache::Cache;
use devfile_registry::checker::{self, Form};
use devfile_registry::diagnostic::Diagnostic;
use devfile_registry::publish::{Outcome, PublishError, Publisher, Report, Strictness};
use devfile_registry::report::Format;
use devfile_registry::source::{LocalSource, Scope, Source};
use devfile_registry::terminal::print;
use devfile_registry::text::printable;
use devfile_registry::timestamp::Timestamp;
use devfile_registry::upstream::UpstreamFetcher;

use super::ledger::Ledger;
use crate::PROGRAM;

/// Publishes a folder into stores in memory.
#[derive(Debug)]
pub(super) struct Workshop {
    publisher: Publisher<LocalSource, Ledger, Cache>,
    /// The problems that were printed last; none before the first time.
    printed: Option<Vec<Diagnostic>>,
}

/// A publication that ended.
#[derive(Debug)]
pub(super) struct Published {
    result: Result<Report, PublishError>,
    elapsed: Duration,
}

impl Workshop {
    /// Takes a folder that has `stacks/`.
    pub(super) fn new(folder: &Path, fetcher: UpstreamFetcher) -> anyhow::Result<Self> {
        let publisher = Publisher {
            source: LocalSource::new(folder)?,
            registry: Ledger::default(),
            bucket: Cache::in_memory(),
            fetcher,
            strictness: Strictness::Quarantine,
            clock: || Timestamp::from_instant(jiff::Timestamp::now()),
        };
        Ok(Self { publisher, printed: None })
    }

    /// The bucket that it publishes to.
    pub(super) fn bucket(&self) -> Cache {
        self.publisher.bucket.clone()
    }

    /// Publishes the folder as it is.
    pub(super) async fn publish(&self) -> Published {
        let started = Instant::now();
        let result = self.publisher.refresh(None).await;
        let elapsed = started.elapsed();
        // For the status page of the viewer.
        self.publisher.store_outcome(None, result.as_ref()).await;
        // A failure leaves objects that nobody needs; the next prune takes them.
        if let Err(error) = self.publisher.prune().await {
            tracing::warn!(%error, "old releases stay in memory");
        }
        Published { result, elapsed }
    }

    /// Prints the errors and warnings of the folder, unless they are those that were printed last.
    pub(super) async fn print_problems(&mut self, folder: &Path) -> anyhow::Result<()> {
        let Publisher { source, fetcher, .. } = &self.publisher;
        let Ok(commit) = source.head().await else { return Ok(()) };
        // The next change is checked in its turn.
        let Ok(tree) = source.files(&commit, &Scope::All).await else { return Ok(()) };
        let complete = fetcher.complete(tree, None).await;
        let problems = checker::problems(&complete);
        if self.printed.as_ref() == Some(&problems) {
            return Ok(());
        }
        let colour = checker::colour(&std::io::stdout());
        let form = Form { format: Format::Human, colour, help_url: None };
        let report = checker::report(&folder.display().to_string(), &complete, problems.clone(), form);
        self.printed = Some(problems);
        print(&format!("\n{report}"))
    }
}

impl Published {
    /// Whether another release is live than before.
    pub(super) fn is_new(&self) -> bool {
        matches!(&self.result, Ok(report) if report.outcome == Outcome::Published)
    }

    /// Prints the published versions, or the reason why there are none. Prints nothing when nothing changed.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        match &self.result {
            Ok(report) if report.outcome == Outcome::Published => {
                print(&format!("published in {} ms{}\n", self.elapsed.as_millis(), changes(report)))
            }
            Ok(_) => Ok(()),
            Err(PublishError::NoStacks(_)) => {
                print(&format!("nothing to publish: there is no stack yet; `{PROGRAM} new stack` creates one\n"))
            }
            Err(error) => {
                eprintln!("{PROGRAM}: cannot publish: {}", printable(&error.to_string()));
                Ok(())
            }
        }
    }
}

/// The parts that were changed and removed since the last publication, and those that are not published as the folder has them.
fn changes(report: &Report) -> String {
    let named = |word: &str, parts: BTreeSet<String>| {
        let parts: Vec<_> = parts.iter().map(|part| printable(part)).collect();
        if parts.is_empty() { String::new() } else { format!("; {word} {}", parts.join(", ")) }
    };
    let quarantined = named("quarantined", report.quarantined.iter().map(|one| one.part.path()).collect());
    if report.previous.is_none() {
        return quarantined;
    }
    named("changed", report.changed.clone()) + &named("removed", report.removed.clone()) + &quarantined
}
