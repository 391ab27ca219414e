//! Facts that come from arguments, or else from answers at the terminal.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};

use anyhow::bail;
use clap::{Args, Command};

use crate::PROGRAM;

/// Accepts a value, or says which values are accepted.
pub(super) type Accept = fn(&str) -> Result<(), &'static str>;

/// Takes facts one after the other, and names those that are missing or not accepted all at once.
#[derive(Debug)]
pub(super) struct Answers {
    arguments: BTreeMap<String, Argument>,
    missing: Vec<String>,
    refused: Vec<String>,
}

/// An argument of the command.
#[derive(Debug, Clone)]
struct Argument {
    /// As people write it: `NAME`, `--image`.
    written: String,
    /// Its help, without the default.
    about: String,
}

impl Answers {
    /// Takes the help of the arguments for its questions.
    pub(super) fn about<A: Args>() -> Self {
        let command = A::augment_args(Command::new(PROGRAM));
        let arguments = command.get_arguments().map(|argument| {
            let id = argument.get_id().to_string();
            let written = match argument.get_long() {
                Some(option) => format!("--{option}"),
                None => id.to_uppercase(),
            };
            let about = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let about = about.split(" [default").next().unwrap_or_default().to_owned();
            (id, Argument { written, about })
        });
        Self { arguments: arguments.collect(), missing: Vec::new(), refused: Vec::new() }
    }

    /// The value of an argument; without it the answer to a question, or the proposed value where there is no terminal.
    ///
    /// # Panics
    /// The command has no such argument.
    pub(super) fn take(&mut self, id: &str, given: Option<&str>, proposed: Option<&str>, accept: Accept) -> String {
        let argument = self.arguments.get(id).unwrap_or_else(|| unreachable!("{id} is an argument")).clone();
        if let Some(given) = given.map(str::trim) {
            if let Err(accepted) = accept(given) {
                self.refused.push(format!("{} `{given}`: {accepted}", argument.written));
            }
            return given.to_owned();
        }
        let is_asked = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let answer = match is_asked {
            true => ask(&mut std::io::stdin().lock(), &mut std::io::stderr(), &argument.about, proposed, accept),
            false => proposed.map(str::to_owned),
        };
        answer.unwrap_or_else(|| {
            self.missing.push(argument.written);
            String::new()
        })
    }

    /// Ends the taking.
    ///
    /// # Errors
    /// A value is missing or not accepted.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let missing = (!self.missing.is_empty()).then(|| format!("{} not given", self.missing.join(", ")));
        let problems: Vec<String> = self.refused.into_iter().chain(missing).collect();
        if problems.is_empty() { Ok(()) } else { bail!("cannot create the stack: {}", problems.join("; ")) }
    }
}

/// Asks until an answer is accepted; an empty line takes the proposal. Returns `None` when the input ends.
fn ask(
    input: &mut impl BufRead,
    output: &mut impl Write,
    question: &str,
    proposed: Option<&str>,
    accept: Accept,
) -> Option<String> {
    let proposal = proposed.map(|value| format!(" [{value}]")).unwrap_or_default();
    loop {
        write!(output, "{question}{proposal}: ").and_then(|()| output.flush()).ok()?;
        let mut line = String::new();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let answer = match (line.trim(), proposed) {
            ("", Some(proposed)) => proposed,
            ("", None) => continue,
            (answer, _) => answer,
        };
        match accept(answer) {
            Ok(()) => return Some(answer.to_owned()),
            Err(accepted) => writeln!(output, "  {accepted}").ok()?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(text: &str) -> Result<(), &'static str> {
        if text.len() < 4 { Ok(()) } else { Err("use at most three letters") }
    }

    #[test]
    fn question_is_asked_until_its_answer_is_accepted() {
        for (typed, proposed, expected, shown) in [
            ("Go\n", None, Some("Go"), "Language: "),
            ("\n", Some("C"), Some("C"), "Language [C]: "),
            ("\n\nGo\n", None, Some("Go"), "Language: Language: Language: "),
            ("Fortran\nGo\n", None, Some("Go"), "Language:   use at most three letters\nLanguage: "),
            ("", Some("C"), None, "Language [C]: "),
        ] {
            let mut output = Vec::new();
            let answer = ask(&mut typed.as_bytes(), &mut output, "Language", proposed, short);
            assert_eq!(answer.as_deref(), expected, "{typed:?}");
            assert_eq!(String::from_utf8(output).unwrap(), shown, "{typed:?}");
        }
    }
}
