//! RSA keys made at start, and the tokens they sign.

use anyhow::{Context, Result};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;
use serde_json::{Value, json};

/// An RSA key with an id, to sign RS256 tokens with. `Debug` shows the id alone.
pub struct SigningKey {
    id: String,
    pem: String,
    modulus: String,
    exponent: String,
}

impl SigningKey {
    /// Makes a new key of 2048 bits.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn generate(id: &str) -> Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).ok().context("no RSA key was made")?;
        let private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).ok().context("no PKCS#8")?;
        let lines = BASE64_STANDARD.encode(private.as_ref()).into_bytes();
        let lines: Vec<_> = lines.chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        let number = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let public = pair.public_key();
        Ok(Self {
            id: id.to_owned(),
            pem,
            modulus: number(public.modulus().big_endian_without_leading_zero()),
            exponent: number(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// The private key, as the file that GitHub gives for an App.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The public half, as in a key set.
    pub fn jwk(&self) -> Value {
        json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.id, "n": self.modulus, "e": self.exponent })
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// When the claims are not an object.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String> {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::RS256) };
        Ok(jsonwebtoken::encode(&header, claims, &EncodingKey::from_rsa_pem(self.pem.as_bytes())?)?)
    }

    /// Returns the key that checks tokens of this key.
    pub(super) fn decoding(&self) -> Result<DecodingKey> {
        Ok(DecodingKey::from_rsa_components(&self.modulus, &self.exponent)?)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}
