//! Amazon ECR: its API, which moto has, and before a real registry the differences of ECR: it wants a token of its own, which ends,
//! and knows only repositories that were created. Pushes that break its rules are refused.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::guard::forward;
use crate::moto::{ACCOUNT, Moto, REGION, call};

/// The beginning of the names of operations.
const API: &str = "AmazonEC2ContainerRegistry_V20150921.";

/// Seconds that a token lasts.
const TOKEN_SECONDS: i64 = 12 * 60 * 60;

/// Amazon ECR. It ends when this is dropped.
#[derive(Debug)]
pub struct Ecr {
    address: SocketAddr,
    shared: Arc<EcrState>,
    server: JoinHandle<()>,
}

/// A token at its end is refused so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EcrRefusal {
    /// By 401.
    Unauthorized,
    /// By 403 and words, as ECR does.
    Expired,
}

#[derive(Debug)]
struct EcrState {
    moto: String,
    registry: String,
    client: reqwest::Client,
    calls: usize,
    refusal: EcrRefusal,
    /// The authorizations that were given, and the calls that are left to each.
    tokens: Mutex<HashMap<String, usize>>,
    /// The operations of the API that were called.
    operations: Mutex<Vec<String>>,
}

impl Ecr {
    /// ECR with the API of moto before the registry at an address, `host:port`. The first token is good for so
    /// many calls, later ones last; with 0 none is good.
    pub async fn start(moto: &Moto, registry: &str, calls: usize, refusal: EcrRefusal) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(EcrState {
            moto: moto.url().to_owned(),
            registry: registry.to_owned(),
            client: crate::http::direct_client().clone(),
            calls,
            refusal,
            tokens: Mutex::default(),
            operations: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // Ends with the task, and only then.
            let _ = axum::serve(listener, router).await;
        });
        Self { address, shared, server }
    }

    /// Returns the address of API and registry, `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The host that a registry of ECR has.
    pub fn host() -> String {
        format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com")
    }

    /// The number of calls of an operation so far.
    pub fn calls_of(&self, operation: &str) -> usize {
        lock(&self.shared.operations).iter().filter(|called| *called == operation).count()
    }

    /// The repositories that exist, as the API describes them.
    pub async fn repositories(&self) -> Vec<Value> {
        let described = self.shared.call("DescribeRepositories", &json!({})).await.expect("a list of repositories");
        described["repositories"].as_array().cloned().unwrap_or_default()
    }

    /// The tags of a repository, by their keys.
    pub async fn tags(&self, arn: &str) -> Vec<Value> {
        let listed = self.shared.call("ListTagsForResource", &json!({"resourceArn": arn})).await.expect("its tags");
        let mut tags = listed["tags"].as_array().cloned().unwrap_or_default();
        tags.sort_by_key(|tag| tag["Key"].to_string());
        tags
    }

    /// Deletes a repository.
    pub async fn delete(&self, repository: &str) {
        let body = json!({"repositoryName": repository, "force": true});
        self.shared.call("DeleteRepository", &body).await.expect("a repository that goes");
    }
}

impl Drop for Ecr {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl EcrState {
    async fn call(&self, operation: &str, body: &Value) -> Option<Value> {
        call(&self.client, &self.moto, ("ecr", &format!("{API}{operation}")), body).await
    }

