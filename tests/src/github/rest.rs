//! The REST API of one repository, as far as a registry needs it.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::git::{Commit, TreeEntry};
use super::reply::{self, Refusal};
use super::{Asked, Shared, archive, compare};

/// The largest file whose content is given as JSON.
const CONTENT_BYTES: u64 = 1 << 20;

/// Answers a call below `/repos/OWNER/NAME`; `path` is what follows.
pub(super) async fn answer(shared: &Shared, asked: &Asked, path: &[&str]) -> Result<Response, Refusal> {
    let git = &shared.git;
    let get = matches!(asked.method, Method::GET | Method::HEAD);
    let body = match path {
        [] if get => {
            let full_name = shared.full_name();
            json!({
                "id": shared.repository_id, "name": shared.name, "full_name": full_name,
                "default_branch": git.default_branch().await?, "private": shared.is_private(),
            })
        }
        ["git", "ref", name @ ..] if get => {
            let name = format!("refs/{}", name.join("/"));
            let sha = git.reference(&name).await.ok_or_else(Refusal::not_found)?;
            json!({ "ref": name, "node_id": "", "object": { "sha": sha, "type": "commit" } })
        }
        ["branches", name @ ..] if get => {
            let name = name.join("/");
            let sha = git.reference(&format!("refs/heads/{name}")).await;
            let sha = sha.ok_or_else(|| Refusal(StatusCode::NOT_FOUND, "Branch not found".to_owned()))?;
            json!({ "name": name, "commit": { "sha": sha }, "protected": false })
        }
        ["git", "commits", sha] if get => {
            let commit = commit(shared, sha).await.map_err(|_| Refusal::not_found())?;
            json!({ "sha": commit.sha, "tree": { "sha": commit.tree }, "message": commit.message, "author": author(&commit) })
        }
        ["git", "trees", name] if get => tree(shared, asked, name).await?,
        ["git", "blobs", sha] if get => return blob(shared, asked, sha).await,
        ["contents", path @ ..] if get => contents(shared, asked, &path.join("/")).await?,
        ["compare", basehead @ ..] if get => compare::answer(shared, asked, &basehead.join("/")).await?,
        ["commits"] if get => {
            let from = match asked.query("sha") {
                Some(sha) => sha,
                None => git.default_branch().await?,
            };
            let from = git.commit(&from).await.ok_or_else(Refusal::not_found)?;
            let (page, per_page) = asked.page(30);
            let path = asked.query("path").unwrap_or_default();
            let commits = git.log(None, &from, &path, page * per_page).await?;
            commits.iter().skip((page - 1) * per_page).map(show_commit).collect()
        }
        ["commits", name @ .., "statuses"] if get => shared.statuses_of(&commit(shared, &name.join("/")).await?.sha),
        ["commits", name @ ..] if get => {
            let commit = commit(shared, &name.join("/")).await?;
            if asked.accepts("application/vnd.github.sha") {
                return Ok(raw("text/plain; charset=utf-8", commit.sha.into()));
            }
            show_commit(&commit)
        }
        ["statuses", sha] if asked.method == Method::POST => return create_status(shared, asked, sha).await,
        ["tarball"] if get => return archive::redirect(shared, asked, &git.default_branch().await?).await,
        ["tarball", name @ ..] if get => return archive::redirect(shared, asked, &name.join("/")).await,
        _ => return Err(Refusal::not_found()),
    };
    Ok(reply::cacheable(&asked.headers, &body))
}

pub(super) async fn commit(shared: &Shared, name: &str) -> Result<Commit, Refusal> {
    let unknown = || Refusal(StatusCode::UNPROCESSABLE_ENTITY, format!("No commit found for SHA: {name}"));
    let sha = shared.git.commit(name).await.ok_or_else(unknown)?;
    shared.git.log(None, &sha, "", 1).await?.into_iter().next().ok_or_else(unknown)
}

/// A commit; unlike GraphQL, REST gives dates in UTC.
pub(super) fn show_commit(commit: &Commit) -> Value {
    json!({
        "sha": commit.sha,
        "commit": { "author": author(commit), "message": commit.message, "tree": { "sha": commit.tree } },
    })
}

fn author(commit: &Commit) -> Value {
    let utc = commit.date.parse::<jiff::Timestamp>().map(|date| date.to_string());
    json!({ "name": commit.name, "email": commit.email, "date": utc.unwrap_or_default() })
}

/// "Get a tree": truncated, and said so, above the limit.
async fn tree(shared: &Shared, asked: &Asked, name: &str) -> Result<Value, Refusal> {
    let found = shared.git.commit(name).await;
    let name = found.as_deref().unwrap_or(name);
    let options: &[&str] = if asked.query("recursive").is_some() { &["-r", "-t", name] } else { &[name] };
    let entries = shared.git.ls_tree(options).await.map_err(|_| Refusal::not_found())?;
    let most = shared.tree_entries();
    let show = |entry: &TreeEntry| {
        let mut shown = json!({ "path": entry.path, "mode": entry.mode, "type": entry.kind, "sha": entry.sha });
        if let Some(size) = entry.size {
            shown["size"] = size.into();
        }
        shown
    };
    let shown: Vec<_> = entries.iter().take(most).map(show).collect();
    Ok(json!({ "sha": name, "tree": shown, "truncated": entries.len() > most }))
}

