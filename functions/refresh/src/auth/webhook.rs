//! The checks of webhooks: a signature of the body, or the secret itself.

use std::borrow::Cow;
use std::fmt;

use axum::http::HeaderMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Denied;

/// Shortest secret, in bytes. An attacker with one delivery can guess shorter ones offline.
const SECRET_BYTES: usize = 16;

/// Most signatures of a delivery that are compared. A rotation needs two.
const SIGNATURES: usize = 8;

/// The secret for the signatures of a host. `Debug` hides it.
#[derive(Clone)]
pub struct WebhookSecret(String);

/// The reason why a text is not a [`WebhookSecret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the webhook secret has fewer than {SECRET_BYTES} characters; make one with `openssl rand -hex 32`")]
pub struct WeakSecret;

/// The way a host authenticates a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256 of the body, in hexadecimal digits.
    Hmac {
        /// The header, in lower case.
        header: &'static str,
        /// The text before the digits.
        prefix: &'static str,
    },
    /// The secret itself.
    Token {
        /// The header, in lower case.
        header: &'static str,
    },
    /// A signature of Standard Webhooks (<https://github.com/standard-webhooks/standard-webhooks>,
    /// "Signature scheme"). The timestamp is not compared with the clock: a replay costs one poll
    /// of the branch.
    Standard,
}

/// The unverified proof of one delivery.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// A signature of the body.
    Signature([u8; 32]),
    /// A secret.
    Token(Box<str>),
    /// Signatures of a text followed by the body, by the keys of a rotation.
    Standard {
        /// The id and the timestamp of the delivery, each followed by a dot.
        prefix: Box<str>,
        /// The signatures, of which one must match.
        signatures: Vec<[u8; 32]>,
    },
}

impl Scheme {
    /// Returns the header that selects this scheme.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Hmac { header, .. } | Self::Token { header } => header,
            Self::Standard => "webhook-signature",
        }
    }

    /// Reads the proof from the value of [`Scheme::header`].
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when it is malformed.
    pub(crate) fn read(self, value: &str, headers: &HeaderMap) -> Result<Proof, Denied> {
        match self {
            Self::Hmac { prefix, .. } => {
                let mut signature = [0; 32];
                let digits = value.strip_prefix(prefix).unwrap_or_default();
                match hex::decode_to_slice(digits, &mut signature) {
                    Ok(()) => Ok(Proof::Signature(signature)),
                    Err(_) => Err(Denied::Unauthenticated("the signature is not HMAC-SHA256 in hexadecimal digits")),
                }
            }
            Self::Token { .. } => Ok(Proof::Token(value.into())),
            Self::Standard => {
                let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
                let (Some(id), Some(time)) = (header("webhook-id"), header("webhook-timestamp")) else {
                    return Err(Denied::Unauthenticated(
                        "the signature comes without the id or the time of its delivery",
                    ));
                };
                let signature = |text: &str| {
                    let bytes = BASE64_STANDARD.decode(text.strip_prefix("v1,")?).ok()?;
                    <[u8; 32]>::try_from(bytes).ok()
                };
                let signatures: Vec<_> = value.split(' ').filter_map(signature).take(SIGNATURES).collect();
                if signatures.is_empty() {
                    return Err(Denied::Unauthenticated("the signature is not v1, and HMAC-SHA256 in base64"));
                }
                Ok(Proof::Standard { prefix: format!("{id}.{time}.").into(), signatures })
            }
        }
    }
}

impl WebhookSecret {
    /// Parses a secret as it is set on the host.
    ///
    /// # Errors
    /// [`WeakSecret`] when it is too short or empty.
    pub fn new(secret: &str) -> Result<Self, WeakSecret> {
        if secret.len() < SECRET_BYTES { Err(WeakSecret) } else { Ok(Self(secret.to_owned())) }
    }

    /// Checks the proof of a body in constant time.
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when it does not match.
    pub fn verify(&self, proof: &Proof, body: &[u8]) -> Result<(), Denied> {
        let unfit = |_| Denied::Unauthenticated("the signature does not fit the body");
        match proof {
            Proof::Signature(signature) => mac(self.0.as_bytes(), &[body])?.verify_slice(signature).map_err(unfit),
            // The MACs of both have one length, so the comparison takes constant time.
            Proof::Token(token) => {
                let expected = mac(self.0.as_bytes(), &[self.0.as_bytes()])?.finalize().into_bytes();
                let unfit = |_| Denied::Unauthenticated("the token is another one");
                mac(self.0.as_bytes(), &[token.as_bytes()])?.verify_slice(&expected).map_err(unfit)
            }
            Proof::Standard { prefix, signatures } => {
                let mac = mac(&self.signing_key(), &[prefix.as_bytes(), body])?;
                let fits = |signature: &[u8; 32]| mac.clone().verify_slice(signature).is_ok();
                let fit = signatures.iter().any(fits);
                if fit { Ok(()) } else { Err(Denied::Unauthenticated("no signature fits the body")) }
            }
        }
    }

