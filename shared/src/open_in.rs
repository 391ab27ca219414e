//! Links that open a devfile in a development environment, as the operator configures them (`OPEN_IN`).

use std::str::FromStr;

use url::{Host, Url};

use crate::limits;
use crate::text::url_segment;

/// Development environments that open a devfile by a link, in the order of the setting.
///
/// Parsed from `NAME=URL` pairs with commas between them. A URL is a template of RFC 6570, of level 2 at most: `{devfile}`,
/// `{registry}`, `{name}` and `{version}` are percent-encoded, `{+devfile}` and `{+registry}` keep the characters of a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenIn(Vec<OpenTarget>);

/// A development environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTarget {
    name: String,
    segments: Vec<TemplateSegment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplateSegment {
    Text(String),
    Value(Placeholder, Encoding),
}

/// A placeholder of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Devfile,
    Registry,
    Name,
    Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Encoded,
    AsItIs,
}

/// The values of the placeholders.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The URL of the devfile, in its version.
    pub devfile: &'a str,
    /// The URL of the registry.
    pub registry: &'a str,
    /// The name of the stack or sample.
    pub name: &'a str,
    /// The version.
    pub version: &'a str,
}

/// A text that is no list of environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not NAME=URL pairs, where each URL begins with https:// and a host and has only known placeholders")]
pub struct InvalidOpenIn;

impl OpenIn {
    /// The environments.
    pub fn environments(&self) -> &[OpenTarget] {
        &self.0
    }
}

impl OpenTarget {
    /// Its name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The link for these values. It begins with `https://` and the configured host for any values.
    pub fn link(&self, values: &Values<'_>) -> String {
        let value = |name: Placeholder| match name {
            Placeholder::Devfile => values.devfile,
            Placeholder::Registry => values.registry,
            Placeholder::Name => values.name,
            Placeholder::Version => values.version,
        };
        self.segments
            .iter()
            .map(|segment| match segment {
                TemplateSegment::Text(text) => text.clone(),
                TemplateSegment::Value(name, Encoding::AsItIs) => value(*name).to_owned(),
                TemplateSegment::Value(name, Encoding::Encoded) => url_segment(value(*name)),
            })
            .collect()
    }
}

impl FromStr for OpenIn {
    type Err = InvalidOpenIn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let environments: Vec<OpenTarget> = pairs.map(OpenTarget::parse).collect::<Option<_>>().ok_or(InvalidOpenIn)?;
        if environments.len() > limits::OPEN_TARGETS { Err(InvalidOpenIn) } else { Ok(Self(environments)) }
    }
}

impl OpenTarget {
    fn parse(pair: &str) -> Option<Self> {
        let (name, template) = pair.split_once('=')?;
        let (name, template) = (name.trim(), template.trim());
        let is_named =
            (1..=limits::OPEN_TARGET_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        let is_plain = |c: char| c.is_ascii_graphic() && !"\"'<>\\^`|".contains(c);
        let rest = template.strip_prefix("https://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_short = template.len() <= limits::OPEN_TARGET_BYTES;
        if !(is_named && is_short && template.chars().all(is_plain) && is_host(authority)) {
            return None;
        }
        let segments = segments(template)?;
        let has_value = segments.iter().any(|segment| matches!(segment, TemplateSegment::Value(..)));
        has_value.then(|| Self { name: name.to_owned(), segments })
    }
}

/// Whether the authority of a URL is a domain or an IP address, perhaps with a port. Hosts such as `-` are none, although the URL standard
/// takes them.
fn is_host(authority: &str) -> bool {
    let is_plain = authority.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c));
    let is_label = |label: &str| {
        let ends_well = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
        ends_well(label.chars().next()) && ends_well(label.chars().next_back())
    };
    let Ok(url) = Url::parse(&format!("https://{authority}")) else { return false };
    is_plain
        && match url.host() {
            Some(Host::Domain(domain)) => domain.strip_suffix('.').unwrap_or(domain).split('.').all(is_label),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            None => false,
        }
}

