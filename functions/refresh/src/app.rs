//! Runs actions: the clients, built once, and the reports of each result.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use devfile_registry::cache::Cache;
use devfile_registry::context::{self, Context};
use devfile_registry::digest::CommitSha;
use devfile_registry::publish::{
    Budget, Cause, CompareScope, Emptiness, Invocation, Outcome, PublishError, Publisher, Report,
};
use devfile_registry::registry::{ReadOnly, Record};
use devfile_registry::source::SourceError;
use devfile_registry::source::feedback::{CommitState, CommitStatus, StatusContext};
use devfile_registry::telemetry::{Kind, Span};
use devfile_registry::timestamp::Timestamp;
use devfile_registry::upstream::offline::Known;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::action::{Action, Answer, Continued, Hint};
use crate::auth::gate::Gate;
use crate::bodies::Bodies;
use crate::config::Config;
use crate::handover::Handover;
use crate::observe;
use crate::previews::Previewer;
use crate::runner::{Run, Runner};
use crate::source::RegistryRepository;

/// Time limit for the commit status. It is optional, and a caller may be waiting for the answer.
const STATUS_TIME: Duration = Duration::from_secs(5);

/// The result of a refresh, shared by all its callers.
pub type Refreshed = Arc<Result<Report, PublishError>>;

/// The clients and publishers that triggers share.
#[derive(Debug)]
pub struct App {
    core: Arc<Core>,
    /// `None` when previews are off.
    pub(crate) previews: Option<Arc<Previewer>>,
    pub(crate) gate: Gate,
    pub(crate) bodies: Bodies,
    pub(crate) handover: Option<Handover>,
    runner: Runner<Refreshed>,
}

/// The publisher, and the announcement of its successful actions.
#[derive(Debug)]
struct Core {
    publisher: Publisher<RegistryRepository, Record, Cache>,
    announcement: Announcement,
}

/// A function that runs after each successful action, before the caller gets its answer.
pub struct Announcement(Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>);

