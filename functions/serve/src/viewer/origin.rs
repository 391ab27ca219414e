//! The public URL of this registry, as far as a request tells it.

use axum::http::header::{HOST, HeaderMap, HeaderName};
use axum::http::uri::Authority;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Scheme and authority under which a client reached this registry.
///
/// Both come from the client, so only what cannot be anything else is believed: an authority of letters, digits, dots,
/// hyphens and a port, and one of two schemes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    secure: bool,
    authority: String,
}

impl Origin {
    /// The origin that a request names, if it names one and names it well.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next()?.to_str().ok()?;
        if hosts.next().is_some() || host.len() > 253 {
            return None;
        }
        let authority: Authority = host.parse().ok()?;
        let name = authority.host().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let well_formed = match name {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_host_name(authority.host()),
        };
        let rebuilt = match authority.port_u16() {
            Some(port) => format!("{}:{port}", authority.host()),
            None => authority.host().to_owned(),
        };
        let secure = headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https");
        (well_formed && rebuilt == host).then(|| Self { secure, authority: rebuilt.to_ascii_lowercase() })
    }

    /// `https://host[:port]`, without a path.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }

    /// `host[:port]`.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is reached by TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }
}

fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn of(host: &'static str, scheme: Option<&'static str>) -> Option<String> {
        let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
        headers.extend(scheme.map(|scheme| (FORWARDED_PROTO, HeaderValue::from_static(scheme))));
        Origin::of(&headers).map(|origin| origin.url())
    }

    #[test]
    fn believes_only_an_authority() {
        for (host, url) in [
            ("registry.example", "http://registry.example"),
            ("Registry.Example:8080", "http://registry.example:8080"),
            ("127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("[::1]:9000", "http://[::1]:9000"),
        ] {
            assert_eq!(of(host, None).as_deref(), Some(url), "{host}");
        }
        for host in [
            "",
            "a b",
            "user@example.com",
            "example.com/path",
            "example.com?x",
            "\"><script>",
            "a..b",
            "-a.b",
            "example.com:",
            "example.com:99999",
            "[::x]",
            "a;b",
            "$(id)",
            "a`b`",
        ] {
            assert_eq!(of(host, None), None, "{host}");
        }
        assert_eq!(Origin::of(&HeaderMap::new()), None);
    }

    #[test]
    fn the_scheme_is_one_of_two() {
        assert_eq!(of("a.example", Some("https")).as_deref(), Some("https://a.example"));
        assert_eq!(of("a.example", Some("javascript")).as_deref(), Some("http://a.example"));
    }
}
