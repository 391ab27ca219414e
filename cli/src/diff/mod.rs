//! `diff`: the difference between two states of a registry.
//!
//! The comparison is that of the library; `state` reads the two states.

mod state;

use std::io::Write;
use std::process::ExitCode;

use devfile_registry::checker::colour;
use devfile_registry::diff::{Diff, human, markdown};

use self::state::States;
use crate::command;

/// Compares two states and prints what differs.
///
/// # Errors
/// A state cannot be read.
pub(crate) async fn run(options: &command::Diff) -> anyhow::Result<ExitCode> {
    let states = States::read(options).await?;
    let diff = Diff::between(&states.old, &states.new);
    let text = match (options.json, options.markdown) {
        (true, _) => format!("{:#}\n", serde_json::to_value(&diff)?),
        (_, true) => markdown(&diff),
        _ => human(&diff, colour(&std::io::stdout())),
    };
    // A reader that has seen enough may have closed the pipe.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let has_changed = options.exit_code && !diff.is_empty();
    Ok(if has_changed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
