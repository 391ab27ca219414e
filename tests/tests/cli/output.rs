//! Standard output that is full, or that nobody reads any more.

use std::fs::File;

use registry_tests::bounded::within_a_minute;
use registry_tests::ports::free_port;

use crate::program::{Preview, edit, example, run_into, start_into};

/// Commands that write a document, with the arguments that `url` is for.
fn documents(url: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["diff", ".", ".", "--offline", "--json"],
        vec!["compare", url, url, "--rate", "1000", "--json"],
        vec!["check", ".", "--offline", "--format", "json"],
        vec!["check", "--explain", "stack/default"],
        vec!["index", ".", "index.json", "--offline"],
        vec!["completions", "bash"],
    ]
}

/// The writing end of a pipe whose reader has gone.
fn closed_pipe() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}

#[tokio::test]
async fn document_that_cannot_be_written_whole_is_an_error() {
    let folder = example();
    let preview = Preview::start(folder.path(), &["--port", "0"]).await;
    for arguments in documents(&preview.url) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = run_into(folder.path(), &arguments, full).await;
        assert_eq!(ran.status, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("cannot write to standard output: "), "{arguments:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn reader_that_has_seen_enough_causes_no_error() {
    let folder = example();
    let preview = Preview::start(folder.path(), &["--port", "0"]).await;
    for arguments in documents(&preview.url) {
        let ran = run_into(folder.path(), &arguments, closed_pipe()).await;
        assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("standard output"), "{arguments:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn preview_whose_output_nobody_reads_follows_changes() {
    let folder = example();
    let port = free_port().unwrap();
    let (port, url) = (port.to_string(), format!("http://127.0.0.1:{port}/devfiles/loom"));
    let _preview = start_into(folder.path(), &["preview", "--port", &port], closed_pipe());
    let shows = async |text: &str| {
        let body = async || reqwest::get(&url).await.ok()?.text().await.ok();
        within_a_minute(text, async { while !body().await.is_some_and(|body| body.contains(text)) {} }).await;
    };
    shows("name: loom").await;
    for text in ["# one", "# two"] {
        edit(folder.path(), "stacks/loom/devfile.yaml", "schemaVersion", &format!("{text}\nschemaVersion"));
        shows(text).await;
    }
}
