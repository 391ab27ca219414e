//! `/stacks/{stack}/[{version}/]{file}`: files of the stacks' folders as they are committed, what was fetched along with them,
//! and the archives of artifacts.

use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use axum::http::request::Parts;

use crate::error::ApiError;
use crate::http::body::Caching;
use crate::http::content::{Content, Delivery};
use crate::release::blobs::Blobs;
use crate::release::snapshot::Snapshot;

const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";

/// Answers a GET or HEAD of a path that begins with `stacks/`.
pub(crate) async fn answer(
    snapshot: &Snapshot,
    blobs: &Blobs,
    path: &str,
    request: &Parts,
) -> Result<Response<Body>, ApiError> {
    let file = snapshot.file(path).ok_or_else(|| ApiError::NotFound("there is no such file".into()))?;
    let media_type = media_type(path);
    let caching = if file.is_named_by(path) { Caching::Immutable } else { Caching::Minute };
    let content = Content { digest: file.digest, size: file.size, media_type, caching };
    let mut response = match content.without_bytes(request) {
        Some(response) => response,
        None if blobs.streams(file.size) => {
            let part = content.asked(&request.headers)?;
            let (first, last) = part.map_or((0, file.size - 1), |(first, last)| (first as u64, last as u64));
            content.streamed(part, blobs.pieces(file.digest, first, last).await?)
        }
        None => {
            let delivery = match snapshot.content(&file.digest) {
                Some(bytes) => Delivery::Bytes(bytes.clone()),
                // Some readers of texts, of JSON and YAML above all, follow no redirects.
                None if media_type == TEXT => Delivery::Bytes(blobs.read(file.digest, file.size).await?),
                None => blobs.deliver(file.digest, file.size).await?,
            };
            content.delivered(delivery, &request.headers)?
        }
    };
    // A file of a stack is shown, not run.
    let policy = HeaderValue::from_static("sandbox; default-src 'none'; style-src 'unsafe-inline'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// A media type that a browser shows, and never one that it runs.
fn media_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("zip" | "tar" | "gz" | "tgz" | "jar" | "vsx" | "vsix") => BINARY,
        _ => TEXT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        let cases = [
            ("stacks/go/1.0.0/logo.SVG", "image/svg+xml"),
            ("stacks/go/1.0.0/archive.tar", BINARY),
            ("stacks/go.zip/devfile.yaml", TEXT),
            ("stacks/go.zip/Dockerfile", TEXT),
            ("stacks/go/index.html", TEXT),
            ("stacks/go/page.js", TEXT),
        ];
        for (path, expected) in cases {
            assert_eq!(media_type(path), expected, "{path}");
        }
    }
}
