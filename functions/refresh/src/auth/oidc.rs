//! Tokens that GitHub Actions gives to the jobs of a workflow
//! (<https://docs.github.com/en/actions/reference/security/oidc>).

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use super::Denied;
use super::keys::{FetchKeys, Keys};

/// How far the clocks of GitHub and of this machine may be apart, in seconds.
const LEEWAY: i64 = 60;

/// Longest token that is looked at, in bytes. GitHub's have below 2 KiB.
const TOKEN_BYTES: usize = 8 << 10;

/// Events whose workflows run the code of the branch and that only people who may write to it, or time, cause. So
/// `pull_request`, `pull_request_target` and `workflow_run` are not among them, nor events that strangers cause, such as comments.
const EVENTS: [&str; 4] = ["push", "workflow_dispatch", "repository_dispatch", "schedule"];

/// Which tokens are good.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Who issues them, such as `https://token.actions.githubusercontent.com`.
    pub issuer: String,
    /// For whom they must be: the value that the workflow asks for.
    pub audience: String,
    /// GitHub's number for the registry repository. Names can be taken by others, numbers cannot.
    pub repository_id: u64,
    /// The one workflow that may call, such as `OWNER/NAME/.github/workflows/publish.yaml@refs/heads/main`.
    pub job_workflow_ref: Option<String>,
}

/// Checks tokens against a [`Policy`].
#[derive(Debug)]
pub struct OidcVerifier<F> {
    policy: Policy,
    keys: Keys<F>,
}

/// Whose token it was, for the log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Caller {
    /// `OWNER/NAME`.
    #[serde(default)]
    pub repository: String,
    /// The workflow.
    #[serde(default)]
    pub job_workflow_ref: String,
    /// What started it.
    #[serde(default)]
    pub event_name: String,
    /// Who started it.
    #[serde(default)]
    pub actor: String,
    /// What it runs on, such as `refs/heads/main`.
    r#ref: String,
}

