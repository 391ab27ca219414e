//! "Download a repository archive": a redirect, and the place it leads to.

use std::io;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use super::reply::Refusal;
use super::rest::{commit, raw};
use super::{Asked, Shared};

/// The size of the parts in which an archive is sent.
const PART: usize = 16 << 10;

/// Leads to the archive of a commit. That of a private repository carries a token of its own, since the redirect leads to
/// another host at GitHub and loses the authorization.
pub(super) async fn redirect(shared: &Shared, asked: &Asked, name: &str) -> Result<Response, Refusal> {
    let commit = commit(shared, name).await?.sha;
    let token = if shared.is_private() { format!("?token={}", shared.archive_token) } else { String::new() };
    let location = format!("{}/_codeload/{}/legacy.tar.gz/{commit}{token}", asked.base_url(), shared.full_name());
    let mut answer = raw("text/html", Bytes::new());
    *answer.status_mut() = StatusCode::FOUND;
    let location = HeaderValue::from_str(&location).map_err(|_| Refusal::not_found())?;
    answer.headers_mut().insert(header::LOCATION, location);
    Ok(answer)
}

/// The archive, in parts and without a length, as GitHub sends it.
pub(super) async fn answer(shared: &Shared, asked: &Asked, name: &str) -> Result<Response, Refusal> {
    if shared.is_private() && asked.query("token").as_deref() != Some(shared.archive_token.as_str()) {
        return Err(Refusal::not_found());
    }
    let commit = commit(shared, name).await?.sha;
    let folder = format!("{}-{}-{}", shared.owner, shared.name, &commit[..7]);
    let packed = Bytes::from(shared.git.archive(&commit, &folder).await?);
    let parts: Vec<_> = (0..packed.len())
        .step_by(PART)
        .map(|at| Ok::<_, io::Error>(packed.slice(at..packed.len().min(at + PART))))
        .collect();
    let mut answer = raw("application/x-gzip", Bytes::new());
    *answer.body_mut() = Body::from_stream(stream::iter(parts));
    Ok(answer)
}
