//! The OIDC provider of GitHub Actions.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::reply;
use super::{Asked, GitHubState};

/// Returns the document with the URL of the keys. The issuer is that of GitHub Enterprise, or at the root one that has the URL of its instance, as GitLab has.
pub(super) fn discovery(asked: &Asked) -> Response {
    let below = asked.path.strip_suffix("/.well-known/openid-configuration").unwrap_or_default();
    let issuer = format!("{}{below}", asked.base_url());
    let body = json!({
        "issuer": issuer, "jwks_uri": format!("{}/.well-known/jwks", asked.base_url()),
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    reply::json(StatusCode::OK, &body)
}

/// The issuer of a server.
pub(super) fn issuer(url: &str) -> String {
    format!("{url}/_services/token")
}

/// The claims of a token for a workflow that runs on a push to a branch
/// (<https://docs.github.com/en/actions/reference/security/oidc>).
pub(super) fn claims(shared: &GitHubState, url: &str, branch: &str, audience: &str) -> Value {
    let issuer = issuer(url);
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
