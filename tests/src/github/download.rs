//! The repository by the Git protocol, and archives of its commits, outside the API.

use std::process::Stdio;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::reply::Refusal;
use super::rest::{commit, raw};
use super::{Asked, GitHubState};

/// Answers below `/OWNER/NAME`; `path` is the rest of the path.
pub(super) async fn answer(shared: &GitHubState, asked: &Asked, path: &[&str]) -> Result<Response, Refusal> {
    shared.may_fetch(asked)?;
    match path {
        // As GitHub has it: a redirect to another host.
        ["archive", file] => {
            let name = file.strip_suffix(".zip").ok_or_else(Refusal::not_found)?;
            let location = format!("{}/_codeload/{}/zip/{name}", asked.base_url(), shared.full_name());
            let mut answer = raw("text/html", Bytes::new());
            *answer.status_mut() = StatusCode::FOUND;
            let location = HeaderValue::from_str(&location).map_err(|_| Refusal::not_found())?;
            answer.headers_mut().insert(header::LOCATION, location);
            Ok(answer)
        }
        // As GitLab has it.
        ["-", "archive", name, file] if file.ends_with(".zip") => zip(shared, name).await,
        ["info", "refs"] | ["git-upload-pack"] => {
            let answer = backend(shared, asked, &path.join("/")).await?;
            let is_about_references = asked.body.windows(15).any(|window| window == b"command=ls-refs");
            match if is_about_references { shared.late() } else { None } {
                Some(late) => Ok(lagging(shared, answer, &late).await?),
                None => Ok(answer),
            }
        }
        _ => Err(Refusal::not_found()),
    }
}

/// A list of references in which the head of the default branch is still another commit.
async fn lagging(shared: &GitHubState, answer: Response, late: &str) -> Result<Response> {
    let head = shared.git.commit("HEAD").await.context("a head")?;
    let (parts, body) = answer.into_parts();
    let list = body.collect().await?.to_bytes();
    // Both hashes have the same length, so the lengths of the lines stay right.
    let list = std::str::from_utf8(&list)?.replace(&head, late);
    Ok(Response::from_parts(parts, Body::from(list)))
}

/// The zip of a commit, with one folder at the top.
pub(super) async fn zip(shared: &GitHubState, name: &str) -> Result<Response, Refusal> {
    let commit = commit(shared, name).await.map_err(|_| Refusal::not_found())?;
    let prefix = format!("--prefix={}-{commit}/", shared.name());
    let packed = shared.git.run(&["archive", "--format=zip", &prefix, &commit]).await?;
    Ok(raw("application/zip", packed.into()))
}

/// Asks `git http-backend`, a program for the Common Gateway Interface (RFC 3875).
async fn backend(shared: &GitHubState, asked: &Asked, path: &str) -> Result<Response> {
    let mut command = Command::new("git");
    let filters = format!("uploadpack.allowFilter={}", shared.has_filters.load(Ordering::Relaxed));
    command.args(["-c", &filters, "http-backend"]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let query: Vec<String> = asked.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let variables = [
        ("GIT_PROJECT_ROOT", shared.git.folder().display().to_string()),
        ("GIT_HTTP_EXPORT_ALL", "1".to_owned()),
        ("GIT_PROTOCOL", asked.header(HeaderName::from_static("git-protocol")).to_owned()),
        ("PATH_INFO", format!("/{path}")),
        ("QUERY_STRING", query.join("&")),
        ("REQUEST_METHOD", asked.method.to_string()),
        ("CONTENT_TYPE", asked.header(header::CONTENT_TYPE).to_owned()),
        ("CONTENT_LENGTH", asked.body.len().to_string()),
    ];
    let mut process = command.envs(variables).spawn().context("git cannot be run")?;
    let mut input = process.stdin.take().context("its input is piped")?;
    input.write_all(&asked.body).await?;
    drop(input);
    let output = process.wait_with_output().await?.stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").context("git http-backend has no answer")?;
    let mut answer = Response::new(Body::from(output[end + 4..].to_vec()));
    for line in std::str::from_utf8(&output[..end])?.split("\r\n") {
        let (name, value) = line.split_once(": ").context("a header")?;
        if name == "Status" {
            *answer.status_mut() = value.get(..3).and_then(|code| code.parse().ok()).context("a status")?;
        } else {
            answer.headers_mut().insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
    }
    Ok(answer)
}
