//! The progress of work that takes longer than a second: a bar with the time left on a terminal, elsewhere a line now and then.
//!
//! Bars and lines go to standard error, and work that ends within a second shows neither.

use std::future::Future;
use std::io::IsTerminal;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use devfile_registry::context::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

/// How long there is silence.
const SILENCE: Duration = Duration::from_secs(1);

/// How often a bar is drawn.
const FRAME: Duration = Duration::from_millis(200);

/// How often there is a line where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// As a bar on standard error.
    Terminal,
    /// As lines on standard error.
    Lines,
    /// As lines in the log.
    Log,
}

impl Place {
    /// A bar if somebody watches standard error.
    fn of_command() -> Self {
        if std::io::stderr().is_terminal() { Self::Terminal } else { Self::Lines }
    }

    /// A bar if somebody watches standard error, and no log is written there.
    pub(crate) fn of_server() -> Self {
        let has_log = std::env::var_os("RUST_LOG").is_some();
        if std::io::stderr().is_terminal() && !has_log { Self::Terminal } else { Self::Log }
    }
}

/// The progress of one piece of work. What it shows goes away when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    steps: Arc<Steps>,
    shown: Option<(Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Steps {
    work: String,
    done: AtomicU64,
    /// 0 while it is not known.
    total: AtomicU64,
    started: Instant,
}

impl Progress {
    /// Begins work of a command, of so many steps if their number is known.
    pub(crate) fn start(work: &str, total: Option<u64>) -> Self {
        Self::start_at(Place::of_command(), work, total)
    }

    fn start_at(place: Place, work: &str, total: Option<u64>) -> Self {
        let steps = Arc::new(Steps {
            work: work.to_owned(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(total.unwrap_or_default()),
            started: Instant::now(),
        });
        let (sender, end) = channel();
        let shown = Arc::clone(&steps);
        let thread = std::thread::spawn(move || match place {
            Place::Terminal => draw(&shown, &end),
            Place::Lines => lines(&end, || eprintln!("{}", shown.line())),
            Place::Log => lines(&end, || tracing::info!("{}", shown.line())),
        });
        Self { steps, shown: Some((sender, thread)) }
    }

    /// A step ended.
    pub(crate) fn advance(&self) {
        self.steps.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.shown.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}

/// Does some work, and shows its calls to the stores under a name such as `publishing`.
pub(crate) async fn shown<T>(place: Place, name: &str, work: impl Future<Output = T>) -> T {
    let context = Context::within_current();
    let calls = context.progress();
    let mut work = pin!(context.scope(work));
    let progress = Progress::start_at(place, name, None);
    let mut tick = interval(FRAME);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = tick.tick() => {
                progress.steps.done.store(calls.done(), Ordering::Relaxed);
                progress.steps.total.store(calls.expected(), Ordering::Relaxed);
            }
        }
    }
}

impl Steps {
    fn counts(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// One line: the work, how much of it is done, and the time that the rest takes at the same speed.
    fn line(&self) -> String {
        let (work, elapsed) = (&self.work, self.started.elapsed());
        match self.counts() {
            (_, 0) => format!("{work}: {} s", elapsed.as_secs()),
            (done, total) => {
                let left = time_left(elapsed, done, total).map(|left| format!(", {} s left", left.as_secs()));
                format!("{work}: {done} of {total}{}", left.unwrap_or_default())
            }
        }
    }
}

/// The time that the rest takes at the speed so far; `None` before the first step.
fn time_left(elapsed: Duration, done: u64, total: u64) -> Option<Duration> {
    let seconds = elapsed.as_secs_f64() * total.saturating_sub(done) as f64 / done as f64;
    Duration::try_from_secs_f64(seconds.ceil()).ok()
}

/// Waits for some time, and says whether the work goes on.
fn goes_on(end: &Receiver<()>, time: Duration) -> bool {
    matches!(end.recv_timeout(time), Err(RecvTimeoutError::Timeout))
}

/// Writes a line now and then, until the work ends.
fn lines(end: &Receiver<()>, write: impl Fn()) {
    while goes_on(end, LINES) {
        write();
    }
}

/// Draws a bar from the second second on, until the work ends.
fn draw(steps: &Steps, end: &Receiver<()>) {
    if !goes_on(end, SILENCE) {
        return;
    }
    let style = |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let (counted, uncounted) = (style("{msg} {wide_bar} {pos} of {len}, {prefix}"), style("{spinner} {msg} {elapsed}"));
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(steps.started.elapsed());
    bar.set_message(steps.work.clone());
    loop {
        let (done, total) = steps.counts();
        if total == 0 {
            bar.set_style(uncounted.clone());
        } else {
            let left = time_left(steps.started.elapsed(), done, total);
            bar.set_prefix(left.map_or("...".to_owned(), |left| format!("{} s left", left.as_secs())));
            bar.set_style(counted.clone());
            bar.set_length(total);
            bar.set_position(done);
        }
        bar.tick();
        if !goes_on(end, FRAME) {
            break;
        }
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_follows_from_the_speed_so_far() {
        let second = Duration::from_secs(1);
        assert_eq!(time_left(10 * second, 10, 40), Some(30 * second));
        assert_eq!(time_left(10 * second, 40, 40), Some(Duration::ZERO));
        assert_eq!(time_left(10 * second, 50, 40), Some(Duration::ZERO));
        assert_eq!(time_left(10 * second, 0, 40), None);
    }

    #[test]
    fn line_names_the_work_and_what_is_done_of_it() {
        assert_eq!(Progress::start("comparing", None).steps.line(), "comparing: 0 s");
        let progress = Progress::start("reading", Some(4));
        assert_eq!(progress.steps.line(), "reading: 0 of 4");
        progress.advance();
        assert!(progress.steps.line().starts_with("reading: 1 of 4, "), "{}", progress.steps.line());
    }

    #[tokio::test]
    async fn work_gives_its_result_wherever_its_progress_is_shown() {
        for place in [Place::Terminal, Place::Lines, Place::Log] {
            assert_eq!(shown(place, "working", async { 7 }).await, 7);
        }
    }
}
