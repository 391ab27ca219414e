//! Actions carried out: the clients, built once, and what everybody is told of the result.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use devfile_registry::cache::Cache;
use devfile_registry::context::{self, Context};
use devfile_registry::digest::CommitSha;
use devfile_registry::outside::offline::Known;
use devfile_registry::publish::{Cause, Emptiness, Extent, Invocation, Outcome, PublishError, Publisher, Report};
use devfile_registry::registry::Record;
use devfile_registry::source::SourceError;
use devfile_registry::source::github::CommitState;
use devfile_registry::telemetry::{Kind, Span};
use devfile_registry::timestamp::Timestamp;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use crate::action::{Action, Answer, Continued, Hint};
use crate::auth::gate::Gate;
use crate::bodies::Bodies;
use crate::config::Config;
use crate::handover::Handover;
use crate::observe;
use crate::runner::{Run, Runner};
use crate::source::Repository;

/// Time for telling GitHub of a result: nice to have, and somebody may be waiting for the answer.
const TELLING: Duration = Duration::from_secs(5);

/// Time between the last push of an invocation and its end: for what it stores and reports, and for handing over.
const STOP: Duration = Duration::from_secs(15);

/// The result of a refresh, for all who wait for it.
pub type Refreshed = Arc<Result<Report, PublishError>>;

/// Everything that a trigger needs.
#[derive(Debug)]
pub struct App {
    core: Arc<Core>,
    pub(crate) gate: Gate,
    pub(crate) bodies: Bodies,
    pub(crate) handover: Option<Handover>,
    runner: Runner<Refreshed>,
}

/// What work is done with.
#[derive(Debug)]
struct Core {
    publisher: Publisher<Repository, Record, Cache>,
    announcement: Announcement,
}

/// What hears of every action that succeeds, before its caller does.
pub struct Announcement(Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>);

impl Announcement {
    /// Calls a function, and waits for what it returns.
    pub fn to<F>(listener: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(move || listener().boxed()))
    }

    /// Nobody hears of actions; what is live is in the bucket.
    pub fn none() -> Self {
        Self::to(|| std::future::ready(()))
    }
}

impl fmt::Debug for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcement").finish_non_exhaustive()
    }
}

impl App {
    /// Builds the clients.
    pub async fn new(config: Config) -> Self {
        Self::announcing(config, Announcement::none()).await
    }

    /// Builds the clients. What is announced to hears of every action.
    pub async fn announcing(config: Config, announcement: Announcement) -> Self {
        let (registry, bucket) = config.stores.open().await;
        if matches!(config.repository, Repository::Off) {
            tracing::warn!("dynamic updates are off: REGISTRY_REPO_URL is not set");
        }
        let publisher = Publisher {
            source: config.repository,
            registry,
            bucket,
            outside: config.outside,
            strictness: config.strictness,
            clock: || Timestamp::from_instant(jiff::Timestamp::now()),
        };
        let core = Arc::new(Core { publisher, announcement });
        let runner = Runner::new({
            let core = Arc::clone(&core);
            move |told| {
                let core = Arc::clone(&core);
                async move { Arc::new(core.refresh(told.as_ref(), Cause::default()).await) }
            }
        });
        let (gate, bodies) = (Gate::new(config.access), Bodies::new());
        Self { core, gate, bodies, handover: Handover::from_env().await, runner }
    }

    /// The registry repository.
    pub(crate) fn repository(&self) -> &Repository {
        &self.core.publisher.source
    }

