//! Generates the index of a registry repository: a drop-in for the reference's command of this name.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use devfile_registry::index::to_pretty_json;
use devfile_registry::release::Draft;
use devfile_registry::repository::Repository;
use devfile_registry::source::github::{Credentials, GitHubSource};
use devfile_registry::source::{LocalSource, Source};

/// Generates the index of a devfile registry repository.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Write the index even when there are errors, without what is wrong
    #[arg(long)]
    force: bool,
    /// The registry repository: its folder, the one that has stacks/, or https://github.com/OWNER/REPO[/tree/BRANCH]. For GitHub
    /// GITHUB_TOKEN and GITHUB_API_URL count
    registry: String,
    /// File to write the index to
    index: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("index-generator: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Exit status 0: the index is written; 1: there are errors and it is not; 2: it could not be tried.
async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if !arguments.registry.contains("://") {
        return generate(&LocalSource::new(Path::new(&arguments.registry))?, arguments).await;
    }
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let credentials = set("GITHUB_TOKEN").map_or(Credentials::Anonymous, Credentials::Token);
    let source = GitHubSource::new(arguments.registry.parse()?, set("GITHUB_API_URL").as_deref(), credentials)?;
    eprintln!("reading {}", arguments.registry);
    generate(&source, arguments).await
}

async fn generate(source: &impl Source, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let commit = source.head().await?;
    let tree = source.tree(&commit).await?;
    let repository = Repository::parse(&tree);
    let errors = repository.errors();
    for problem in repository.warnings.iter().chain(errors.iter().copied()) {
        eprintln!("{problem}");
    }
    if !errors.is_empty() && !arguments.force {
        eprintln!("index-generator: no index is written; mend the errors, or leave out what is wrong with --force");
        return Ok(ExitCode::FAILURE);
    }
    let draft = Draft::new(&repository, &tree, None);
    let history = source.last_modified(&commit, &draft.undated()).await?;
    let built = draft.finish(commit, source.url(), &history);
    let entries = &built.release.stacks;
    std::fs::write(&arguments.index, to_pretty_json(entries))
        .with_context(|| format!("cannot write {}", arguments.index.display()))?;
    println!("wrote {} entries to {}", entries.len(), arguments.index.display());
    Ok(ExitCode::SUCCESS)
}
