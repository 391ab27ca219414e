//! The URL under which clients reach a registry.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use http::uri::{Authority, Scheme, Uri};

/// Scheme and authority of a registry, without a path: clients put paths of the API right behind it.
///
/// It is written into pages, commands and devfiles, so it may only be unambiguous: `http` or `https`, and a host of
/// letters, digits, dots and hyphens, or an IP address, with a port or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    secure: bool,
    authority: String,
}

/// A text that is not the URL of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not `https://` or `http://` and a host, without a path")]
pub struct InvalidPublicUrl;

impl PublicUrl {
    /// From the `host[:port]` of a request and whether it came by TLS.
    ///
    /// # Errors
    /// The authority has user information, a name that is no host name, or a port that is none.
    pub fn from_authority(authority: &str, secure: bool) -> Result<Self, InvalidPublicUrl> {
        let parsed: Authority = authority.parse().map_err(|_| InvalidPublicUrl)?;
        let address = parsed.host().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let well_formed = match address {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => is_host_name(parsed.host()),
        };
        let rebuilt = match parsed.port_u16() {
            Some(port) => format!("{}:{port}", parsed.host()),
            None => parsed.host().to_owned(),
        };
        if !well_formed || rebuilt != authority || authority.len() > 253 {
            return Err(InvalidPublicUrl);
        }
        Ok(Self { secure, authority: rebuilt.to_ascii_lowercase() })
    }

    /// `host[:port]`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is reached by TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: Uri = text.parse().map_err(|_| InvalidPublicUrl)?;
        let secure = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(InvalidPublicUrl),
        };
        if url.query().is_some() || !matches!(url.path(), "" | "/") || text.contains('#') {
            return Err(InvalidPublicUrl);
        }
        Self::from_authority(url.authority().ok_or(InvalidPublicUrl)?.as_str(), secure)
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

    #[test]
    fn authority_alone_becomes_a_url() {
        for (authority, url) in [
            ("registry.example", "http://registry.example"),
            ("Registry.Example:8080", "http://registry.example:8080"),
            ("127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("[::1]:9000", "http://[::1]:9000"),
        ] {
            assert_eq!(PublicUrl::from_authority(authority, false).unwrap().to_string(), url);
        }
        for authority in [
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
            assert!(PublicUrl::from_authority(authority, false).is_err(), "{authority}");
        }
    }

    #[test]
    fn public_url_without_a_path_is_parsed_and_any_other_refused() {
        for (text, url) in [
            ("https://registry.example", "https://registry.example"),
            ("https://registry.example/", "https://registry.example"),
            ("HTTP://registry.example:8080", "http://registry.example:8080"),
        ] {
            assert_eq!(text.parse::<PublicUrl>().unwrap().to_string(), url);
        }
        for text in [
            "",
            "registry.example",
            "ftp://registry.example",
            "https://",
            "https://registry.example/base",
            "https://registry.example?x",
            "https://registry.example/#x",
            "https://user:word@registry.example",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
