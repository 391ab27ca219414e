//! Icons: those that the release holds, by digest. A page never points to another host.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use devfile_registry::digest::Digest;
use devfile_registry::index::Entry;
use devfile_registry::limits::ICON_BYTES;
use devfile_registry::release::PublishedVersion;

use crate::blobs::{BlobError, Blobs};
use crate::body::{Caching, header, is_known};
use crate::snapshot::Snapshot;

/// Media types that browsers show as a picture.
const SHOWN: [&str; 6] = ["image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp", "image/x-icon"];

/// The icons of a release.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    by_url: HashMap<String, Digest>,
    /// Logos that lie beside a devfile, by the name of the stack; of several versions that of the first in the index.
    of_stacks: HashMap<String, Digest>,
    files: HashMap<Digest, (&'static str, u64)>,
}

impl Pictures {
    /// The icons of a release: those that its entries name by URL, else the logos among the files of its versions.
    pub(super) fn new(named: &crate::icons::Icons, versions: &[PublishedVersion]) -> Self {
        let mut icons = Self::default();
        for (url, icon) in named {
            if icons.keep(icon.digest, &icon.media_type, icon.bytes.len() as u64) {
                icons.by_url.insert(url.clone(), icon.digest);
            }
        }
        for version in versions {
            let logos = ["logo.svg", "logo.png"].into_iter();
            let mut layers = logos.filter_map(|name| version.layers.iter().find(|layer| layer.title == name));
            if let Some(logo) = layers.next()
                && icons.keep(logo.digest, &logo.media_type, logo.size)
            {
                icons.of_stacks.entry(version.name.clone()).or_insert(logo.digest);
            }
        }
        icons
    }

    fn keep(&mut self, digest: Digest, media_type: &str, size: u64) -> bool {
        let shown = SHOWN.into_iter().find(|shown| *shown == media_type).filter(|_| size <= ICON_BYTES);
        self.files.extend(shown.map(|shown| (digest, (shown, size))));
        shown.is_some()
    }

    /// Where the icon of an entry is, if the release has one.
    pub(super) fn of(&self, entry: &Entry) -> Option<String> {
        let digest = self.by_url.get(&entry.icon).or_else(|| self.of_stacks.get(&entry.name))?;
        Some(format!("/viewer/icons/{}", digest.hex()))
    }

    /// Answers with an icon; `None` when there is none of that name.
    ///
    /// # Errors
    /// The bucket does not give it.
    pub(super) async fn answer(
        &self,
        name: &str,
        snapshot: &Snapshot,
        blobs: &Blobs,
        request: &HeaderMap,
    ) -> Result<Option<Response<Body>>, Arc<BlobError>> {
        let Ok(digest) = format!("sha256:{name}").parse::<Digest>() else { return Ok(None) };
        let Some((media_type, size)) = self.files.get(&digest).copied() else { return Ok(None) };
        let etag = format!("\"{}\"", digest.hex());
        let mut response = Response::new(Body::empty());
        if is_known(request, &[&etag]) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            let bytes = match snapshot.content(&digest) {
                Some(bytes) => bytes.clone(),
                None => blobs.read(digest, size).await?,
            };
            *response.body_mut() = Body::from(bytes);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        let headers = response.headers_mut();
        headers.insert(ETAG, header(&etag));
        headers.insert(CACHE_CONTROL, Caching::Immutable.header());
        // An SVG that somebody opens by itself is a document: it must run nothing and fetch nothing.
        let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        Ok(Some(response))
    }
}

/// Two letters that stand for an entry without an icon, and one of [`TONES`] colours.
pub(super) fn placeholder(name: &str) -> (String, usize) {
    let mut words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let first = words.next().unwrap_or("?");
    let letters: String = match words.next() {
        Some(second) => first.chars().take(1).chain(second.chars().take(1)).collect(),
        None => first.chars().take(2).collect(),
    };
    let sum = name.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    (letters.to_uppercase(), sum % TONES)
}

/// How many colours placeholders have.
pub(super) const TONES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders() {
        for (name, letters) in
            [("Go Runtime", "GR"), ("kiln", "KI"), (".NET 8.0", "N8"), ("", "?"), ("<b>", "B"), ("élan vital", "ÉV")]
        {
            let (shown, tone) = placeholder(name);
            assert_eq!(shown, letters, "{name}");
            assert!(tone < TONES);
        }
    }
}
