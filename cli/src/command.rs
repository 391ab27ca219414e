//! The subcommands with their options.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use devfile_registry::checker::{Arguments, known_rule};
use devfile_registry::report::Format;
use devfile_registry::settings::{Function, help};
use url::Url;

/// Previews, checks and serves a devfile registry.
#[derive(Debug, Parser)]
#[command(name = "devfile-registry", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Preview(Preview),
    Check(Check),
    Index(Index),
    Diff(Diff),
    Compare(Compare),
    /// Create a stack, or a version of a stack
    #[command(
        subcommand,
        after_help = "Examples:\n  devfile-registry new stack loom\n  devfile-registry new version loom 1.1.0"
    )]
    New(New),
    /// Run a whole registry: publish a registry repository, follow it, and answer clients
    ///
    /// Serve, refresh and the schedule in one process and on one address, with STORE=DIR, or with an S3 server and an OCI registry.
    #[command(after_help = run_help())]
    Run,
    /// Answer clients from the release in a cache bucket, in plain HTTP
    #[command(after_help = function_help(Function::Serve, "CACHE_BUCKET=registry-cache devfile-registry serve"))]
    Serve,
    /// Publish a registry repository after each trigger, in plain HTTP
    #[command(after_help = function_help(Function::Refresh, REFRESH_EXAMPLE))]
    Refresh {
        /// Do one thing and end
        #[command(subcommand)]
        action: Option<RefreshAction>,
    },
    /// Write a completion script for a shell to standard output
    #[command(after_help = "Example:\n  source <(devfile-registry completions bash)")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const REFRESH_EXAMPLE: &str = "CACHE_BUCKET=registry-cache OCI_REGISTRY=registry.example.org:5000 \\\n    \
                               REGISTRY_REPO_URL=https://github.com/acme/registry devfile-registry refresh";

/// The end of the help of a function.
fn function_help(function: Function, example: &str) -> String {
    format!("Example:\n  {example}\n\n{}", help(function))
}

/// The end of the help of `run`.
fn run_help() -> String {
    let example =
        "STORE=/var/lib/devfile-registry REGISTRY_REPO_URL=https://github.com/acme/registry devfile-registry run";
    let own = function_help(Function::Run, example);
    format!(
        "{own}\n`run` also reads the settings of `serve` and `refresh`: `devfile-registry serve --help` and `devfile-registry refresh --help` list them."
    )
}

#[derive(Debug, Subcommand)]
pub(crate) enum RefreshAction {
    /// Run one action and print its report
    #[command(after_help = "Example:\n  devfile-registry refresh invoke '{\"action\":\"refresh\"}'")]
    Invoke {
        /// The action in JSON: refresh, reconcile, schedule, refetch, rollback (with commit_hash), unpin, restore or verify
        event: String,
    },
}

/// Serve a registry repository from this machine and follow its changes
///
/// The registry is built in memory and answers as a deployed one does. Each change of a file is published at once; errors and
/// warnings are printed as `check` prints them. Ctrl-C ends everything.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  devfile-registry preview path/to/registry --open")]
pub(crate) struct Preview {
    /// Folder of the registry repository, the one that has stacks/
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Port on 127.0.0.1; when it is taken, the next free one
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// Fetch the upstream content of the repository: parents, icons, samples, starter projects
    #[arg(long)]
    pub(crate) fetch: bool,
    /// Open the viewer in a browser
    #[arg(long)]
    pub(crate) open: bool,
}

/// Check a registry repository
///
/// Exit status: 0 when all is well (there may be warnings), 1 when there are errors, 2 when it could not run.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  devfile-registry check . --changed-since origin/main --format github")]
pub(crate) struct Check {
    /// The registry repository: its folder, or the https URL of a Git repository, with /tree/BRANCH for another branch than the
    /// default one. GIT_CREDENTIALS (HOST=USER:SECRET) and GITHUB_TOKEN count
    #[arg(default_value = ".")]
    registry: String,
    /// Form of the report: human, json, github (annotations of a pull request) or sarif
    #[arg(long, default_value = "human", conflicts_with = "json")]
    format: Format,
    /// Write one JSON document: --format json
    #[arg(long)]
    json: bool,
    /// Report only on stacks and entries that differ from a Git revision, such as origin/main
    #[arg(long, value_name = "REV")]
    changed_since: Option<String>,
    /// Leave out the warnings of these rules, separated by commas, such as index/tags; errors are always reported
    #[arg(long, value_name = "RULE", value_delimiter = ',', value_parser = known_rule)]
    ignore: Vec<String>,
    /// Print the documentation of a rule, such as stack/default
    #[arg(long, value_name = "RULE", exclusive = true)]
    explain: Option<String>,
    /// URL where docs/stack-authors/validation.md can be read; the rules in SARIF link to it
    #[arg(long, value_name = "URL")]
    help_url: Option<Url>,
    #[command(flatten)]
    upstream: Upstream,
}

/// The treatment of content on other hosts.
#[derive(Debug, Args)]
struct Upstream {
    /// Take broken icons for errors, not for warnings
    #[arg(long)]
    strict_icons: bool,
    /// Fetch nothing: content on other hosts is neither read nor checked
    #[arg(long, conflicts_with = "strict_icons")]
    offline: bool,
}