fn segments(template: &str) -> Option<Vec<TemplateSegment>> {
    let mut segments = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (placeholder, after) = after.split_once('}')?;
        let value = match placeholder {
            "devfile" => TemplateSegment::Value(Placeholder::Devfile, Encoding::Encoded),
            "+devfile" => TemplateSegment::Value(Placeholder::Devfile, Encoding::AsItIs),
            "registry" => TemplateSegment::Value(Placeholder::Registry, Encoding::Encoded),
            "+registry" => TemplateSegment::Value(Placeholder::Registry, Encoding::AsItIs),
            "name" => TemplateSegment::Value(Placeholder::Name, Encoding::Encoded),
            "version" => TemplateSegment::Value(Placeholder::Version, Encoding::Encoded),
            _ => return None,
        };
        if before.contains('}') {
            return None;
        }
        segments.extend([TemplateSegment::Text(before.to_owned()), value]);
        rest = after;
    }
    if rest.contains('}') {
        return None;
    }
    segments.push(TemplateSegment::Text(rest.to_owned()));
    Some(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values {
        devfile: "https://registry.example/devfiles/kiln/1.1.0",
        registry: "https://registry.example",
        name: "kiln&x",
        version: "1.1.0",
    };

    fn links(text: &str) -> Vec<(String, String)> {
        let parsed: OpenIn = text.parse().unwrap();
        parsed.environments().iter().map(|one| (one.name().to_owned(), one.link(&VALUES))).collect()
    }

    #[test]
    fn placeholders_are_replaced_by_encoded_values() {
        let text = "Eclipse Che = https://che.example/#{+devfile}, Studio=https://studio.example:8443/new?url={devfile}&n={name}@{version}";
        assert_eq!(
            links(text),
            [
                ("Eclipse Che".to_owned(), "https://che.example/#https://registry.example/devfiles/kiln/1.1.0".to_owned()),
                (
                    "Studio".to_owned(),
                    "https://studio.example:8443/new?url=https%3A%2F%2Fregistry.example%2Fdevfiles%2Fkiln%2F1.1.0&n=kiln%26x@1.1.0"
                        .to_owned()
                ),
            ]
        );
        for host in
            ["localhost", "che.example.", "CHE.example:443", "127.0.0.1:8443", "[::1]:8443", "xn--e1afmkfd.example"]
        {
            let expected = format!("https://{host}?x=1.1.0");
            assert_eq!(links(&format!("Che=https://{host}?x={{version}}")), [("Che".to_owned(), expected)], "{host}");
        }
        assert_eq!(links(""), []);
    }

    #[test]
    fn template_of_another_scheme_host_or_placeholder_is_refused() {
        for template in [
            "javascript:alert({devfile})",
            "http://che.example/#{devfile}",
            "https://{devfile}",
            "https://{name}.example/",
            "https:///{devfile}",
            "https://user@che.example/{devfile}",
            "https://@che.example/{devfile}",
            "https://:8443/{devfile}",
            "https://-/{name}",
            "https://che-.example/{name}",
            "https://che..example/{name}",
            "https://./{name}",
            "https://che.example:port/{name}",
            "https://che.example:65536/{name}",
            "https://300.1.1.1/{name}",
            "https://[::1/{name}",
            "https://che%2Eexample/{name}",
            "https://che.example/",
            "https://che.example/{secret}",
            "https://che.example/{devfile",
            "https://che.example/devfile}",
            "https://che.example/}{devfile}",
            "https://che.example/\"{devfile}",
            "https://che.example/ {devfile}",
            "{devfile}",
            "",
        ] {
            assert_eq!(format!("Che={template}").parse::<OpenIn>(), Err(InvalidOpenIn), "{template}");
        }
        for text in ["https://che.example/{devfile}", "=https://che.example/{devfile}"] {
            assert_eq!(text.parse::<OpenIn>(), Err(InvalidOpenIn), "{text}");
        }
        let many = "a=https://b.example/{name},".repeat(limits::OPEN_TARGETS + 1);
        assert_eq!(many.parse::<OpenIn>(), Err(InvalidOpenIn));
    }
}
