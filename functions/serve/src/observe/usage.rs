//! Usage events as the reference counts them: which devfiles are listed, viewed and downloaded, and by which client.
//!
//! The headers `Client`, `User` and `Locale` are how registry-library and odo introduce themselves; nothing else of a
//! caller is kept, its address least of all. The registry viewer and the OpenShift console count on their own side, and
//! a request of a library on the way to other content is no use by a person.

use axum::extract::Request;
use axum::http::{Method, StatusCode};

use crate::http::path;
use crate::route::{Declaration, Event};

/// The name of a caller that does not name itself.
const NOBODY: &str = "devfile-registry";

/// Clients that count by themselves.
const WEB_CLIENTS: [&str; 2] = ["registry-viewer", "openshift-console"];

/// The end of the names of clients that ask for something by the way (devfile/api issue 981).
const INDIRECT: &str = "-indirect";

/// Longest text that is taken over from a client, in characters.
const LONGEST: usize = 64;

/// A request that is an event if it succeeds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// The event, in the reference's words.
    pub(crate) event: &'static str,
    /// The type of entries of a list, else the stack or sample.
    subject: String,
    /// The starter project.
    project: Option<String>,
    user: String,
    client: String,
    region: String,
}

/// The client and its request, before it is known whether that is an event.
#[derive(Debug)]
pub(super) struct Caller {
    path: String,
    user: String,
    client: String,
    region: String,
}

impl Caller {
    /// The client; none where it cannot be an event. A check for existence does not count.
    pub(super) fn of(request: &Request) -> Option<Self> {
        if request.method() != Method::GET {
            return None;
        }
        let headers = request.headers();
        let header =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
        let client = tame(header("client").unwrap_or(NOBODY));
        let user = header("user").map_or_else(|| client.clone(), tame);
        let counts_itself = WEB_CLIENTS.iter().any(|web| client == *web || user == *web);
        if counts_itself || client.ends_with(INDIRECT) {
            return None;
        }
        let region = header("accept-language").or_else(|| header("locale")).and_then(region).unwrap_or_default();
        let path = path::decode(request.uri().path())?.into_owned();
        Some(Self { path, user, client, region })
    }

    /// The event, if the route counts as one.
    pub(super) fn usage(self, route: &Declaration) -> Option<Usage> {
        let segment = |name: &str| route.segment(&self.path, name).map(tame);
        let (event, subject, project) = match route.event? {
            Event::List => ("list devfile", segment("type").or_else(|| Some("stack".to_owned())), None),
            Event::View => ("view devfile", segment("name"), None),
            Event::Download => ("download devfile", segment("stack"), None),
            Event::StarterProject => ("Starter Project Downloaded", segment("name"), segment("starterProject")),
        };
        Some(Usage { event, subject: subject?, project, user: self.user, client: self.client, region: self.region })
    }
}

impl Usage {
    /// Returns whether a status means that the client has the requested content.
    pub(crate) fn succeeded(status: StatusCode) -> bool {
        status.is_success() || status.is_redirection()
    }

    /// Writes the event.
    pub(crate) fn log(&self) {
        tracing::info!(
            event = self.event,
            subject = self.subject,
            project = self.project,
            user = self.user,
            client = self.client,
            region = self.region,
            "usage"
        );
    }
}

/// Returns a client's text for a log: cut off, with only the characters of names, versions and ids.
fn tame(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "-_.@+:/ ".contains(c) { c } else { '_' };
    text.chars().take(LONGEST).map(keep).collect()
}

/// The region of the first language of a list such as `de-AT,de;q=0.8` (RFC 9110, section 12.5.4): two letters, or three
/// digits.
fn region(languages: &str) -> Option<String> {
    let first = languages.split([',', ';']).next()?.trim();
    let is_region = |tag: &&str| match tag.len() {
        2 => tag.bytes().all(|b| b.is_ascii_alphabetic()),
        3 => tag.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    };
    first.split(['-', '_', '.']).skip(1).find(is_region).map(str::to_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn usage(method: Method, path: &str, headers: &[(&'static str, &'static str)]) -> Option<Usage> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let caller = Caller::of(&request.body(Body::empty()).unwrap())?;
        let is_of = |route: &Declaration| {
            let (own, asked): (Vec<&str>, Vec<&str>) = (route.path.split('/').collect(), path.split('/').collect());
            own.len() == asked.len() && own.iter().zip(asked).all(|(own, asked)| *own == asked || own.starts_with('{'))
        };
        caller.usage(crate::router::declarations().await.iter().find(|route| is_of(route))?)
    }

    #[tokio::test]
    async fn path_of_a_counted_route_names_its_event() {
        for (path, event) in [
            ("/index", Some(("list devfile", "stack", None))),
            ("/v2index/all", Some(("list devfile", "all", None))),
            ("/devfiles/go", Some(("view devfile", "go", None))),
            ("/devfiles/go/2.2.0", Some(("view devfile", "go", None))),
            ("/devfiles/g%6F/2.2.0", Some(("view devfile", "go", None))),
            ("/v2/devfile-catalog/go/blobs/sha256:0", Some(("download devfile", "go", None))),
            ("/devfiles/go/starter-projects/web", Some(("Starter Project Downloaded", "go", Some("web")))),
            ("/devfiles/go/2.2.0/starter-projects/web", Some(("Starter Project Downloaded", "go", Some("web")))),
            ("/v2/devfile-catalog/go/manifests/2.2.0", None),
            ("/health", None),
            ("/viewer", None),
        ] {
            let found = usage(Method::GET, path, &[]).await;
            let found = found.as_ref().map(|usage| (usage.event, usage.subject.as_str(), usage.project.as_deref()));
            assert_eq!(found, event, "{path}");
        }
        assert_eq!(usage(Method::HEAD, "/index", &[]).await, None, "a check for existence does not count");
    }

    #[test]
    fn caller_is_read_from_the_headers() {
        let who = |headers: &[(&'static str, &'static str)]| {
            let mut request = Request::builder().uri("/index");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let caller = Caller::of(&request.body(Body::empty()).unwrap())?;
            Some((caller.user, caller.client, caller.region))
        };
        let is = |user: &str, client: &str, region: &str| Some((user.into(), client.into(), region.into()));
        assert_eq!(who(&[]), is("devfile-registry", "devfile-registry", ""));
        assert_eq!(who(&[("client", "odo")]), is("odo", "odo", ""));
        assert_eq!(who(&[("client", "odo"), ("user", "u-1"), ("locale", "de_AT.UTF-8")]), is("u-1", "odo", "AT"));
        assert_eq!(who(&[("accept-language", "pt-br, en;q=0.5"), ("locale", "de-AT")]).unwrap().2, "BR");
        assert_eq!(who(&[("accept-language", "es-419")]).unwrap().2, "419");
        assert_eq!(who(&[("accept-language", "zh-Hans-CN")]).unwrap().2, "CN");
        assert_eq!(who(&[("accept-language", "en")]).unwrap().2, "");
        assert_eq!(who(&[("client", "registry-viewer")]), None);
        assert_eq!(who(&[("client", "odo"), ("user", "openshift-console")]), None);
        assert_eq!(who(&[("client", "devfile-library-indirect")]), None);
        assert_eq!(who(&[("client", "a\"} x{\t")]).unwrap().1, "a__ x__");
        assert_eq!(who(&[("user", &*"u".repeat(9000).leak())]).unwrap().0.len(), LONGEST);
    }
}