    /// Carries an action out. A refresh that would not end before the deadline is handed over to another invocation.
    ///
    /// # Errors
    /// [`PublishError`]; the release that was live still is, or a newer one.
    pub async fn act(&self, action: Action, deadline: Option<Instant>) -> Result<Answer, PublishError> {
        let publisher = &self.core.publisher;
        let continues = match &action {
            Action::Refresh(hint) => hint.continues,
            _ => None,
        };
        let until = deadline.map(|deadline| deadline.checked_sub(STOP).unwrap_or(deadline));
        let invocation = until.and_then(|until| self.invocation(until, continues));
        let cause = Cause { invocation, ..Cause::default() };
        let mut next = Hint::default();
        let report = match action {
            Action::Refresh(hint) => {
                next = Hint { stacks: BTreeSet::new(), ..hint };
                let emptiness = if next.remove_all { Emptiness::Meant } else { Emptiness::Refused };
                self.core.refresh(next.commit_hash.as_ref(), Cause { emptiness, ..cause }).await
            }
            Action::Reconcile {} => self.core.reconcile(Extent::Whole, cause).await,
            Action::Schedule {} => self.core.reconcile(Extent::Turn, cause).await,
            Action::Refetch {} => {
                let cause = Cause { known: Known::FetchedAgain, ..Cause::default() };
                self.core.told("refetch", None, Box::pin(publisher.follow(cause))).await
            }
            Action::Rollback { commit_hash } => {
                self.core.told("rollback", None, Box::pin(publisher.rollback(&commit_hash))).await
            }
            Action::Unpin {} => {
                let unpinned = self.core.told("unpin", None, Box::pin(publisher.unpin())).await?;
                match &publisher.source {
                    Repository::Off => Ok(unpinned),
                    _ => self.core.refresh(None, cause).await,
                }
            }
            Action::Restore {} => self.core.told("restore", None, Box::pin(publisher.restore())).await,
            Action::Verify {} => {
                let span = Span::begin(Kind::Internal, "verify", context::trace());
                let verified = Context::new(span.position()).scope(Box::pin(publisher.verify())).await;
                return Ok(Answer::Verification(verified?));
            }
        };
        let report = report?;
        self.hand_over(&report, next).await;
        Ok(Answer::Report(Box::new(report)))
    }

    /// An invocation that pushes until a time, and continues a publication if one is named; none where nothing can be handed over.
    pub(crate) fn invocation(&self, until: Instant, continues: Option<Continued>) -> Option<Invocation> {
        self.handover.as_ref()?;
        let first = Invocation::first(until);
        let later = |Continued { publication, invocation }| Invocation { publication, number: invocation, ..first };
        Some(continues.map_or(first, later))
    }

    /// Hands a publication that a refresh could not finish over to the next invocation.
    pub(crate) async fn hand_over(&self, report: &Report, hint: Hint) {
        let (Some(handover), Some(unfinished)) = (&self.handover, report.unfinished) else { return };
        let continues = Some(Continued::after(unfinished));
        if let Err(error) = handover.invoke(&Action::Refresh(Hint { continues, ..hint })).await {
            tracing::error!(%error, "the publication rests until the next trigger or the schedule");
        }
    }

    /// A refresh in the background: the one after that which may be running.
    pub(crate) fn submit(&self, told: Option<CommitSha>) -> Run<Refreshed> {
        self.runner.submit(told)
    }

    /// Refreshes, once what may be running has ended, and waits for the result; `None` after an error in the software.
    pub async fn follow(&self) -> Option<Refreshed> {
        self.submit(None).await
    }

    /// Refreshes at once.
    pub(crate) async fn refresh(&self, told: Option<&CommitSha>, invocation: Option<Invocation>) -> Refreshed {
        Arc::new(self.core.refresh(told, Cause { invocation, ..Cause::default() }).await)
    }

    /// Waits for the refreshes in the background.
    pub async fn idle(&self) {
        self.runner.idle().await;
    }
}

impl Core {
    async fn refresh(&self, requested: Option<&CommitSha>, cause: Cause<'_>) -> Result<Report, PublishError> {
        self.told("refresh", requested, Box::pin(self.publisher.follow(Cause { requested, ..cause }))).await
    }

