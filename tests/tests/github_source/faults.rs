//! What a source does when things go wrong: it tries again where that helps, and says what happened where it does not.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use devfile_registry::source::{Source, SourceError, TreeError};
use flate2::Compression;
use flate2::write::GzEncoder;
use registry_tests::github::Fault;
use tar::{Builder, EntryType, Header};

use crate::fixture::Fixture;

const ARCHIVE: &str = "/_codeload/*";
const HEAD: &str = "*/git/ref/heads/main";

/// Time for an attempt and another.
const BRIEFLY: Duration = Duration::from_millis(600);

#[tokio::test]
async fn passing_faults_of_the_api_are_outlived() {
    let fixture = Fixture::new().await;
    let past = jiff::Timestamp::now().as_second() - 1;
    for fault in [
        Fault::Status { status: 500 },
        Fault::Status { status: 502 },
        Fault::Status { status: 503 },
        Fault::CutOff,
        Fault::WrongLength { by: 10 },
        Fault::RateLimit { status: 429, retry_after: Some(0), reset: None },
        Fault::RateLimit { status: 403, retry_after: Some(0), reset: None },
        Fault::RateLimit { status: 403, retry_after: None, reset: Some(past) },
        Fault::Slow { milliseconds: 10 },
    ] {
        let source = fixture.source();
        fixture.github.faults().add(HEAD, fault.clone(), 1);
        let head = source.head().await;
        assert!(head.as_ref().is_ok_and(|head| *head == fixture.head()), "{fault:?}: {head:?}");
    }
}

#[tokio::test]
async fn lasting_faults_of_the_api_are_reported() {
    let fixture = Fixture::new().await;
    let source = fixture.source().with_budget(BRIEFLY);
    let what = "the branch main of https://github.com/example/registry: ";
    for (fault, reason) in [
        (Fault::Status { status: 500 }, "GitHub answered 500 Internal Server Error (tried "),
        (Fault::Malformed, "unexpected answer: "),
        // Half of an answer, and nobody notices but the parser.
        (Fault::WrongLength { by: -10 }, "unexpected answer: "),
        (Fault::Status { status: 418 }, "GitHub answered 418 I'm a teapot"),
        (
            Fault::Body(Bytes::from_static(b"{\"ref\": \"refs/heads/other\", \"object\": {\"sha\": \"no\"}}")),
            "unexpected answer: ",
        ),
    ] {
        fixture.github.faults().add(HEAD, fault.clone(), 6);
        let error = source.head().await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{what}{reason}")), "{fault:?}: {error}");
        fixture.github.faults().clear();
    }
    // Nothing of it is remembered.
    assert_eq!(source.head().await.unwrap(), fixture.head());
}

#[tokio::test]
async fn a_rate_limit_beyond_the_budget_is_reported_at_once_with_its_end() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    source.branch().await.unwrap();
    let reset = jiff::Timestamp::now().as_second() + 1800;
    let end = jiff::Timestamp::from_second(reset).unwrap().to_string();
    fixture.github.faults().add(HEAD, Fault::RateLimit { status: 403, retry_after: None, reset: Some(reset) }, 1);
    fixture.github.take_requests();
    let error = source.head().await.unwrap_err().to_string();
    // To the minute: a second may have passed.
    assert!(error.contains("limits the rate of calls (403); API rate limit exceeded"), "{error}");
    assert!(error.contains(&format!("try again after {}", &end[..16])), "{error}");
    assert_eq!(fixture.github.take_requests().len(), 1);
}

#[tokio::test]
async fn a_call_without_an_answer_ends_with_its_budget() {
    let fixture = Fixture::new().await;
    let source = fixture.source().with_budget(Duration::from_millis(200));
    fixture.github.faults().add("*", Fault::Hang, 2);
    let head = source.head().await.unwrap_err().to_string();
    assert!(head.ends_with("no answer within 0.2 s"), "{head}");
    let tree = source.tree(&fixture.head()).await.unwrap_err().to_string();
    assert!(tree.ends_with("no answer within 0.6 s"), "{tree}");
}

