//! Files that pages need, under URLs that their digests name.

use std::sync::LazyLock;

use axum::body::Body as HttpBody;
use axum::http::Response;
use axum::http::header::HeaderMap;
use bytes::Bytes;
use devfile_registry::digest::Digest;

use crate::http::body::{Body, Caching};

/// A file of the viewer.
#[derive(Debug)]
pub(super) struct Asset {
    /// Its path, which always has these bytes.
    pub(super) url: String,
    body: Body,
}

/// The rules of all pages, and those of the pages of an entry.
const STYLES: &str =
    concat!(include_str!("assets/style.css"), include_str!("assets/detail.css"), include_str!("assets/browse.css"));

/// The script of all pages, and that of the list.
const SCRIPTS: &str = concat!(include_str!("assets/script.js"), include_str!("assets/browse.js"));

/// The style sheet.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", STYLES));

/// The script. Pages work without it.
pub(super) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("script", "js", "text/javascript; charset=utf-8", SCRIPTS));

/// The style sheet of cards in frames of other sites.
pub(super) static EMBED_STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("embed", "css", "text/css; charset=utf-8", include_str!("assets/embed.css")));

/// The picture of the registry itself.
pub(super) static MARK: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("mark", "svg", "image/svg+xml", include_str!("assets/mark.svg")));

impl Asset {
    fn new(name: &str, extension: &str, media_type: &'static str, text: &'static str) -> Self {
        let body = Body::new(media_type, Bytes::from_static(text.as_bytes()));
        let url = format!("/viewer/assets/{name}-{}.{extension}", &Digest::of(text.as_bytes()).hex()[..16]);
        Self { url, body }
    }

    /// The file as the answer to a request for its URL.
    pub(super) fn answer(&self, request: &HeaderMap, caching: Caching) -> Response<HttpBody> {
        self.body.answer(request, caching)
    }
}

/// The file of a name in `/viewer/assets/`.
pub(super) fn find(name: &str) -> Option<&'static Asset> {
    let all: [&'static Asset; 4] = [&STYLE, &SCRIPT, &MARK, &EMBED_STYLE];
    all.into_iter().find(|asset| asset.url.strip_prefix("/viewer/assets/") == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_found_by_their_urls_alone() {
        for asset in [&STYLE, &SCRIPT, &MARK] {
            let name = asset.url.rsplit('/').next().unwrap();
            assert_eq!(find(name).map(|found| &found.url), Some(&asset.url));
            assert!(find(&name.replace('-', "-0")).is_none());
        }
        assert!(find("").is_none());
    }

    #[test]
    fn assets_are_small() {
        let styles = STYLES.len() + include_str!("assets/embed.css").len();
        assert!(styles < 30_000, "{styles} bytes of style sheets");
        assert!(SCRIPTS.len() < 20_000, "{} bytes of scripts", SCRIPTS.len());
    }
}
