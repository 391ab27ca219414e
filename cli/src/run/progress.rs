//! The progress of an action, by its calls to the stores: a bar on a terminal, and lines in the log where there is none.

use std::future::Future;
use std::io::IsTerminal;
use std::pin::pin;
use std::time::{Duration, Instant};

use devfile_registry::context::{Context, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

/// Work that ends sooner shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time between two looks at the progress.
const TICK: Duration = Duration::from_millis(100);

/// Time between two lines.
const LINE_PAUSE: Duration = Duration::from_secs(10);

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Display {
    /// As a bar on standard error.
    Bar,
    /// As lines in the log.
    Lines,
}

impl Display {
    /// A bar if somebody watches standard error, and no log is written there.
    pub(super) fn of_process() -> Self {
        let has_log = std::env::var_os("RUST_LOG").is_some();
        if std::io::stderr().is_terminal() && !has_log { Self::Bar } else { Self::Lines }
    }
}

/// Does some work, and shows its calls to the stores under a name such as `publishing`.
pub(super) async fn shown<T>(display: Display, name: &'static str, work: impl Future<Output = T>) -> T {
    let context = Context::within_current();
    let progress = context.progress();
    let mut work = pin!(context.scope(work));
    let (began, mut shown) = (Instant::now(), Shown::Nothing { since: Instant::now() });
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = &mut work => {
                if let Shown::Bar(bar) = shown {
                    bar.finish_and_clear();
                }
                return done;
            }
            _ = tick.tick() => shown.update(display, name, &progress, began),
        }
    }
}

/// What is shown at the moment.
enum Shown {
    Nothing { since: Instant },
    Bar(ProgressBar),
}

impl Shown {
    fn update(&mut self, display: Display, name: &'static str, progress: &Progress, began: Instant) {
        let (done, expected) = (progress.done(), progress.expected());
        match (&mut *self, display) {
            (Self::Bar(bar), _) => {
                bar.set_length(expected);
                bar.set_position(done);
                bar.tick();
            }
            (Self::Nothing { .. }, Display::Bar) if began.elapsed() >= PATIENCE => {
                let bar = ProgressBar::new(expected).with_message(name).with_elapsed(began.elapsed());
                // The template is a constant.
                if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {pos} of {len}, {eta} left")
                {
                    bar.set_style(style);
                }
                *self = Self::Bar(bar);
            }
            (Self::Nothing { since }, Display::Lines) if since.elapsed() >= LINE_PAUSE => {
                *since = Instant::now();
                let seconds_left = left(began.elapsed(), done, expected).map(|left| left.as_secs());
                tracing::info!(done, expected, seconds_left, "{name}");
            }
            (Self::Nothing { .. }, _) => {}
        }
    }
}

/// The time that is left if the rest takes as long as what is done.
fn left(elapsed: Duration, done: u64, expected: u64) -> Option<Duration> {
    let rest = expected.checked_sub(done)?;
    (done > 0).then(|| elapsed.mul_f64(rest as f64 / done as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_takes_as_long_as_what_is_done() {
        let second = Duration::from_secs(1);
        assert_eq!(left(10 * second, 5, 20), Some(30 * second));
        assert_eq!(left(10 * second, 20, 20), Some(Duration::ZERO));
        assert_eq!(left(10 * second, 0, 20), None);
        assert_eq!(left(10 * second, 21, 20), None);
    }

    #[tokio::test]
    async fn work_gives_its_result_whatever_is_shown() {
        for display in [Display::Bar, Display::Lines] {
            assert_eq!(shown(display, "working", async { 7 }).await, 7);
        }
    }
}