#[tokio::test]
async fn passing_faults_of_a_download_never_make_a_shorter_tree() {
    let fixture = Fixture::new().await;
    let noise: String = (0..60_000u32).map(|n| format!("{:08x}\n", n.wrapping_mul(2_654_435_761))).collect();
    fixture.write("stacks/go/1.0.0/archive.txt", &noise);
    let head = fixture.commit("2025-02-01T10:00:00Z");
    let source = fixture.source();
    let whole = source.tree(&head).await.unwrap().digest();
    for fault in [
        Fault::Status { status: 502 },
        Fault::CutOff,
        Fault::WrongLength { by: 100 },
        Fault::WrongLength { by: -100 },
        Fault::Malformed,
        Fault::RateLimit { status: 429, retry_after: Some(0), reset: None },
    ] {
        fixture.github.faults().add(ARCHIVE, fault.clone(), 1);
        let tree = source.tree(&head).await;
        assert!(tree.as_ref().is_ok_and(|tree| tree.digest() == whole), "{fault:?}: {:?}", tree.err());
    }
    let source = source.with_budget(BRIEFLY / 3);
    for (fault, reason) in [
        (Fault::CutOff, "the tarball was cut off"),
        (Fault::WrongLength { by: -100 }, "the tarball is cut off or damaged"),
        (Fault::Malformed, "the tarball is cut off or damaged"),
        (Fault::Status { status: 404 }, "was not found"),
    ] {
        fixture.github.faults().add(ARCHIVE, fault.clone(), 6);
        let error = source.tree(&head).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{fault:?}: {error}");
        fixture.github.faults().clear();
    }
}

fn archive(kind: EntryType, path: &str, size: u64) -> Bytes {
    packed(kind, path, size, Compression::fast())
}

fn packed(kind: EntryType, path: &str, size: u64, compression: Compression) -> Bytes {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    let mut builder = Builder::new(GzEncoder::new(vec![], compression));
    builder.append(&header, std::io::Read::take(std::io::repeat(0), size)).unwrap();
    builder.into_inner().unwrap().finish().unwrap().into()
}

#[tokio::test]
async fn hostile_archives_are_refused_at_once() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    let mut entries = GzEncoder::new(vec![], Compression::fast());
    let one = archive(EntryType::Directory, "r/docs/", 0);
    let mut plain = vec![];
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&one[..]), &mut plain).unwrap();
    entries.write_all(&plain[..512].repeat(100_000)).unwrap();
    for (body, refusal) in [
        (archive(EntryType::Regular, "r/docs/bomb", 300 << 20), TreeError::UnpacksTooLarge),
        (archive(EntryType::Symlink, "r/stacks/go", 0), TreeError::NotAFile("stacks/go".into())),
        (archive(EntryType::Regular, "r/stacks/../../x", 0), TreeError::Path("r/stacks/../../x".into())),
        (archive(EntryType::Regular, "r/stacks/big", 9 << 20), TreeError::FileTooLarge { path: "stacks/big".into() }),
        (entries.finish().unwrap().into(), TreeError::TooManyEntries),
        (packed(EntryType::Regular, "r/docs/large", 65 << 20, Compression::none()), TreeError::ArchiveTooLarge),
    ] {
        fixture.github.faults().add(ARCHIVE, Fault::Body(body), 1);
        fixture.github.take_requests();
        match source.tree(&fixture.head()).await {
            Err(SourceError::Refused(error)) => assert_eq!(error, refusal),
            other => panic!("{refusal}: {other:?}"),
        }
        assert_eq!(fixture.github.take_requests().len(), 2, "no second attempt");
    }
}

#[tokio::test]
async fn an_answer_of_the_api_has_a_limit() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    fixture.github.faults().add(HEAD, Fault::Body(vec![b' '; 17 << 20].into()), 1);
    let error = source.head().await.unwrap_err().to_string();
    assert!(error.ends_with("the answer has more than 16777216 bytes"), "{error}");
}

#[tokio::test]
async fn faults_of_graphql_are_reported() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    let paths = ["stacks/go".to_owned()];
    let body = |text: &'static str| Fault::Body(Bytes::from_static(text.as_bytes()));
    for (fault, reason) in [
        (
            body(r#"{"data": null, "errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}"#),
            "rate limit",
        ),
        (body(r#"{"data": {"repository": {"object": {}}}}"#), "leaves out a path"),
        (body(r#"{"data": {"repository": {"object": null}}}"#), "was not found"),
        (body(r#"{"data": {"repository": {"object": {"p0": {"nodes": [{"author": {"date": "today"}}]}}}}}"#), "today"),
        (Fault::Malformed, "unexpected answer"),
    ] {
        fixture.github.faults().add("/graphql", fault, 1);
        let error = source.last_modified(&fixture.head(), &paths).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    fixture.github.faults().add("/graphql", Fault::Status { status: 502 }, 1);
    assert_eq!(source.last_modified(&fixture.head(), &paths).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_blob_of_another_size_is_not_taken() {
    let fixture = Fixture::new().await;
    let source = fixture.source();
    let listing = source.listing(&fixture.head()).await.unwrap().unwrap();
    fixture.github.faults().add("*/git/blobs/*", Fault::Body(Bytes::from_static(b"short")), 1);
    let error = source.files(&listing).await.unwrap_err().to_string();
    assert!(error.contains("5 bytes arrived in place of"), "{error}");
    assert_eq!(source.files(&listing).await.unwrap().len(), 4);
}
