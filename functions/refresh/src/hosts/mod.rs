//! Git hosts that send webhooks: one file a host, each with its [`Host`], the table of its differences.
//!
//! A delivery arrives at `/webhooks/NAME`. One of the host's [`Scheme`]s checks it, and `read` makes an [`Event`] of it, the same type
//! for all hosts. [`Claims`] name the claims of the tokens that the host gives to its jobs. A new host is a file here and a line in
//! [`ALL`].
//!
//! - `github`, `gitlab`, `gitea`, `bitbucket`: the hosts
//! - `event`: the events of all hosts; `recorded`: tests of every host with recorded deliveries

mod bitbucket;
mod event;
mod gitea;
mod github;
mod gitlab;
#[cfg(test)]
mod recorded;

use std::fmt;

use self::bitbucket::BITBUCKET;
pub use self::event::{Association, Event, MalformedEvent, Proposal, ProposalAction, Push, RefUpdate, RepositoryName};
use self::gitea::{FORGEJO, GITEA};
pub(crate) use self::github::GITHUB;
use self::gitlab::GITLAB;
use crate::auth::oidc::Claims;
use crate::auth::webhook::Scheme;

/// Every host.
pub static ALL: [&Host; 5] = [&GITHUB, &GITLAB, &GITEA, &FORGEJO, &BITBUCKET];

/// A kind of Git host.
pub struct Host {
    /// The last name of its path below `/webhooks/`.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The ways to prove a delivery, the strongest first. The first of them whose header is there counts.
    pub(crate) schemes: &'static [Scheme],
    /// The header that names the event.
    pub(crate) event_header: &'static str,
    /// The header that names the delivery, for the log.
    pub(crate) delivery_header: &'static str,
    /// Reads a body by the name of its event.
    read: fn(&str, &[u8]) -> serde_json::Result<Event>,
    /// The claims of the tokens of its jobs; `None` when it has no such tokens.
    claims: Option<Claims>,
}

impl Host {
    /// Reads an event, by its name and the body, whose signature must have been checked. Names without use here are [`Event::Other`],
    /// and their bodies are not read.
    ///
    /// # Errors
    /// [`MalformedEvent`] when the body of a known event is not as the host documents it.
    pub fn event(&self, name: &str, body: &[u8]) -> Result<Event, MalformedEvent> {
        match (self.read)(name, body) {
            Ok(Event::Other) => Ok(Event::Other),
            _ if body.starts_with(b"payload=") => Err(MalformedEvent::Form),
            read => read.map_err(|error| MalformedEvent::Undocumented { host: self.title, error }),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.name).finish()
    }
}

/// Returns the claims of the tokens of an issuer, or `None` when no host here has one with such a URL.
pub(crate) fn claims_of(issuer: &str) -> Option<&'static Claims> {
    ALL.into_iter().filter_map(|host| host.claims.as_ref()).find(|claims| (claims.is_issuer)(issuer))
}

/// Returns the host of a path such as `/webhooks/github`.
pub(crate) fn of_path(path: &str) -> Option<&'static Host> {
    let name = path.strip_prefix("/webhooks/")?;
    ALL.into_iter().find(|host| host.name == name)
}
