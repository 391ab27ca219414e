//! Whether a URI parses the way Go's `net/url` parses it, as clients do.

/// The reason why a URI does not parse.
pub(crate) fn problem(uri: &str) -> Option<String> {
    if uri.bytes().any(|byte| byte.is_ascii_control()) {
        return Some("it holds a control character".to_owned());
    }
    // A text that begins like a web address has to be a whole one.
    let absolute = uri.starts_with("http");
    let (uri, fragment) = match uri.split_once('#') {
        Some((before, fragment)) if !absolute => (before, fragment),
        _ => (uri, ""),
    };
    let (scheme, rest) = match scheme(uri) {
        Ok(split) => split,
        Err(problem) => return Some(problem),
    };
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !rest.starts_with('/') {
        let first = rest.split('/').next().unwrap_or_default();
        return match scheme {
            Some(_) => bad_escape(fragment),
            None if absolute => Some("it begins with http and is not a web address".to_owned()),
            None if first.contains(':') => Some("its first part has a colon and is not a scheme".to_owned()),
            None => bad_escape(rest).or_else(|| bad_escape(fragment)),
        };
    }
    let path = match rest.strip_prefix("//") {
        Some(after) if scheme.is_some() || !absolute && !rest.starts_with("///") => {
            let end = after.find('/').unwrap_or(after.len());
            if let Some(problem) = authority(&after[..end]) {
                return Some(problem);
            }
            &after[end..]
        }
        _ => rest,
    };
    bad_escape(path).or_else(|| bad_escape(fragment))
}

/// Splits a scheme off.
fn scheme(uri: &str) -> Result<(Option<&str>, &str), String> {
    let end = uri.find(|character: char| !(character.is_ascii_alphanumeric() || "+-.".contains(character)));
    match end {
        Some(0) if uri.starts_with(':') => Err("its scheme is missing".to_owned()),
        Some(end) if uri[end..].starts_with(':') && uri.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            Ok((Some(&uri[..end]), &uri[end + 1..]))
        }
        _ => Ok((None, uri)),
    }
}

/// Returns the fault between `//` and the path.
fn authority(text: &str) -> Option<String> {
    let (user, host) = text.rsplit_once('@').unwrap_or(("", text));
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(character);
    if !user.chars().all(allowed) {
        return Some("its user part has a character that is not allowed".to_owned());
    }
    let (name, port) = match (host.starts_with('['), host.rfind(']')) {
        (true, None) => return Some("the ] after its address is missing".to_owned()),
        (true, Some(end)) => (&host[..=end], &host[end + 1..]),
        (false, _) => host.rfind(':').map_or((host, ""), |colon| host.split_at(colon)),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if (!port.is_empty() && !port.starts_with(':')) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!("its port `{digits}` is not a number"));
    }
    let in_host = |character: char| {
        !character.is_ascii() || character.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(character)
    };
    match name.chars().find(|character| !in_host(*character)) {
        Some(character) => Some(format!("`{character}` is not allowed in a host name")),
        None => bad_escape(name).or_else(|| bad_escape(user)),
    }
}

/// A `%` that two hexadecimal digits do not follow.
fn bad_escape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let broken = |at: usize| {
        let digits = bytes.get(at + 1..at + 3);
        bytes[at] == b'%' && !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let at = (0..bytes.len()).find(|at| broken(*at))?;
    let escape: String = text[at..].chars().take(3).collect();
    Some(format!("`{escape}` is not an escape"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uri_is_valid_or_has_a_problem() {
        for good in [
            "a.yaml",
            "my file.yaml",
            "../größe.yaml",
            "C:/x/y.yaml",
            "ftp://example.org/x",
            "http:///x",
            "https://user:pw@example.org:8080/a?b#c",
            "http://[::1]:80/a",
            "{{p}}",
            "/abs/olute",
            "mailto:x",
            "a?b=%zz",
            "//host/path",
            "",
        ] {
            assert_eq!(problem(good), None, "{good}");
        }
        for bad in [
            "https://example.org/%zz.yaml",
            "dir/%zz.yaml",
            ":8080/a",
            "http://exa mple.org/",
            "http://[::1",
            "httpd/conf.yaml",
            "http://a:b/",
            "a\u{7f}b",
            "1a:b",
            "x#%z",
            "http{{x}}",
            "100%",
        ] {
            assert!(problem(bad).is_some(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn uri_of_any_text_never_panics(uri in "\\PC*") {
            let _ = problem(&uri);
        }
    }
}
