//! `compare`: two previews side by side, and servers that are slow, fail or lie.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use registry_tests::registry::copy;
use tokio::net::TcpListener;

use crate::program::{Preview, Ran, edit, example, run};

const DEVFILE: &str = "stacks/kiln/1.1.0/devfile.yaml";

async fn compare(old: &str, new: &str, arguments: &[&str]) -> Ran {
    run(Path::new("."), &[&["compare", old, new, "--rate", "1000"], arguments].concat()).await
}

async fn preview(folder: &tempfile::TempDir) -> Preview {
    Preview::start(folder.path(), &["--port", "0"]).await
}

/// A server that answers as a preview does, but for the paths that `alter` changes.
async fn stand_in(
    preview: &Preview,
    alter: impl Fn(&str) -> Option<Response<Body>> + Clone + Send + Sync + 'static,
) -> String {
    let (base, client) = (preview.url.clone(), registry_tests::http::client());
    let answer = move |request: Request| {
        let (base, client, alter) = (base.clone(), client.clone(), alter.clone());
        async move {
            let path = request.uri().path_and_query().unwrap().to_string();
            if let Some(answer) = alter(&path) {
                return answer;
            }
            let asked = client.request(request.method().clone(), format!("{base}{path}"));
            let answer = asked.headers(request.headers().clone()).send().await.unwrap();
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut response = Response::new(Body::from(answer.bytes().await.unwrap()));
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            response
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    url
}

#[tokio::test]
async fn registries_of_the_same_content_are_alike() {
    let (one, other) = (example(), example());
    let (one, other) = (preview(&one).await, preview(&other).await);
    let ran = compare(&one.url, &other.url, &["--json", "--starters"]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["differences"], &report["deliberate"]), (&serde_json::json!([]), &serde_json::json!({})));
    for area in ["indexes", "filters", "devfiles", "artifacts", "files", "starter projects"] {
        assert!(report["areas"][area]["asked"].as_u64().unwrap() > 0, "{area}: {report}");
    }
    let ran = compare(&one.url, &other.url, &[]).await;
    assert!(ran.stdout.contains("all answers are alike: http://"), "{}", ran.stdout);
}

#[tokio::test]
async fn differences_are_exactly_those_of_the_content() {
    let (one, changed) = (example(), example());
    edit(changed.path(), DEVFILE, "Bakes pages from Markdown and serves them", "Bakes tiles");
    let (one, other) = (preview(&one).await, preview(&changed).await);
    let ran = compare(&one.url, &other.url, &["--json"]).await;
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let of = |area: &str| -> Vec<&str> {
        let all = report["differences"].as_array().unwrap().iter().filter(|one| one["area"] == area);
        all.map(|one| one["subject"].as_str().unwrap()).collect()
    };
    let mut devfiles = of("devfiles");
    devfiles.sort_unstable();
    assert_eq!(devfiles, ["/devfiles/kiln", "/devfiles/kiln/1.1.0"]);
    assert_eq!(of("artifacts"), ["devfile-catalog/kiln:1.1.0"]);
    assert_eq!(of("files"), ["/stacks/kiln/1.1.0/devfile.yaml"]);
    let reasons: Vec<_> = report["differences"].as_array().unwrap().iter().collect();
    assert!(reasons.iter().all(|one| one["reason"] != "entries in another order"), "{report}");

    let table = compare(&one.url, &other.url, &[]).await.stdout;
    let lists = " more: different: stack kiln (version 1.1.0: description)\n";
    assert_eq!(table.matches(lists).count(), 1, "{table}");
}

#[tokio::test]
async fn lie_about_a_blob_is_a_difference() {
    let folder = example();
    let preview = preview(&folder).await;
    let liar = stand_in(&preview, |path| path.contains("/blobs/").then(|| Response::new(Body::from("lies")))).await;
    let ran = compare(&preview.url, &liar, &[]).await;
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("does not have its digest"), "{}", ran.stdout);
}

