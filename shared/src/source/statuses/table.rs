//! The APIs of commit statuses: a row for each kind of host.

use serde_json::{Value, json};
use url::Url;

use crate::digest::CommitSha;
use crate::git::RepositoryUrl;
use crate::source::github::CommitState;
use crate::text::url_segment;

/// The name under which the state is shown.
const CONTEXT: &str = "devfile-registry";

/// A state to show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status<'a> {
    pub(super) state: CommitState,
    pub(super) description: &'a str,
    pub(super) target_url: Option<&'a str>,
    /// A link where the host demands one.
    pub(super) repository_url: &'a str,
}

/// The API of a kind of host.
#[derive(Debug)]
pub(super) struct Api {
    /// Its name in `STATUS_TOKEN`.
    pub(super) kind: &'static str,
    /// Its name for people.
    pub(super) title: &'static str,
    /// The scheme of its `Authorization` header.
    pub(super) authorization: &'static str,
    /// The permission that a token needs.
    pub(super) permission: &'static str,
    /// The path of a call, or `None` when the path of the repository is none of such a host.
    path: fn(&RepositoryUrl, &CommitSha) -> Option<String>,
    /// The body of a call.
    pub(super) body: fn(&Status<'_>) -> Value,
}

/// Every kind of host but GitHub, whose API has a client of its own.
pub(super) static APIS: [Api; 5] = [
    Api {
        // <https://docs.gitlab.com/api/commits/#set-the-pipeline-status-of-a-commit>
        kind: "gitlab",
        title: "GitLab",
        authorization: "Bearer",
        permission: "the scope api and the role Developer",
        path: |repository, commit| {
            Some(format!("/api/v4/projects/{}/statuses/{commit}", url_segment(repository.path())))
        },
        body: |status| {
            let state = match status.state {
                CommitState::Pending => "pending",
                CommitState::Success => "success",
                CommitState::Failure | CommitState::Error => "failed",
            };
            json!({ "state": state, "name": CONTEXT, "description": status.description, "target_url": status.target_url })
        },
    },
    Api { kind: "gitea", title: "Gitea", ..OF_GITEA },
    Api { kind: "forgejo", title: "Forgejo", ..OF_GITEA },
    Api {
        // <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/>
        kind: "bitbucket",
        title: "Bitbucket Cloud",
        authorization: "Bearer",
        permission: "the scope repository:write",
        path: |repository, commit| {
            Some(format!("/2.0/repositories/{}/commit/{commit}/statuses/build", repository.path()))
        },
        body: bitbucket_body,
    },
    Api {
        // <https://developer.atlassian.com/server/bitbucket/rest/>, "Build status"
        kind: "bitbucket-data-center",
        title: "Bitbucket Data Center",
        authorization: "Bearer",
        permission: "the permission \"Repository read\"",
        path: |repository, commit| {
            let path = format!("/{}", repository.path());
            let (context, _) = path.split_once("/scm/")?;
            Some(format!("{context}/rest/build-status/1.0/commits/{commit}"))
        },
        body: bitbucket_body,
    },
];

/// Gitea's API, which Forgejo has kept (<https://docs.gitea.com/api>, "Create a commit status").
const OF_GITEA: Api = Api {
    kind: "",
    title: "",
    authorization: "token",
    permission: "the permission write:repository",
    path: |repository, commit| {
        // The host may be below a path.
        let (rest, name) = repository.path().rsplit_once('/')?;
        let (context, owner) =
            rest.rsplit_once('/').map_or((String::new(), rest), |(path, owner)| (format!("/{path}"), owner));
        Some(format!("{context}/api/v1/repos/{owner}/{name}/statuses/{commit}"))
    },
    body: |status| {
        let Status { state, description, target_url, .. } = status;
        json!({ "state": state, "context": CONTEXT, "description": description, "target_url": target_url })
    },
};

/// A link is obligatory, and there is one kind of failure.
fn bitbucket_body(status: &Status<'_>) -> Value {
    let state = match status.state {
        CommitState::Pending => "INPROGRESS",
        CommitState::Success => "SUCCESSFUL",
        CommitState::Failure | CommitState::Error => "FAILED",
    };
    let url = status.target_url.unwrap_or(status.repository_url);
    json!({ "key": CONTEXT, "name": CONTEXT, "state": state, "description": status.description, "url": url })
}

impl Api {
    /// The URL of a call about a commit.
    pub(super) fn url(&self, repository: &RepositoryUrl, commit: &CommitSha) -> Option<Url> {
        let mut url = repository.url().clone();
        if url.host_str() == Some("bitbucket.org") {
            url.set_host(Some("api.bitbucket.org")).ok()?;
        }
        url.set_path(&(self.path)(repository, commit)?);
        Some(url)
    }
}

/// A text is not `KIND:TOKEN`. The message leaves out the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not KIND:TOKEN, where KIND is gitlab, gitea, forgejo, bitbucket or bitbucket-data-center")]
pub struct InvalidStatusToken;

/// Splits `KIND:TOKEN`.
pub(super) fn split(text: &str) -> Result<(&'static Api, &str), InvalidStatusToken> {
    let (kind, token) = text.trim().split_once(':').ok_or(InvalidStatusToken)?;
    let is_plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let api = APIS.iter().find(|api| api.kind == kind).filter(|_| is_plain);
    Ok((api.ok_or(InvalidStatusToken)?, token))
}

/// Checks the text of a token.
///
/// # Errors
/// [`InvalidStatusToken`]
pub fn check_token(text: &str) -> Result<(), InvalidStatusToken> {
    split(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    #[test]
    fn call_has_the_url_and_the_body_of_its_host() {
        let gitlab = "https://gitlab.example.org/api/v4/projects/a%2Fb%2Fregistry/statuses";
        for (kind, repository, url, failure) in [
            ("gitlab", "https://gitlab.example.org/a/b/registry.git", format!("{gitlab}/{COMMIT}"), "failed"),
            (
                "gitea",
                "https://git.example.org/clay/registry",
                format!("https://git.example.org/api/v1/repos/clay/registry/statuses/{COMMIT}"),
                "failure",
            ),
            (
                "forgejo",
                "https://example.org/git/clay/registry",
                format!("https://example.org/git/api/v1/repos/clay/registry/statuses/{COMMIT}"),
                "failure",
            ),
            (
                "bitbucket",
                "https://bitbucket.org/clay/registry",
                format!("https://api.bitbucket.org/2.0/repositories/clay/registry/commit/{COMMIT}/statuses/build"),
                "FAILED",
            ),
            (
                "bitbucket-data-center",
                "https://git.example.org/bitbucket/scm/clay/registry.git",
                format!("https://git.example.org/bitbucket/rest/build-status/1.0/commits/{COMMIT}"),
                "FAILED",
            ),
        ] {
            let text = format!("{kind}:a:token");
            let (api, token) = split(&text).unwrap();
            assert_eq!(token, "a:token");
            let repository: RepositoryUrl = repository.parse().unwrap();
            assert_eq!(api.url(&repository, &COMMIT.parse().unwrap()).unwrap().as_str(), url, "{kind}");
            let status = Status {
                state: CommitState::Failure,
                description: "1 quarantined",
                target_url: None,
                repository_url: repository.url().as_str(),
            };
            let body = (api.body)(&status);
            assert_eq!((&body["state"], &body["description"]), (&json!(failure), &json!("1 quarantined")), "{kind}");
            assert!(body["url"].is_string() || body.get("target_url").is_some(), "{body}");
        }
        let data_center = split("bitbucket-data-center:x").unwrap().0;
        assert_eq!(data_center.url(&"https://git.example.org/a/b".parse().unwrap(), &COMMIT.parse().unwrap()), None);
    }

    #[test]
    fn token_without_a_known_kind_is_refused_without_its_text() {
        for text in ["", "s3cret", "gitlab", "gitlab:", "gitlab:s3 cret", "gitlab:s3\ncret", "svn:s3cret"] {
            let error = check_token(text).unwrap_err().to_string();
            assert!(!error.contains("cret"), "{error}");
        }
        assert_eq!(check_token(" forgejo:token\n"), Ok(()));
    }
}
