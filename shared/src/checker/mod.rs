//! Generates the index of a registry repository, a drop-in for the reference's command of this name, or only checks it.

mod changes;
mod open;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::diagnostic::{Diagnostic, Severity};
use crate::digest::CommitSha;
use crate::index::to_pretty_json;
use crate::release::{Draft, Plan};
use crate::report::{Colour, Format, Options, UnknownRule, render, rule};
use crate::source::{LocalSource, Scope, Source};
use crate::terminal::{Progress, print};
use crate::text::printable;
use crate::upstream::{Complete, Icons, UpstreamFetcher};
use anyhow::{Context, bail};
use clap::Parser;
use url::Url;

use self::changes::ChangedPaths;
pub use self::open::{Opener, is_url};

/// Generates the index of a devfile registry repository, or checks the repository.
///
/// Exit status: 0 without errors (there may be warnings), 1 with errors, 2 when nothing could be checked or written.
#[derive(Debug, Default, Parser)]
#[command(version, max_term_width = 100)]
pub struct Arguments {
    /// Check the repository and write no index
    #[arg(long, conflicts_with_all = ["index", "force"])]
    pub check: bool,
    /// Form of the report: human, json, github (annotations of a pull request) or sarif
    #[arg(long, default_value = "human", requires = "check")]
    pub format: Format,
    /// Report only on stacks and entries that differ from a Git revision, such as origin/main
    #[arg(long, value_name = "REV", requires = "check")]
    pub changed_since: Option<String>,
    /// Leave out the warnings of these rules, separated by commas, such as index/tags; errors are always reported
    #[arg(long, value_name = "RULE", value_delimiter = ',', value_parser = known_rule, requires = "check")]
    pub ignore: Vec<String>,
    /// Take broken icons for errors, not for warnings
    #[arg(long)]
    pub strict_icons: bool,
    /// Print the documentation of a rule, such as stack/default
    #[arg(long, value_name = "RULE", exclusive = true)]
    pub explain: Option<String>,
    /// URL where docs/stack-authors/validation.md can be read; the rules in SARIF link to it
    #[arg(long, value_name = "URL", requires = "check")]
    pub help_url: Option<Url>,
    /// Fetch nothing: upstream parents and versions are not checked, nor, with --check, icons and samples
    #[arg(long, conflicts_with = "strict_icons")]
    pub offline: bool,
    /// Write the index even when there are errors, without the faulty versions
    #[arg(long)]
    pub force: bool,
    /// The registry repository: its folder, the one that has stacks/, or the https URL of a Git repository on any host, with
    /// /tree/BRANCH for another branch than the default one. GIT_CREDENTIALS (HOST=USER:SECRET) and GITHUB_TOKEN count
    #[arg(required_unless_present = "explain")]
    pub registry: Option<String>,
    /// File to write the index to
    #[arg(required_unless_present_any = ["check", "explain"])]
    pub index: Option<PathBuf>,
}

impl Arguments {
    /// The form of their report.
    fn form(&self, colour: Colour) -> Form<'_> {
        Form { format: self.format, colour, help_url: self.help_url.as_ref().map(Url::as_str) }
    }

    /// The registry repository; empty when a rule is explained.
    fn registry(&self) -> &str {
        self.registry.as_deref().unwrap_or_default()
    }
}

/// Returns the name of a rule, to parse an argument.
///
/// # Errors
/// When no rule has it.
pub fn known_rule(name: &str) -> Result<String, UnknownRule> {
    rule(name).map(|_| name.to_owned())
}

/// Runs a command, which is called `program` in its messages, and gives its exit status.
pub async fn run(program: &str, arguments: &Arguments) -> ExitCode {
    match execute(program, arguments).await {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Problems) => ExitCode::FAILURE,
        Err(error) => {
            // A reason may repeat names of the repository, which somebody chose.
            eprintln!("{program}: {}", printable(&format!("{error:#}")));
            ExitCode::from(2)
        }
    }
}

/// The result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Clean,
    Problems,
}

async fn execute(program: &str, arguments: &Arguments) -> anyhow::Result<Verdict> {
    if let Some(name) = &arguments.explain {
        print(&rule(name)?.explanation())?;
        return Ok(Verdict::Clean);
    }
    let opener = Opener::of_process()?;
    let client = opener.client();
    let fetcher = match (arguments.offline, arguments.strict_icons) {
        (true, _) => UpstreamFetcher::without_fetches(),
        (false, true) => UpstreamFetcher::new(client, Icons::Strict),
        (false, false) if arguments.check => UpstreamFetcher::new(client, Icons::Lenient),
        (false, false) => UpstreamFetcher::of_index(client),
    };
    if !is_url(arguments.registry()) {
        return read(program, arguments, &fetcher, &LocalSource::new(Path::new(arguments.registry()))?).await;
    }
    if arguments.changed_since.is_some() {
        bail!("--changed-since compares a folder with a revision; clone the repository first");
    }
    read(program, arguments, &fetcher, &opener.git(arguments.registry().parse()?)).await
}

