//! The keys of a token issuer: fetched on demand, cached, at most once a minute.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;

use super::Denied;

/// Least time between two fetches, in seconds: tokens with invented key ids must not turn into
/// calls.
const BETWEEN_FETCHES: i64 = 60;

/// Longest use of cached keys without a fetch, in seconds: it bounds the trust in a withdrawn key.
const FRESH: i64 = 3600;

/// Time limit for one fetch.
const FETCH: Duration = Duration::from_secs(5);

/// Largest answer of an issuer, in bytes. GitHub's takes 8 KiB.
const ANSWER_BYTES: usize = 256 << 10;

/// Fetches the current keys of an issuer.
pub trait FetchKeys: Send + Sync {
    /// Returns the key set, or the reason for the failure.
    fn fetch(&self) -> impl Future<Output = Result<JwkSet, String>> + Send;
}

/// The keys of an issuer.
#[derive(Debug)]
pub struct Keys<F> {
    fetcher: F,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Option<JwkSet>,
    fetched_at: i64,
    tried_at: Option<i64>,
    failure: Option<String>,
}

impl<F: FetchKeys> Keys<F> {
    /// Creates an empty cache; the first token fills it.
    pub fn new(fetcher: F) -> Self {
        Self { fetcher, known: Mutex::default() }
    }

    /// Returns the RSA key with an id.
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] when the issuer has no such key, [`Denied::Undecided`] when the
    /// issuer does not answer.
    pub async fn rsa(&self, id: &str, now: Timestamp) -> Result<DecodingKey, Denied> {
        let now = now.as_second();
        // Locked during the fetch, so that concurrent callers share it.
        let mut known = self.known.lock().await;
        let may_fetch = known.tried_at.is_none_or(|tried| now - tried >= BETWEEN_FETCHES);
        let is_fresh = now - known.fetched_at < FRESH;
        if may_fetch && !(is_fresh && known.find(id).is_some()) {
            known.tried_at = Some(now);
            match self.fetcher.fetch().await {
                Ok(keys) => *known = Known { keys: Some(keys), fetched_at: now, tried_at: Some(now), failure: None },
                Err(reason) => known.failure = Some(reason),
            }
        }
        match (known.find(id), &known.failure) {
            (Some(key), _) => DecodingKey::from_jwk(key).map_err(|_| Denied::Unauthenticated("the key is malformed")),
            (None, Some(reason)) => Err(Denied::Undecided(reason.clone())),
            (None, None) => Err(Denied::Unauthenticated("the issuer has no such key")),
        }
    }
}

impl Known {
    fn find(&self, id: &str) -> Option<&Jwk> {
        let for_rs256 = |key: &&Jwk| {
            let use_ = key.common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature);
            let algorithm = key.common.key_algorithm.is_none_or(|algorithm| algorithm == KeyAlgorithm::RS256);
            use_ && algorithm && matches!(key.algorithm, AlgorithmParameters::RSA(_))
        };
        // Keys of other kinds may have the same id (RFC 7517, section 4.5).
        let has_id = |key: &&Jwk| key.common.key_id.as_deref() == Some(id);
        self.keys.as_ref()?.keys.iter().filter(has_id).find(for_rs256)
    }
}

/// A client of the keys that an issuer publishes (OpenID Connect Discovery 1.0).
#[derive(Debug)]
pub struct Discovery {
    client: reqwest::Client,
    issuer: String,
}

impl Discovery {
    /// Creates a client. It connects on the first fetch.
    ///
    /// # Errors
    /// Fails when TLS cannot be initialised.
    pub fn new(issuer: &str) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(FETCH).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, issuer: issuer.trim_end_matches('/').to_owned() })
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let secure = url.starts_with("https://");
        if !secure && !is_own_machine(url) {
            return Err(format!("{url} is not https"));
        }
        let answer = self.client.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let mut answer = answer.map_err(|error| format!("{url}: {error}"))?;
        let mut body = vec![];
        while let Some(chunk) = answer.chunk().await.map_err(|error| format!("{url}: {error}"))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES {
                return Err(format!("{url} answers with more than {ANSWER_BYTES} bytes"));
            }
        }
        serde_json::from_slice(&body).map_err(|error| format!("{url}: {error}"))
    }
}

impl FetchKeys for Discovery {
    async fn fetch(&self) -> Result<JwkSet, String> {
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
            jwks_uri: String,
        }
        // A key of an unknown kind must not reject the others (RFC 7517, section 5).
        #[derive(Deserialize)]
        struct KeySet {
            keys: Vec<Value>,
        }
        let configuration: Configuration =
            self.get(&format!("{}/.well-known/openid-configuration", self.issuer)).await?;
        if configuration.issuer != self.issuer {
            return Err(format!("{} calls itself {}", self.issuer, configuration.issuer));
        }
        let KeySet { keys } = self.get(&configuration.jwks_uri).await?;
        Ok(JwkSet { keys: keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect() })
    }
}