impl Announcement {
    /// Wraps a function and awaits its future.
    pub fn to<F>(listener: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(move || listener().boxed()))
    }

    /// Announces nothing. Readers find the live release in the bucket.
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

    /// Builds the clients, with an announcement of each successful action.
    pub async fn announcing(config: Config, announcement: Announcement) -> Self {
        let (registry, bucket) = config.stores.open().await;
        let clock = || Timestamp::from_instant(jiff::Timestamp::now());
        let previews = config.previews.map(|settings| {
            let publisher = Publisher {
                source: settings.repository,
                registry: ReadOnly(registry.clone()),
                bucket: bucket.clone(),
                fetcher: settings.fetcher,
                strictness: config.strictness,
                clock,
            };
            Arc::new(Previewer::new(settings.policy, publisher, settings.public_url))
        });
        let publisher = Publisher {
            source: config.repository,
            registry,
            bucket,
            fetcher: config.fetcher,
            strictness: config.strictness,
            clock,
        };
        let core = Arc::new(Core { publisher, announcement });
        let runner = Runner::new({
            let core = Arc::clone(&core);
            move |requested| {
                let core = Arc::clone(&core);
                async move { Arc::new(core.refresh(requested.as_ref(), Cause::default()).await) }
            }
        });
        let (gate, bodies) = (Gate::new(config.access), Bodies::new());
        Self { core, previews, gate, bodies, handover: Handover::from_env().await, runner }
    }

    /// Whether there is a registry repository to follow.
    pub fn has_repository(&self) -> bool {
        !matches!(self.repository(), RegistryRepository::Off)
    }

    /// Logs that dynamic updates are off, when they are. For servers: an action that needs no repository is no reason to warn.
    pub fn warn_without_repository(&self) {
        if !self.has_repository() {
            tracing::warn!("{}", SourceError::Off);
        }
    }

    /// Returns the registry repository.
    pub(crate) fn repository(&self) -> &RegistryRepository {
        &self.core.publisher.source
    }

    /// Runs an action. Another invocation continues a publication that would not end before the deadline.
    ///
    /// # Errors
    /// [`PublishError`]; the live release stays live, unless a newer one replaced it.
    pub async fn act(&self, action: Action, deadline: Option<Instant>) -> Result<Answer, PublishError> {
        let publisher = &self.core.publisher;
        let invocation = deadline.and_then(|deadline| self.invocation(deadline, Budget::Function, action.continues()));
        let cause = Cause { invocation, ..Cause::default() };
        let report = match &action {
            Action::Refresh(hint) => {
                let emptiness = if hint.remove_all { Emptiness::Meant } else { Emptiness::Refused };
                self.core.refresh(hint.commit_hash.as_ref(), Cause { emptiness, ..cause }).await
            }
            Action::Reconcile { .. } => self.core.reconcile(CompareScope::All, cause).await,
            Action::Schedule { .. } => self.core.reconcile(CompareScope::Slice, cause).await,
            Action::Refetch {} => {
                let cause = Cause { known: Known::FetchedAgain, ..Cause::default() };
                self.core.run("refetch", None, publisher.follow(cause).boxed()).await
            }
            Action::Rollback { commit_hash } => {
                self.core.run("rollback", None, publisher.rollback(commit_hash).boxed()).await
            }
            Action::Unpin {} => {
                let unpinned = self.core.run("unpin", None, publisher.unpin().boxed()).await?;
                match &publisher.source {
                    RegistryRepository::Off => Ok(unpinned),
                    _ => self.core.refresh(None, cause).await,
                }
            }
            Action::Restore {} => self.core.run("restore", None, publisher.restore().boxed()).await,
            Action::Preview(proposed) => return self.previewer()?.build(proposed).await.map(Answer::preview),
            Action::EndPreview { number, withdrawn_at } => {
                return self.previewer()?.end(*number, withdrawn_at.as_ref()).await.map(Answer::preview);
            }
            Action::Verify {} => {
                let span = Span::begin(Kind::Internal, "verify", context::trace());
                let verified = Context::child(span.position()).scope(publisher.verify().boxed()).await;
                return Ok(Answer::Verification(verified?));
            }
        };
        let report = report?;
        self.hand_over(&report, &action).await;
        Ok(Answer::Report(Box::new(report)))
    }

    /// Returns an invocation with a deadline, which continues a publication if one is named; `None`
    /// when no other invocation can continue it.
    pub(crate) fn invocation(
        &self,
        deadline: Instant,
        budget: Budget,
        continues: Option<Continued>,
    ) -> Option<Invocation> {
        self.handover.as_ref()?;
        let first = Invocation::first(deadline, budget);
        let later = |Continued { publication, invocation }| Invocation { publication, number: invocation, ..first };
        Some(continues.map_or(first, later))
    }

    /// Invokes the function again to continue an unfinished publication, or to publish a newer
    /// head.
    pub(crate) async fn hand_over(&self, report: &Report, action: &Action) {
        let next = match (report.unfinished, &report.newer_head) {
            (Some(unfinished), _) => action.continued(Continued::after(unfinished)),
            (None, Some(head)) => Action::Refresh(Hint { commit_hash: Some(head.clone()), ..Hint::default() }),
            (None, None) => return,
        };
        let Some(handover) = &self.handover else { return };
        if let Err(error) = handover.invoke(&next).await {
            tracing::error!(%error, "cannot continue the publication; the next trigger or the schedule does");
        }
    }

    /// Refreshes in the background, after any running refresh.
    pub(crate) fn submit(&self, requested: Option<CommitSha>) -> Run<Refreshed> {
        self.runner.submit(requested)
    }

    /// Refreshes after any running refresh, and returns the result; `None` when the refresh
    /// panicked.
    pub async fn follow(&self) -> Option<Refreshed> {
        self.submit(None).await
    }

    /// Refreshes immediately.
    pub(crate) async fn refresh(&self, requested: Option<&CommitSha>, invocation: Option<Invocation>) -> Refreshed {
        Arc::new(self.core.refresh(requested, Cause { invocation, ..Cause::default() }).await)
    }

    fn previewer(&self) -> Result<&Previewer, PublishError> {
        self.previews.as_deref().ok_or(PublishError::PreviewsOff)
    }

    /// Waits for the refreshes and previews in the background.
    pub async fn idle(&self) {
        self.runner.idle().await;
        if let Some(previews) = &self.previews {
            previews.idle().await;
        }
    }
}

