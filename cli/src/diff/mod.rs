//! `diff`: the difference between two states of a registry.
//!
//! The comparison is that of the library; `state` reads the two states.

mod state;

use std::process::ExitCode;

use devfile_registry::checker::colour;
use devfile_registry::diff::{Diff, human, markdown};
use devfile_registry::terminal::print;

use self::state::States;
use crate::command;

/// Compares two states and prints the differences.
///
/// # Errors
/// A state cannot be read, or the difference cannot be written.
pub(crate) async fn run(options: &command::Diff) -> anyhow::Result<ExitCode> {
    let states = States::read(options).await?;
    let diff = Diff::between(&states.old, &states.new);
    let text = match (options.json, options.markdown) {
        (true, _) => format!("{:#}\n", serde_json::to_value(&diff)?),
        (_, true) => markdown(&diff),
        _ => human(&diff, colour(&std::io::stdout())),
    };
    print(&text)?;
    let has_changed = options.exit_code && !diff.is_empty();
    Ok(if has_changed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
