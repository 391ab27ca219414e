//! Quarantined parts of the repository: on the page for operators, and for the owner on the page of the stack; warnings on the latter.

use std::collections::BTreeMap;

use devfile_registry::diagnostic::{Diagnostic, Severity};
use devfile_registry::digest::CommitSha;
use devfile_registry::index::{Entry, EntryType};
use devfile_registry::repository::{Part, Quarantined};
use devfile_registry::timestamp::Timestamp;
use maud::{Markup, html};

use super::budget::{LIST_BYTES, PageBudget, brief, left_out, section};
use super::page::{Glyph, count, day, glyph};
use super::shown::Shown;
use super::source::RepositoryLinks;
use crate::release::snapshot::{About, Snapshot};

/// Most problems in the notice of a stack's own page.
const NOTICED: usize = 5;

/// The repository at the commit of some problems, and since when the parts are quarantined.
#[derive(Debug)]
pub(super) struct Context<'a> {
    source: Option<RepositoryLinks>,
    since: &'a BTreeMap<String, Timestamp>,
}

impl<'a> Context<'a> {
    /// The repository of a release at a commit.
    pub(super) fn new(about: &'a About, commit: &CommitSha) -> Self {
        Self { source: RepositoryLinks::at(&about.source, commit), since: &about.quarantined_since }
    }
}

/// Parts with their problems.
pub(super) fn problems(parts: &[Quarantined], context: &Context<'_>) -> Markup {
    let fitting = section(parts, |part| {
        html! {
            li {
                h3 { (brief(&part_name(&part.part))) }
                @if let Some(since) = context.since.get(&part.part.path()).and_then(day) { p.side-note { "Quarantined since " (since) } }
                ul { (PageBudget(LIST_BYTES).fit(&part.problems, |problem| html! { li { (diagnostic(problem, context)) } }).rows) }
            }
        }
    });
    html! {
        ul.problems { (fitting.rows) }
        (left_out(parts.len() - fitting.count))
    }
}

/// The notice on the page of an entry with quarantined parts. A stack is known by its folder, which may have another name.
pub(super) fn notice(snapshot: &Snapshot, entry: &Entry) -> Markup {
    let is_its = |part: &Part| match part {
        Part::Version { stack, .. } | Part::Stack { stack } => {
            entry.entry_type == EntryType::Stack && snapshot.stack_in(stack) == Some(entry.name.as_str())
        }
        Part::Sample { name } => entry.entry_type == EntryType::Sample && *name == entry.name,
        Part::ExtraEntries | Part::Dates => false,
    };
    notice_of(snapshot, is_its, "the last published state stays until the files are corrected.")
}

/// The notice on the page that says that an entry is missing. Nothing of it was published, so its folder stands for its name.
pub(super) fn notice_of_missing(snapshot: &Snapshot, name: &str) -> Markup {
    let is_its = |part: &Part| match part {
        Part::Version { stack, .. } | Part::Stack { stack } => stack == name && snapshot.stack_in(stack).is_none(),
        Part::Sample { name: sample } => sample == name,
        Part::ExtraEntries | Part::Dates => false,
    };
    notice_of(snapshot, is_its, "it is published once the files are corrected.")
}

fn notice_of(snapshot: &Snapshot, is_its: impl Fn(&Part) -> bool, consequence: &str) -> Markup {
    let about = &snapshot.about;
    let parts: Vec<&Quarantined> = about.quarantined.iter().filter(|quarantined| is_its(&quarantined.part)).collect();
    let context = Context::new(about, &about.commit_hash);
    let problems = parts.iter().flat_map(|quarantined| &quarantined.problems).take(NOTICED);
    let since = parts.iter().filter_map(|quarantined| context.since.get(&quarantined.part.path())).min().and_then(day);
    html! {
        @if let [first, rest @ ..] = parts.as_slice() {
            div.notice #quarantined {
                (glyph(Glyph::Warning))
                div {
                    p {
                        strong { (brief(&part_name(&first.part))) }
                        @if !rest.is_empty() { " and " (rest.len()) " more" }
                        @if rest.is_empty() { " is" } @else { " are" }
                        " quarantined" @if let Some(since) = since { " since " (since) }
                        ": " (consequence)
                    }
                    ul { (PageBudget(LIST_BYTES).fit(problems, |problem| html! { li { (diagnostic(problem, &context)) } }).rows) }
                    p { a href="/viewer/status#quarantined" { "All that is quarantined" } }
                }
            }
        }
    }
}

