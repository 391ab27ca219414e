//! The first publication, and the schedule.

use std::sync::Arc;
use std::time::{Duration, Instant};

use devfile_registry::publish::{Outcome, Report};
use devfile_registry::terminal::{ProgressOutput, print, with_progress};
use refresh::action::Action;
use refresh::app::App;
use tokio::sync::watch;
use tokio::time::timeout;

/// Time until an action that failed is tried again, if the schedule does not come sooner.
const AGAIN: Duration = Duration::from_secs(30);

/// Publishes at once, and runs the schedule from time to time until the sender of `stopped` is gone.
pub(super) async fn follow(app: Arc<App>, every: Duration, output: ProgressOutput, mut stopped: watch::Receiver<()>) {
    app.warn_without_repository();
    let mut is_published = false;
    loop {
        let is_well = if is_published {
            // Two at once would harm nothing, and double the memory.
            app.idle().await;
            app.act(Action::Schedule { continues: None }, None).await.is_ok()
        } else {
            is_published = publish(&app, output).await;
            is_published
        };
        let pause = if is_well { every } else { every.min(AGAIN) };
        if timeout(pause, stopped.changed()).await.is_ok() {
            return;
        }
    }
}

/// Publishes the head of the branch, and says on a terminal that it did. The log has failures in any case.
async fn publish(app: &App, output: ProgressOutput) -> bool {
    if !app.has_repository() {
        // The schedule needs no repository.
        return true;
    }
    let began = Instant::now();
    let refreshed = with_progress(output, "publishing", app.follow()).await;
    match refreshed.as_deref() {
        Some(Ok(report)) => {
            let summary = format!("{}\n", summary(report, began.elapsed()));
            if output == ProgressOutput::Terminal
                && let Err(error) = print(&summary)
            {
                tracing::warn!("{error:#}");
            }
            true
        }
        Some(Err(_)) | None => false,
    }
}

fn summary(report: &Report, elapsed: Duration) -> String {
    let done = match report.outcome {
        Outcome::Published => format!("published in {} ms", elapsed.as_millis()),
        // Only a function hands a publication over.
        Outcome::Continuing => "published in part".to_owned(),
        Outcome::Unchanged => "nothing has changed".to_owned(),
        Outcome::Superseded => "another commit is live".to_owned(),
        Outcome::Rejected => "not published: the repository has errors, and STRICT is set".to_owned(),
    };
    let quarantined = match report.quarantined.len() {
        0 => String::new(),
        count => format!("; quarantined: {count}, see /viewer/status"),
    };
    format!("{}: {done}{quarantined}", report.commit_hash.short())
}