    /// Returns the key of Standard Webhooks; a signing token is its base64 form.
    fn signing_key(&self) -> Cow<'_, [u8]> {
        let decoded = self.0.strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
        decoded.map_or(Cow::Borrowed(self.0.as_bytes()), Cow::Owned)
    }
}

/// Computes the HMAC-SHA256 of concatenated texts.
fn mac(key: &[u8], texts: &[&[u8]]) -> Result<Hmac<Sha256>, Denied> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Denied::Unauthenticated("no key"))?;
    texts.iter().for_each(|text| mac.update(text));
    Ok(mac)
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature(_) => f.write_str("Signature(..)"),
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Standard { .. } => f.write_str("Standard(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";

    /// From GitHub's documentation.
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn read(signature: &str) -> Result<Proof, Denied> {
        Scheme::Hmac { header: "x-hub-signature-256", prefix: "sha256=" }.read(signature, &HeaderMap::new())
    }

    fn verify(signature: &str, body: &str) -> Result<(), Denied> {
        WebhookSecret::new(SECRET).unwrap().verify(&read(signature)?, body.as_bytes())
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
        assert!(other.verify(&read(SIGNATURE).unwrap(), b"Hello, World!").is_err());
    }

    #[test]
    fn a_secret_is_long_and_stays_one() {
        assert_eq!(WebhookSecret::new("").unwrap_err(), WeakSecret);
        assert_eq!(WebhookSecret::new("fifteen letters").unwrap_err(), WeakSecret);
        assert_eq!(format!("{:?}", WebhookSecret::new(SECRET).unwrap()), "WebhookSecret(..)");
    }

    #[test]
    fn token_is_the_whole_secret_and_is_not_shown() {
        let secret = WebhookSecret::new(SECRET).unwrap();
        let read = |value: &str| Scheme::Token { header: "x-gitlab-token" }.read(value, &HeaderMap::new()).unwrap();
        assert_eq!(secret.verify(&read(SECRET), b"any body"), Ok(()));
        for other in ["", &SECRET[1..], &format!("{SECRET}x"), "another secret of some length"] {
            assert!(matches!(secret.verify(&read(other), b""), Err(Denied::Unauthenticated(_))), "{other:?}");
        }
        assert_eq!(format!("{:?}", read(SECRET)), "Token(..)");
    }

    #[test]
    fn signing_token_fits_its_delivery_alone() {
        use registry_tests::webhooks::signing_headers;
        let token = "whsec_dGVuIHBvdHMgb2YgY2xheSBiZWhpbmQgdGhlIGtpbG4=";
        let (secret, body) = (WebhookSecret::new(token).unwrap(), "{}");
        let verify = |change: &dyn Fn(&mut HeaderMap), body: &str| {
            let pairs =
                signing_headers(token, "{}").map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let mut headers = HeaderMap::from_iter(pairs);
            change(&mut headers);
            let value = headers[Scheme::Standard.header()].to_str().unwrap().to_owned();
            secret.verify(&Scheme::Standard.read(&value, &headers)?, body.as_bytes())
        };
        let set = |name: &'static str, value: &str| {
            let value: axum::http::HeaderValue = value.parse().unwrap();
            move |headers: &mut HeaderMap| drop(headers.insert(name, value.clone()))
        };
        assert_eq!(verify(&|_| {}, body), Ok(()));
        // The signature of a former token accompanies that of the current one.
        let both = |headers: &mut HeaderMap| {
            let value = format!("v1,{} v2,x {}", "A".repeat(43) + "=", headers["webhook-signature"].to_str().unwrap());
            headers.insert("webhook-signature", value.parse().unwrap());
        };
        assert_eq!(verify(&both, body), Ok(()));
        let refused = |result| matches!(result, Err(Denied::Unauthenticated(_)));
        assert!(refused(verify(&|_| {}, "{} ")));
        assert!(refused(verify(&set("webhook-id", "another"), body)));
        assert!(refused(verify(&set("webhook-timestamp", "1"), body)));
        for signature in ["", "v1,", "v1,AAAA", "v2,x"] {
            assert!(refused(verify(&set("webhook-signature", signature), body)), "{signature}");
        }
        for missing in ["webhook-id", "webhook-timestamp"] {
            assert!(refused(verify(&|headers| drop(headers.remove(missing)), body)), "{missing}");
        }
    }
}