#[tokio::test]
async fn filter_that_the_reference_server_answers_in_another_way_differs_deliberately() {
    let folder = example();
    let preview = preview(&folder).await;
    let fails = |path: &str| {
        let mut answer = Response::new(Body::from("{}"));
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        path.contains("?git").then_some(answer)
    };
    let reference = stand_in(&preview, fails).await;
    let ran = compare(&reference, &preview.url, &["--json"]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let count = &report["deliberate"]["a filter that the reference server answers in another way"];
    assert!(count.as_u64().unwrap() > 0, "{report}");
}

#[tokio::test]
async fn failing_server_is_a_difference_and_an_endless_answer_a_failure() {
    let folder = example();
    let preview = preview(&folder).await;
    let failing = stand_in(&preview, |path| {
        path.starts_with("/devfiles/loom").then(|| {
            let mut answer = Response::new(Body::from("down"));
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            answer
        })
    });
    let ran = compare(&preview.url, &failing.await, &[]).await;
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("/devfiles/loom: status 200 became 503"), "{}", ran.stdout);

    let endless = stand_in(&preview, |path| {
        path.starts_with("/devfiles/loom").then(|| {
            let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::convert::Infallible>(vec![b'x'; 1 << 16]));
            Response::new(Body::from_stream(chunks))
        })
    });
    let ran = compare(&preview.url, &endless.await, &[]).await;
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("the answer has more than 1048576 bytes"), "{}", ran.stdout);
}

#[tokio::test]
async fn many_answers_that_are_too_large_do_not_end_the_comparison() {
    let folder = example();
    for number in 0..24 {
        let name = format!("loom-{number:02}");
        let stack = folder.path().join("stacks").join(&name);
        std::fs::create_dir(&stack).unwrap();
        copy(&folder.path().join("stacks/loom"), &stack);
        edit(&stack, "devfile.yaml", "\n  name: loom\n", &format!("\n  name: {name}\n"));
    }
    let preview = preview(&folder).await;
    let large = stand_in(&preview, |path| {
        path.starts_with("/devfiles/").then(|| Response::new(Body::from(vec![b'x'; (1 << 20) + 1])))
    });
    let ran = compare(&preview.url, &large.await, &[]).await;
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    for number in 0..24 {
        assert!(ran.stdout.contains(&format!("  /devfiles/loom-{number:02}: ")), "{number}: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("some questions have no answer"), "{}", ran.stderr);
}

#[tokio::test]
async fn interrupted_comparison_goes_on_where_it_was() {
    let folder = example();
    let (preview, scratch) = (preview(&folder).await, tempfile::tempdir().unwrap());
    let state = scratch.path().join("state");
    let resume = ["--resume", state.to_str().unwrap()];
    let (asked, is_down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(1)));
    let server = {
        let (asked, is_down) = (Arc::clone(&asked), Arc::clone(&is_down));
        stand_in(&preview, move |path| {
            if path.starts_with("/devfiles/") {
                asked.fetch_add(1, Ordering::Relaxed);
            }
            let breaks = path == "/devfiles/loom" && is_down.load(Ordering::Relaxed) == 1;
            let broken = || futures_util::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("cut off"))]);
            breaks.then(|| Response::new(Body::from_stream(broken())))
        })
        .await
    };
    let ran = compare(&preview.url, &server, &resume).await;
    assert_eq!(ran.status, 2, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("without an answer:\n  /devfiles/loom: "), "{}", ran.stdout);
    is_down.store(0, Ordering::Relaxed);
    asked.store(0, Ordering::Relaxed);
    let ran = compare(&preview.url, &server, &resume).await;
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "only the question without an answer is asked again");
    assert!(!state.exists());
}

#[tokio::test]
async fn slow_server_is_asked_no_faster_than_the_rate_allows() {
    let folder = example();
    let preview = preview(&folder).await;
    let begin = std::time::Instant::now();
    let ran = run(Path::new("."), &["compare", &preview.url, &preview.url, "--rate", "100", "--json"]).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let asked: u64 = report["areas"].as_object().unwrap().values().map(|area| area["asked"].as_u64().unwrap()).sum();
    // The first request is free.
    assert!(begin.elapsed().as_millis() as u64 >= (asked - 1) * 10, "{asked} in {:?}", begin.elapsed());
}

#[tokio::test]
async fn url_that_is_no_registry_is_refused() {
    for (url, reason) in [
        ("http://127.0.0.1:1", "cannot read http://127.0.0.1:1/v2index/all"),
        ("http://127.0.0.1:1/path", "has no path"),
    ] {
        let ran = compare(url, url, &[]).await;
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{url}");
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    }
}