async fn read(
    program: &str,
    arguments: &Arguments,
    fetcher: &UpstreamFetcher,
    source: &impl Source,
) -> anyhow::Result<Verdict> {
    let progress = Progress::start("reading", None);
    let commit = source.head().await?;
    let tree = source.files(&commit, &Scope::All).await?;
    let changes = arguments.changed_since.as_deref();
    let changes =
        changes.map(|revision| ChangedPaths::since(Path::new(arguments.registry()), &tree, revision)).transpose()?;
    drop(progress);
    let progress = Progress::start("checking", None);
    let mut complete = fetcher.complete(tree, None).await;
    complete.repository.check_dates(&complete.tree);
    drop(progress);
    match &arguments.index {
        None => check(arguments, &complete, changes.as_ref()),
        Some(index) => generate(program, arguments, source, commit, &complete, index).await,
    }
}

fn check(arguments: &Arguments, complete: &Complete, changes: Option<&ChangedPaths>) -> anyhow::Result<Verdict> {
    let mut problems = problems(complete);
    problems.retain(|problem| problem.severity == Severity::Error || !arguments.ignore.contains(&problem.rule));
    if let Some(changes) = changes {
        problems.retain(|problem| changes.concern(&problem.path));
    }
    let verdict = verdict(&problems);
    let report = report(arguments.registry(), complete, problems, arguments.form(colour(&std::io::stdout())));
    print(&report)?;
    Ok(verdict)
}

async fn generate(
    program: &str,
    arguments: &Arguments,
    source: &impl Source,
    commit: CommitSha,
    complete: &Complete,
    index: &Path,
) -> anyhow::Result<Verdict> {
    let problems = problems(complete);
    let verdict = verdict(&problems);
    if !problems.is_empty() {
        eprint!("{}", report(arguments.registry(), complete, problems, arguments.form(colour(&std::io::stderr()))));
    }
    if verdict == Verdict::Problems && !arguments.force {
        eprintln!("{program}: no index is written; correct the errors, or leave out the faulty versions with --force");
        return Ok(verdict);
    }
    let plan = Plan::everything(source.listing(&commit).await?);
    let draft = Draft::new((&complete.repository, &complete.upstream), &complete.tree, None, &plan);
    let history = source.last_modified(&commit, &draft.undated()).await?;
    let built = draft.finish(commit, source.url(), &history, None);
    let entries = &built.release.content.stacks;
    std::fs::write(index, to_pretty_json(entries)).with_context(|| format!("cannot write {}", index.display()))?;
    print(&format!("wrote {} entries to {}\n", entries.len(), index.display()))?;
    Ok(Verdict::Clean)
}

/// The errors and warnings of a repository, in their order.
pub fn problems(complete: &Complete) -> Vec<Diagnostic> {
    let errors = complete.repository.errors().into_iter();
    let mut problems: Vec<Diagnostic> = errors.chain(&complete.repository.warnings).cloned().collect();
    problems.sort();
    problems
}

fn verdict(problems: &[Diagnostic]) -> Verdict {
    let is_error = |problem: &Diagnostic| problem.severity == Severity::Error;
    if problems.iter().any(is_error) { Verdict::Problems } else { Verdict::Clean }
}

/// The form of a report.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// Its format.
    pub format: Format,
    /// Whether it has colours.
    pub colour: Colour,
    /// URL where the rules can be read.
    pub help_url: Option<&'a str>,
}

/// The report on a repository, with paths as they can be opened from the current folder.
pub fn report(registry: &str, complete: &Complete, mut problems: Vec<Diagnostic>, form: Form<'_>) -> String {
    let Form { format, colour, help_url } = form;
    let registry = Path::new(if registry.contains("://") { "." } else { registry });
    let openable =
        |path: &str| registry.join(path).strip_prefix(".").map_or_else(|_| registry.join(path), Path::to_owned);
    let prefix = openable("").display().to_string();
    for problem in &mut problems {
        problem.path = openable(&problem.path).display().to_string();
    }
    let sources = |path: &str| complete.tree.get(path.strip_prefix(&prefix)?.trim_start_matches('/')).cloned();
    render(format, &problems, Options { sources: &sources, colour, help_url })
}

/// Whether a stream is a terminal that shows colours (`NO_COLOR` and `TERM` count).
pub fn colour(stream: &impl IsTerminal) -> Colour {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    if stream.is_terminal() && !refused && !dumb { Colour::Always } else { Colour::Never }
}