/// Write the index of a registry repository
///
/// Exit status: 0 when the index was written, 1 when there are errors, 2 when it could not run.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  devfile-registry index . index.json")]
pub(crate) struct Index {
    /// The registry repository: its folder, or the https URL of a Git repository, with /tree/BRANCH for another branch than the
    /// default one. GIT_CREDENTIALS (HOST=USER:SECRET) and GITHUB_TOKEN count
    registry: String,
    /// File to write the index to
    file: PathBuf,
    #[command(flatten)]
    upstream: Upstream,
    /// Write the index even when there are errors, without the faulty versions
    #[arg(long)]
    force: bool,
}

/// Show the changes for the clients of a registry
///
/// OLD and NEW are each a folder of a registry repository, DIR@REVISION for a commit of it, the https URL of a Git repository, perhaps
/// with @COMMIT or @BRANCH, or the URL of a live registry, which has no path. Dates are not compared. Exit status: 0, with
/// --exit-code 1 when something changes, 2 when it could not run.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  devfile-registry diff .@main .\n  devfile-registry diff https://registry.example.org . --markdown"
)]
pub(crate) struct Diff {
    /// The state before
    pub(crate) old: String,
    /// The state after
    pub(crate) new: String,
    /// Write one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    /// Write Markdown for the comment of a pull request
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// End with status 1 when something changes
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Fetch nothing that the repositories name on other hosts
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Compare the answers of two live registries
///
/// Asks both for indexes of both schemas, every filter with a few values, devfiles, manifests, blobs and files of stacks.
/// Differences that are deliberate are counted, not shown. Exit status: 0 when the answers are alike, 1 when some differ, 2 when
/// it could not run or an answer is missing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  devfile-registry compare https://registry.devfile.io https://registry.example.org")]
pub(crate) struct Compare {
    /// URL of the registry that is known to be right
    pub(crate) old: Url,
    /// URL of the registry to compare with it
    pub(crate) new: Url,
    /// Ask for starter projects as well, which the registries may have to fetch
    #[arg(long)]
    pub(crate) starters: bool,
    /// Most requests a second to each registry
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rate: u32,
    /// File that records the compared versions, to continue after an interruption; it is removed at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,
    /// Write one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum New {
    Stack(Box<NewStack>),
    Version(NewVersion),
}

/// Create a stack with one version
///
/// On a terminal it asks for values that no option gives. `check` accepts the result without warnings.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  devfile-registry new stack loom --language Go --provider Weavers \\\n    --support-url https://example.com/help --image docker.io/library/golang:1.25"
)]
pub(crate) struct NewStack {
    /// Name of the stack, in lower-case letters, digits and hyphens
    pub(crate) name: Option<String>,
    /// Folder of the registry repository
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Its first version [default: 1.0.0]
    #[arg(long)]
    pub(crate) version: Option<String>,
    /// Name for people [default: made from the name]
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<String>,
    /// One sentence about the stack [default: made from the name]
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Programming language
    #[arg(long)]
    pub(crate) language: Option<String>,
    /// Type of its projects [default: the language]
    #[arg(long, value_name = "TYPE")]
    pub(crate) project_type: Option<String>,
    /// Organization or person that provides it
    #[arg(long)]
    pub(crate) provider: Option<String>,
    /// Page where people find help
    #[arg(long, value_name = "URL")]
    pub(crate) support_url: Option<String>,
    /// Container image that projects are built and run in
    #[arg(long)]
    pub(crate) image: Option<String>,
    /// Icon on the internet, over https [default: the one of the devfile project]
    #[arg(long, value_name = "URL")]
    pub(crate) icon: Option<String>,
}

/// Copy the newest version of a stack to a new one
///
/// The number is raised in stack.yaml and in the devfile. Other lines that have the old number are named.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  devfile-registry new version loom 1.1.0 --default")]
pub(crate) struct NewVersion {
    /// Folder of the stack below stacks/
    pub(crate) stack: String,
    /// The new version [default: the next minor version]
    pub(crate) version: Option<String>,
    /// Folder of the registry repository
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Make it the default version
    #[arg(long)]
    pub(crate) default: bool,
}

impl From<Check> for Arguments {
    fn from(check: Check) -> Self {
        let Check { registry, format, json, changed_since, ignore, explain, help_url, upstream } = check;
        let format = if json { Format::Json } else { format };
        let check = explain.is_none();
        Self { check, format, changed_since, ignore, explain, help_url, ..of(registry, upstream) }
    }
}

impl From<Index> for Arguments {
    fn from(index: Index) -> Self {
        let Index { registry, file, upstream, force } = index;
        Self { index: Some(file), force, ..of(registry, upstream) }
    }
}

/// The arguments that `check` and `index` have in common.
fn of(registry: String, Upstream { strict_icons, offline }: Upstream) -> Arguments {
    Arguments { registry: Some(registry), strict_icons, offline, ..Arguments::default() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn declarations_of_the_subcommands_fit_together() {
        Cli::command().debug_assert();
    }
}