impl Caller {
    /// Whether its workflow runs on a branch, the monitored one.
    ///
    /// # Errors
    /// [`Denied::Forbidden`] when it runs on something else.
    pub fn must_be_on(self, branch: &str) -> Result<Self, Denied> {
        let here = self.r#ref.strip_prefix("refs/heads/") == Some(branch);
        if here { Ok(self) } else { Err(Denied::Forbidden("another branch")) }
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: i64,
    nbf: Option<i64>,
    iat: i64,
    repository_id: String,
    #[serde(flatten)]
    caller: Caller,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl<F: FetchKeys> OidcVerifier<F> {
    /// A verifier without keys; the first token fetches them.
    pub fn new(policy: Policy, fetcher: F) -> Self {
        Self { policy, keys: Keys::new(fetcher) }
    }

    /// Checks a token, without `Bearer`, as of `now`. On which branch its workflow runs is still to be looked at.
    ///
    /// # Errors
    /// [`Denied`]: unauthenticated when it is not a good token of the issuer, forbidden when it is one of somebody else.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, Denied> {
        use Denied::{Forbidden, Unauthenticated};
        if token.len() > TOKEN_BYTES {
            return Err(Unauthenticated("the token is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Unauthenticated("not a token"))?;
        // The header says how the sender wants the token checked; only one way will do.
        if header.alg != Algorithm::RS256 {
            return Err(Unauthenticated("the token is not signed with RS256"));
        }
        let id = header.kid.ok_or(Unauthenticated("the token names no key"))?;
        let key = self.keys.rsa(&id, now).await?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &signature_alone())
            .map_err(|_| Unauthenticated("the signature does not fit, or a claim is missing"))?
            .claims;
        let Policy { issuer, audience, repository_id, job_workflow_ref } = &self.policy;
        let now = now.as_second();
        let for_us = match &claims.aud {
            Audience::One(name) => name == audience,
            Audience::Several(names) => names.contains(audience),
        };
        if claims.iss != *issuer {
            return Err(Unauthenticated("another issuer"));
        }
        if !for_us {
            return Err(Unauthenticated("for another audience"));
        }
        if claims.exp.saturating_add(LEEWAY) <= now {
            return Err(Unauthenticated("the token has expired"));
        }
        if claims.iat.saturating_sub(LEEWAY) > now || claims.nbf.is_some_and(|from| from.saturating_sub(LEEWAY) > now) {
            return Err(Unauthenticated("the token is not valid yet"));
        }
        if claims.repository_id != repository_id.to_string() {
            return Err(Forbidden("another repository"));
        }
        if !EVENTS.contains(&claims.caller.event_name.as_str()) {
            return Err(Forbidden("a workflow on an event that others can cause"));
        }
        if job_workflow_ref.as_ref().is_some_and(|workflow| claims.caller.job_workflow_ref != *workflow) {
            return Err(Forbidden("another workflow"));
        }
        Ok(claims.caller)
    }
}

/// The library checks the signature; the claims are checked here, by a clock that tests can set.
fn signature_alone() -> Validation {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{EncodingKey, Header};
    use registry_tests::github::SigningKey;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_750_000_000;
    const WORKFLOW: &str = "example/registry/.github/workflows/publish.yaml@refs/heads/main";

    struct Fixed(JwkSet);

    impl FetchKeys for Fixed {
        async fn fetch(&self) -> Result<JwkSet, String> {
            Ok(self.0.clone())
        }
    }

    fn policy() -> Policy {
        Policy {
            issuer: "https://token.actions.githubusercontent.com".into(),
            audience: "https://registry.example.com".into(),
            repository_id: 42,
            job_workflow_ref: Some(WORKFLOW.into()),
        }
    }

    fn verifier(policy: Policy, key: &SigningKey) -> OidcVerifier<Fixed> {
        OidcVerifier::new(policy, Fixed(serde_json::from_value(json!({ "keys": [key.jwk()] })).unwrap()))
    }

    fn good() -> Value {
        json!({
            "iss": "https://token.actions.githubusercontent.com", "aud": "https://registry.example.com",
            "iat": NOW - 10, "nbf": NOW - 310, "exp": NOW + 290,
            "repository": "example/registry", "repository_id": "42", "ref": "refs/heads/main",
            "event_name": "push", "job_workflow_ref": WORKFLOW, "actor": "owner",
        })
    }

    fn but(changes: Value) -> Value {
        let mut claims = good();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    async fn verify(verifier: &OidcVerifier<Fixed>, token: &str) -> Result<Caller, Denied> {
        verifier.verify(token, now()).await?.must_be_on("main")
    }

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    #[tokio::test]
    async fn good_tokens_are_taken() {
        let key = SigningKey::generate("k").unwrap();
        let verifier = verifier(policy(), &key);
        for claims in [
            good(),
            but(json!({ "aud": ["https://registry.example.com"] })),
            but(json!({ "nbf": null })),
            but(json!({ "event_name": "workflow_dispatch" })),
            but(json!({ "exp": NOW - 59 })),
            but(json!({ "iat": NOW + 60, "nbf": NOW + 60 })),
        ] {
            let caller = verify(&verifier, &key.sign(&claims).unwrap()).await;
            assert_eq!(caller.map(|caller| caller.repository).as_deref(), Ok("example/registry"), "{claims}");
        }
    }

    #[tokio::test]
    async fn claims_are_checked() {
        use Denied::{Forbidden, Unauthenticated};
        let key = SigningKey::generate("k").unwrap();
        let verifier = verifier(policy(), &key);
        let unfit = Unauthenticated("the signature does not fit, or a claim is missing");
        for (changes, denied) in [
            (json!({ "iss": "https://token.example.com" }), Unauthenticated("another issuer")),
            (json!({ "aud": "https://other.example.com" }), Unauthenticated("for another audience")),
            (json!({ "aud": [] }), Unauthenticated("for another audience")),
            (json!({ "exp": NOW - 60 }), Unauthenticated("the token has expired")),
            (json!({ "exp": i64::MIN }), Unauthenticated("the token has expired")),
            (json!({ "iat": NOW + 61 }), Unauthenticated("the token is not valid yet")),
            (json!({ "nbf": NOW + 61 }), Unauthenticated("the token is not valid yet")),
            (json!({ "exp": null }), unfit.clone()),
            (json!({ "exp": "never" }), unfit.clone()),
            (json!({ "iss": null }), unfit.clone()),
            (json!({ "aud": null }), unfit.clone()),
            (json!({ "iat": null }), unfit.clone()),
            (json!({ "repository_id": null }), unfit.clone()),
            (json!({ "ref": null }), unfit),
            (json!({ "repository_id": "43" }), Forbidden("another repository")),
            (json!({ "repository_id": "042" }), Forbidden("another repository")),
            (json!({ "ref": "refs/heads/main2" }), Forbidden("another branch")),
            (json!({ "ref": "refs/tags/main" }), Forbidden("another branch")),
            (json!({ "ref": "main" }), Forbidden("another branch")),
            (json!({ "ref": "refs/pull/7/merge" }), Forbidden("another branch")),
            (
                json!({ "job_workflow_ref": "example/registry/.github/workflows/other.yaml@refs/heads/main" }),
                Forbidden("another workflow"),
            ),
            (json!({ "job_workflow_ref": null }), Forbidden("another workflow")),
        ] {
            let token = key.sign(&but(changes.clone())).unwrap();
            assert_eq!(verify(&verifier, &token).await, Err(denied), "{changes}");
        }
        for event in ["pull_request", "pull_request_target", "workflow_run", "issue_comment", ""] {
            let token = key.sign(&but(json!({ "event_name": event }))).unwrap();
            assert!(matches!(verify(&verifier, &token).await, Err(Forbidden(_))), "{event}");
        }
    }

    #[tokio::test]
    async fn any_workflow_will_do_where_none_is_configured() {
        let key = SigningKey::generate("k").unwrap();
        let verifier = verifier(Policy { job_workflow_ref: None, ..policy() }, &key);
        let token = key.sign(&but(json!({ "job_workflow_ref": "example/registry/other" }))).unwrap();
        assert!(verify(&verifier, &token).await.is_ok());
    }

    #[tokio::test]
    async fn forged_tokens_are_refused() {
        let key = SigningKey::generate("k").unwrap();
        let verifier = verifier(policy(), &key);
        let refused = async |token: &str| {
            let denied = verify(&verifier, token).await;
            assert!(matches!(denied, Err(Denied::Unauthenticated(_))), "{token}: {denied:?}");
        };
        let signed = key.sign(&good()).unwrap();
        let (header, rest) = signed.split_once('.').unwrap();
        let (claims, signature) = rest.split_once('.').unwrap();
        let part = |value: &Value| {
            use base64::Engine;
            base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
        };
        // Nothing at all, in every spelling.
        for none in ["none", "None", "NONE", "nOnE", ""] {
            let header = part(&json!({ "alg": none, "typ": "JWT", "kid": "k" }));
            refused(&format!("{header}.{claims}.")).await;
            refused(&format!("{header}.{claims}.{signature}")).await;
        }
        // The public key, which everybody has, as the secret of an HMAC.
        let hs256 = Header { kid: Some("k".into()), ..Header::new(Algorithm::HS256) };
        let jwk = key.jwk();
        let public = [jwk["n"].as_str().unwrap().to_owned(), jwk.to_string()];
        for secret in public {
            let token = jsonwebtoken::encode(&hs256, &good(), &EncodingKey::from_secret(secret.as_bytes())).unwrap();
            refused(&token).await;
            let (_, rest) = token.split_once('.').unwrap();
            refused(&format!("{header}.{rest}")).await;
        }
        // The right key with another algorithm of its family.
        let rs512 = Header { kid: Some("k".into()), ..Header::new(Algorithm::RS512) };
        let private = EncodingKey::from_rsa_pem(key.pem().as_bytes()).unwrap();
        refused(&jsonwebtoken::encode(&rs512, &good(), &private).unwrap()).await;
        // Another key under the same id, an unknown id, no id, a key of the sender's choice.
        refused(&SigningKey::generate("k").unwrap().sign(&good()).unwrap()).await;
        let stranger = SigningKey::generate("stranger").unwrap();
        refused(&stranger.sign(&good()).unwrap()).await;
        let without = Header::new(Algorithm::RS256);
        refused(&jsonwebtoken::encode(&without, &good(), &private).unwrap()).await;
        let own = part(&json!({ "alg": "RS256", "kid": "k", "jwk": stranger.jwk() }));
        let by_stranger = stranger.sign(&good()).unwrap();
        let (_, rest) = by_stranger.split_once('.').unwrap();
        refused(&format!("{own}.{rest}")).await;
        // Other claims under a good signature, and things that are not tokens.
        refused(&format!("{header}.{}.{signature}", part(&but(json!({ "actor": "mallory" }))))).await;
        for token in ["", ".", "..", "a.b.c", "Bearer x", &format!("{header}.{claims}"), &signed.repeat(20)] {
            refused(token).await;
        }
        assert!(verify(&verifier, &signed).await.is_ok());
    }
}
