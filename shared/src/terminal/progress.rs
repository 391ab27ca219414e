//! The progress of work that takes longer than a second: a bar with the time left on a terminal, otherwise a line now and then.
//!
//! Bars and lines go to standard error, and work that ends within a second shows neither.

use std::fmt;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};
use tracing::Level;

use crate::context::Context;

/// The output that shows progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressOutput {
    /// As a bar on standard error.
    Terminal,
    /// As lines on standard error.
    Lines,
    /// As lines in the log.
    Log,
}

/// The times of the output.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Before the first drawing of a bar.
    delay: Duration,
    /// Between two drawings of a bar.
    frame: Duration,
    /// Before each line.
    line: Duration,
}

/// Delay before a bar is shown, 1 s.
const PACE: Pace =
    Pace { delay: Duration::from_secs(1), frame: Duration::from_millis(200), line: Duration::from_secs(10) };

/// The writer of progress.
enum Writer {
    Bar(ProgressDrawTarget),
    Lines(Box<dyn FnMut(&str) + Send>),
}

impl ProgressOutput {
    /// A bar if somebody watches standard error.
    pub fn of_command() -> Self {
        if std::io::stderr().is_terminal() { Self::Terminal } else { Self::Lines }
    }

    /// A bar if somebody watches standard error, and no log is written there.
    pub fn of_server() -> Self {
        let has_log = std::env::var_os("RUST_LOG").is_some();
        if std::io::stderr().is_terminal() && !has_log { Self::Terminal } else { Self::Log }
    }

    /// The level of a log beside it: lines of other levels would break a bar. They are for machines, and for people with `RUST_LOG`.
    pub fn log_level(self) -> Level {
        if self == Self::Terminal { Level::WARN } else { Level::INFO }
    }

    fn writer(self) -> Writer {
        match self {
            Self::Terminal => Writer::Bar(ProgressDrawTarget::stderr()),
            // Progress that cannot be shown is no reason to stop the work.
            Self::Lines => Writer::Lines(Box::new(|line| drop(writeln!(std::io::stderr(), "{line}")))),
            Self::Log => Writer::Lines(Box::new(|line| tracing::info!("{line}"))),
        }
    }
}

/// The progress of one piece of work. The bar goes away when this is dropped.
pub struct Progress {
    steps: Arc<Steps>,
    display: Option<(Sender<()>, JoinHandle<()>)>,
}

struct Steps {
    work: String,
    done: AtomicU64,
    /// 0 while it is not known.
    total: AtomicU64,
    started: Instant,
}

impl Progress {
    /// Begins work of a command, of so many steps if their number is known.
    pub fn start(work: &str, total: Option<u64>) -> Self {
        Self::begin(ProgressOutput::of_command().writer(), PACE, work, total)
    }

