//! The state that scripts set and read from outside, below `/_control/`:
//!
//! | call | does |
//! |---|---|
//! | `POST faults` `{"path": "*/git-upload-pack", "kind": "status", "status": 502, "times": 2}` | plans a [`Fault`](super::Fault) |
//! | `DELETE faults` | takes all back |
//! | `GET statuses` | lists the commit statuses |
//! | `POST oidc-token` `{"branch": "main", "audience": "..."}` | makes a token, with `claims` to change some |
//! | `POST deliver` `{"url": "...", "secret": "..."}` | delivers the push of the branch head |

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::faults::Planned;
use super::reply::{self, Refusal};
use super::{Asked, GitHubState, Webhook, lock, oidc};

#[derive(Deserialize)]
struct Token {
    branch: String,
    audience: String,
    #[serde(default)]
    claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Delivery {
    url: String,
    secret: String,
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
        (Method::GET, ["statuses"]) => lock(&shared.statuses).iter().cloned().collect(),
        (Method::POST, ["oidc-token"]) => {
            let Token { branch, audience, claims: changed } = read(asked)?;
            let mut claims = oidc::claims(shared, &asked.base_url(), &branch, &audience);
            if let Value::Object(claims) = &mut claims {
                claims.extend(changed);
            }
            json!({ "value": shared.oidc.sign(&claims)? })
        }
        (Method::POST, ["deliver"]) => {
            let Delivery { url, secret } = read(asked)?;
            let (status, answer) = shared.deliver_head(&Webhook { url, secret }).await?;
            json!({ "status": status, "answer": answer })
        }
        _ => return Err(Refusal::not_found()),
    };
    Ok(reply::json(StatusCode::OK, &body))
}

fn read<T: DeserializeOwned>(asked: &Asked) -> Result<T, Refusal> {
    serde_json::from_slice(&asked.body).map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))
}