    /// Whether a request has a token that is still good.
    fn lets_through(&self, request: &Request<Body>) -> bool {
        let shown = request.headers().get(AUTHORIZATION).and_then(|shown| shown.to_str().ok());
        let mut tokens = lock(&self.tokens);
        let Some(calls) = shown.and_then(|shown| tokens.get_mut(shown)).filter(|calls| **calls > 0) else {
            return false;
        };
        *calls -= 1;
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(shared): State<Arc<EcrState>>, request: Request<Body>) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    match target.and_then(|target| target.strip_prefix(API)).map(str::to_owned) {
        Some(operation) => answer_api(&shared, &operation, request).await,
        None => answer_registry(&shared, request).await,
    }
}

async fn answer_api(shared: &EcrState, operation: &str, request: Request<Body>) -> Response {
    lock(&shared.operations).push(operation.to_owned());
    if operation == "GetAuthorizationToken" {
        let mut tokens = lock(&shared.tokens);
        let token = STANDARD.encode(format!("AWS:token-{}", tokens.len()));
        let calls = if tokens.is_empty() || shared.calls == 0 { shared.calls } else { usize::MAX };
        tokens.insert(format!("Basic {token}"), calls);
        let end = jiff::Timestamp::now().as_second() + TOKEN_SECONDS;
        let data = json!({"authorizationToken": token, "expiresAt": end, "proxyEndpoint": Ecr::host()});
        return answer_json(StatusCode::OK, &json!({"authorizationData": [data]}));
    }
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if operation == "CreateRepository" && shared.call("DescribeRepositories", &by_name(&body)).await.is_some() {
        return answer_json(StatusCode::BAD_REQUEST, &json!({"__type": "RepositoryAlreadyExistsException"}));
    }
    match shared.call(operation, &body).await {
        Some(answer) => answer_json(StatusCode::OK, &answer),
        None => answer_json(StatusCode::BAD_REQUEST, &json!({"__type": "InvalidParameterException"})),
    }
}

fn by_name(body: &Value) -> Value {
    json!({"repositoryNames": [body["repositoryName"]]})
}

async fn answer_registry(shared: &EcrState, request: Request<Body>) -> Response {
    if !shared.lets_through(&request) {
        return match shared.refusal {
            EcrRefusal::Unauthorized => StatusCode::UNAUTHORIZED.into_response(),
            EcrRefusal::Expired => {
                let words = "Your Authorization Token has expired. Please run 'aws ecr get-login' to fetch a new one.";
                answer_json(StatusCode::FORBIDDEN, &error("DENIED", words))
            }
        };
    }
    let path = request.uri().path().strip_prefix("/v2/").unwrap_or_default();
    let end = ["/blobs/", "/manifests/", "/tags/"].iter().find_map(|part| path.find(part)).unwrap_or(path.len());
    let repository = &path[..end];
    if shared.call("DescribeRepositories", &json!({"repositoryNames": [repository]})).await.is_none() {
        let words =
            format!("The repository with name '{repository}' does not exist in the registry with id '{ACCOUNT}'");
        return answer_json(StatusCode::NOT_FOUND, &error("NAME_UNKNOWN", &words));
    }
    if let Some(words) = broken_rule(&request, repository, &path[end..]) {
        return answer_json(StatusCode::BAD_REQUEST, &error("UNSUPPORTED", words));
    }
    forward(&shared.client, &shared.registry, request).await
}

/// The rule of ECR that a push breaks, if any (its API reference: `CreateRepository`, `Image`, `ImageIdentifier`).
fn broken_rule(request: &Request<Body>, repository: &str, rest: &str) -> Option<&'static str> {
    let is_name = |part: &str| {
        let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.split(['.', '_', '-']).all(|word| !word.is_empty() && word.chars().all(small))
    };
    if !(2..=256).contains(&repository.len()) || !repository.split('/').all(is_name) {
        return Some("the name of the repository is not accepted");
    }
    if request.method() != axum::http::Method::PUT {
        return None;
    }
    let header = |name| request.headers().get(name)?.to_str().ok();
    let length: u64 = header(CONTENT_LENGTH).and_then(|length| length.parse().ok()).unwrap_or(u64::MAX);
    let Some(reference) = rest.strip_prefix("/manifests/") else {
        return (length == 0).then_some("a layer has no bytes");
    };
    let is_tag = |tag: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        (1..=128).contains(&tag.len()) && tag.chars().all(known) && !tag.starts_with(['.', '-'])
    };
    if !reference.starts_with("sha256:") && !is_tag(reference) {
        return Some("the tag is not accepted");
    }
    if length > 4 << 20 {
        return Some("the manifest has more than 4 MiB");
    }
    (header(CONTENT_TYPE) != Some("application/vnd.oci.image.manifest.v1+json"))
        .then_some("the media type of the manifest is not accepted")
}

fn error(code: &str, message: &str) -> Value {
    json!({"errors": [{"code": code, "message": message}]})
}

fn answer_json(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
