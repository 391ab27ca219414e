//! Registry authentication: a bearer token for each repository, a user name and a password, or a token of Amazon ECR.
//!
//! The registry says which it wants ("Token Authentication" of Docker's registry, which OCI registries follow). Client libraries
//! send the password to any realm that the registry names, so the exchange is here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_auth::ChallengeRef;
use http_auth::parser::ChallengeParser;
use reqwest::{RequestBuilder, Response, Url};
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::answer::{CallError, body, refusal, shortened, with_idle_timeout};
use super::ecr::Ecr;
use super::{Credentials, RegistryAddress};

/// Most authorizations that one attempt at a call is made with. Calls beside it may use up a token before its turn.
const TOKENS: u32 = 5;

/// The same where authorizations last: the one in use may be at its end, a new one is not.
const LASTING: u32 = 2;

/// The beginning of an authorization that is a user name and a password.
const BASIC: &str = "Basic ";

/// Most bytes of the answer of a token realm.
const TOKEN_BYTES: u64 = 64 << 10;

/// Credentials for one registry, and the tokens that it gave for them.
#[derive(Clone)]
pub(super) struct Access(Arc<AccessState>);

struct AccessState {
    http: reqwest::Client,
    address: RegistryAddress,
    credentials: Option<Credentials>,
    /// Amazon ECR, which gives tokens to the role of the process. Credentials take its place.
    ecr: Option<Ecr>,
    /// Whether calls need authorization. Without credentials they do not, until the registry says so.
    is_wanted: AtomicBool,
    /// Authorizations by repository.
    authorizations: Mutex<HashMap<String, CachedAuthorization>>,
}

/// The value of an `Authorization` header, made by the first call that needs it; `None` when the registry wants none.
type CachedAuthorization = Arc<OnceCell<Option<HeaderValue>>>;

/// The challenge of a registry that wants bearer tokens.
#[derive(Debug, PartialEq, Eq)]
struct Bearer {
    realm: String,
    service: Option<String>,
}

impl Access {
    pub(super) fn new(http: reqwest::Client, address: &RegistryAddress, credentials: Option<Credentials>) -> Self {
        let is_wanted = AtomicBool::new(credentials.is_some());
        let host = address.ecr.clone().filter(|_| credentials.is_none());
        let ecr = host.map(|host| Ecr::new(host, address.created.clone()));
        Self(Arc::new(AccessState {
            http,
            address: address.clone(),
            credentials,
            ecr,
            is_wanted,
            authorizations: Mutex::default(),
        }))
    }

    /// Amazon ECR, when its API authorizes the calls.
    pub(super) fn ecr(&self) -> Option<&Ecr> {
        self.0.ecr.as_ref()
    }

    /// Most authorizations that one attempt at a call is made with.
    pub(super) fn authorizations(&self) -> u32 {
        if self.0.ecr.is_some() { LASTING } else { TOKENS }
    }

    /// The authorization of a call about a repository.
    pub(super) async fn of(&self, repository: &str) -> Result<Option<HeaderValue>, CallError> {
        if let Some(ecr) = &self.0.ecr {
            return ecr.authorization().await.map(Some);
        }
        if !self.0.is_wanted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let authorizations = Arc::clone(self.0.authorizations().entry(repository.to_owned()).or_default());
        authorizations.get_or_try_init(|| self.0.authorize(repository)).await.cloned()
    }

    /// The registry refused an authorization, so the next call makes a new one.
    pub(super) async fn refused(&self, repository: &str, was_shown: Option<&HeaderValue>) {
        if let Some(ecr) = &self.0.ecr {
            return ecr.refused(was_shown).await;
        }
        self.0.is_wanted.store(true, Ordering::Relaxed);
        if let Some(credentials) = &self.0.credentials
            && was_shown.is_some_and(|authorizations| authorizations.as_bytes().starts_with(BASIC.as_bytes()))
        {
            credentials.password.is_renewed().await;
        }
        let mut authorizations = self.0.authorizations();
        // Another call may have something new already.
        if authorizations
            .get(repository)
            .and_then(|authorizations| authorizations.get())
            .is_some_and(|authorizations| authorizations.as_ref() == was_shown)
        {
            authorizations.remove(repository);
        }
    }
}

impl AccessState {
    fn authorizations(&self) -> MutexGuard<'_, HashMap<String, CachedAuthorization>> {
        // A panic while holding it leaves a consistent value behind.
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the registry how it authenticates, and gets a token if it gives any.
    async fn authorize(&self, repository: &str) -> Result<Option<HeaderValue>, CallError> {
        let answer = send(self.http.get(format!("{}/v2/", self.address.origin()))).await?;
        if is_passing(answer.status()) {
            return Err(refusal(answer, None).await);
        }
        match (Bearer::of(answer.headers()), &self.credentials) {
            (Some(challenge), _) => Ok(Some(secret(format!("Bearer {}", self.token(&challenge, repository).await?))?)),
            (None, Some(credentials)) => Ok(Some(credentials.basic().await?)),
            (None, None) => Ok(None),
        }
    }

