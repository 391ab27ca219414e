//! The settings of the functions of `scripts/dev`.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use super::Host;
use crate::github::GitHub;
use crate::servers::S3Server;

/// Variables that would lead a client of AWS to other servers.
const FOREIGN: [&str; 5] =
    ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_LAMBDA_RUNTIME_API"];

/// The settings of the functions.
#[derive(Debug, Clone)]
pub(super) struct DevSettings {
    port: u16,
    variables: Vec<(&'static str, String)>,
}

impl DevSettings {
    /// The settings of functions that follow a folder, and publish to these servers.
    pub(super) fn new(s3: &S3Server, oci: &str, source: &Path, webhook_secret: &str, port: u16) -> Self {
        let mut variables = s3.variables().to_vec();
        variables.extend([
            ("AWS_ENDPOINT_URL_S3", s3.endpoint.clone()),
            ("CACHE_BUCKET", s3.bucket.name.clone()),
            ("OCI_REGISTRY", oci.to_owned()),
            ("REGISTRY_REPO_URL", source.display().to_string()),
            ("WEBHOOK_SECRET", webhook_secret.to_owned()),
            ("REVALIDATE_SECONDS", "1".to_owned()),
            // A change of the folder is a difference that the schedule finds.
            ("SCHEDULE_SECONDS", "1".to_owned()),
            ("REGISTRY_NAME", "Development registry".to_owned()),
            ("LISTEN_ADDR", format!("127.0.0.1:{port}")),
        ]);
        Self { port, variables }
    }

    /// Has the functions follow a Git host, which reports pushes itself.
    pub(super) fn set_host(&mut self, host: Host, github: &GitHub) {
        let url = github.url();
        self.variables.retain(|(name, _)| !matches!(*name, "REGISTRY_REPO_URL" | "SCHEDULE_SECONDS"));
        self.variables.extend([
            ("REGISTRY_REPO_URL", format!("{url}/example/registry")),
            ("HOST_CONTROL", format!("{url}/_control")),
            ("WEBHOOK_URL", format!("{}/webhooks/{}", self.url(), host.name())),
            ("PREVIEWS", "labelled".to_owned()),
            ("PUBLIC_URL", self.url()),
        ]);
        self.variables.extend(match host {
            Host::GitLab => vec![("STATUS_TOKEN", "gitlab:a-token-that-writes".to_owned())],
            Host::GitHub => vec![
                ("GITHUB_API_URL", url.to_owned()),
                ("GITHUB_TOKEN", "ghp_development".to_owned()),
                ("OIDC_ISSUER", github.issuer()),
                ("OIDC_AUDIENCE", self.url()),
                ("OIDC_REPOSITORY_ID", github.repository_id().to_string()),
            ],
        });
    }

    /// Returns whether the functions follow a Git host.
    pub(super) fn follows_host(&self) -> bool {
        !self.get("HOST_CONTROL").is_empty()
    }

    /// Returns the URL of the registry.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns a setting, or an empty text.
    pub(super) fn get(&self, name: &str) -> &str {
        self.variables.iter().find(|(setting, _)| *setting == name).map_or("", |(_, value)| value)
    }

    /// Returns the port of the registry.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the commands that give a shell the settings.
    pub(super) fn shell(&self) -> String {
        let quoted = |value: &str| format!("'{}'", value.replace('\'', r"'\''"));
        self.variables.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect()
    }

    /// Gives a command the settings, and removes variables that would lead it to other servers.
    pub(super) fn apply(&self, command: &mut tokio::process::Command) {
        for name in FOREIGN {
            command.env_remove(name);
        }
        // All servers are on this machine; a proxy must not be asked for them.
        let direct = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).into_iter();
        let direct = direct.chain(["127.0.0.1,localhost".to_owned()]).collect::<Vec<_>>().join(",");
        command.env("NO_PROXY", &direct).env("no_proxy", &direct).envs(self.variables.iter().cloned());
    }
}

/// Returns the secret in a file, which is made at first, so that it stays the same as long as the data does.
///
/// # Errors
/// The file can be neither read nor written.
pub(super) fn secret(path: &Path) -> Result<String> {
    if !path.exists() {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).context("the system gives no random bytes")?;
        write_private(path, &hex::encode(bytes))?;
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file that only its owner can read. It is there whole, or not at all.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    let write = || {
        // Temporary files are private.
        let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        anyhow::Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_takes_settings_as_they_are() {
        let value = r#"it's $HOME and "more""#;
        let settings = DevSettings { port: 9000, variables: vec![("REGISTRY_NAME", value.to_owned())] };
        let script = format!("{}printf %s \"$REGISTRY_NAME\"", settings.shell());
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }

    #[test]
    fn secret_stays_the_same_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let first = secret(&path).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(secret(&path).unwrap(), first);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn functions_get_no_foreign_setting_of_aws_and_use_no_proxy() {
        let settings = DevSettings { port: 9000, variables: vec![("AWS_REGION", "us-east-1".to_owned())] };
        let mut command = tokio::process::Command::new("true");
        settings.apply(&mut command);
        let variables: Vec<_> = command.as_std().get_envs().collect();
        let value = |name: &str| variables.iter().find(|(variable, _)| *variable == name).unwrap().1;
        assert_eq!(value("AWS_PROFILE"), None);
        assert_eq!(value("AWS_REGION").unwrap(), "us-east-1");
        assert!(value("NO_PROXY").unwrap().to_str().unwrap().ends_with("127.0.0.1,localhost"));
    }
}
