//! Which route a path belongs to, for logs and metrics: a closed list, so that no client can make up new ones.

use devfile_registry::artifact::CATALOG;

use crate::http::path as paths;

/// The pattern of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Root,
    Health,
    Status,
    OpenApi,
    IndexJson,
    Index,
    IndexOfType,
    V2Index,
    V2IndexOfType,
    Devfile,
    DevfileVersion,
    StarterProject,
    StarterProjectVersion,
    Oci,
    OciCatalog,
    OciTags,
    OciManifest,
    OciBlob,
    OciReferrers,
    StackFile,
    StackVersionFile,
    Viewer,
    Other,
}

impl Route {
    /// The route of a path as it was sent. Percent-encoded spellings of fixed names are not worth a look.
    pub(crate) fn of(path: &str) -> Self {
        let segments: Vec<&str> = paths::segments(path).take(7).collect();
        match segments.as_slice() {
            [""] => Self::Root,
            ["health"] => Self::Health,
            ["status"] => Self::Status,
            ["openapi.json"] => Self::OpenApi,
            ["index.json"] => Self::IndexJson,
            ["index"] => Self::Index,
            ["index", _] => Self::IndexOfType,
            ["v2index"] => Self::V2Index,
            ["v2index", _] => Self::V2IndexOfType,
            ["devfiles", _] => Self::Devfile,
            ["devfiles", _, _] => Self::DevfileVersion,
            ["devfiles", _, "starter-projects", _] => Self::StarterProject,
            ["devfiles", _, _, "starter-projects", _] => Self::StarterProjectVersion,
            ["v2"] => Self::Oci,
            ["v2", "_catalog"] => Self::OciCatalog,
            ["v2", CATALOG, _, "tags", "list"] => Self::OciTags,
            ["v2", CATALOG, _, "manifests", _] => Self::OciManifest,
            ["v2", CATALOG, _, "blobs", _] => Self::OciBlob,
            ["v2", CATALOG, _, "referrers", _] => Self::OciReferrers,
            ["stacks", _, _] => Self::StackFile,
            ["stacks", _, _, _, ..] => Self::StackVersionFile,
            ["viewer", ..] => Self::Viewer,
            _ => Self::Other,
        }
    }

    /// The pattern, as `/openapi.json` writes those that it has.
    pub(crate) fn pattern(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Health => "/health",
            Self::Status => "/status",
            Self::OpenApi => "/openapi.json",
            Self::IndexJson => "/index.json",
            Self::Index => "/index",
            Self::IndexOfType => "/index/{type}",
            Self::V2Index => "/v2index",
            Self::V2IndexOfType => "/v2index/{type}",
            Self::Devfile => "/devfiles/{name}",
            Self::DevfileVersion => "/devfiles/{name}/{version}",
            Self::StarterProject => "/devfiles/{name}/starter-projects/{starterProject}",
            Self::StarterProjectVersion => "/devfiles/{name}/{version}/starter-projects/{starterProject}",
            Self::Oci => "/v2/",
            Self::OciCatalog => "/v2/_catalog",
            Self::OciTags => "/v2/devfile-catalog/{stack}/tags/list",
            Self::OciManifest => "/v2/devfile-catalog/{stack}/manifests/{reference}",
            Self::OciBlob => "/v2/devfile-catalog/{stack}/blobs/{digest}",
            Self::OciReferrers => "/v2/devfile-catalog/{stack}/referrers/{digest}",
            Self::StackFile => "/stacks/{stack}/{file}",
            Self::StackVersionFile => "/stacks/{stack}/{version}/{file}",
            Self::Viewer => "/viewer/{path}",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, pattern) in [
            ("/", "/"),
            ("/v2index/all", "/v2index/{type}"),
            ("/devfiles/go/2.2.0", "/devfiles/{name}/{version}"),
            ("/devfiles/go/starter-projects/x", "/devfiles/{name}/starter-projects/{starterProject}"),
            ("/devfiles/go/1.0.0/starter-projects/x", "/devfiles/{name}/{version}/starter-projects/{starterProject}"),
            ("/v2/devfile-catalog/go/manifests/2.2.0", "/v2/devfile-catalog/{stack}/manifests/{reference}"),
            ("/stacks/a/b", "/stacks/{stack}/{file}"),
            ("/stacks/a/b/c/d/e/f/g/h/i", "/stacks/{stack}/{version}/{file}"),
            ("/v2/library/go/manifests/1", "other"),
            ("/v2/a/b/c/d/e/f/g/h", "other"),
            ("/health/", "/health"),
            ("/index/all/", "/index/{type}"),
            ("/devfiles/go/", "/devfiles/{name}"),
            ("/devfiles/go/1.0.0/", "/devfiles/{name}/{version}"),
            ("/v2", "/v2/"),
            ("/v2/", "/v2/"),
            ("/v2/devfile-catalog/go/tags/list/", "/v2/devfile-catalog/{stack}/tags/list"),
            ("//", "other"),
            ("/health//", "other"),
            ("/<script>", "other"),
            ("*", "other"),
        ] {
            assert_eq!(Route::of(path).pattern(), pattern, "{path}");
        }
    }

    #[test]
    fn patterns_are_those_of_the_description() {
        let document = crate::openapi::document();
        for pattern in document["paths"].as_object().unwrap().keys() {
            assert_eq!(Route::of(pattern).pattern(), pattern);
        }
    }
}