impl Core {
    async fn refresh(&self, requested: Option<&CommitSha>, cause: Cause<'_>) -> Result<Report, PublishError> {
        self.run("refresh", requested, self.publisher.follow(Cause { requested, ..cause }).boxed()).await
    }

    async fn reconcile(&self, scope: CompareScope, cause: Cause<'_>) -> Result<Report, PublishError> {
        self.run("reconcile", None, self.publisher.reconcile(scope, cause).boxed()).await
    }

    /// Runs an action as a span, and reports its result to the log, the metrics, `/status` and the
    /// commit. The future is boxed: it is the largest one on its path, and the threads of a server
    /// have stacks of 2 MiB.
    async fn run(
        &self,
        action: &'static str,
        requested: Option<&CommitSha>,
        work: BoxFuture<'_, Result<Report, PublishError>>,
    ) -> Result<Report, PublishError> {
        let span = Span::begin(Kind::Internal, action, context::trace());
        let whole = async {
            let (result, done) = observe::refresh(&span, work).await;
            let report_status = tokio::time::timeout(STATUS_TIME, self.report_status(requested, &result));
            let announce = async {
                if result.is_ok() {
                    (self.announcement.0)().await;
                }
            };
            let stored = self.publisher.store_outcome(requested, result.as_ref());
            let (lag, in_time, ()) = tokio::join!(stored, report_status, announce);
            done.count(lag);
            if in_time.is_err() {
                tracing::warn!("cannot set the commit status: no answer within {} s", STATUS_TIME.as_secs());
            }
            result
        };
        Context::child(span.position()).scope(Box::pin(whole)).await
    }

    /// Sets the commit status on the Git host.
    async fn report_status(&self, requested: Option<&CommitSha>, result: &Result<Report, PublishError>) {
        let RegistryRepository::Git(hosted) = &self.publisher.source else { return };
        let Some(feedback) = &hosted.feedback else { return };
        let (commit, state, text) = match result {
            Ok(report) => match summary(report) {
                Some((state, text)) => (&report.commit_hash, state, text),
                None => return,
            },
            Err(error) => match requested {
                Some(requested) => (requested, CommitState::Error, format!("not published: {}", error.public())),
                None => return,
            },
        };
        let status = CommitStatus { context: StatusContext::Live, state, description: &text, target_url: None };
        if let Err(error) = feedback.report(commit, &status).await {
            tracing::warn!(%error, "cannot set the commit status");
        }
    }
}

/// Returns the report as one line; `None` when nothing changed.
fn summary(report: &Report) -> Option<(CommitState, String)> {
    let changed = format!("{} changed, {} removed", report.changed.len(), report.removed.len());
    let first = report.quarantined.iter().flat_map(|quarantined| &quarantined.problems).next();
    let first = first.map(|problem| format!(": {problem}")).unwrap_or_default();
    let count = report.quarantined.len();
    match report.outcome {
        Outcome::Unchanged | Outcome::Superseded => None,
        Outcome::Continuing => {
            let progress = report.progress.filter(|_| report.unfinished.is_some())?;
            let text = format!("publishing: {} of {} artifacts are pushed", progress.artifacts, progress.total);
            Some((CommitState::Pending, text))
        }
        Outcome::Published if count == 0 => Some((CommitState::Success, format!("published: {changed}"))),
        Outcome::Published => Some((CommitState::Failure, format!("{count} quarantined{first}; else {changed}"))),
        Outcome::Rejected => Some((CommitState::Failure, format!("rejected, {count} with errors{first}"))),
    }
}
