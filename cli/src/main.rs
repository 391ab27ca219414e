//! The command `devfile-registry`, for stack authors, operators and self-hosting.
//!
//! `main` parses the arguments and runs one subcommand; start reading there. The modules are in the order in which somebody needs
//! them:
//!
//! 1. `command` declares the subcommands with their options.
//! 2. `new` writes the files of a stack or version.
//! 3. `preview` serves a folder from this machine and follows its changes.
//! 4. `check` and `index` are those of the library's [`checker`].
//! 5. `diff` shows the changes for clients between two states; `compare` asks two live registries the same questions.
//!    Both read live registries with `live`.
//! 6. `run` has both functions and the schedule in one process; `serve` and `refresh` are those of their crates.

mod command;
mod compare;
mod diff;
mod live;
mod new;
mod preview;
mod run;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{CommandFactory, Parser};
use devfile_registry::checker::{self, Arguments};
use devfile_registry::environment::InvalidEnvironment;
use devfile_registry::terminal::{ProgressOutput, print, with_progress};
use devfile_registry::text::printable;

use crate::command::{Cli, Command, New, RefreshAction};

/// The name of the program.
const PROGRAM: &str = "devfile-registry";

/// Time for work on other threads when everything else has ended.
const LAST_WORK: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let started = Instant::now();
    let command = Cli::parse().command;
    if let Command::Preview(_) | Command::Run = command {
        heap::keep_together();
    }
    let result = match command {
        Command::Preview(options) => block_on(preview::run(&options, started)).flatten(),
        Command::Check(check) => return report(&check.into()),
        Command::Index(index) => return report(&index.into()),
        Command::Compare(options) => return verdict(block_on(compare::run(&options))),
        Command::Diff(options) => return verdict(block_on(diff::run(&options))),
        Command::New(New::Stack(options)) => block_on(new::new_stack(&options)).flatten(),
        Command::New(New::Version(options)) => block_on(new::new_version(&options)).flatten(),
        // Before other threads, because it takes the socket from the environment.
        Command::Run => {
            run::inherited_listener().and_then(|inherited| block_on(run::run(started, inherited)).flatten())
        }
        Command::Serve => serve::run(started),
        Command::Refresh { action: None } => block_on(refresh::run()).flatten(),
        Command::Refresh { action: Some(RefreshAction::Invoke { event }) } => {
            let output = ProgressOutput::of_server();
            let action = refresh::run_action(&event, output.log_level());
            let answer = block_on(with_progress(output, "running the action", action)).flatten();
            let printed = answer.and_then(|answer| {
                print(&answer.line()?)?;
                Ok(ExitCode::from(u8::from(answer.names_damage())))
            });
            return verdict(Ok(printed));
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

/// Runs a command of the checker, which has exit codes of its own.
fn report(arguments: &Arguments) -> ExitCode {
    block_on(checker::run(PROGRAM, arguments)).unwrap_or_else(|error| failure(&error))
}

/// The exit code of a command that has codes of its own.
fn verdict(result: anyhow::Result<anyhow::Result<ExitCode>>) -> ExitCode {
    result.flatten().unwrap_or_else(|error| failure(&error))
}

fn failure(error: &anyhow::Error) -> ExitCode {
    // A reason may repeat names of a repository, which somebody chose.
    match error.downcast_ref() {
        Some(InvalidEnvironment(problems)) => {
            eprintln!("{PROGRAM}: invalid environment:");
            problems.iter().for_each(|problem| eprintln!("  {}", printable(problem)));
        }
        None => match error.downcast_ref::<new::Refused>() {
            Some(refused) => eprint!("{PROGRAM}: {refused}"),
            None => eprintln!("{PROGRAM}: {}", printable(&format!("{error:#}"))),
        },
    }
    ExitCode::from(2)
}

fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WORK);
    Ok(result)
}
