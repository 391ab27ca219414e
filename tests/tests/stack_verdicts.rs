//! Whole registries, compared with the results of the reference's index generator.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

use std::path::{Path, PathBuf};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use devfile_registry::fetch::{Hosts, Loopback, Rules};
use devfile_registry::git::Client;
use devfile_registry::index::to_pretty_json;
use devfile_registry::release::{Draft, Plan};
use devfile_registry::source::{LocalSource, Scope, Source};
use devfile_registry::upstream::{Icons, UpstreamFetcher};

/// The folder of recorded verdicts, in any of the folders above.
fn verdicts() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared/verdicts")).find(|folder| folder.join("stacks.jsonl").is_file())
}

/// Serves the icons that the cases name.
async fn icons() -> String {
    let icon =
        |kind: &'static str, bytes: &'static [u8]| get(move || async move { ([(header::CONTENT_TYPE, kind)], bytes) });
    let app = Router::new()
        .route("/icon.svg", icon("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"))
        .route("/icon.png", icon("image/png", b"\x89PNG\r\n\x1a\n"))
        .route("/plain-bytes", icon("", b"bytes"))
        .route("/error", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// The index of a registry with icons that must be there, or the errors.
async fn index(folder: &Path) -> Result<String, String> {
    let rules = Rules { hosts: Hosts::Only([].into()), loopback: Loopback::Allowed, ..Rules::default() };
    let source = LocalSource::new(folder).map_err(|error| error.to_string())?;
    let commit = source.head().await.map_err(|error| error.to_string())?;
    let tree = source.files(&commit, &Scope::All).await.map_err(|error| error.to_string())?;
    let complete = UpstreamFetcher::new(Client::anonymous(rules), Icons::Strict).complete(tree, None).await;
    let errors: Vec<String> = complete.repository.errors().iter().map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(errors.join("\n  "));
    }
    let plan = Plan::everything(source.listing(&commit).await.map_err(|error| error.to_string())?);
    let draft = Draft::new((&complete.repository, &complete.upstream), &complete.tree, None, &plan);
    let built = draft.finish(commit, source.url(), &Default::default(), None);
    Ok(String::from_utf8(to_pretty_json(&built.release.content.stacks)).unwrap())
}

fn write(folder: &Path, path: &str, content: &str) {
    let path = folder.join(path);
    if path.to_str().unwrap().ends_with('/') {
        return std::fs::create_dir_all(path).unwrap();
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Names of the cases that the documentation lists as different on purpose, from its table of differences.
fn differences() -> Vec<String> {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/stack-authors/validation.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (_, table) = docs.split_once("### Whole registries").expect("the differences are listed");
    let rows = table.lines().filter(|line| line.starts_with('|'));
    let cases = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    cases.flat_map(|cases| cases.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[tokio::test]
async fn whole_registries_agree_with_the_reference() {
    let Some(folder) = verdicts() else {
        println!("no recorded verdicts above {}: nothing to agree with", env!("CARGO_MANIFEST_DIR"));
        return;
    };
    let icons = icons().await;
    let (mut agree, mut on_purpose, mut disagree) = (0, Vec::new(), Vec::new());
    for line in std::fs::read_to_string(folder.join("stacks.jsonl")).unwrap().lines() {
        let case: serde_json::Value = serde_json::from_str(&line.replace("{ICONS}", &icons)).unwrap();
        let id = case["id"].as_str().unwrap();
        let registry = tempfile::tempdir().unwrap();
        for (path, content) in case["files"].as_object().unwrap() {
            write(registry.path(), path, content.as_str().unwrap());
        }
        let ours = index(registry.path()).await;
        let same = match (&ours, case["valid"].as_bool().unwrap()) {
            (Ok(index), true) => index == case["index_text"].as_str().unwrap(),
            (Err(_), false) => true,
            _ => false,
        };
        if same {
            agree += 1;
        } else if differences().iter().any(|listed| listed == id) {
            on_purpose.push(id.to_owned());
        } else {
            let reference = case["error"].as_str().or(case["index_text"].as_str()).unwrap_or_default();
            disagree.push(format!("{id}:\n  {}\nthe reference: {reference}", ours.unwrap_or_else(|error| error)));
        }
    }
    println!("agree {agree}, differ on purpose {}, disagree {}", on_purpose.len(), disagree.len());
    assert!(disagree.is_empty(), "{}", disagree.join("\n"));
    let mut listed = differences();
    listed.sort();
    on_purpose.sort();
    assert_eq!(listed, on_purpose, "the documentation lists exactly the differences");
}

/// The index of the community registry, byte for byte the output of the reference.
#[tokio::test]
async fn the_community_index_is_the_same() {
    let Some(shared) = verdicts().and_then(|folder| Some(folder.parent()?.to_owned())) else {
        println!("the community registry is not here; nothing is compared");
        return;
    };
    let source = LocalSource::new(&shared.join("community")).unwrap();
    let commit = source.head().await.unwrap();
    let tree = source.files(&commit, &Scope::All).await.unwrap();
    let complete = UpstreamFetcher::without_fetches().complete(tree, None).await;
    assert!(complete.repository.errors().is_empty(), "{:?}", complete.repository.errors());
    let plan = Plan::everything(source.listing(&commit).await.unwrap());
    let draft = Draft::new((&complete.repository, &complete.upstream), &complete.tree, None, &plan);
    let built = draft.finish(commit, source.url(), &Default::default(), None);
    let reference = std::fs::read(shared.join("conformance/community-index.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_slice(&reference).unwrap();
    let ours = serde_json::to_value(&built.release.content.stacks).unwrap();
    for (ours, reference) in ours.as_array().unwrap().iter().zip(reference.as_array().unwrap()) {
        assert_eq!(ours, reference);
    }
    assert_eq!(ours.as_array().unwrap().len(), reference.as_array().unwrap().len());
}