    /// Head against live release, live release against both stores. Trouble with one does not keep the other from being mended.
    async fn reconcile(&self, extent: Extent, cause: Cause<'_>) -> Result<Report, PublishError> {
        let work = Box::pin(async {
            let refreshed = match self.publisher.follow(cause).await {
                // Without a repository the stores are all there is.
                Err(PublishError::Source(SourceError::Off)) => Ok(None),
                // Until that is live, the stores have more than the live release.
                Ok(report) if report.outcome == Outcome::Continuing => return Ok(report),
                refreshed => refreshed.map(Some),
            };
            let compare = async {
                let repaired = self.publisher.repair(extent).await;
                let pruned = if repaired.is_ok() { self.publisher.prune().await } else { Ok(0) };
                (repaired, pruned)
            };
            let compared = match cause.invocation.filter(|_| !matches!(refreshed, Ok(None))) {
                Some(invocation) => timeout_at(invocation.until, compare).await.ok(),
                None => Some(compare.await),
            };
            let Some((repaired, pruned)) = compared else {
                tracing::warn!(
                    "the comparison with the stores takes too long; the schedule compares a slice each time"
                );
                return refreshed.and_then(|report| report.ok_or(PublishError::NothingLive));
            };
            let mut repaired = repaired?;
            repaired.pruned = pruned?;
            Ok(match refreshed? {
                None => repaired,
                Some(mut report) => {
                    report.repaired.append(&mut repaired.repaired);
                    Report { pruned: repaired.pruned, ..report }
                }
            })
        });
        self.told("reconcile", None, work).await
    }

    /// Carries an action out as a span, and tells the log, the metrics, `/status` and GitHub what becomes of it. The work is on the heap: it
    /// is by far the largest of the futures that lead to it, and each has a copy on the stack of its thread otherwise.
    async fn told(
        &self,
        action: &'static str,
        told: Option<&CommitSha>,
        work: Pin<Box<impl Future<Output = Result<Report, PublishError>>>>,
    ) -> Result<Report, PublishError> {
        let span = Span::begin(Kind::Internal, action, context::trace());
        let whole = async {
            let (result, done) = observe::refresh(&span, work).await;
            let tell_github = tokio::time::timeout(TELLING, self.tell_github(told, &result));
            let announce = async {
                if result.is_ok() {
                    (self.announcement.0)().await;
                }
            };
            let (lag, in_time, ()) = tokio::join!(self.publisher.record(told, result.as_ref()), tell_github, announce);
            done.count(lag);
            if in_time.is_err() {
                tracing::warn!("GitHub was not told of the result in time");
            }
            result
        };
        Context::part(span.position()).scope(Box::pin(whole)).await
    }

    /// Shows the result at the commit on GitHub.
    async fn tell_github(&self, told: Option<&CommitSha>, result: &Result<Report, PublishError>) {
        let Repository::Git(hosted) = &self.publisher.source else { return };
        let Some(github) = &hosted.github else { return };
        let (commit, state, text) = match result {
            Ok(report) => match summary(report) {
                Some((state, text)) => (&report.commit_hash, state, text),
                None => return,
            },
            Err(error) => match told {
                Some(told) => (told, CommitState::Error, format!("not published: {}", error.public())),
                None => return,
            },
        };
        if let Err(error) = github.report_status(commit, state, &text, None).await {
            tracing::warn!(%error, "GitHub does not show the result");
        }
    }
}

/// The report in a line; none when there is no news.
fn summary(report: &Report) -> Option<(CommitState, String)> {
    let changed = format!("{} changed, {} removed", report.changed.len(), report.removed.len());
    let first = report.quarantined.iter().flat_map(|held| &held.problems).next();
    let first = first.map(|problem| format!(": {problem}")).unwrap_or_default();
    let held = report.quarantined.len();
    match report.outcome {
        Outcome::Unchanged | Outcome::Superseded => None,
        Outcome::Continuing => {
            let progress = report.progress.filter(|_| report.unfinished.is_some())?;
            let text = format!("publishing: {} of {} artifacts are pushed", progress.artifacts, progress.total);
            Some((CommitState::Pending, text))
        }
        Outcome::Published if held == 0 => Some((CommitState::Success, format!("published: {changed}"))),
        Outcome::Published => Some((CommitState::Failure, format!("{held} quarantined{first}; else {changed}"))),
        Outcome::Rejected => Some((CommitState::Failure, format!("rejected, {held} with errors{first}"))),
    }
}
