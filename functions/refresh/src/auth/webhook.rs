//! Webhooks of GitHub (<https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>).

use std::fmt;

use devfile_registry::digest::CommitSha;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::Denied;

/// Fewest bytes of a secret. Who knows one delivery can try short ones in peace.
const SECRET_BYTES: usize = 16;

/// The secret that GitHub signs deliveries with. `Debug` does not show it.
#[derive(Clone)]
pub struct WebhookSecret(String);

/// A signature that came with a delivery. It may not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature([u8; 32]);

/// Why a text is not a [`WebhookSecret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the webhook secret has fewer than {SECRET_BYTES} characters; make one with `openssl rand -hex 32`")]
pub struct WeakSecret;

/// What GitHub tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The webhook was set up.
    Ping,
    /// A branch or a tag moved.
    Push(Push),
    /// Something that is of no use here.
    Other,
}

/// A branch or a tag that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The full reference, such as `refs/heads/main`.
    pub reference: String,
    /// Where it points now; none when it was deleted.
    pub after: Option<CommitSha>,
    /// `OWNER/NAME`.
    pub full_name: String,
    /// The number of the repository, which stays when it is renamed.
    pub repository_id: u64,
    /// The default branch of the repository.
    pub default_branch: Option<String>,
}

/// Why the body of a signed event was not understood.
#[derive(Debug, thiserror::Error)]
pub enum MalformedEvent {
    /// The webhook is set to send forms.
    #[error("the webhook sends forms, so its pushes will fail; set its content type to application/json")]
    Form,
    /// Something else than GitHub documents.
    #[error("the event is not as GitHub documents it: {0}")]
    Json(#[from] serde_json::Error),
}

impl WebhookSecret {
    /// Takes the secret as it is set at GitHub.
    ///
    /// # Errors
    /// [`WeakSecret`] when it is too short, or missing.
    pub fn new(secret: &str) -> Result<Self, WeakSecret> {
        if secret.len() < SECRET_BYTES { Err(WeakSecret) } else { Ok(Self(secret.to_owned())) }
    }

    /// Checks the signature of a body as it arrived, in a time that does not depend on where they differ.
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when it does not fit.
    pub fn verify(&self, signature: &Signature, body: &[u8]) -> Result<(), Denied> {
        let unfit = |_| Denied::Unauthenticated("the signature does not fit the body");
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).map_err(|_| Denied::Unauthenticated("no key"))?;
        mac.update(body);
        mac.verify_slice(&signature.0).map_err(unfit)
    }
}

