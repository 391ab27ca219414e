//! Logs and the end of a process, alike in both functions.
//!
//! Clients, repositories and other servers put texts into the log. [`foreign`] cuts and escapes one such text. Every line passes
//! [`line::Lines`] as well, so an unforeseen text cannot fill the log or pass for another line.

mod line;

pub use line::{Foreign, foreign};

use std::io::{BufWriter, IsTerminal};
use std::sync::OnceLock;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::line::Lines;
use crate::telemetry::{self, Export};

pub use crate::environment::is_lambda;

/// Most lines that wait for the reader of the log. One takes about 400 bytes.
const WAITING_LINES: usize = 8192;

/// The log of a process, and the export of its spans; the drop writes the lines and exports the spans that still wait.
#[must_use = "lines and spans that still wait are lost with it"]
#[derive(Debug)]
pub struct Log {
    // First, because it may have something to log.
    _export: Export,
    _writer: Option<WorkerGuard>,
}

static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// Returns the number of lines that were given up because the log was not read for a while.
pub fn lost_lines() -> u64 {
    LOST.get().map_or(0, |lost| lost.dropped_lines() as u64)
}

/// Starts logging to standard error: lines for people on a terminal, otherwise JSON. `RUST_LOG` sets the levels. Spans are
/// exported under the service's name.
///
/// A process that goes on between requests writes from a thread of its own, many lines at a time, and gives lines up
/// rather than let requests wait for the reader of the log. In AWS Lambda, where a process is frozen once a request is
/// answered, every line is written before that.
pub fn start(service: &'static str) -> Log {
    start_at(service, tracing::Level::INFO)
}

/// As [`start`], with this level where `RUST_LOG` sets none.
pub fn start_at(service: &'static str, level: tracing::Level) -> Log {
    let levels = std::env::var("RUST_LOG").ok().filter(|levels| !levels.is_empty());
    let levels = levels.map(|levels| levels.parse::<Targets>());
    let is_malformed = matches!(levels, Some(Err(_)));
    let levels = levels.and_then(Result::ok).unwrap_or_else(|| Targets::new().with_default(level));
    let for_people = std::io::stderr().is_terminal();
    let (writer, guard) = if for_people || is_lambda() {
        (BoxMakeWriter::new(std::io::stderr), None)
    } else {
        let (writer, guard) = background();
        LOST.get_or_init(|| writer.error_counter());
        (BoxMakeWriter::new(writer), Some(guard))
    };
    // Colours are control characters, like those that a stranger may send.
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).with_writer(Lines(writer));
    let log = tracing_subscriber::registry().with(levels);
    if for_people {
        log.with(lines).init();
    } else {
        log.with(lines.json().flatten_event(true).with_span_list(false)).init();
    }
    if is_malformed {
        tracing::warn!("RUST_LOG is malformed; set it to a level such as debug; the level is {level}");
    }
    Log { _export: telemetry::start(service), _writer: guard }
}

fn background() -> (NonBlocking, WorkerGuard) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_LINES).thread_name("log");
    // The thread flushes whenever no more lines wait.
    builder.finish(BufWriter::with_capacity(64 << 10, std::io::stderr()))
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn stop_signal() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::warn!(%error, "SIGTERM ends the process at once");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
