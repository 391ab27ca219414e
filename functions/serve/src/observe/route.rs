//! Which route a path belongs to, for logs and metrics: a closed list, so that no client can make up new ones.

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
    Stacks,
    Viewer,
    Other,
}

impl Route {
    /// The route of a path as it was sent. Percent-encoded spellings of fixed names are not worth a look.
    pub(crate) fn of(path: &str) -> Self {
        let segments: Vec<&str> = path.split('/').skip(1).take(7).collect();
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
            ["v2"] | ["v2", ""] => Self::Oci,
            ["v2", "_catalog"] => Self::OciCatalog,
            ["v2", _, _, "tags", "list"] => Self::OciTags,
            ["v2", _, _, "manifests", _] => Self::OciManifest,
            ["v2", _, _, "blobs", _] => Self::OciBlob,
            ["v2", _, _, "referrers", _] => Self::OciReferrers,
            ["stacks", ..] => Self::Stacks,
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
            Self::StarterProject => "/devfiles/{name}/starter-projects/{project}",
            Self::StarterProjectVersion => "/devfiles/{name}/{version}/starter-projects/{project}",
            Self::Oci => "/v2/",
            Self::OciCatalog => "/v2/_catalog",
            Self::OciTags => "/v2/{name}/tags/list",
            Self::OciManifest => "/v2/{name}/manifests/{reference}",
            Self::OciBlob => "/v2/{name}/blobs/{digest}",
            Self::OciReferrers => "/v2/{name}/referrers/{digest}",
            Self::Stacks => "/stacks/{path}",
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
            ("/devfiles/go/starter-projects/x", "/devfiles/{name}/starter-projects/{project}"),
            ("/devfiles/go/1.0.0/starter-projects/x", "/devfiles/{name}/{version}/starter-projects/{project}"),
            ("/v2/devfile-catalog/go/manifests/2.2.0", "/v2/{name}/manifests/{reference}"),
            ("/stacks/a/b/c/d/e/f/g/h/i", "/stacks/{path}"),
            ("/v2/a/b/c/d/e/f/g/h", "other"),
            ("/index/all/", "other"),
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
            let is_oci = pattern.starts_with("/v2/");
            assert!(is_oci || Route::of(pattern).pattern() == pattern, "{pattern}");
        }
    }
}
