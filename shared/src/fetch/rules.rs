//! The rules of fetches: hosts, addresses and schemes.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use moka::future::Cache;
use reqwest::Url;
use reqwest::dns::{Name, Resolve, Resolving};
use url::Host;

use super::address::is_public;
use super::error::Reason;
use crate::environment::Environment;
use crate::settings;

/// Longest time for the addresses of a name; a name server that drops a question is asked again after five seconds only.
const RESOLVE: Duration = Duration::from_secs(2);

/// The time for which addresses are used, and the number of names: a run fetches many files of few hosts.
const NAME_AGE: Duration = Duration::from_secs(30);
const NAMES: u64 = 256;

const NOT_PUBLIC: Reason = Reason::NotAllowed("its address is not on the public internet");

/// The permitted fetches. The default is that of a registry on the internet: https from any public host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Hosts by name.
    pub hosts: Hosts,
    /// The own machine.
    pub loopback: Loopback,
    /// Hosts by name that the operator chose; they may be on a private network.
    pub trusted: BTreeSet<String>,
}

/// Which hosts may be asked, redirects included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hosts {
    /// All that have public addresses.
    #[default]
    AnyPublic,
    /// Only those of these names, in lower case, and only on public addresses.
    Only(BTreeSet<String>),
    /// None, for this reason.
    Nobody(&'static str),
}

/// Whether servers on the own machine may be asked, without TLS too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Loopback {
    /// Never: the services on the function's own machine are private.
    #[default]
    Refused,
    /// For tests and development.
    Allowed,
    /// One server, so that a test may see redirects to others refused.
    #[cfg(test)]
    Only(SocketAddr),
}

/// A list of host names is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("host names are separated by commas")]
pub struct InvalidHosts;

impl FromStr for Hosts {
    type Err = InvalidHosts;

    /// Reads `github.com,gitlab.com`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = |name: &str| match Host::parse(name.trim()) {
            Ok(Host::Domain(name)) => Ok(name),
            _ => Err(InvalidHosts),
        };
        Ok(Self::Only(text.split(',').map(name).collect::<Result<_, _>>()?))
    }
}

impl Loopback {
    fn admits(self, host: &Host<&str>, port: Option<u16>) -> bool {
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
            Host::Domain("localhost") => None,
            Host::Domain(_) => return false,
        };
        match self {
            Self::Refused => false,
            Self::Allowed => port.is_some() && address.is_none_or(|address| address.is_loopback()),
            #[cfg(test)]
            Self::Only(server) => address == Some(server.ip()) && port == Some(server.port()),
        }
    }
}

impl Rules {
    /// Reads `FETCH_HOSTS`, a list of host names (unset: any public host), and `FETCH_ALLOW_LOOPBACK`, which is for tests and
    /// development.
    pub fn from_environment(environment: &mut Environment) -> Self {
        let hosts = environment.optional(&settings::FETCH_HOSTS).unwrap_or_default();
        let loopback = match environment.or_default(&settings::FETCH_ALLOW_LOOPBACK) {
            true => Loopback::Allowed,
            false => Loopback::Refused,
        };
        Self { hosts, loopback, trusted: BTreeSet::new() }
    }

    /// The rules of a program that fetches nothing, for this reason.
    pub fn refusing(reason: &'static str) -> Self {
        Self { hosts: Hosts::Nobody(reason), ..Self::default() }
    }

    /// The rules for a URL that the operator chose: its host may have a private address, and be the own machine.
    pub fn of_operator(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default().to_owned();
        let is_own_machine = url.host().is_some_and(|host| Loopback::Allowed.admits(&host, Some(0)));
        let loopback = if is_own_machine { Loopback::Allowed } else { Loopback::Refused };
        Self { hosts: Hosts::AnyPublic, loopback, trusted: [host].into() }
    }

    /// Holds an address, as it was written or redirected to, against the rules. Names are checked again when they are resolved.
    pub(super) fn check(&self, url: &Url) -> Result<(), Reason> {
        let host = url.host().ok_or(Reason::NotAllowed("the URL names no host"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Reason::NotAllowed("the URL has a user name or password in it"));
        }
        let own_machine = self.loopback.admits(&host, url.port_or_known_default());
        match url.scheme() {
            "https" => {}
            "http" if own_machine => {}
            _ => return Err(Reason::NotAllowed("the URL does not begin with https://")),
        }
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        if own_machine || url.host_str().is_some_and(|host| self.trusted.contains(host)) {
            return Ok(());
        }
        if address.is_some_and(|address| !is_public(address)) {
            return Err(NOT_PUBLIC);
        }
        match &self.hosts {
            Hosts::Only(names) if !url.host_str().is_some_and(|host| names.contains(host)) => {
                Err(Reason::NotAllowed("it is not among the hosts in FETCH_HOSTS"))
            }
            Hosts::Nobody(reason) => Err(Reason::NotAllowed(reason)),
            Hosts::AnyPublic | Hosts::Only(_) => Ok(()),
        }
    }
}

