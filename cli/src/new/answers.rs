//! Facts that come from options, or else from answers at the terminal.

use std::io::{IsTerminal, Write};

use anyhow::bail;

/// Takes facts one after the other, and names those that are missing all at once.
#[derive(Debug, Default)]
pub(super) struct Answers {
    missing: Vec<&'static str>,
}

impl Answers {
    /// The value of an option; without it, on a terminal, the answer to a question, and elsewhere the proposed value.
    pub(super) fn take(&mut self, option: &'static str, given: Option<&str>, proposed: Option<&str>) -> String {
        if let Some(given) = given {
            return given.trim().to_owned();
        }
        let is_asked = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let answer = if is_asked { ask(option, proposed) } else { None };
        match answer.or_else(|| proposed.map(str::to_owned)) {
            Some(value) => value,
            None => {
                self.missing.push(option);
                String::new()
            }
        }
    }

    /// Ends the taking.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let options: Vec<String> = self.missing.iter().map(|option| format!("--{option}")).collect();
        bail!("cannot create the stack: {} not given", options.join(", "))
    }
}

/// Asks once; an empty line takes the proposal.
fn ask(option: &str, proposed: Option<&str>) -> Option<String> {
    let proposal = proposed.map(|value| format!(" [{value}]")).unwrap_or_default();
    eprint!("{}{proposal}: ", option.replace('-', " "));
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).ok()?;
    let answer = line.trim();
    (!answer.is_empty()).then(|| answer.to_owned())
}
