//! `compare`: the answers of two live registries, side by side.
//!
//! - [`run`]: the comparison; start here
//! - `plan`: the questions; `ask`: the requests of one question; `answers`: the comparison of two answers
//! - `state`: the file to go on from; `report`: the result

mod answers;
mod ask;
mod plan;
mod report;
mod state;

use std::num::NonZeroU32;
use std::process::ExitCode;

use anyhow::{Context, bail};
use devfile_registry::digest::Digest;
use devfile_registry::index::{Entry, to_compact_json};
use devfile_registry::terminal::{Progress, print};
use futures_util::stream::{self, StreamExt};

use self::ask::Registries;
use self::report::Report;
use self::state::{Comparison, State};
use crate::command;
use crate::live::Registry;

/// Questions that wait for their answers at a time.
const CONCURRENT: usize = 8;

/// Questions in a row that a registry leaves without an answer and that end a comparison: it is down.
const SILENT: usize = 20;

/// Compares two registries and prints the result.
///
/// # Errors
/// A registry does not answer, the state cannot be kept, or the result cannot be written.
pub(crate) async fn run(options: &command::Compare) -> anyhow::Result<ExitCode> {
    let rate = NonZeroU32::new(options.rate).unwrap_or(NonZeroU32::MIN);
    let registries = Registries { old: Registry::new(&options.old, rate)?, new: Registry::new(&options.new, rate)? };
    let (old, new) = tokio::try_join!(registries.old.entries(), registries.new.entries())?;
    let digest = |entries: &Vec<Entry>| Digest::of(&to_compact_json(entries));
    let comparison = Comparison {
        compare: [registries.old.url().to_owned(), registries.new.url().to_owned()],
        entries: [digest(&old), digest(&new)],
        starters: options.starters,
    };
    let mut state = State::open(options.resume.as_deref(), &comparison)?;
    let questions = plan::questions(&[old, new].concat(), options.starters);
    let mut report = Report::new(&comparison);
    let progress = Progress::start("comparing", Some(questions.len() as u64));
    let mut open = Vec::new();
    for question in questions {
        match state.outcome(&question) {
            Some(outcome) => {
                report.add(&question, outcome);
                progress.advance();
            }
            None => open.push(question),
        }
    }
    let registries = &registries;
    let asked = open.into_iter().map(|question| async move {
        let outcome = registries.ask(&question).await;
        (question, outcome)
    });
    let mut asked = stream::iter(asked).buffer_unordered(CONCURRENT);
    let mut silent = 0;
    while let Some((question, outcome)) = asked.next().await {
        match outcome {
            Ok(outcome) => {
                silent = 0;
                report.add(&question, &outcome);
                state.keep(&question, outcome)?;
            }
            Err(error) => {
                silent = if error.is_silence() { silent + 1 } else { 0 };
                if silent == SILENT {
                    let advice = "; --resume FILE goes on from there";
                    let advice = if options.resume.is_some() { advice } else { "" };
                    return Err(error).with_context(|| format!("{SILENT} questions in a row have no answer{advice}"));
                }
                report.add_failure(&question, &error);
            }
        }
        progress.advance();
    }
    drop(asked);
    drop(progress);
    let text = if options.json { report.json()? } else { report.table() };
    print(&text)?;
    if report.has_failures() {
        // The next run asks the unanswered questions again.
        bail!("some questions have no answer");
    }
    state.finish();
    Ok(if report.has_differences() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
