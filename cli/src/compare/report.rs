//! The result of a comparison, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
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
    deliberate: BTreeMap<String, usize>,
    failures: Vec<Difference>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
struct Counts {
    asked: usize,
    alike: usize,
    different: usize,
    /// Those that differ deliberately, and in nothing else.
    deliberate: usize,
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
            deliberate: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Adds the outcome of a question.
    pub(super) fn add(&mut self, question: &Question, outcome: &Outcome) {
        let counts = self.areas.entry(question.area.name()).or_default();
        counts.asked += 1;
        match (outcome.differences.is_empty(), outcome.deliberate.is_empty()) {
            (false, _) => counts.different += 1,
            (true, false) => counts.deliberate += 1,
            (true, true) => counts.alike += 1,
        }
        self.differences.extend(outcome.differences.iter().map(|reason| difference(question, reason.clone())));
        for reason in &outcome.deliberate {
            *self.deliberate.entry(reason.clone()).or_default() += 1;
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

    /// A table of all areas, then the differences. One change of a stack is in many lists: those that differ alike have one line.
    pub(super) fn table(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{:18}{:>8}{:>8}{:>11}{:>12}{:>8}",
            "", "asked", "alike", "different", "deliberate", "failed"
        );
        let mut row = |name: &str, counts: Counts| {
            let Counts { asked, alike, different, deliberate, failed } = counts;
            let _ = writeln!(out, "{name:18}{asked:>8}{alike:>8}{different:>11}{deliberate:>12}{failed:>8}");
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
            let lines = lines_of(found);
            for line in lines.iter().take(LINES) {
                let _ = writeln!(out, "  {}", printable(&shortened(line, LINE_BYTES)));
            }
            if let Some(more) = lines.len().checked_sub(LINES).filter(|more| *more > 0) {
                let _ = writeln!(out, "  ... and {more} more; --json has all");
            }
        }
        if !self.deliberate.is_empty() {
            let _ = writeln!(out, "\ndeliberate differences, by how often they were met:");
            for (reason, count) in &self.deliberate {
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

/// A line for each subject and reason, in the order of the subjects. Indexes and filters with the same reason are in one line.
fn lines_of(found: &[Difference]) -> Vec<String> {
    let lists = [Area::Index, Area::Filters].map(Area::name);
    let mut alike = BTreeMap::<&str, BTreeSet<&str>>::new();
    let mut lines = Vec::new();
    for Difference { area, subject, reason } in found {
        if lists.contains(area) {
            alike.entry(reason).or_default().insert(subject);
        } else {
            lines.push(format!("{subject}: {reason}"));
        }
    }
    lines.extend(alike.into_iter().filter_map(|(reason, subjects)| {
        let more = match subjects.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        Some(format!("{}{more}: {reason}", subjects.first()?))
    }));
    lines.sort();
    lines
}

fn difference(question: &Question, reason: String) -> Difference {
    Difference { area: question.area.name(), subject: question.subject.clone(), reason }
}