    /// Gets a token for a repository from the realm of a challenge.
    async fn token(&self, challenge: &Bearer, repository: &str) -> Result<String, CallError> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
        }
        let mut realm = self.address.realm(&challenge.realm)?;
        let name = realm.origin().ascii_serialization();
        let actions = if self.credentials.is_some() { "pull,push" } else { "pull" };
        realm.query_pairs_mut().append_pair("scope", &format!("repository:{repository}:{actions}"));
        if let Some(service) = &challenge.service {
            realm.query_pairs_mut().append_pair("service", service);
        }
        let mut answer = self.ask(&realm).await?;
        if let (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(credentials)) =
            (answer.status(), &self.credentials)
            && credentials.password.is_renewed().await
        {
            answer = self.ask(&realm).await?;
        }
        let status = answer.status();
        if is_passing(status) {
            return Err(refusal(answer, Some(name)).await);
        }
        let text = body(answer, TOKEN_BYTES).await?;
        if status != StatusCode::OK {
            let said = shortened(String::from_utf8_lossy(&text).trim());
            let said = if said.is_empty() { "check the credentials".to_owned() } else { said };
            return Err(CallError::Final(format!(
                "cannot get a token from {name}: it answered {}; {said}",
                status.as_u16()
            )));
        }
        let token =
            serde_json::from_slice(&text).ok().and_then(|Answer { token, access_token }| token.or(access_token));
        token.ok_or_else(|| CallError::Broken(format!("cannot get a token from {name}: its answer has none")))
    }

    /// Sends the credentials of now to a realm.
    async fn ask(&self, realm: &Url) -> Result<Response, CallError> {
        let mut request = self.http.get(realm.clone());
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, credentials.basic().await?);
        }
        send(request).await
    }
}

impl Credentials {
    /// Returns the value of an `Authorization` header (RFC 7617).
    async fn basic(&self) -> Result<HeaderValue, CallError> {
        let password = self.password.value().await.map_err(|error| CallError::Final(error.to_string()))?;
        secret(format!("{BASIC}{}", STANDARD.encode(format!("{}:{password}", self.username))))
    }
}

impl Bearer {
    /// The first challenge that asks for a bearer token; a registry that gives none wants a user name and a password.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let mut challenges = values.flat_map(|value| ChallengeParser::new(value).map_while(Result::ok));
        let challenge = challenges.find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"))?;
        let parameter = |challenge: &ChallengeRef<'_>, wanted: &str| {
            let found = challenge.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.to_unescaped())
        };
        let realm = parameter(&challenge, "realm").unwrap_or_default();
        Some(Self { realm, service: parameter(&challenge, "service") })
    }
}

impl RegistryAddress {
    /// The realm that a challenge names, which may be sent credentials: over TLS, or to the registry itself.
    fn realm(&self, named: &str) -> Result<Url, CallError> {
        let invalid =
            |reason: &str| CallError::Final(format!("cannot use the token realm {}: {reason}", shortened(named)));
        let realm = Url::parse(named).map_err(|_| invalid("it is not a URL"))?;
        if realm.scheme() == "https" || self.is_at(&realm) {
            return Ok(realm);
        }
        // Its path and query may be secret.
        let name = realm.origin().ascii_serialization();
        let reason = "credentials are sent over https or to the registry itself only";
        Err(CallError::Final(format!("cannot use the token realm {}: {reason}", shortened(&name))))
    }
}

fn secret(text: String) -> Result<HeaderValue, CallError> {
    let value = HeaderValue::try_from(text);
    let mut value =
        value.map_err(|_| CallError::Final("the token or the password has control characters".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn send(request: RequestBuilder) -> Result<Response, CallError> {
    with_idle_timeout(0, async { request.send().await.map_err(CallError::of) }).await
}

/// Whether another try may get another answer.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realm_is_https_or_the_registry_itself() {
        for (address, realm, is_allowed) in [
            ("ghcr.io/acme", "https://ghcr.io/token", true),
            ("ghcr.io/acme", "https://auth.example.org/token?a=b", true),
            ("ghcr.io/acme", "http://ghcr.io/token", false),
            ("ghcr.io/acme", "http://auth.example.org/token", false),
            ("ghcr.io/acme", "http://127.0.0.1/token", false),
            ("ghcr.io/acme", "ftp://ghcr.io/token", false),
            ("ghcr.io/acme", "/token", false),
            ("ghcr.io/acme", "", false),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/token", true),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/token", false),
            ("127.0.0.1:5000", "http://localhost:5000/token", false),
            ("127.0.0.1:5000", "http://127.0.0.1:5000@example.org/token", false),
            ("127.0.0.1:5000", "https://auth.example.org/token", true),
        ] {
            let address: RegistryAddress = address.parse().unwrap();
            assert_eq!(address.realm(realm).is_ok(), is_allowed, "{address}: {realm}");
        }
        let error = "ghcr.io".parse::<RegistryAddress>().unwrap().realm("http://me:pw@evil.example/a?b=c").unwrap_err();
        let said = error.to_string();
        assert!(said.contains("http://evil.example:") && !said.contains("pw") && !said.contains("b=c"), "{said}");
    }

    #[test]
    fn challenge_for_a_bearer_token_is_found_among_others() {
        let of = |values: &[&'static str]| {
            let values = values.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_static(value)));
            Bearer::of(&values.collect())
        };
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        for (values, expected) in [
            (&["Bearer realm=\"https://a.b/t\",service=\"s\",scope=\"x:y:z\""][..], bearer("https://a.b/t", Some("s"))),
            (&["bearer Realm=\"https://a.b/t\""], bearer("https://a.b/t", None)),
            (&["Basic realm=\"kiln\", Bearer realm=\"https://a.b/t\""], bearer("https://a.b/t", None)),
            (&["Basic realm=\"kiln\"", "Bearer realm=\"https://a.b/\\\"t\""], bearer("https://a.b/\"t", None)),
            (&["Bearer service=\"s\""], bearer("", Some("s"))),
            (&["Basic realm=\"kiln\""], None),
            (&["Bearer realm=\"unclosed"], None),
            (&["=,="], None),
            (&[], None),
        ] {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }
}
