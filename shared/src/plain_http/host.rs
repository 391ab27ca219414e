//! The `Host` of a request (RFC 9112, section 3.2).

use http::header::HOST;
use http::{HeaderMap, Version};

/// Why a request is malformed, if its `Host` is missing, repeated or no host.
pub(super) fn defect(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => Some("the request has no Host header"),
        (None, _) => None,
        (Some(_), Some(_)) => Some("the request has more than one Host header"),
        (Some(host), None) => {
            let valid = host.as_bytes().iter().all(|&byte| is_host_byte(byte));
            (!valid).then_some("the Host header is not a host with an optional port")
        }
    }
}

/// Whether a byte may be part of `uri-host [ ":" port ]` (RFC 3986, section 3.2.2). Commas are refused all the same: no name
/// has one, but two headers that a proxy has joined do.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%:[]".contains(&byte)
}
