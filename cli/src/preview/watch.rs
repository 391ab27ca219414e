//! Changes of the folder, a burst of them at a time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};

/// The folders that registry content is below. Its files are in the folder itself.
const FOLDERS: [&str; 2] = ["stacks", "samples"];

/// The silence that ends a burst: editors and Git write several files, and some of them twice.
const SILENCE: Duration = Duration::from_millis(15);

/// The longest burst.
const BURST: Duration = Duration::from_millis(250);

/// The changes of a folder.
#[derive(Debug)]
pub(super) struct Changes {
    folder: PathBuf,
    watcher: RecommendedWatcher,
    events: UnboundedReceiver<notify::Result<Event>>,
}

impl Changes {
    /// Watches the registry content of a folder.
    ///
    /// # Errors
    /// The operating system does not allow it, for want of watches for instance.
    pub(super) fn of(folder: &Path) -> anyhow::Result<Self> {
        let (sender, events) = unbounded_channel();
        let cannot = || format!("cannot watch {}", folder.display());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // This program reads all files after each change; reading is no change.
            if !matches!(&event, Ok(event) if event.kind.is_access()) {
                // Nobody waits for changes when the program ends.
                let _ = sender.send(event);
            }
        });
        let mut changes = Self {
            folder: folder.canonicalize().with_context(cannot)?,
            watcher: watcher.with_context(cannot)?,
            events,
        };
        changes.watcher.watch(&changes.folder, RecursiveMode::NonRecursive).with_context(cannot)?;
        for name in FOLDERS {
            changes.watch_below(name).with_context(cannot)?;
        }
        Ok(changes)
    }

    /// Waits for a change, and for the end of the burst that it belongs to.
    ///
    /// # Errors
    /// The operating system does not watch any more.
    pub(super) async fn next(&mut self) -> anyhow::Result<()> {
        let first = self.events.recv().await;
        let mut next = first;
        let end = Instant::now() + BURST;
        loop {
            let event = next.context("the folder is not watched any more")?.context("cannot watch the folder")?;
            self.follow(&event);
            match timeout_at(end.min(Instant::now() + SILENCE), self.events.recv()).await {
                Ok(another) => next = another,
                Err(_) => return Ok(()),
            }
        }
    }

    /// Watches a folder that is new.
    fn follow(&mut self, event: &Event) {
        if !matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_)) {
            return;
        }
        for name in FOLDERS {
            let path = self.folder.join(name);
            if event.paths.contains(&path) {
                // If it is gone again, another event says so.
                let _ = self.watch_below(name);
            }
        }
    }

    fn watch_below(&mut self, name: &str) -> notify::Result<()> {
        let path = self.folder.join(name);
        if !path.is_dir() {
            return Ok(());
        }
        self.watcher.watch(&path, RecursiveMode::Recursive)
    }
}
