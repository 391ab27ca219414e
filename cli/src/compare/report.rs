//! The result of a comparison, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use devfile_registry::text::{printable, shortened};
use serde::Serialize;

use super::answers::Outcome;
use super::ask::NoAnswer;
use super::plan::{Area, Question};
use super::state::Comparison;

/// Most lines of differences that people get; JSON has all.
const LINES: usize = 200;

/// Longest line, in bytes.
const LINE_BYTES: usize = 400;

/// The result.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    old: String,
    new: String,
    areas: BTreeMap<&'static str, Counts>,
    differences: Vec<Difference>,
    /// The number of times that each deliberate difference was met.
    known: BTreeMap<String, usize>,
    failures: Vec<Difference>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
struct Counts {
    asked: usize,
    alike: usize,
    different: usize,
    /// Those that differ deliberately, and in nothing else.
    known: usize,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct Difference {
    area: &'static str,
    subject: String,
    reason: String,
}

impl Report {
    pub(super) fn new(Comparison { compare: [old, new], .. }: &Comparison) -> Self {
        Self {
            old: old.clone(),
            new: new.clone(),
            areas: BTreeMap::new(),
            differences: Vec::new(),
            known: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Adds the outcome of a question.
    pub(super) fn add(&mut self, question: &Question, outcome: &Outcome) {
        let counts = self.areas.entry(question.area.name()).or_default();
        counts.asked += 1;
        match (outcome.differences.is_empty(), outcome.known.is_empty()) {
            (false, _) => counts.different += 1,
            (true, false) => counts.known += 1,
            (true, true) => counts.alike += 1,
        }
        self.differences.extend(outcome.differences.iter().map(|reason| difference(question, reason.clone())));
        for reason in &outcome.known {
            *self.known.entry(reason.clone()).or_default() += 1;
        }
    }

    /// Adds a question that a registry did not answer.
    pub(super) fn add_failure(&mut self, question: &Question, error: &NoAnswer) {
        let counts = self.areas.entry(question.area.name()).or_default();
        counts.asked += 1;
        counts.failed += 1;
        self.failures.push(difference(question, error.to_string()));
    }

    pub(super) fn has_differences(&self) -> bool {
        !self.differences.is_empty()
    }

    pub(super) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        Ok(format!("{:#}\n", serde_json::to_value(self)?))
    }

    /// A table of all areas, then the differences in the order of their subjects.
    pub(super) fn table(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:18}{:>8}{:>8}{:>11}{:>8}{:>8}", "", "asked", "alike", "different", "known", "failed");
        let mut row = |name: &str, counts: Counts| {
            let Counts { asked, alike, different, known, failed } = counts;
            let _ = writeln!(out, "{name:18}{asked:>8}{alike:>8}{different:>11}{known:>8}{failed:>8}");
        };
        for area in Area::ALL {
            if let Some(counts) = self.areas.get(area.name()) {
                row(area.name(), *counts);
            }
        }
        for (title, found) in [("differences", &self.differences), ("without an answer", &self.failures)] {
            if found.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n{title}:");
            let mut lines: Vec<_> = found.iter().map(|one| format!("{}: {}", one.subject, one.reason)).collect();
            lines.sort();
            for line in lines.iter().take(LINES) {
                let _ = writeln!(out, "  {}", printable(&shortened(line, LINE_BYTES)));
            }
            if let Some(more) = lines.len().checked_sub(LINES).filter(|more| *more > 0) {
                let _ = writeln!(out, "  ... and {more} more; --json has all");
            }
        }
        if !self.known.is_empty() {
            let _ = writeln!(out, "\ndeliberate differences, by how often they were met:");
            for (reason, count) in &self.known {
                let _ = writeln!(out, "{count:>8}  {}", printable(reason));
            }
        }
        let verdict = match (self.has_failures(), self.has_differences()) {
            (_, true) => "the answers differ",
            (true, false) => "the answers that came are alike",
            (false, false) => "all answers are alike",
        };
        let _ = writeln!(out, "\n{verdict}: {} and {}", printable(&self.old), printable(&self.new));
        out
    }
}

fn difference(question: &Question, reason: String) -> Difference {
    Difference { area: question.area.name(), subject: question.subject.clone(), reason }
}