async fn blob(shared: &Shared, asked: &Asked, sha: &str) -> Result<Response, Refusal> {
    let plain = sha.len() == 40 && sha.bytes().all(|b| b.is_ascii_hexdigit());
    let content = if plain { shared.git.blob(sha).await.ok() } else { None };
    let content = content.ok_or_else(Refusal::not_found)?;
    if asked.accepts("raw") {
        return Ok(raw("application/vnd.github.raw+json; charset=utf-8", content.into()));
    }
    let body = json!({ "sha": sha, "size": content.len(), "encoding": "base64", "content": base64(&content) });
    Ok(reply::cacheable(&asked.headers, &body))
}

/// "Get repository content": a folder is a list, a link to a file of the repository is that file's content.
async fn contents(shared: &Shared, asked: &Asked, path: &str) -> Result<Value, Refusal> {
    let commit = match asked.query("ref") {
        Some(name) => shared.git.commit(&name).await,
        None => shared.git.commit("HEAD").await,
    };
    let commit = commit.ok_or_else(|| Refusal(StatusCode::NOT_FOUND, "No commit found for the ref".to_owned()))?;
    let entry = entry(shared, &commit, path).await?.ok_or_else(Refusal::not_found)?;
    let name = path.rsplit('/').next().unwrap_or_default();
    let shown = |kind: &str, entry: &TreeEntry| json!({ "type": kind, "name": name, "path": path, "sha": entry.sha, "size": entry.size.unwrap_or(0) });
    match entry.mode.as_str() {
        "040000" => {
            let entries = shared.git.ls_tree(&[&commit, &format!("{path}/")]).await?;
            Ok(entries.iter().map(|entry| json!({ "type": if entry.kind == "tree" { "dir" } else { "file" }, "path": entry.path, "sha": entry.sha })).collect())
        }
        "160000" => Ok(shown("submodule", &entry)),
        "120000" => {
            let target = String::from_utf8_lossy(&shared.git.blob(&entry.sha).await?).into_owned();
            match self::entry(shared, &commit, &resolve(path, &target)).await? {
                Some(entry) if entry.mode.starts_with("100") => {
                    with_content(shared, shown("file", &entry), &entry).await
                }
                _ => {
                    let mut link = shown("symlink", &entry);
                    link["target"] = target.into();
                    Ok(link)
                }
            }
        }
        _ => with_content(shared, shown("file", &entry), &entry).await,
    }
}

async fn with_content(shared: &Shared, mut shown: Value, entry: &TreeEntry) -> Result<Value, Refusal> {
    let small = entry.size.unwrap_or(0) <= CONTENT_BYTES;
    shown["encoding"] = if small { "base64" } else { "none" }.into();
    shown["content"] = if small { base64(&shared.git.blob(&entry.sha).await?) } else { String::new() }.into();
    Ok(shown)
}

async fn entry(shared: &Shared, commit: &str, path: &str) -> Result<Option<TreeEntry>, Refusal> {
    if path.is_empty() {
        return Ok(None);
    }
    Ok(shared.git.ls_tree(&[commit, "--", path]).await?.into_iter().find(|entry| entry.path == path))
}

/// Where a link leads.
fn resolve(link: &str, target: &str) -> String {
    let folder = link.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut names: Vec<&str> = vec![];
    for name in folder.split('/').chain(target.split('/')) {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}

/// "Create a commit status".
async fn create_status(shared: &Shared, asked: &Asked, sha: &str) -> Result<Response, Refusal> {
    shared.may_write_statuses(asked)?;
    let invalid = |reason: &str| Refusal(StatusCode::UNPROCESSABLE_ENTITY, format!("Validation Failed: {reason}"));
    let commit = commit(shared, sha).await?.sha;
    let mut status: Value = serde_json::from_slice(&asked.body)
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "Problems parsing JSON".to_owned()))?;
    if !matches!(status["state"].as_str(), Some("pending" | "success" | "failure" | "error")) {
        return Err(invalid("state is not one of error, failure, pending, success"));
    }
    if status["description"].as_str().is_some_and(|text| text.chars().count() > 140) {
        return Err(invalid("description is too long (maximum is 140 characters)"));
    }
    status["sha"] = commit.into();
    Ok(reply::json(StatusCode::CREATED, &shared.add_status(status)))
}

/// Base64 in lines of 60 characters, as GitHub gives it.
fn base64(content: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(content).into_bytes();
    encoded.chunks(60).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect()
}

pub(super) fn raw(kind: &'static str, content: Bytes) -> Response {
    let mut answer = Response::new(Body::from(content));
    answer.headers_mut().extend(HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]));
    answer
}
