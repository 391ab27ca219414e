//! The state that scripts set and read from outside, below `/_control/`:
//!
//! | call | does |
//! |---|---|
//! | `POST faults` `{"path": "*/git-upload-pack", "kind": "status", "status": 502, "times": 2}` | plans a [`Fault`](super::Fault) |
//! | `DELETE faults` | takes all back |
//! | `GET statuses` | lists the commit statuses, those by the API of another host last |
//! | `GET comments` | lists the texts of comments, likewise |
//! | `POST oidc-token` `{"branch": "main", "audience": "..."}` | makes a token, with `claims` to change some |
//! | `POST deliver` `{"url": "...", "secret": "..."}` | delivers the push of the branch head |
//! | `POST proposal` `{"number": 7, "branch": "glaze", "action": "opened", "url": "...", "secret": "..."}` | opens a proposal, or says that it was `pushed`, `labelled` or `closed`; `merged` merges it into the branch that is checked out, and delivers the push as well |
//!
//! A `url` that ends with `/webhooks/gitlab` gets the events of GitLab.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::faults::Planned;
use super::proposal::Change;
use super::reply::{self, Refusal};
use super::{Asked, GitHubState, Webhook, lock, oidc};

#[derive(Deserialize)]
struct Token {
    branch: String,
    audience: String,
    #[serde(default)]
    claims: Map<String, Value>,
}

pub(super) async fn answer(shared: &GitHubState, asked: &Asked, path: &[&str]) -> Result<Response, Refusal> {
    let body = match (asked.method.clone(), path) {
        (Method::POST, ["faults"]) => {
            shared.faults.plan(read::<Planned>(asked)?);
            json!({})
        }
        (Method::DELETE, ["faults"]) => {
            shared.faults.clear();
            json!({})
        }
        (Method::GET, ["statuses"]) => {
            let of_others = shared.written.statuses().into_iter().map(|(_, status)| status);
            lock(&shared.statuses).iter().cloned().chain(of_others).collect()
        }
        (Method::GET, ["comments"]) => {
            let of_others = shared.written.comments().into_iter().map(|(_, text)| text.into());
            lock(&shared.comments).iter().map(|comment| comment["body"].clone()).chain(of_others).collect()
        }
        (Method::POST, ["oidc-token"]) => {
            let Token { branch, audience, claims: changed } = read(asked)?;
            let mut claims = oidc::claims(shared, &asked.base_url(), &branch, &audience);
            if let Value::Object(claims) = &mut claims {
                claims.extend(changed);
            }
            json!({ "value": shared.oidc.sign(&claims)? })
        }
        (Method::POST, ["deliver"]) => {
            let (status, answer) = shared.deliver_head(&read::<Webhook>(asked)?).await?;
            json!({ "status": status, "answer": answer })
        }
        (Method::POST, ["proposal"]) => {
            let (status, answer) = shared.change(&read::<Change>(asked)?).await?;
            json!({ "status": status, "answer": answer })
        }
        _ => return Err(Refusal::not_found()),
    };
    Ok(reply::json(StatusCode::OK, &body))
}

fn read<T: DeserializeOwned>(asked: &Asked) -> Result<T, Refusal> {
    serde_json::from_slice(&asked.body).map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))
}
