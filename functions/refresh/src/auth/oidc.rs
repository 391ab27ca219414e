//! Tokens of workflow and pipeline jobs on Git hosts (OpenID Connect).

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Denied;
use super::keys::{FetchKeys, Keys};

/// Tolerated difference between the clocks of the issuer and of this machine, in seconds.
const LEEWAY: i64 = 60;

/// Longest accepted token, in bytes. Those of GitHub and GitLab are below 2 KiB.
const TOKEN_BYTES: usize = 8 << 10;

/// The claims of a host's tokens: their names and accepted values.
#[derive(Debug)]
pub struct Claims {
    /// Returns whether the host issues tokens under a URL.
    pub is_issuer: fn(&str) -> bool,
    /// The number of the repository, as text. A name can pass to another owner, a number cannot.
    pub repository_id: &'static str,
    /// The full reference that the job runs on.
    pub reference: &'static str,
    /// The claim that the reference is protected, where the host has one and it must be true.
    pub protected: Option<&'static str>,
    /// The event that started the job.
    pub event: &'static str,
    /// The events whose jobs may call.
    pub events: &'static [&'static str],
    /// The file that defines the job.
    pub workflow: &'static str,
    /// The path of the repository, for the log.
    pub repository: &'static str,
    /// The account that started the job, for the log.
    pub actor: &'static str,
}

/// The accepted tokens.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The issuer, such as `https://token.actions.githubusercontent.com`.
    pub issuer: String,
    /// The audience that the workflow asks for.
    pub audience: String,
    /// The names of the claims.
    pub claims: &'static Claims,
    /// The host's number for the registry repository.
    pub repository_id: u64,
    /// The only workflow that may call, such as
    /// `OWNER/NAME/.github/workflows/publish.yaml@refs/heads/main`; `None` permits any.
    pub job_workflow_ref: Option<String>,
}

/// Checks tokens against a [`Policy`].
#[derive(Debug)]
pub struct OidcVerifier<F> {
    policy: Policy,
    keys: Keys<F>,
}

/// The caller that a token names, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The path of the repository.
    pub repository: String,
    /// The file that defines the job.
    pub workflow: String,
    /// The event that started the job.
    pub event: String,
    /// The account that started the job.
    pub actor: String,
    /// The reference of the run, such as `refs/heads/main`.
    reference: String,
}

impl Caller {
    /// Returns the caller if its workflow runs on the monitored branch.
    ///
    /// # Errors
    /// [`Denied::Forbidden`] on any other reference.
    pub fn must_be_on(self, branch: &str) -> Result<Self, Denied> {
        let here = self.reference.strip_prefix("refs/heads/") == Some(branch);
        if here { Ok(self) } else { Err(Denied::Forbidden("another branch")) }
    }
}

