//! The checks of webhooks: a signature of the body, or the secret itself.

use std::fmt;

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Denied;

/// Fewest bytes of a secret. Whoever knows one delivery can try short ones without being noticed.
const SECRET_BYTES: usize = 16;

/// The secret that hosts sign deliveries with. `Debug` does not show it.
#[derive(Clone)]
pub struct WebhookSecret(String);

/// Why a text is not a [`WebhookSecret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the webhook secret has fewer than {SECRET_BYTES} characters; make one with `openssl rand -hex 32`")]
pub struct WeakSecret;

/// The way in which a host proves that a delivery is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256 of the body, in hexadecimal digits.
    Hmac {
        /// The header, in lower case.
        header: &'static str,
        /// The text before the digits.
        prefix: &'static str,
    },
}

/// The proof of one delivery. It may not fit.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// A signature of the body.
    Signature([u8; 32]),
}

impl Scheme {
    /// The header whose presence means this scheme.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Hmac { header, .. } => header,
        }
    }

    /// Reads the proof from the value of [`Scheme::header`].
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when it is malformed.
    pub(crate) fn read(self, value: &str, _headers: &HeaderMap) -> Result<Proof, Denied> {
        match self {
            Self::Hmac { prefix, .. } => {
                let mut signature = [0; 32];
                let digits = value.strip_prefix(prefix).unwrap_or_default();
                match hex::decode_to_slice(digits, &mut signature) {
                    Ok(()) => Ok(Proof::Signature(signature)),
                    Err(_) => Err(Denied::Unauthenticated("the signature is not HMAC-SHA256 in hexadecimal digits")),
                }
            }
        }
    }
}

impl WebhookSecret {
    /// Takes the secret as it is set at the host.
    ///
    /// # Errors
    /// [`WeakSecret`] when it is too short, or missing.
    pub fn new(secret: &str) -> Result<Self, WeakSecret> {
        if secret.len() < SECRET_BYTES { Err(WeakSecret) } else { Ok(Self(secret.to_owned())) }
    }

    /// Checks the proof of a body as it arrived, in a time that does not depend on where they differ.
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when it does not fit.
    pub fn verify(&self, proof: &Proof, body: &[u8]) -> Result<(), Denied> {
        let unfit = |_| Denied::Unauthenticated("the signature does not fit the body");
        match proof {
            Proof::Signature(signature) => self.mac(&[body])?.verify_slice(signature).map_err(unfit),
        }
    }

    /// HMAC-SHA256 of some texts, one behind the other.
    fn mac(&self, texts: &[&[u8]]) -> Result<Hmac<Sha256>, Denied> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).map_err(|_| Denied::Unauthenticated("no key"))?;
        texts.iter().for_each(|text| mac.update(text));
        Ok(mac)
    }
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
}
