//! The URL of this registry, as far as a request names it.

use axum::http::header::{HOST, HeaderMap, HeaderName};
use devfile_registry::public_url::PublicUrl;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The URL that a client reached, if its request names one and names it well.
pub(super) fn of(headers: &HeaderMap) -> Option<PublicUrl> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?.to_str().ok()?;
    // Each proxy adds its own; the first is the one that the client reached.
    let schemes = headers.get(FORWARDED_PROTO).and_then(|schemes| schemes.to_str().ok()).unwrap_or_default();
    let secure = schemes.split(',').next().is_some_and(|scheme| scheme.trim() == "https");
    PublicUrl::from_authority(host, secure).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn url(hosts: &[&'static str], scheme: Option<&'static str>) -> Option<String> {
        let mut headers: HeaderMap =
            scheme.map(|s| (FORWARDED_PROTO, HeaderValue::from_static(s))).into_iter().collect();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_static(host));
        }
        of(&headers).map(|url| url.to_string())
    }

    #[test]
    fn the_host_is_one_and_well_formed() {
        assert_eq!(url(&["a.example:8080"], None).as_deref(), Some("http://a.example:8080"));
        assert_eq!(url(&[], None), None);
        assert_eq!(url(&["\"><script>"], None), None);
        assert_eq!(url(&["a.example", "b.example"], None), None);
    }

    #[test]
    fn the_scheme_is_one_of_two() {
        assert_eq!(url(&["a.example"], Some("https")).as_deref(), Some("https://a.example"));
        assert_eq!(url(&["a.example"], Some("https,http")).as_deref(), Some("https://a.example"));
        assert_eq!(url(&["a.example"], Some("javascript")).as_deref(), Some("http://a.example"));
    }
}
