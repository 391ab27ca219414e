//! The party that a connection waits for: the server, or the client and since when.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The times for which a client may keep a connection waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// From the opening of a connection, or the first byte of a later request, to the end of the request's head.
    pub(super) head: Duration,
    /// Between two requests. Load balancers keep connections for 60 s and expect the server to keep them longer.
    pub(super) idle: Duration,
    /// Without reading any of an answer.
    pub(super) unread: Duration,
    /// From the end of the last answer to the end of the connection.
    pub(super) close: Duration,
    /// After the stop signal, for connections that the client holds open.
    pub(super) stop: Duration,
}

impl Timeouts {
    pub(super) const DEFAULT: Self = Self {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        unread: Duration::from_secs(30),
        close: Duration::from_secs(2),
        stop: Duration::from_secs(3),
    };
}

/// The state of a connection, shared by its task and the one that sweeps. Nobody holds the lock while waiting, and the sweep takes
/// it once a second.
#[derive(Debug)]
pub(super) struct Activity(Mutex<ActivityState>);

#[derive(Debug)]
struct ActivityState {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// The time since which the client has read none of the waiting bytes.
    unread: Option<Instant>,
    /// Whether there was a request.
    has_asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was read yet, though a request may have arrived.
    New,
    /// The client has not begun another request.
    Idle,
    /// The head of a request has not arrived.
    Head,
    /// The body of a request has not arrived. Readers of bodies have their own deadlines.
    Body,
    /// The server has a request and owes an answer.
    Answering,
    /// The server has closed its side.
    Closing,
}

impl Activity {
    /// The activity of a new connection.
    pub(super) fn new() -> Self {
        Self(Mutex::new(ActivityState { phase: Phase::New, since: Instant::now(), unread: None, has_asked: false }))
    }

    /// The first request is awaited; it should come at once.
    pub(super) fn first_awaited(&self) {
        self.change(Phase::Head, |phase| phase == Phase::New);
    }

    /// Bytes arrived.
    pub(super) fn received(&self) {
        self.change(Phase::Head, |phase| matches!(phase, Phase::New | Phase::Idle));
    }

    /// The head of a request is complete.
    pub(super) fn request(&self) {
        self.state().has_asked = true;
        self.change(Phase::Answering, |_| true);
    }

    /// Whether there was a request.
    pub(super) fn has_asked(&self) -> bool {
        self.state().has_asked
    }

    /// The handler waits for the body.
    pub(super) fn body_awaited(&self) {
        self.change(Phase::Body, |phase| phase == Phase::Answering);
    }

    /// The handler has the body, or does not want it.
    pub(super) fn body_ended(&self) {
        self.change(Phase::Answering, |phase| phase == Phase::Body);
    }

    /// The answer is complete, though it may wait to be sent.
    pub(super) fn answered(&self) {
        self.change(Phase::Idle, |phase| phase != Phase::Closing);
    }

    /// The server has closed its side.
    pub(super) fn closing(&self) {
        self.change(Phase::Closing, |_| true);
    }

    /// The client takes no bytes.
    pub(super) fn blocked(&self) {
        self.state().unread = Some(Instant::now());
    }

    /// The client takes bytes again.
    pub(super) fn unblocked(&self) {
        self.state().unread = None;
    }

    /// Since when the connection has waited for its client; `None` while it is the server's turn.
    ///
    /// Bytes that trickle in do not count as an end of the wait, or a byte a second would hold a connection for ever.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        state.unread.or((!matches!(state.phase, Phase::New | Phase::Answering)).then_some(state.since))
    }

    /// Whether the client has kept the connection waiting for too long.
    pub(super) fn is_overdue(&self, now: Instant, timeouts: &Timeouts) -> bool {
        let state = self.state();
        let phase = match state.phase {
            Phase::Idle => Some(timeouts.idle),
            Phase::Head => Some(timeouts.head),
            Phase::Closing => Some(timeouts.close),
            Phase::New | Phase::Body | Phase::Answering => None,
        };
        state.unread.is_some_and(|since| now.duration_since(since) >= timeouts.unread)
            || phase.is_some_and(|timeout| now.duration_since(state.since) >= timeout)
    }

    fn change(&self, next: Phase, from: impl FnOnce(Phase) -> bool) {
        let mut state = self.state();
        if from(state.phase) {
            state.phase = next;
            state.since = Instant::now();
        }
    }

    fn state(&self) -> MutexGuard<'_, ActivityState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
