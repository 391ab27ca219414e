//! Answers that the specification does not have, of a registry that gives one for each method.

use futures_util::future::join_all;

use super::*;
use crate::fetch::server::TestServer;

const CONTENT: &[u8] = b"{}";

const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The result of a call as text, or its error.
type CallResult = (&'static str, Result<String, String>);

/// Answers by method: status line and headers. GET has the content of [`CONTENT`], even when HEAD claims another length.
type Answers = [(&'static str, &'static str); 4];

const HONEST: Answers = [
    ("HEAD", "200 OK\r\ncontent-length: 2\r\ncontent-type: application/vnd.oci.image.manifest.v1+json\r\n"),
    ("GET", "200 OK\r\ncontent-length: 2\r\ncontent-type: application/vnd.oci.image.manifest.v1+json\r\n"),
    ("POST", "202 Accepted\r\ncontent-length: 0\r\nlocation: /v2/r/blobs/uploads/1\r\n"),
    ("PUT", "201 Created\r\ncontent-length: 0\r\nlocation: /v2/r/blobs/1\r\n"),
];

/// Makes every call to a registry that answers honestly but for one method.
async fn outcomes(method: &'static str, answer: &'static str) -> [CallResult; 6] {
    let answers = HONEST.map(|(name, honest)| (name, if name == method { answer } else { honest }));
    let server = TestServer::start(move |_, head| {
        let (name, answer) = answers.iter().find(|(name, _)| head.starts_with(name)).unwrap();
        let body = if *name == "GET" { CONTENT } else { b"" };
        [format!("HTTP/1.1 {answer}connection: close\r\n\r\n").as_bytes(), body].concat()
    })
    .await;
    let registry = OciRegistry::new(server.address.to_string().parse().unwrap(), None);
    let (blob, content) = (Digest::of(CONTENT), Bytes::from_static(CONTENT));
    let failed = |error: RegistryError| {
        let (address, text) = (server.address.to_string(), error.to_string());
        assert!(text.contains(&address) && text.contains("failed to"), "{text}");
        text
    };
    let (digest, manifest, read, has, push, tag) = tokio::join!(
        registry.manifest_digest("r", Name::Tag("t")),
        registry.manifest("r", Name::Tag("t")),
        registry.blob("r", blob, 100),
        registry.has_blob("r", blob, 2),
        registry.push_blob("r", blob, content.clone()),
        registry.push_manifest("r", Name::Tag("t"), content.clone()),
    );
    [
        ("digest", digest.map(|digest| format!("{digest:?}")).map_err(failed)),
        ("manifest", manifest.map(|manifest| format!("{manifest:?}")).map_err(failed)),
        ("blob", read.map(|blob| format!("{blob:?}")).map_err(failed)),
        ("has", has.map(|has| has.to_string()).map_err(failed)),
        ("push", push.map(|()| "ok".to_owned()).map_err(failed)),
        ("tag", tag.map(|()| "ok".to_owned()).map_err(failed)),
    ]
}

#[tokio::test]
async fn answer_that_the_specification_does_not_have_is_a_named_error() {
    let answer = "201 Created\r\ncontent-length: 0\r\ndocker-content-digest: \
                sha256:0000000000000000000000000000000000000000000000000000000000000000\r\n";
    let cases: [(&str, &str, &[&str], &str); 17] = [
        ("PUT", HONEST[3].1, &[], ""),
        ("PUT", "200 OK\r\ncontent-length: 0\r\n", &["push", "tag"], "the registry answered 200 where 201"),
        ("PUT", "202 Accepted\r\ncontent-length: 0\r\n", &["push", "tag"], "answered 202 where 201"),
        ("PUT", "204 No Content\r\n", &["push", "tag"], "answered 204 where 201"),
        ("PUT", "302 Found\r\nlocation: /\r\n", &["push", "tag"], "answered 302"),
        ("PUT", answer, &["push", "tag"], "the registry took sha256:0000"),
        ("PUT", "201 Created\r\ncontent-length: 0\r\ndocker-content-digest: sha512:0\r\n", &[], ""),
        ("POST", "200 OK\r\ncontent-length: 0\r\nlocation: /\r\n", &["push"], "answered 200 where 202"),
        ("POST", "201 Created\r\ncontent-length: 0\r\nlocation: /\r\n", &["push"], "answered 201 where 202"),
        ("POST", "202 Accepted\r\ncontent-length: 0\r\n", &["push"], "answered 202 without a Location"),
        ("POST", "202 Accepted\r\ncontent-length: 0\r\nlocation: http://\r\n", &["push"], "without a Location"),
        ("GET", "206 Partial Content\r\ncontent-length: 2\r\n", &["digest", "manifest", "blob"], "206 where 200"),
        ("GET", "203 Other\r\ncontent-length: 2\r\n", &["digest", "manifest", "blob"], "answered 203 where 200"),
        (
            "GET",
            "200 OK\r\ncontent-length: 2\r\ncontent-type: text/html\r\n",
            &["digest", "manifest"],
            "with text/html",
        ),
        ("HEAD", "200 OK\r\ncontent-length: 2\r\ncontent-type: text/html\r\n", &["digest"], "with text/html"),
        ("HEAD", "204 No Content\r\n", &["digest", "has"], "answered 204 where 200"),
        (
            "GET",
            "200 OK\r\ncontent-length: 2\r\ndocker-content-digest: sha256:0000000000000000000000000000000000000000000000000000000000000000\r\n",
            &["digest", "manifest"],
            "do not have that digest",
        ),
    ];
    let checked = cases.map(|(method, answer, failing, reason)| async move {
        for (call, outcome) in outcomes(method, answer).await {
            match outcome {
                Err(error) => assert!(failing.contains(&call) && error.contains(reason), "{answer} {call}: {error}"),
                Ok(value) => assert!(!failing.contains(&call), "{answer} {call}: {value}"),
            }
        }
    });
    join_all(checked).await;
}

#[tokio::test]
async fn blob_of_another_length_is_not_there() {
    for (answer, has) in [
        ("200 OK\r\ncontent-length: 2\r\n", "true"),
        ("200 OK\r\n", "true"),
        ("200 OK\r\ncontent-length: 0\r\n", "false"),
        ("200 OK\r\ncontent-length: 3\r\n", "false"),
        ("200 OK\r\ncontent-length: 18446744073709551614\r\n", "false"),
        ("404 Not Found\r\ncontent-length: 2\r\n", "false"),
    ] {
        let [.., (_, found), _, _] = outcomes("HEAD", answer).await;
        assert_eq!(found, Ok(has.to_owned()), "{answer}");
    }
}

#[tokio::test]
async fn digest_that_head_tells_is_that_of_the_tag() {
    let answer =
        "200 OK\r\ndocker-content-digest: sha256:0000000000000000000000000000000000000000000000000000000000000000\r\n";
    let [(_, digest), ..] = outcomes("HEAD", answer).await;
    assert!(digest.unwrap().contains(&OTHER["sha256:".len()..]));
}
