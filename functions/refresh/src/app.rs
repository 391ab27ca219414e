//! Triggers: direct invocations and `POST /refresh`, and the refresh that they cause.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use bytes::Bytes;
use devfile_registry::cache::{Cache, Patience};
use devfile_registry::limits;
use devfile_registry::publish::{PublishError, Publisher, Report};
use devfile_registry::registry::OciRegistry;
use devfile_registry::timestamp::Timestamp;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;

use crate::auth::webhook::WebhookSecret;
use crate::config::Config;
use crate::observe;
use crate::source::Repository;

/// A direct invocation of the function.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// Make the head of the repository live.
    Refresh,
}

/// Everything that a trigger needs.
#[derive(Debug)]
pub struct App {
    publisher: Option<Publisher<Repository, OciRegistry, Cache>>,
    secret: Option<WebhookSecret>,
}

/// Why an action was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// There is nothing to refresh from.
    #[error("dynamic updates are off: REGISTRY_REPO_URL is not set")]
    Off,
    /// A server failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl App {
    /// Builds the clients.
    pub async fn new(config: Config) -> Self {
        let bucket = Cache::from_env(&config.bucket, Patience::Writer).await;
        let registry = OciRegistry::new(config.registry, config.credentials);
        let publisher = config.repository.map(|source| Publisher {
            source,
            registry,
            bucket,
            strictness: config.strictness,
            clock: || Timestamp::from_instant(jiff::Timestamp::now()),
        });
        if publisher.is_none() {
            tracing::warn!("dynamic updates are off: REGISTRY_REPO_URL is not set");
        }
        Self { publisher, secret: config.secret }
    }

    /// Carries an action out.
    ///
    /// # Errors
    /// [`ActionError`]; the release that was live still is.
    pub async fn act(&self, action: Action) -> Result<Report, ActionError> {
        let Action::Refresh = action;
        let publisher = self.publisher.as_ref().ok_or(ActionError::Off)?;
        Ok(observe::refresh(publisher.refresh()).await?)
    }

    /// Answers a request; there is always an answer.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let message = |status, text: &str| json(status, &serde_json::json!({"status": text}));
        if parts.uri.path() != "/refresh" {
            return message(StatusCode::NOT_FOUND, "there is nothing at this path");
        }
        if parts.method != Method::POST {
            return message(StatusCode::METHOD_NOT_ALLOWED, "send a POST request");
        }
        let Ok(body) = Limited::new(body, limits::REQUEST_BODY_BYTES).collect().await else {
            return message(StatusCode::PAYLOAD_TOO_LARGE, "the body is cut off or too large");
        };
        if !self.is_signed(&parts.headers, &body.to_bytes()) {
            return message(StatusCode::UNAUTHORIZED, "not authenticated");
        }
        match self.act(Action::Refresh).await {
            Ok(report) => json(StatusCode::OK, &report),
            Err(error) => message(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }

    fn is_signed(&self, headers: &HeaderMap, body: &Bytes) -> bool {
        let signature = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok());
        let verified = self.secret.as_ref().map(|secret| secret.verify(signature, body));
        match verified {
            Some(Ok(())) => true,
            Some(Err(reason)) => {
                tracing::info!(%reason, "refused");
                false
            }
            None => false,
        }
    }
}

fn json(status: StatusCode, document: &impl serde::Serialize) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::to_string(document).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
