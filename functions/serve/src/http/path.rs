//! Paths of requests: decoded once, then encoded in one way, so that every spelling of a path is one path.

use std::borrow::Cow;

use axum::http::uri::{PathAndQuery, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Characters that stay as they are in a path with slashes (RFC 3986, "pchar").
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Decodes a path. Bytes that decode to no text, or to a NUL, are nobody's path.
pub(crate) fn decode(path: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(path).decode_utf8().ok().filter(|decoded| !decoded.contains('\0'))
}

/// The path without one slash at its end, which changes no answer.
pub(crate) fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|bare| !bare.is_empty() && !bare.ends_with('/')).unwrap_or(path)
}

/// The segments of a path. One slash at the end adds none.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    without_slash(path).split('/').skip(1)
}

/// The URI with a decoded path in its one encoding; `None` when it has that path already.
pub(crate) fn rewrite(uri: &Uri, decoded: &str) -> Option<Uri> {
    // Nearly all paths pass here, without an allocation.
    if uri.path() == decoded && decoded.starts_with('/') && utf8_percent_encode(decoded, PATH).take(2).count() <= 1 {
        return None;
    }
    let mut path = utf8_percent_encode(decoded, PATH).to_string();
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    PathAndQuery::from_maybe_shared(path).ok().map(Uri::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn path_in_any_spelling_is_one_path() {
        for (sent, expected) in [
            ("/v2/_catalog", None),
            ("/a/sha256:0+1@x", None),
            ("/%762/x?n=%31", Some("/v2/x?n=%31")),
            ("/devfiles/kiln%2F1.1.0", Some("/devfiles/kiln/1.1.0")),
            ("/a%3Fb", Some("/a%3Fb")),
            ("/a%20b%25", Some("/a%20b%25")),
            ("/%C3%a9", Some("/%C3%A9")),
            ("/..%2f", Some("/../")),
            ("*", Some("/*")),
        ] {
            let uri: Uri = sent.parse().unwrap();
            let decoded = decode(uri.path()).unwrap();
            assert_eq!(rewrite(&uri, &decoded).map(|uri| uri.to_string()).as_deref(), expected, "{sent}");
        }
        for bad in ["/%ff", "/%00"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn slash_at_the_end_is_left_out_once() {
        for (path, bare) in [("/", "/"), ("/a/", "/a"), ("/a//", "/a//"), ("//", "//"), ("", "")] {
            assert_eq!(without_slash(path), bare, "{path}");
        }
        assert_eq!(segments("/a/b/").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(segments("/").collect::<Vec<_>>(), [""]);
    }

    proptest! {
        #[test]
        fn rewritten_path_decodes_to_the_same(path in "/[!-~é ]{0,20}") {
            let uri: Uri = "/".parse().unwrap();
            let rewritten = rewrite(&uri, &path);
            let uri = rewritten.as_ref().unwrap_or(&uri);
            prop_assert_eq!(decode(uri.path()).unwrap(), path);
        }
    }
}
