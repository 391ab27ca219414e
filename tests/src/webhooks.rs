//! Deliveries of Git hosts other than GitHub: recorded bodies, and the proofs that come with them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The commit of every recorded body.
pub const COMMIT: &str = "0123456789012345678901234567890123456789";

/// A recorded delivery.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// The last name of the path below `/webhooks/`.
    pub host: &'static str,
    /// The header that names the event, and its value.
    pub event: (&'static str, &'static str),
    /// The body.
    pub body: &'static str,
}

macro_rules! recorded {
    ($host:literal, $header:literal: $event:literal, $file:literal) => {
        Recorded {
            host: $host,
            event: ($header, $event),
            body: include_str!(concat!("../fixtures/webhooks/", $file, ".json")),
        }
    };
}

/// A push to `main` of `example/registry`, from each kind of host.
pub static PUSHES: [Recorded; 5] = [
    recorded!("gitlab", "x-gitlab-event": "Push Hook", "gitlab-push"),
    recorded!("gitea", "x-gitea-event": "push", "gitea-push"),
    recorded!("forgejo", "x-forgejo-event": "push", "gitea-push"),
    recorded!("bitbucket", "x-event-key": "repo:push", "bitbucket-push"),
    recorded!("bitbucket", "x-event-key": "repo:refs_changed", "bitbucket-data-center-push"),
];

/// Proposal 7 of `potter`: his branch `glaze` for `main` of `example/registry`, from each kind of host.
pub static PROPOSALS: [Recorded; 5] = [
    recorded!("gitlab", "x-gitlab-event": "Merge Request Hook", "gitlab-merge-request"),
    recorded!("gitea", "x-gitea-event": "pull_request", "gitea-pull-request"),
    recorded!("forgejo", "x-forgejo-event": "pull_request", "gitea-pull-request"),
    recorded!("bitbucket", "x-event-key": "pullrequest:created", "bitbucket-pull-request"),
    recorded!("bitbucket", "x-event-key": "pr:opened", "bitbucket-data-center-pull-request"),
];

/// The header by which a host proves a body.
///
/// # Panics
/// The host is unknown.
pub fn proof(host: &str, secret: &str, body: &str) -> (&'static str, String) {
    let digits = hex::encode(mac(secret.as_bytes(), body));
    match host {
        "github" => ("x-hub-signature-256", format!("sha256={digits}")),
        "gitlab" => ("x-gitlab-token", secret.to_owned()),
        "gitea" => ("x-gitea-signature", digits),
        "forgejo" => ("x-forgejo-signature", digits),
        "bitbucket" => ("x-hub-signature", format!("sha256={digits}")),
        other => panic!("no such host: {other}"),
    }
}

/// The headers by which GitLab signs a body with a signing token (<https://www.standardwebhooks.com>).
///
/// # Panics
/// The token is not `whsec_` and base64.
pub fn signing_headers(token: &str, body: &str) -> [(&'static str, String); 3] {
    let key = BASE64_STANDARD.decode(token.strip_prefix("whsec_").expect("a signing token")).expect("base64");
    let (id, timestamp) = ("f5e5f430-f57b-4e6e-9fac-d9128cd7232f", jiff::Timestamp::now().as_second().to_string());
    let signature = BASE64_STANDARD.encode(mac(&key, &format!("{id}.{timestamp}.{body}")));
    let signature = format!("v1,{signature}");
    [("webhook-id", id.to_owned()), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
