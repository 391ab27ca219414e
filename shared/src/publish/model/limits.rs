//! Nothing is written that its reader would refuse (invariant 9), and nothing without a reason.

use super::super::progress::Publication;
use super::upkeep::published;
use super::*;
use crate::cache::LAST_REFRESH_KEY;
use crate::diagnostic::Diagnostic;
use crate::limits::{LAST_REFRESH_BYTES, RELEASE_BYTES};
use crate::release::Built;
use crate::repository::{Part, Quarantined};

/// Makes a release larger.
type Enlarge = fn(&mut Built);

const BEYOND: usize = RELEASE_BYTES as usize + 1;

fn outline(built: &mut Built, change: fn(&mut Outline)) {
    change(&mut Arc::make_mut(&mut built.release).outline);
}

/// Changes the live release and makes the result live.
fn make_live(world: &World, change: impl FnOnce(&mut Built)) -> Result<bool, PublishError> {
    block_on(async {
        let publisher = world.publisher();
        let live = publisher.live().await.unwrap().unwrap();
        let loaded = publisher.release(&live.index).await.unwrap().unwrap();
        let mut built = loaded.as_built(live.index.release);
        change(&mut built);
        let mut report = Report::new(Some(&live), &built, Some(&loaded));
        publisher
            .make_live(&built, Some(&live), Some(&loaded), Pin::Following, &Publication::default(), &mut report)
            .await
    })
}

#[test]
fn release_that_no_reader_takes_is_refused_before_anything_is_written() {
    let too_large: [(&str, Enlarge); 4] = [
        ("its documents", |built| outline(built, |outline| outline.common.size = RELEASE_BYTES)),
        ("a document", |built| outline(built, |outline| outline.shards[0].size = RELEASE_BYTES + 1)),
        ("its release object", |built| built.bytes = vec![b' '; BEYOND].into()),
        ("index.json", |built| {
            let entry = format!("\"{}\"", "x".repeat(BEYOND));
            built.entries = [serde_json::value::RawValue::from_string(entry).unwrap().into()].into_iter().collect();
        }),
    ];
    for (what, change) in too_large {
        let world = published();
        wait(60);
        let (objects, manifests) =
            (world.bucket.objects.lock().unwrap().clone(), world.registry.manifests.lock().unwrap().clone());
        let error = make_live(&world, change).unwrap_err();
        assert!(matches!(error, PublishError::Unreadable(InvalidDocument::TooLarge(_))), "{what}: {error}");
        assert_eq!(*world.bucket.objects.lock().unwrap(), objects, "{what}");
        assert_eq!(*world.registry.manifests.lock().unwrap(), manifests, "{what}");
        assert!(make_live(&world, |_| ()).unwrap(), "{what}");
    }
}

fn rejected(parts: usize) -> Report {
    let world = published();
    let report = block_on(world.publisher().refresh(None)).unwrap();
    let quarantined = (0..parts).map(|number| {
        let path = format!("stacks/kiln/{number}/devfile.yaml");
        let problem = Diagnostic::error(&path, "schema/type", "m".repeat(400), "h".repeat(400));
        let part = Part::Version { stack: "kiln".to_owned(), version: number.to_string() };
        Quarantined { part, problems: vec![problem; 2] }
    });
    Report { outcome: Outcome::Rejected, quarantined: quarantined.collect(), ..report }
}

#[test]
fn lag_is_counted_from_the_first_rejected_refresh_however_large_its_report() {
    let report = rejected(1800);
    let world = World::new();
    let store = || block_on(world.publisher().store_outcome(None, Ok(&report)));
    assert_eq!(store(), Duration::ZERO);
    wait(100);
    assert_eq!(store(), Duration::from_secs(100));
    let stored = world.bucket.object(LAST_REFRESH_KEY).unwrap().bytes;
    assert!(stored.len() as u64 <= LAST_REFRESH_BYTES && stored.len() as u64 > LAST_REFRESH_BYTES / 3);
    let last = block_on(LastRefresh::read(&world.bucket)).unwrap();
    assert_eq!(last.behind_since, Some(start()));
    let (listed, more) = (last.quarantined.len(), report.quarantined.len() - last.quarantined.len());
    assert_eq!(last.quarantined[..listed - 1], report.quarantined[..listed - 1]);
    let note = last.quarantined.last().unwrap().problems.last().unwrap();
    assert_eq!(note.message, format!("and {more} more, which the report of the refresh names"));
}

#[test]
fn last_refresh_below_its_limit_names_everything() {
    let report = rejected(100);
    let world = World::new();
    block_on(world.publisher().store_outcome(None, Ok(&report)));
    assert_eq!(block_on(LastRefresh::read(&world.bucket)).unwrap().quarantined, report.quarantined);
}

#[test]
fn idle_refresh_stores_no_outcome_unless_the_last_one_failed() {
    let world = published();
    let idle = block_on(world.publisher().refresh(None)).unwrap();
    assert_eq!(idle.outcome, Outcome::Unchanged);
    let store = |result: Result<&Report, &PublishError>| {
        wait(60);
        let lag = block_on(world.publisher().store_outcome(None, result));
        (lag.as_secs(), world.bucket.objects.lock().unwrap().get(LAST_REFRESH_KEY).map(|(_, at)| *at))
    };
    assert_eq!(store(Ok(&idle)), (0, None));
    assert_eq!(store(Err(&PublishError::Races)), (0, Some(now().instant())));
    assert_eq!(store(Err(&PublishError::Races)), (60, Some(now().instant())));
    assert_eq!(store(Ok(&idle)), (0, Some(now().instant())), "it made the head live");
    let stored = now().instant();
    assert_eq!(store(Ok(&idle)), (0, Some(stored)));
    let superseded = Report { outcome: Outcome::Superseded, ..idle.clone() };
    assert_eq!(store(Ok(&superseded)), (0, Some(stored)));
    let repaired = Report { repaired: vec!["bucket: x".to_owned()], ..idle.clone() };
    assert_eq!(store(Ok(&repaired)), (0, Some(now().instant())));
}