#[derive(Deserialize)]
struct Token {
    iss: String,
    aud: Audience,
    exp: i64,
    nbf: Option<i64>,
    iat: i64,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl<F: FetchKeys> OidcVerifier<F> {
    /// Creates a verifier without keys; the first token fetches them.
    pub fn new(policy: Policy, fetcher: F) -> Self {
        Self { policy, keys: Keys::new(fetcher) }
    }

    /// Checks a token, without `Bearer`, at the time `now`. [`Caller::must_be_on`] checks the
    /// branch.
    ///
    /// # Errors
    /// [`Denied`]: unauthenticated when the token is invalid, forbidden when it belongs to another
    /// repository, workflow or event.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, Denied> {
        use Denied::{Forbidden, Unauthenticated};
        if token.len() > TOKEN_BYTES {
            return Err(Unauthenticated("the token is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Unauthenticated("not a token"))?;
        // The sender chooses the algorithm in the header; only RS256 is accepted.
        if header.alg != Algorithm::RS256 {
            return Err(Unauthenticated("the token is not signed with RS256"));
        }
        let id = header.kid.ok_or(Unauthenticated("the token names no key"))?;
        let key = self.keys.rsa(&id, now).await?;
        let unfit = || Unauthenticated("the signature does not fit, or a claim is missing");
        let token = jsonwebtoken::decode::<Token>(token, &key, &signature_alone()).map_err(|_| unfit())?.claims;
        let Policy { issuer, audience, claims, repository_id, job_workflow_ref } = &self.policy;
        let text = |name: &str| token.others.get(name).and_then(Value::as_str);
        let named = text(claims.repository_id).zip(text(claims.reference));
        let (found_id, reference) = named.ok_or_else(unfit)?;
        let now = now.as_second();
        let for_us = match &token.aud {
            Audience::One(name) => name == audience,
            Audience::Several(names) => names.contains(audience),
        };
        if token.iss != *issuer {
            return Err(Unauthenticated("another issuer"));
        }
        if !for_us {
            return Err(Unauthenticated("for another audience"));
        }
        if token.exp.saturating_add(LEEWAY) <= now {
            return Err(Unauthenticated("the token has expired"));
        }
        if token.iat.saturating_sub(LEEWAY) > now || token.nbf.is_some_and(|from| from.saturating_sub(LEEWAY) > now) {
            return Err(Unauthenticated("the token is not valid yet"));
        }
        if found_id != repository_id.to_string() {
            return Err(Forbidden("another repository"));
        }
        let or_empty = |name: &str| text(name).unwrap_or_default().to_owned();
        let caller = Caller {
            repository: or_empty(claims.repository),
            workflow: or_empty(claims.workflow),
            event: or_empty(claims.event),
            actor: or_empty(claims.actor),
            reference: reference.to_owned(),
        };
        if !claims.events.contains(&caller.event.as_str()) {
            return Err(Forbidden("a job of an event that others can cause"));
        }
        // GitLab writes the claim as text.
        if claims.protected.is_some_and(|name| text(name) != Some("true")) {
            return Err(Forbidden("a branch that is not protected"));
        }
        if job_workflow_ref.as_ref().is_some_and(|workflow| caller.workflow != *workflow) {
            return Err(Forbidden("another workflow"));
        }
        Ok(caller)
    }
}

/// Disables all checks of the library but the signature. `verify` checks the claims, with a clock
/// that tests can set.
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
    use serde_json::json;

    use crate::hosts::claims_of;

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
            claims: claims_of("https://token.actions.githubusercontent.com").unwrap(),
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
    async fn token_with_good_claims_is_accepted() {
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
    async fn token_with_a_wrong_claim_is_denied_with_its_reason() {
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

    /// A token of a job of GitLab CI, with the claims of "Token payload".
    fn of_gitlab() -> Value {
        json!({
            "iss": "https://gitlab.example.org", "aud": "https://registry.example.com", "jti": "1",
            "sub": "project_path:example/registry:ref_type:branch:ref:main",
            "iat": NOW - 10, "nbf": NOW - 15, "exp": NOW + 3590,
            "namespace_id": "72", "namespace_path": "example", "project_id": "42", "project_path": "example/registry",
            "user_id": "1", "user_login": "owner", "pipeline_id": "574", "pipeline_source": "push", "job_id": "302",
            "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
            "ci_config_ref_uri": "gitlab.example.org/example/registry//.gitlab-ci.yml@refs/heads/main",
        })
    }

    #[tokio::test]
    async fn job_of_gitlab_is_let_in_by_its_project_its_branch_and_its_event() {
        let key = SigningKey::generate("k").unwrap();
        let issuer = "https://gitlab.example.org".to_owned();
        let job_workflow_ref = of_gitlab()["ci_config_ref_uri"].as_str().map(str::to_owned);
        let claims = claims_of(&issuer).unwrap();
        let verifier = verifier(Policy { issuer, claims, job_workflow_ref, ..policy() }, &key);
        let token = |changes: Value| {
            let mut claims = of_gitlab();
            claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            key.sign(&claims).unwrap()
        };
        for source in ["push", "web", "schedule", "api"] {
            let caller = verify(&verifier, &token(json!({ "pipeline_source": source }))).await.unwrap();
            assert_eq!((caller.repository.as_str(), caller.actor.as_str()), ("example/registry", "owner"));
        }
        for changes in [
            json!({ "project_id": "43" }),
            json!({ "ref_path": "refs/heads/feature" }),
            json!({ "ref_path": "refs/tags/main" }),
            json!({ "ref_path": "refs/merge-requests/7/head", "pipeline_source": "merge_request_event" }),
            json!({ "pipeline_source": "merge_request_event" }),
            json!({ "pipeline_source": "external_pull_request_event" }),
            json!({ "pipeline_source": null }),
            json!({ "ref_protected": "false" }),
            json!({ "ref_protected": null }),
            json!({ "ci_config_ref_uri": "gitlab.example.org/mallory/ci//.gitlab-ci.yml@refs/heads/main" }),
        ] {
            let denied = verify(&verifier, &token(changes.clone())).await;
            assert!(matches!(denied, Err(Denied::Forbidden(_))), "{changes}: {denied:?}");
        }
        // A claim with the same meaning from another host has no effect.
        let foreign = json!({ "project_id": null, "repository_id": "42", "ref_path": null });
        assert!(matches!(verify(&verifier, &token(foreign)).await, Err(Denied::Unauthenticated(_))));
    }

    #[tokio::test]
    async fn token_of_any_workflow_is_accepted_when_none_is_configured() {
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
        let encoded = |value: &Value| {
            use base64::Engine;
            base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
        };
        // No algorithm, in every spelling.
        for none in ["none", "None", "NONE", "nOnE", ""] {
            let header = encoded(&json!({ "alg": none, "typ": "JWT", "kid": "k" }));
            refused(&format!("{header}.{claims}.")).await;
            refused(&format!("{header}.{claims}.{signature}")).await;
        }
        // The public key, which is public, as the secret of an HMAC.
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
        let own = encoded(&json!({ "alg": "RS256", "kid": "k", "jwk": stranger.jwk() }));
        let by_stranger = stranger.sign(&good()).unwrap();
        let (_, rest) = by_stranger.split_once('.').unwrap();
        refused(&format!("{own}.{rest}")).await;
        // Other claims under a valid signature, and malformed tokens.
        refused(&format!("{header}.{}.{signature}", encoded(&but(json!({ "actor": "mallory" }))))).await;
        for token in ["", ".", "..", "a.b.c", "Bearer x", &format!("{header}.{claims}"), &signed.repeat(20)] {
            refused(token).await;
        }
        assert!(verify(&verifier, &signed).await.is_ok());
    }
}
