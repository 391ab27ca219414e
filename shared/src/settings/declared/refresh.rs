//! The settings of refresh alone.

use crate::settings::{DefaultValue, Function, Setting, Template, Use};

/// `REGISTRY_REPO_URL`.
pub static REGISTRY_REPO_URL: Setting = Setting {
    name: "REGISTRY_REPO_URL",
    value: "the https URL of a Git repository, or a folder",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "https URL of the registry repository on any Git host, with `/tree/BRANCH` for another branch; or a local folder, as it is on disk",
        unset: "unset: dynamic updates are off",
    }],
};

/// `REGISTRY_REPO_BRANCH`.
pub static REGISTRY_REPO_BRANCH: Setting = Setting {
    name: "REGISTRY_REPO_BRANCH",
    value: "the name of a branch",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use { function: Function::Refresh, meaning: "the branch to follow", unset: "the default branch" }],
};

/// `GIT_CREDENTIALS`.
pub static GIT_CREDENTIALS: Setting = Setting {
    name: "GIT_CREDENTIALS",
    value: "HOST=USER:SECRET, several separated by commas",
    default: DefaultValue::Unset,
    template: Template::Secret,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "`HOST=USER:SECRET` for each Git host that wants credentials, separated by commas: for the registry repository, and for repositories on these hosts that it names. These hosts may have private addresses",
        unset: "none",
    }],
};

/// `GITHUB_TOKEN`.
pub static GITHUB_TOKEN: Setting = Setting {
    name: "GITHUB_TOKEN",
    value: "a token of GitHub",
    default: DefaultValue::Unset,
    template: Template::Secret,
    uses: &[Use { function: Function::Refresh, meaning: "a token for GitHub", unset: "none" }],
};

/// `GITHUB_API_URL`.
pub static GITHUB_API_URL: Setting = Setting {
    name: "GITHUB_API_URL",
    value: "the URL of a GitHub API",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "the URL of GitHub's API where that is not the usual one",
        unset: "`https://api.github.com`",
    }],
};

/// `GITHUB_APP_ID`.
pub static GITHUB_APP_ID: Setting = Setting {
    name: "GITHUB_APP_ID",
    value: "the id of a GitHub App",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "a GitHub App, in place of a token; together with `GITHUB_APP_KEY`",
        unset: "none",
    }],
};

/// `GITHUB_APP_KEY`.
pub static GITHUB_APP_KEY: Setting = Setting {
    name: "GITHUB_APP_KEY",
    value: "the private key of the GitHub App, in PEM",
    default: DefaultValue::Unset,
    template: Template::Secret,
    uses: &[Use { function: Function::Refresh, meaning: "its private key in PEM", unset: "none" }],
};

/// `STATUS_TOKEN`.
pub static STATUS_TOKEN: Setting = Setting {
    name: "STATUS_TOKEN",
    value: "KIND:TOKEN, such as gitlab:TOKEN",
    default: DefaultValue::Unset,
    template: Template::Secret,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "a token that writes commit statuses and comments on previews on another host than GitHub, as `KIND:TOKEN`; `KIND` is `gitlab`, `gitea`, `forgejo`, `bitbucket` or `bitbucket-data-center`",
        unset: "none: results show at commits on GitHub alone",
    }],
};

/// `OCI_REGISTRY`.
pub static OCI_REGISTRY: Setting = Setting {
    name: "OCI_REGISTRY",
    value: "the OCI registry (host, host:port or host/namespace), or STORE to a folder",
    default: DefaultValue::Required,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "`host[:port][/namespace]`; plain HTTP on loopback, otherwise HTTPS. `ACCOUNT.dkr.ecr.REGION.amazonaws.com/PREFIX` is Amazon ECR, which gives tokens to the function's role and where missing repositories are created. Not with `STORE`",
        unset: "",
    }],
};

/// `OCI_ENDPOINT`.
pub static OCI_ENDPOINT: Setting = Setting {
    name: "OCI_ENDPOINT",
    value: "an address and port of this machine, such as 127.0.0.1:5000",
    default: DefaultValue::Unset,
    template: Template::Unset,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "an address and port of this machine where the OCI registry is reached, without TLS; for tests and development alone",
        unset: "the host of `OCI_REGISTRY`",
    }],
};

/// `OCI_USERNAME`.
pub static OCI_USERNAME: Setting = Setting {
    name: "OCI_USERNAME",
    value: "a user name",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "user name for the OCI registry, together with `OCI_PASSWORD`; sent to the registry and, over https, to the token server that it names",
        unset: "anonymous",
    }],
};

