//! Checks of the bucket that begin, join, wait and end.

use devfile_registry::cache::RetryPolicy;

use super::*;

async fn inner() -> Inner {
    let long_ago = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
    let check =
        CheckState { running: false, checks: 0, began: long_ago, last: long_ago, confirmed: long_ago, outcome: Ok(()) };
    Inner {
        cache: Cache::from_env("nowhere", RetryPolicy::Reader).await,
        revalidate: Duration::from_secs(5),
        damaged: Damaged::default(),
        snapshot: ArcSwapOption::empty(),
        check: Mutex::new(check),
        checks: watch::Sender::new(0),
    }
}

#[tokio::test]
async fn request_for_missing_content_shares_a_revalidation_and_trusts_only_a_later_one() {
    let inner = inner().await;
    let asked = Instant::now();
    assert_eq!(inner.next(asked, MissingContent::Digest, asked), Next::Start(0));
    assert_eq!(inner.next(asked, MissingContent::Name, asked), Next::Join(0));
    let late = Instant::now();
    drop(RunningCheck { inner: &inner, outcome: Ok(()) });
    assert_eq!(*inner.checks.borrow(), 1, "waiting requests wake");
    let now = inner.lock().last;
    assert_eq!(inner.next(asked, MissingContent::Name, now), Next::Confirmed);
    let next = inner.next(late, MissingContent::Name, now);
    assert_eq!(next, Next::Pause(AGAIN), "the check began before the request");
    let hour = Duration::from_secs(3600);
    assert_eq!(inner.begin(hour), None);
    assert_eq!(inner.begin(Duration::ZERO), Some(Next::Start(1)));
    assert_eq!(inner.begin(hour), Some(Next::Join(1)));
}

#[tokio::test]
async fn only_an_answer_of_the_bucket_confirms_a_snapshot() {
    let live = Live { inner: Arc::new(inner().await) };
    drop(RunningCheck { inner: &live.inner, outcome: Err(Failure::Empty) });
    let stale = live.freshness();
    assert!(stale.failure.is_some() && stale.checked >= Duration::from_secs(100), "{stale:?}");
    drop(RunningCheck { inner: &live.inner, outcome: Ok(()) });
    let fresh = live.freshness();
    assert!(fresh.failure.is_none() && fresh.checked < Duration::from_secs(100), "{fresh:?}");
}

#[tokio::test]
async fn revalidation_that_panics_is_over() {
    let inner = Arc::new(inner().await);
    assert_eq!(inner.begin(AGAIN), Some(Next::Start(0)));
    assert_eq!(inner.begin(AGAIN), Some(Next::Join(0)), "one at a time");
    let checking = Arc::clone(&inner);
    let check_bucket = async move {
        let _check = RunningCheck { inner: &checking, outcome: Err(Failure::Ended) };
        panic!("a check that a test ends");
    };
    assert!(tokio::spawn(check_bucket).await.is_err());
    assert!(matches!(inner.lock().outcome, Err(Failure::Ended)));
    assert_eq!(inner.begin(Duration::ZERO), Some(Next::Start(1)), "the next request looks again");
}