/// Resolves names to public addresses alone, so that no name leads inside: the checked address is the connected one. Requests
/// to one host that come at once ask the name server once.
#[derive(Debug)]
pub(super) struct PublicNames {
    loopback: Loopback,
    trusted: BTreeSet<String>,
    found: Cache<String, Vec<SocketAddr>>,
}

impl PublicNames {
    pub(super) fn new(rules: &Rules) -> Self {
        let (loopback, trusted) = (rules.loopback, rules.trusted.clone());
        Self { loopback, trusted, found: Cache::builder().max_capacity(NAMES).time_to_live(NAME_AGE).build() }
    }
}

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (loopback, found) = (self.loopback, self.found.clone());
        let is_trusted = self.trusted.contains(name.as_str());
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let addresses = found.try_get_with(name.clone(), allowed_addresses(name, loopback, is_trusted)).await;
            let addresses = addresses.map_err(|reason| (*reason).clone())?;
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

async fn allowed_addresses(name: String, loopback: Loopback, is_trusted: bool) -> Result<Vec<SocketAddr>, Reason> {
    let own_machine = loopback == Loopback::Allowed && name == "localhost";
    let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((name.as_str(), 0))).await;
    let found: Vec<SocketAddr> = found.ok().and_then(Result::ok).ok_or(Reason::Unresolved)?.collect();
    let allowed =
        |address: &SocketAddr| is_trusted || is_public(address.ip()) || (own_machine && address.ip().is_loopback());
    let public: Vec<SocketAddr> = found.iter().copied().filter(allowed).collect();
    match (public.is_empty(), found.is_empty()) {
        (true, true) => Err(Reason::Unresolved),
        (true, false) => Err(NOT_PUBLIC),
        _ => Ok(public),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(rules: &Rules, url: &str) -> Option<Reason> {
        rules.check(&Url::parse(url).unwrap()).err()
    }

    #[test]
    fn address_is_checked_by_the_rules() {
        let rules = Rules::default();
        for url in
            ["https://example.org/i.svg", "https://example.org:8443/", "https://1.1.1.1/", "https://[2606:4700::1]/"]
        {
            assert_eq!(verdict(&rules, url), None, "{url}");
        }
        for url in [
            "http://example.org/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "https://me@example.org/",
            "https://:secret@example.org/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data/",
            "http://localhost:8080/",
        ] {
            assert!(matches!(verdict(&rules, url), Some(Reason::NotAllowed(_))), "{url}");
        }
    }

    #[test]
    fn loopback_is_allowed_only_when_said_so() {
        let rules = Rules { loopback: Loopback::Allowed, ..Rules::default() };
        for url in ["http://127.0.0.1:8080/", "http://localhost/", "https://[::1]:1/", "https://example.org/"] {
            assert_eq!(verdict(&rules, url), None, "{url}");
        }
        for url in ["http://10.0.0.1/", "http://example.org/", "http://me:x@127.0.0.1/", "https://192.168.0.1/"] {
            assert!(verdict(&rules, url).is_some(), "{url}");
        }
    }

    #[test]
    fn host_of_the_operator_may_be_private_and_no_other() {
        let rules = Rules::of_operator(&"https://10.1.2.3/team/registry".parse().unwrap());
        assert_eq!(verdict(&rules, "https://10.1.2.3/elsewhere"), None);
        for url in ["http://10.1.2.3/", "https://10.1.2.4/", "https://169.254.169.254/", "http://127.0.0.1:80/"] {
            assert!(verdict(&rules, url).is_some(), "{url}");
        }
        assert_eq!(verdict(&rules, "https://example.org/"), None, "a redirect to a public host");
        let rules = Rules::of_operator(&"http://127.0.0.1:3000/registry".parse().unwrap());
        assert_eq!(verdict(&rules, "http://127.0.0.1:3000/registry"), None);
    }

    #[test]
    fn listed_hosts_are_the_only_ones_that_are_allowed() {
        let rules = Rules { hosts: "Example.org, raw.example.net".parse().unwrap(), ..Rules::default() };
        assert_eq!(verdict(&rules, "https://EXAMPLE.org/a"), None);
        assert_eq!(verdict(&rules, "https://raw.example.net/a"), None);
        for url in ["https://evil.example.org/", "https://example.org.evil.net/", "https://1.1.1.1/"] {
            assert!(verdict(&rules, url).is_some(), "{url}");
        }
        for text in ["", "a,,b", "https://example.org", "1.2.3.4"] {
            assert_eq!(text.parse::<Hosts>(), Err(InvalidHosts), "{text}");
        }
    }
}
