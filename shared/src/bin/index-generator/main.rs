//! Generates the index of a registry repository, a drop-in for the reference's command of this name, or only checks it.

mod changes;
mod progress;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use devfile_registry::diagnostic::{Diagnostic, Severity};
use devfile_registry::digest::CommitSha;
use devfile_registry::environment::Environment;
use devfile_registry::fetch::Rules;
use devfile_registry::git::{Client, GitCredentials};
use devfile_registry::index::to_pretty_json;
use devfile_registry::outside::{Complete, Icons, Outside};
use devfile_registry::release::{Draft, Plan};
use devfile_registry::report::{Colour, Format, render};
use devfile_registry::secret::Secret;
use devfile_registry::settings;
use devfile_registry::source::github::check_token;
use devfile_registry::source::{GitAccess, GitSource, LocalSource, Scope, Source};
use devfile_registry::text::printable;

use crate::changes::Changes;
use crate::progress::Progress;

/// Generates the index of a devfile registry repository, or checks the repository.
///
/// Exit status: 0 when all is well (there may be warnings), 1 when there are errors, 2 when it could not be tried.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// Check the repository and write no index
    #[arg(long, conflicts_with_all = ["index", "force"])]
    check: bool,
    /// Form of the report: human, json, github (annotations of a pull request) or sarif
    #[arg(long, default_value = "human", requires = "check")]
    format: Format,
    /// Report only on stacks and entries that differ from a Git revision, such as origin/main
    #[arg(long, value_name = "REV", requires = "check")]
    changed_since: Option<String>,
    /// Take broken icons for errors, not for warnings
    #[arg(long)]
    strict_icons: bool,
    /// Fetch nothing: parents and versions that are elsewhere are not looked at, nor, with --check, icons and samples
    #[arg(long, conflicts_with = "strict_icons")]
    offline: bool,
    /// Write the index even when there are errors, without what is wrong
    #[arg(long)]
    force: bool,
    /// The registry repository: its folder, the one that has stacks/, or the https URL of a Git repository on any host, with
    /// /tree/BRANCH for another branch than the default one. GIT_CREDENTIALS (HOST=USER:SECRET) and GITHUB_TOKEN count
    registry: String,
    /// File to write the index to
    #[arg(required_unless_present = "check")]
    index: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Problems) => ExitCode::FAILURE,
        Err(error) => {
            // A reason may repeat names of the repository, which somebody chose.
            eprintln!("index-generator: {}", printable(&format!("{error:#}")));
            ExitCode::from(2)
        }
    }
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Clean,
    Problems,
}

async fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    let mut environment = Environment::of_process();
    let rules = Rules::from_environment(&mut environment);
    let token = Secret::from_environment(&mut environment, &settings::GITHUB_TOKEN, check_token);
    let credentials = GitCredentials::from_environment(&mut environment);
    environment.finish()?;
    let client = Client::new(rules, credentials.clone());
    let outside = match (arguments.offline, arguments.strict_icons) {
        (true, _) => Outside::without_fetches(),
        (false, true) => Outside::new(client, Icons::Strict),
        (false, false) if arguments.check => Outside::new(client, Icons::Lenient),
        (false, false) => Outside::of_index(client),
    };
    if !arguments.registry.contains("://") && !arguments.registry.contains('@') {
        return read(arguments, &outside, &LocalSource::new(Path::new(&arguments.registry))?).await;
    }
    if arguments.changed_since.is_some() {
        bail!("--changed-since compares a folder with a revision; clone the repository first");
    }
    let repository = arguments.registry.parse()?;
    let access = match token {
        Some(token) => GitAccess::Token(token),
        None => GitAccess::of_host(&credentials, &repository),
    };
    read(arguments, &outside, &GitSource::new(repository, access)).await
}

async fn read(arguments: &Arguments, outside: &Outside, source: &impl Source) -> anyhow::Result<Verdict> {
    let progress = Progress::start("reading");
    let commit = source.head().await?;
    let tree = source.files(&commit, &Scope::All).await?;
    let changes = arguments.changed_since.as_deref();
    let changes =
        changes.map(|revision| Changes::since(Path::new(&arguments.registry), &tree, revision)).transpose()?;
    progress.now("checking");
    let complete = outside.complete(tree, None).await;
    drop(progress);
    match &arguments.index {
        None => Ok(check(arguments, &complete, changes.as_ref())),
        Some(index) => generate(arguments, source, commit, &complete, index).await,
    }
}

fn check(arguments: &Arguments, complete: &Complete, changes: Option<&Changes>) -> Verdict {
    let mut problems = problems(complete);
    if let Some(changes) = changes {
        problems.retain(|problem| changes.concern(&problem.path));
    }
    let verdict = verdict(&problems);
    let report = report(&arguments.registry, complete, problems, arguments.format, colour(&std::io::stdout()));
    // Whoever reads it may have seen enough, and closed the pipe.
    let _ = std::io::stdout().write_all(report.as_bytes());
    verdict
}

async fn generate(
    arguments: &Arguments,
    source: &impl Source,
    commit: CommitSha,
    complete: &Complete,
    index: &Path,
) -> anyhow::Result<Verdict> {
    let problems = problems(complete);
    let verdict = verdict(&problems);
    if !problems.is_empty() {
        eprint!("{}", report(&arguments.registry, complete, problems, Format::Human, colour(&std::io::stderr())));
    }
    if verdict == Verdict::Problems && !arguments.force {
        eprintln!("index-generator: no index is written; mend the errors, or leave out what is wrong with --force");
        return Ok(verdict);
    }
    let plan = Plan::everything(source.listing(&commit).await?);
    let draft = Draft::new((&complete.repository, &complete.upstream), &complete.tree, None, &plan);
    let history = source.last_modified(&commit, &draft.undated()).await?;
    let built = draft.finish(commit, source.url(), &history, None);
    let entries = &built.release.content.stacks;
    std::fs::write(index, to_pretty_json(entries)).with_context(|| format!("cannot write {}", index.display()))?;
    println!("wrote {} entries to {}", entries.len(), index.display());
    Ok(Verdict::Clean)
}

fn problems(complete: &Complete) -> Vec<Diagnostic> {
    let errors = complete.repository.errors().into_iter();
    let mut problems: Vec<Diagnostic> = errors.chain(&complete.repository.warnings).cloned().collect();
    problems.sort();
    problems
}

fn verdict(problems: &[Diagnostic]) -> Verdict {
    let is_error = |problem: &Diagnostic| problem.severity == Severity::Error;
    if problems.iter().any(is_error) { Verdict::Problems } else { Verdict::Clean }
}

/// The report, with paths as they can be opened from here.
fn report(
    registry: &str,
    complete: &Complete,
    mut problems: Vec<Diagnostic>,
    format: Format,
    colour: Colour,
) -> String {
    let registry = Path::new(if registry.contains("://") { "." } else { registry });
    let shown = |path: &str| registry.join(path).strip_prefix(".").map_or_else(|_| registry.join(path), Path::to_owned);
    let prefix = shown("").display().to_string();
    for problem in &mut problems {
        problem.path = shown(&problem.path).display().to_string();
    }
    let sources = |path: &str| complete.tree.get(path.strip_prefix(&prefix)?.trim_start_matches('/')).cloned();
    render(format, &problems, &sources, colour)
}

fn colour(stream: &impl IsTerminal) -> Colour {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    if stream.is_terminal() && !refused && !dumb { Colour::Always } else { Colour::Never }
}