/// `OCI_PASSWORD`.
pub static OCI_PASSWORD: Setting = Setting {
    name: "OCI_PASSWORD",
    value: "a password",
    default: DefaultValue::Unset,
    template: Template::Secret,
    uses: &[Use { function: Function::Refresh, meaning: "the password to it", unset: "anonymous" }],
};

/// `ECR_KMS_KEY`.
pub static ECR_KMS_KEY: Setting = Setting {
    name: "ECR_KMS_KEY",
    value: "a key of KMS: its ARN, its id or alias/NAME",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "the key of KMS, in the region of the registry, that encrypts repositories which are created in Amazon ECR",
        unset: "ECR's own, AES-256",
    }],
};

/// `ECR_TAGS`.
pub static ECR_TAGS: Setting = Setting {
    name: "ECR_TAGS",
    value: "KEY=VALUE, several separated by commas",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "tags of repositories that are created in Amazon ECR, as `KEY=VALUE`, separated by commas",
        unset: "none",
    }],
};

/// `STRICT`.
pub static STRICT: Setting = Setting {
    name: "STRICT",
    value: "true or false",
    default: DefaultValue::Value("false"),
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "`true`: one error in the repository, and nothing is published",
        unset: "",
    }],
};

/// `STRICT_ICONS`.
pub static STRICT_ICONS: Setting = Setting {
    name: "STRICT_ICONS",
    value: "true or false",
    default: DefaultValue::Value("false"),
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "`true`: a broken icon is an error, not a warning",
        unset: "",
    }],
};

/// `PREVIEWS`.
pub static PREVIEWS: Setting = Setting {
    name: "PREVIEWS",
    value: "off, members or labelled",
    default: DefaultValue::Value("off"),
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "the pull requests that get a preview: `off`, none; `members`, those of members of the repository; `labelled`, also those that a maintainer labels `preview` (`docs/operators/previews.md`)",
        unset: "",
    }],
};

/// `FETCH`.
pub static FETCH: Setting = Setting {
    name: "FETCH",
    value: "true or false",
    default: DefaultValue::Value("true"),
    template: Template::Unset,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "`false`: no upstream content is fetched; it stays as it was last published",
        unset: "",
    }],
};

/// `OFFLINE`.
pub static OFFLINE: Setting = Setting {
    name: "OFFLINE",
    value: "all, or names of stacks, separated by commas",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "`all`, or names of stacks separated by commas: their starter projects and parents are fetched when they are published, and their devfiles name this registry (`docs/operators/offline.md`)",
        unset: "none",
    }],
};

/// `WEBHOOK_SECRET`.
pub static WEBHOOK_SECRET: Setting = Setting {
    name: "WEBHOOK_SECRET",
    value: "the secret of the webhooks",
    default: DefaultValue::Unset,
    template: Template::Secret,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "the secret of webhooks and of signed requests, at least 16 bytes: the key of their signatures, or GitLab's token; without it both are refused",
        unset: "none",
    }],
};

/// `OIDC_AUDIENCE`.
pub static OIDC_AUDIENCE: Setting = Setting {
    name: "OIDC_AUDIENCE",
    value: "the audience that jobs ask tokens for",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "the audience that tokens of jobs of GitHub Actions or GitLab CI must have, together with `OIDC_REPOSITORY_ID`; without them tokens are refused",
        unset: "none",
    }],
};

/// `OIDC_REPOSITORY_ID`.
pub static OIDC_REPOSITORY_ID: Setting = Setting {
    name: "OIDC_REPOSITORY_ID",
    value: "the host's number for the repository",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "the number of the repository on GitHub, or of the project on GitLab, that tokens must be from",
        unset: "none",
    }],
};

/// `OIDC_JOB_WORKFLOW_REF`.
pub static OIDC_JOB_WORKFLOW_REF: Setting = Setting {
    name: "OIDC_JOB_WORKFLOW_REF",
    value: "OWNER/NAME/.github/workflows/FILE@refs/heads/BRANCH, or HOST/PROJECT//FILE@refs/heads/BRANCH",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "the one workflow, or on GitLab the one file of pipelines, that may call",
        unset: "any",
    }],
};

/// `OIDC_ISSUER`.
pub static OIDC_ISSUER: Setting = Setting {
    name: "OIDC_ISSUER",
    value: "the URL of the tokens' issuer",
    default: DefaultValue::Value("https://token.actions.githubusercontent.com"),
    template: Template::Set,
    uses: &[Use {
        function: Function::Refresh,
        meaning: "the issuer of the tokens, where it is not github.com's: `https://HOST/_services/token` on GitHub Enterprise, the URL of the instance on GitLab",
        unset: "",
    }],
};