/// The warnings about the files of a version and of its stack, for their owner.
pub(super) fn warnings(snapshot: &Snapshot, shown: &Shown<'_>) -> Markup {
    let warnings: Vec<&Diagnostic> =
        snapshot.warnings.iter().filter(|warning| is_about(warning, snapshot, shown)).collect();
    let context = Context::new(&snapshot.about, &snapshot.about.commit_hash);
    let noticed = warnings.iter().take(NOTICED);
    html! {
        @if !warnings.is_empty() {
            div.notice #warnings {
                (glyph(Glyph::Warning))
                div {
                    p { strong { (count(warnings.len(), "warning", "warnings")) } " about the files of this version and its stack" }
                    ul { (PageBudget(LIST_BYTES).fit(noticed, |warning| html! { li { (diagnostic(warning, &context)) } }).rows) }
                    @if warnings.len() > NOTICED { p { a href="/viewer/status#warnings" { "All warnings" } } }
                }
            }
        }
    }
}

/// Whether a warning is about a file of the version shown, or about one of its stack that is in no folder of another version.
fn is_about(warning: &Diagnostic, snapshot: &Snapshot, shown: &Shown<'_>) -> bool {
    let entry = shown.entry;
    let mut steps = warning.path.split('/');
    match (entry.entry_type, steps.next(), steps.next()) {
        (EntryType::Stack, Some("stacks"), Some(folder)) => {
            let version = steps.next().and_then(|version| snapshot.version_in(&format!("stacks/{folder}/{version}")));
            snapshot.stack_in(folder) == Some(&entry.name) && version.is_none_or(|(_, version)| version == shown.name())
        }
        (EntryType::Sample, Some("samples"), Some(name)) => entry.name == name,
        // A message about an entry of this file begins with its name.
        _ => {
            warning.path == Part::ExtraEntries.path()
                && warning
                    .message
                    .strip_prefix('`')
                    .and_then(|message| message.strip_prefix(entry.name.as_str()))
                    .is_some_and(|message| message.starts_with("`:"))
        }
    }
}

fn part_name(part: &Part) -> String {
    match part {
        Part::Version { stack, version } => format!("{stack} {version}"),
        Part::Stack { stack } => format!("{stack}, all versions"),
        Part::Sample { name } => format!("{name}, a sample"),
        Part::ExtraEntries => "Samples and stacks of extraDevfileEntries.yaml".to_owned(),
        Part::Dates => "Dates of last_modified.json".to_owned(),
    }
}

/// A problem with a link to its line at the commit.
fn diagnostic(problem: &Diagnostic, context: &Context<'_>) -> Markup {
    let line = problem.position.map(|position| position.line);
    let link = context.source.as_ref().and_then(|source| source.line(&problem.path, line));
    html! {
        span class=(match problem.severity { Severity::Error => "mark deprecated", Severity::Warning => "mark" }) { (problem.rule) }
        " " (brief(&problem.message)) " "
        @match link {
            Some(link) => { a href=(link) rel="noopener noreferrer" { code { (brief(&position(problem))) } } }
            None => { code { (brief(&position(problem))) } }
        }
        @if !problem.hint.is_empty() { " " span.side-note { (brief(&problem.hint)) } }
    }
}

/// File, line and column, as editors take them.
pub(super) fn position(problem: &Diagnostic) -> String {
    let position = problem.position.map(|position| format!(":{}:{}", position.line, position.column));
    format!("{}{}", problem.path, position.unwrap_or_default())
}
