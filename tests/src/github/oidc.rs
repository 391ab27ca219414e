//! The OIDC provider of GitHub Actions.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::reply;
use super::{Asked, Shared};

/// Returns the document with the URL of the keys.
pub(super) fn discovery(asked: &Asked) -> Response {
    let issuer = asked.base_url();
    let body = json!({
        "issuer": issuer, "jwks_uri": format!("{issuer}/.well-known/jwks"),
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    reply::json(StatusCode::OK, &body)
}

/// The claims of a token for a workflow that runs on a push to a branch
/// (<https://docs.github.com/en/actions/reference/security/oidc>).
pub(super) fn claims(shared: &Shared, issuer: &str, branch: &str, audience: &str) -> Value {
    let now = jiff::Timestamp::now().as_second();
    let full_name = shared.full_name();
    let workflow = format!("{full_name}/.github/workflows/publish.yaml@refs/heads/{branch}");
    json!({
        "iss": issuer, "aud": audience, "sub": format!("repo:{full_name}:ref:refs/heads/{branch}"),
        "iat": now, "nbf": now - 300, "exp": now + 300, "jti": super::access::random_token("jti"),
        "repository": full_name, "repository_id": shared.repository_id.to_string(),
        "repository_owner": shared.owner, "ref": format!("refs/heads/{branch}"), "ref_type": "branch",
        "event_name": "push", "workflow_ref": workflow, "job_workflow_ref": workflow,
    })
}