    fn begin(writer: Writer, pace: Pace, work: &str, total: Option<u64>) -> Self {
        let steps = Arc::new(Steps {
            work: work.to_owned(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(total.unwrap_or_default()),
            started: Instant::now(),
        });
        let (sender, end) = channel();
        let drawn = Arc::clone(&steps);
        let thread = std::thread::spawn(move || match writer {
            Writer::Bar(target) => draw(target, pace, &drawn, &end),
            Writer::Lines(mut write) => {
                while goes_on(&end, pace.line) {
                    write(&drawn.line());
                }
            }
        });
        Self { steps, display: Some((sender, thread)) }
    }

    /// A step ended.
    pub fn advance(&self) {
        self.steps.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&self.steps.line()).finish()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.display.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}

/// Does some work, and shows its calls to the stores under a name such as `publishing`.
pub async fn with_progress<T>(output: ProgressOutput, name: &str, work: impl Future<Output = T>) -> T {
    run_with(output.writer(), PACE, name, work).await
}

async fn run_with<T>(writer: Writer, pace: Pace, name: &str, work: impl Future<Output = T>) -> T {
    let context = Context::within_current();
    let calls = context.progress();
    let mut work = pin!(context.scope(work));
    let progress = Progress::begin(writer, pace, name, None);
    let mut tick = interval(pace.frame);
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

/// Draws a bar after the delay, until the work ends.
fn draw(target: ProgressDrawTarget, pace: Pace, steps: &Steps, end: &Receiver<()>) {
    if !goes_on(end, pace.delay) {
        return;
    }
    let style = |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let (counted, uncounted) = (style("{msg} {wide_bar} {pos} of {len}, {prefix}"), style("{spinner} {msg} {elapsed}"));
    let bar = ProgressBar::with_draw_target(None, target).with_elapsed(steps.started.elapsed());
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
        if !goes_on(end, pace.frame) {
            break;
        }
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests {
    use std::io;

    use indicatif::TermLike;

    use super::*;
    use crate::context::{count_step, expect_steps};

    const SOON: Pace = Pace { delay: Duration::ZERO, frame: Duration::from_millis(1), line: Duration::from_millis(1) };

    /// Longer than any test takes.
    const HOUR: Duration = Duration::from_secs(3600);

    /// Longest wait for something to be shown.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A terminal that passes on the texts that it shows; `None` when a line is cleared.
    #[derive(Debug)]
    struct Terminal(Sender<Option<String>>);

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            60
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.send(Some(text.to_owned())).map_err(io::Error::other)
        }

        fn clear_line(&self) -> io::Result<()> {
            self.0.send(None).map_err(io::Error::other)
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn terminal() -> (Writer, Receiver<Option<String>>) {
        let (sender, drawn) = channel();
        (Writer::Bar(ProgressDrawTarget::term_like(Box::new(Terminal(sender)))), drawn)
    }

    fn lines() -> (Writer, Receiver<String>) {
        let (sender, lines) = channel();
        // The test may have seen enough.
        (Writer::Lines(Box::new(move |line| drop(sender.send(line.to_owned())))), lines)
    }

    /// Waits until a text with a part is shown.
    fn await_text(part: &str, next: impl Fn() -> String) {
        let begin = Instant::now();
        while !next().contains(part) {
            assert!(begin.elapsed() < PATIENCE, "nothing has {part}");
        }
    }

    #[test]
    fn time_left_follows_from_the_speed_so_far() {
        let second = Duration::from_secs(1);
        assert_eq!(time_left(10 * second, 10, 40), Some(30 * second));
        assert_eq!(time_left(10 * second, 40, 40), Some(Duration::ZERO));
        assert_eq!(time_left(10 * second, 50, 40), Some(Duration::ZERO));
        assert_eq!(time_left(10 * second, 0, 40), None);
    }

    #[test]
    fn lines_name_the_work_and_its_steps_until_it_ends() {
        let (writer, lines) = lines();
        let progress = Progress::begin(writer, SOON, "reading", Some(4));
        let next = || lines.recv_timeout(PATIENCE).unwrap();
        assert_eq!(next(), "reading: 0 of 4");
        progress.advance();
        await_text("reading: 1 of 4, ", next);
        drop(progress);
        assert!(lines.iter().all(|line| line.starts_with("reading: 1 of 4, ")), "its writer is gone");
    }

    #[test]
    fn bar_shows_the_steps_and_is_cleared_in_the_end() {
        let (writer, drawn) = terminal();
        let progress = Progress::begin(writer, SOON, "comparing", None);
        let next = || drawn.recv_timeout(PATIENCE).unwrap().unwrap_or_default();
        await_text("comparing", next);
        progress.steps.total.store(4, Ordering::Relaxed);
        progress.advance();
        await_text(" 1 of 4, ", next);
        drop(progress);
        assert_eq!(drawn.iter().last(), Some(None), "the line is cleared");
    }

    #[test]
    fn work_that_ends_before_the_delay_shows_nothing() {
        let slow = Pace { delay: HOUR, frame: HOUR, line: HOUR };
        let (writer, drawn) = terminal();
        drop(Progress::begin(writer, slow, "reading", Some(4)));
        assert_eq!(drawn.iter().count(), 0);
        let (writer, lines) = lines();
        drop(Progress::begin(writer, slow, "reading", Some(4)));
        assert_eq!(lines.iter().count(), 0);
    }

    #[tokio::test]
    async fn work_shows_its_calls_to_the_stores_and_gives_its_result() {
        let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let writer = Writer::Lines(Box::new(move |line| drop(sender.send(line.to_owned()))));
        let work = async {
            expect_steps(2);
            count_step();
            while !lines.recv().await.unwrap().starts_with("publishing: 1 of 2, ") {}
            7
        };
        let done = tokio::time::timeout(PATIENCE, run_with(writer, SOON, "publishing", work));
        assert_eq!(done.await.unwrap(), 7);
    }
}
