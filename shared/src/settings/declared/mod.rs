//! The declarations. A new setting is added here, and read where it counts.

mod both;
mod refresh;
mod run;
mod serve;

pub use self::both::*;
pub use self::refresh::*;
pub use self::run::*;
pub use self::serve::*;

use super::Setting;

/// All settings, in the order in which they are shown.
pub static ALL: [&Setting; 38] = [
    &STORE,
    &CACHE_BUCKET,
    &REVALIDATE_SECONDS,
    &LISTEN_ADDR,
    &REDIRECT_BLOBS,
    &PUBLIC_URL,
    &REGISTRY_NAME,
    &REGISTRY_HEADLESS,
    &OPEN_IN,
    &REGISTRY_REPO_URL,
    &REGISTRY_REPO_BRANCH,
    &GIT_CREDENTIALS,
    &GITHUB_TOKEN,
    &GITHUB_API_URL,
    &GITHUB_APP_ID,
    &GITHUB_APP_KEY,
    &STATUS_TOKEN,
    &OCI_REGISTRY,
    &OCI_ENDPOINT,
    &OCI_USERNAME,
    &OCI_PASSWORD,
    &ECR_KMS_KEY,
    &ECR_TAGS,
    &STRICT,
    &STRICT_ICONS,
    &FETCH,
    &OFFLINE,
    &PREVIEWS,
    &FETCH_HOSTS,
    &FETCH_ALLOW_LOOPBACK,
    &WEBHOOK_SECRET,
    &OIDC_AUDIENCE,
    &OIDC_REPOSITORY_ID,
    &OIDC_JOB_WORKFLOW_REF,
    &OIDC_ISSUER,
    &METRICS_ADDR,
    &USAGE_EVENTS,
    &SCHEDULE_SECONDS,
];

/// The settings of the servers that [`STORE`] takes the place of.
pub static OF_SERVERS: [&Setting; 7] =
    [&CACHE_BUCKET, &OCI_REGISTRY, &OCI_ENDPOINT, &OCI_USERNAME, &OCI_PASSWORD, &ECR_KMS_KEY, &ECR_TAGS];