fn is_own_machine(url: &str) -> bool {
    let host = url.parse::<reqwest::Url>().ok().filter(|url| url.scheme() == "http");
    let host = host.as_ref().and_then(reqwest::Url::host_str).map(|host| host.trim_matches(['[', ']']).to_owned());
    host.is_some_and(|host| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex as StdMutex};

    use registry_tests::github::{Fault, GitHub, SigningKey};

    use super::*;

    #[derive(Clone, Default)]
    struct Fake {
        answer: Arc<StdMutex<Option<JwkSet>>>,
        fetches: Arc<AtomicUsize>,
    }

    impl Fake {
        fn publish(&self, keys: &[&SigningKey]) {
            let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
            let keys = serde_json::from_value(serde_json::json!({ "keys": keys })).unwrap();
            *self.answer.lock().unwrap() = Some(keys);
        }

        fn fetches(&self) -> usize {
            self.fetches.load(Ordering::Relaxed)
        }
    }

    impl FetchKeys for Fake {
        async fn fetch(&self) -> Result<JwkSet, String> {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            self.answer.lock().unwrap().clone().ok_or_else(|| "down".to_owned())
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test]
    async fn unknown_keys_are_fetched_once_a_minute_at_most() {
        let (a, b) = (SigningKey::generate("a").unwrap(), SigningKey::generate("b").unwrap());
        let fake = Fake::default();
        fake.publish(&[&a]);
        let keys = Keys::new(fake.clone());
        keys.rsa("a", at(10_000)).await.unwrap();
        keys.rsa("a", at(10_100)).await.unwrap();
        assert_eq!(fake.fetches(), 1);
        for second in [10_001, 10_030, 10_059] {
            let unknown = keys.rsa("b", at(second)).await.err();
            assert_eq!(unknown, Some(Denied::Unauthenticated("the issuer has no such key")));
        }
        assert_eq!(fake.fetches(), 1);
        // The issuer rotates its key.
        fake.publish(&[&b]);
        keys.rsa("b", at(10_060)).await.unwrap();
        assert!(keys.rsa("a", at(10_061)).await.is_err());
        assert_eq!(fake.fetches(), 2);
    }

    #[tokio::test]
    async fn withdrawn_keys_are_noticed_and_an_outage_is_outlived() {
        let (a, b) = (SigningKey::generate("a").unwrap(), SigningKey::generate("b").unwrap());
        let fake = Fake::default();
        let keys = Keys::new(fake.clone());
        assert_eq!(keys.rsa("a", at(10_000)).await.err(), Some(Denied::Undecided("down".into())));
        fake.publish(&[&a]);
        assert!(keys.rsa("a", at(10_059)).await.is_err(), "not before a minute has passed");
        keys.rsa("a", at(10_060)).await.unwrap();
        *fake.answer.lock().unwrap() = None;
        keys.rsa("a", at(20_000)).await.unwrap();
        assert_eq!(fake.fetches(), 3);
        fake.publish(&[&b]);
        assert!(keys.rsa("a", at(20_060)).await.is_err());
    }

    #[tokio::test]
    async fn keys_for_other_uses_are_not_taken() {
        let key = SigningKey::generate("a").unwrap();
        let fake = Fake::default();
        for (field, value) in [("alg", "RS512"), ("use", "enc")] {
            let mut jwk = key.jwk();
            jwk[field] = value.into();
            let set = serde_json::from_value(serde_json::json!({ "keys": [jwk] })).unwrap();
            *fake.answer.lock().unwrap() = Some(set);
            let denied = Keys::new(fake.clone()).rsa("a", at(10_000)).await.err();
            assert!(matches!(denied, Some(Denied::Unauthenticated(_))), "{field}");
        }
    }

    #[tokio::test]
    async fn key_of_another_kind_with_the_same_id_is_ignored() {
        let key = SigningKey::generate("a").unwrap();
        let other = serde_json::json!({"kty": "EC", "kid": "a", "crv": "P-256", "x": "AA", "y": "AA"});
        let set = serde_json::from_value(serde_json::json!({ "keys": [other, key.jwk()] })).unwrap();
        let fake = Fake::default();
        *fake.answer.lock().unwrap() = Some(set);
        Keys::new(fake).rsa("a", at(10_000)).await.unwrap();
    }

    #[tokio::test]
    async fn discovery_reads_what_an_issuer_publishes() {
        let folder = std::env::temp_dir();
        let issuer = GitHub::start_example(&folder).await.unwrap();
        let discovery = Discovery::new(issuer.url()).unwrap();
        let keys = discovery.fetch().await.unwrap();
        assert!(keys.find("oidc-1").is_some());
        for fault in
            [Fault::Status { status: 500 }, Fault::Malformed, Fault::CutOff, Fault::Body(vec![b' '; 300 << 10].into())]
        {
            issuer.faults().add("/.well-known/jwks", fault, 1);
            assert!(discovery.fetch().await.is_err());
        }
        let unknown = serde_json::json!({"keys": [{"kty": "lattice", "kid": "new"}, 7, SigningKey::generate("known").unwrap().jwk()]});
        issuer.faults().add("/.well-known/jwks", Fault::Body(unknown.to_string().into()), 1);
        let keys = discovery.fetch().await.unwrap();
        assert!(keys.find("known").is_some() && keys.keys.len() == 1, "keys of unknown kinds are left out");
        let other = r#"{"issuer": "https://other.example.com", "jwks_uri": "http://127.0.0.1:1"}"#;
        issuer.faults().add("*/openid-configuration", Fault::Body(other.into()), 1);
        assert!(discovery.fetch().await.unwrap_err().contains("calls itself"));
        let plain = Discovery::new("http://token.example.com").unwrap();
        assert!(plain.fetch().await.unwrap_err().ends_with("is not https"));
        assert!(!is_own_machine("http://127.0.0.1.example.com") && !is_own_machine("ftp://127.0.0.1"));
    }
}
