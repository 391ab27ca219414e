//! The APIs of the hosts: a row for each kind.

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json};
use url::Url;

use super::status::{CommitState, CommitStatus};
use crate::digest::CommitSha;
use crate::git::RepositoryUrl;
use crate::text::url_segment;

/// Longest part of an answer in a message, in characters.
const MESSAGE: usize = 200;

/// A call that writes.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) method: Method,
    /// Its path below that of the repository in the API.
    pub(super) path: String,
    pub(super) body: Value,
}

/// The answer of an API, and the API.
pub(super) type ApiAnswer = (&'static HostApi, Response<Bytes>);

/// The API of a kind of host.
#[derive(Debug)]
pub(super) struct HostApi {
    /// Its name in `STATUS_TOKEN`.
    kind: &'static str,
    /// Its name for people.
    pub(super) title: &'static str,
    /// The scheme of its `Authorization` header.
    pub(super) authorization: &'static str,
    /// The permission that commit statuses need.
    pub(super) permission: &'static str,
    /// The path of a repository in the API, or `None` when its URL is none of such a host.
    repository: fn(&RepositoryUrl) -> Option<String>,
    /// The path of a status below it.
    status: fn(&CommitSha) -> String,
    /// The body of a status, by the status and the URL of the repository.
    status_body: fn(&CommitStatus<'_>, &str) -> Value,
    pub(super) comments: Option<Comments>,
}

/// The comments of an API.
#[derive(Debug)]
pub(super) struct Comments {
    /// The permission that they need.
    pub(super) permission: &'static str,
    /// The path of all comments of a proposal.
    all: fn(u64) -> String,
    /// The path of a comment, by the numbers of its proposal and its own.
    one: fn(u64, u64) -> String,
    /// The method that changes one.
    change: fn() -> Method,
    body: fn(&str) -> Value,
}

/// GitHub's API, which has a client of its own.
pub(super) static GITHUB: HostApi = HostApi {
    // <https://docs.github.com/en/rest/commits/statuses>, <https://docs.github.com/en/rest/issues/comments>
    kind: "",
    title: "GitHub",
    permission: "the permission \"Commit statuses: write\"",
    comments: Some(Comments { permission: "the permission \"Pull requests: write\"", ..COMMENTS_OF_GITEA }),
    ..OF_GITEA
};

/// Every other kind of host.
static APIS: [HostApi; 5] = [
    HostApi {
        // <https://docs.gitlab.com/api/commits/#set-the-pipeline-status-of-a-commit>, <https://docs.gitlab.com/api/notes/>
        kind: "gitlab",
        title: "GitLab",
        authorization: "Bearer",
        permission: "the scope api and the role Developer",
        repository: |repository| Some(format!("/api/v4/projects/{}", url_segment(repository.path()))),
        status: |commit| format!("/statuses/{commit}"),
        status_body: |status, _| {
            let CommitStatus { context, state, description, target_url } = status;
            let state = match state {
                CommitState::Pending => "pending",
                CommitState::Success => "success",
                CommitState::Failure | CommitState::Error => "failed",
            };
            json!({ "state": state, "name": context.name(), "description": description, "target_url": target_url })
        },
        comments: Some(Comments {
            permission: "the scope api and the role Reporter",
            all: |proposal| format!("/merge_requests/{proposal}/notes"),
            one: |proposal, comment| format!("/merge_requests/{proposal}/notes/{comment}"),
            change: || Method::PUT,
            body: |text| json!({ "body": text }),
        }),
    },
    HostApi { kind: "gitea", title: "Gitea", ..OF_GITEA },
    HostApi { kind: "forgejo", title: "Forgejo", ..OF_GITEA },
    HostApi {
        // <https://developer.atlassian.com/cloud/bitbucket/rest/>, "Commit statuses" and "Pull requests"
        kind: "bitbucket",
        title: "Bitbucket Cloud",
        authorization: "Bearer",
        permission: "the scope repository:write",
        repository: |repository| Some(format!("/2.0/repositories/{}", repository.path())),
        status: |commit| format!("/commit/{commit}/statuses/build"),
        status_body: body_of_bitbucket,
        comments: Some(Comments {
            permission: "the scope pullrequest:write",
            all: |proposal| format!("/pullrequests/{proposal}/comments"),
            one: |proposal, comment| format!("/pullrequests/{proposal}/comments/{comment}"),
            change: || Method::PUT,
            body: |text| json!({ "content": { "raw": text } }),
        }),
    },
    HostApi {
        // <https://developer.atlassian.com/server/bitbucket/rest/>, "Build status"
        kind: "bitbucket-data-center",
        title: "Bitbucket Data Center",
        authorization: "Bearer",
        permission: "the permission \"Repository read\"",
        repository: |repository| {
            let path = format!("/{}", repository.path());
            let (context, _) = path.split_once("/scm/")?;
            Some(format!("{context}/rest/build-status/1.0"))
        },
        status: |commit| format!("/commits/{commit}"),
        status_body: body_of_bitbucket,
        // A change of a comment needs the number of its version.
        comments: None,
    },
];

/// Gitea's API, which Forgejo has kept (<https://docs.gitea.com/api>), and which is GitHub's here.
const OF_GITEA: HostApi = HostApi {
    kind: "",
    title: "",
    authorization: "token",
    permission: "the permission write:repository",
    repository: |repository| {
        // The host may be below a path.
        let (rest, name) = repository.path().rsplit_once('/')?;
        let (context, owner) =
            rest.rsplit_once('/').map_or((String::new(), rest), |(path, owner)| (format!("/{path}"), owner));
        Some(format!("{context}/api/v1/repos/{owner}/{name}"))
    },
    status: |commit| format!("/statuses/{commit}"),
    status_body: |status, _| {
        let CommitStatus { context, state, description, target_url } = status;
        json!({ "state": state, "context": context.name(), "description": description, "target_url": target_url })
    },
    comments: Some(COMMENTS_OF_GITEA),
};

const COMMENTS_OF_GITEA: Comments = Comments {
    permission: "the permission write:issue",
    all: |proposal| format!("/issues/{proposal}/comments"),
    one: |_, comment| format!("/issues/comments/{comment}"),
    change: || Method::PATCH,
    body: |text| json!({ "body": text }),
};

/// A link is obligatory, and there is one kind of failure.
fn body_of_bitbucket(status: &CommitStatus<'_>, repository_url: &str) -> Value {
    let CommitStatus { context, state, description, target_url } = status;
    let state = match state {
        CommitState::Pending => "INPROGRESS",
        CommitState::Success => "SUCCESSFUL",
        CommitState::Failure | CommitState::Error => "FAILED",
    };
    let (name, url) = (context.name(), target_url.unwrap_or(repository_url));
    json!({ "key": name, "name": name, "state": state, "description": description, "url": url })
}

impl HostApi {
    /// The call that shows a status.
    pub(super) fn status(&self, commit: &CommitSha, status: &CommitStatus<'_>, repository_url: &str) -> Write {
        Write { method: Method::POST, path: (self.status)(commit), body: (self.status_body)(status, repository_url) }
    }

    /// The URL of a path below a repository.
    pub(super) fn url(&self, repository: &RepositoryUrl, path: &str) -> Option<Url> {
        let mut url = repository.url().clone();
        if url.host_str() == Some("bitbucket.org") {
            url.set_host(Some("api.bitbucket.org")).ok()?;
        }
        url.set_path(&format!("{}{path}", (self.repository)(repository)?));
        Some(url)
    }
}

impl Comments {
    /// The call that writes a comment on a proposal.
    pub(super) fn create(&self, proposal: u64, text: &str) -> Write {
        Write { method: Method::POST, path: (self.all)(proposal), body: (self.body)(text) }
    }

    /// The call that changes one.
    pub(super) fn change(&self, proposal: u64, comment: u64, text: &str) -> Write {
        Write { method: (self.change)(), path: (self.one)(proposal, comment), body: (self.body)(text) }
    }
}

/// The begin of a body, for messages.
pub(super) fn message(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().take(MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A text is not `KIND:TOKEN`. The message leaves out the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not KIND:TOKEN, where KIND is gitlab, gitea, forgejo, bitbucket or bitbucket-data-center")]
pub struct InvalidStatusToken;

/// Splits `KIND:TOKEN`.
pub(super) fn split(text: &str) -> Result<(&'static HostApi, &str), InvalidStatusToken> {
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
    use super::super::status::StatusContext;
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
            let status = CommitStatus {
                context: StatusContext::Preview,
                state: CommitState::Failure,
                description: "1 quarantined",
                target_url: None,
            };
            let Write { path, body, .. } = api.status(&COMMIT.parse().unwrap(), &status, repository.url().as_str());
            assert_eq!(api.url(&repository, &path).unwrap().as_str(), url, "{kind}");
            assert_eq!((&body["state"], &body["description"]), (&json!(failure), &json!("1 quarantined")), "{kind}");
            assert!(body["url"].is_string() || body.get("target_url").is_some(), "{body}");
            let name = body.get("context").or(body.get("name"));
            assert_eq!(name, Some(&json!("devfile-registry/preview")), "{kind}");
        }
        let data_center = split("bitbucket-data-center:x").unwrap().0;
        assert_eq!(data_center.url(&"https://git.example.org/a/b".parse().unwrap(), "/commits"), None);
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