impl Signature {
    /// Reads the value of `X-Hub-Signature-256`.
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when it is not `sha256=` and 64 hexadecimal digits.
    pub fn parse(value: &str) -> Result<Self, Denied> {
        let mut signature = [0; 32];
        let digits = value.strip_prefix("sha256=").unwrap_or_default();
        match hex::decode_to_slice(digits, &mut signature) {
            Ok(()) => Ok(Self(signature)),
            Err(_) => Err(Denied::Unauthenticated("the signature is not sha256= and 64 hexadecimal digits")),
        }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

impl Event {
    /// Reads an event: its name from `X-GitHub-Event`, and the body, whose signature must have been checked.
    ///
    /// # Errors
    /// [`MalformedEvent`] when a push is not one.
    pub fn parse(name: &str, body: &[u8]) -> Result<Self, MalformedEvent> {
        #[derive(Deserialize)]
        struct Body {
            r#ref: String,
            after: CommitSha,
            deleted: bool,
            repository: Repository,
        }
        #[derive(Deserialize)]
        struct Repository {
            full_name: String,
            id: u64,
            default_branch: Option<String>,
        }
        match name {
            "ping" | "push" if body.starts_with(b"payload=") => Err(MalformedEvent::Form),
            "ping" => Ok(Self::Ping),
            "push" => {
                let Body { r#ref: reference, after, deleted, repository } = serde_json::from_slice(body)?;
                // GitHub writes "nowhere" as zeros.
                let nowhere = deleted || after.as_str().bytes().all(|digit| digit == b'0');
                let Repository { full_name, id: repository_id, default_branch } = repository;
                let after = (!nowhere).then_some(after);
                Ok(Self::Push(Push { reference, after, full_name, repository_id, default_branch }))
            }
            _ => Ok(Self::Other),
        }
    }
}

impl Push {
    /// The branch that moved; none when it was a tag.
    pub fn branch(&self) -> Option<&str> {
        self.reference.strip_prefix("refs/heads/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";

    /// From GitHub's documentation.
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn verify(signature: &str, body: &str) -> Result<(), Denied> {
        WebhookSecret::new(SECRET).unwrap().verify(&Signature::parse(signature)?, body.as_bytes())
    }

    #[test]
    fn a_signature_fits_its_body_alone() {
        assert_eq!(verify(SIGNATURE, "Hello, World!"), Ok(()));
        let upper = SIGNATURE.to_uppercase().replace("SHA256", "sha256");
        assert_eq!(verify(&upper, "Hello, World!"), Ok(()));
        for (signature, body) in [
            ("", "Hello, World!"),
            ("sha256=", "Hello, World!"),
            (&SIGNATURE[7..], "Hello, World!"),
            (&SIGNATURE[..70], "Hello, World!"),
            (&SIGNATURE.replace("sha256", "sha1"), "Hello, World!"),
            (&SIGNATURE.replace('7', "8"), "Hello, World!"),
            (&format!("{SIGNATURE}00"), "Hello, World!"),
            (SIGNATURE, "Hello, World! "),
            (SIGNATURE, ""),
        ] {
            let denied = verify(signature, body);
            assert!(matches!(denied, Err(Denied::Unauthenticated(_))), "{signature:?} {body:?}: {denied:?}");
        }
        let other = WebhookSecret::new("another secret of some length").unwrap();
        assert!(other.verify(&Signature::parse(SIGNATURE).unwrap(), b"Hello, World!").is_err());
    }

    #[test]
    fn a_secret_is_long_and_stays_one() {
        assert_eq!(WebhookSecret::new("").unwrap_err(), WeakSecret);
        assert_eq!(WebhookSecret::new("fifteen letters").unwrap_err(), WeakSecret);
        assert_eq!(format!("{:?}", WebhookSecret::new(SECRET).unwrap()), "WebhookSecret(..)");
    }

    #[test]
    fn events_are_read() {
        let commit = "0123456789012345678901234567890123456789";
        let push = |event: &serde_json::Value| match Event::parse("push", event.to_string().as_bytes()).unwrap() {
            Event::Push(push) => push,
            other => panic!("{other:?}"),
        };
        let moved = registry_tests::github::push_event("example/registry", 42, "feature/x", None, Some(commit));
        let expected = Push {
            reference: "refs/heads/feature/x".into(),
            after: Some(commit.parse().unwrap()),
            full_name: "example/registry".into(),
            repository_id: 42,
            default_branch: Some("main".into()),
        };
        assert_eq!(push(&moved), expected);
        assert_eq!(expected.branch(), Some("feature/x"));
        let deleted = registry_tests::github::push_event("example/registry", 42, "main", Some(commit), None);
        assert_eq!(push(&deleted).after, None);
        let mut tag = moved.clone();
        tag["ref"] = "refs/tags/v1".into();
        assert_eq!(push(&tag).branch(), None);

        assert_eq!(Event::parse("ping", b"whatever").unwrap(), Event::Ping);
        assert_eq!(Event::parse("issues", b"whatever").unwrap(), Event::Other);
        for event in ["ping", "push"] {
            assert!(matches!(Event::parse(event, b"payload=%7B%7D"), Err(MalformedEvent::Form)), "{event}");
        }
        for body in ["", "[]", "{}", r#"{"ref": "refs/heads/main", "after": "HEAD", "deleted": false}"#] {
            assert!(matches!(Event::parse("push", body.as_bytes()), Err(MalformedEvent::Json(_))), "{body}");
        }
    }
}
