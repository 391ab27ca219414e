//! The page for operators: the live release, its date, and the problems.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use devfile_registry::diagnostic::Diagnostic;
use devfile_registry::digest::CommitSha;
use devfile_registry::preview::Preview;
use devfile_registry::publish::{LastRefresh, Outcome};
use devfile_registry::release::PendingReason;
use maud::{Markup, html};

use super::budget::{LIST_BYTES, PageBudget, SECTION_BYTES, brief, left_out, section, short};
use super::frame::Frame;
use super::history;
use super::link::repository_page;
use super::page::{Page, RegistryInfo, Section, ago, commit, count, moment};
use super::quarantine::{self, Context, problems};
use crate::release::snapshot::{About, Snapshot};
use crate::status::Health;

/// The page.
pub(super) fn render(
    snapshot: &Snapshot,
    registry: RegistryInfo<'_>,
    health: Health<'_>,
    now: jiff::Timestamp,
) -> Page {
    let about = &snapshot.about;
    let Health { freshness, last_refresh, previews } = health;
    let state = state(about, health);
    let rejected = last_refresh.filter(|last| last.outcome == Some(Outcome::Rejected));
    let in_quarantine = rejected.map_or(about.quarantined.len(), |last| last.quarantined.len());
    let rows = [
        ("Commit", commit(&about.source, &about.commit_hash)),
        ("Live since", html! { (moment(&about.generated_at, now)) }),
        (
            "Follows",
            html! { @if about.pinned { "nothing: pinned to this release until it is unpinned" } @else { "the branch" } },
        ),
        (
            "Source",
            html! {
                @match repository_page(&about.source) {
                    Some(page) => { a href=(page) rel="noopener noreferrer" { (page) } }
                    None => { code { (brief(&about.source)) } }
                }
            },
        ),
        ("Release", html! { code.digest { (about.release) } }),
        ("Confirmed by the bucket", html! { (ago(i64::try_from(freshness.checked.as_secs()).unwrap_or(i64::MAX))) }),
    ];
    let main = html! {
        div.narrow {
            header.page-head {
                h1 { "Status" }
                p class={ "state " (state.0) } { (state.1) }
            }
            @if let Some(failure) = &freshness.failure { p.notice { (brief(failure)) } }
            ul.numbers {
                li { strong { (about.stacks) } " " (word(about.stacks, "stack", "stacks")) }
                li { strong { (about.versions) } " " (word(about.versions, "published version", "published versions")) }
                li { strong { (about.samples) } " " (word(about.samples, "sample", "samples")) }
                li { strong { (in_quarantine) } " quarantined" }
                li { strong { (snapshot.warnings.len()) } " " (word(snapshot.warnings.len(), "warning", "warnings")) }
            }
            section aria-labelledby="live" {
                h2 #live { "Live release" }
                dl.wide { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } }
            }
            @if let Some(last) = last_refresh { (refresh(last, &about.source, now)) }
            (quarantined(about, rejected))
            (pending(about))
            (listed_previews(previews, now))
            (changes(snapshot, registry))
            (history::render(snapshot, registry, now))
            (warnings(&snapshot.warnings))
            p.side-note { "For programs: " a href="/status" { "/status" } " and " a href="/health" { "/health" } "." }
        }
    };
    Page {
        title: "Status".into(),
        description: format!("The release that {} serves now, its age, and its quarantined parts.", registry.name),
        canonical: Some("/viewer/status".into()),
        section: Section::Status,
        main,
    }
}

/// The page of a preview in place of that of the live release: its quarantined stacks.
pub(super) fn render_preview(snapshot: &Snapshot, frame: &Frame, now: jiff::Timestamp) -> Page {
    let about = &snapshot.about;
    let main = html! {
        div.narrow {
            header.page-head {
                h1 { "Preview" }
                p.state.warn { "Not live; built " (moment(&about.generated_at, now)) }
            }
            ul.numbers {
                li { strong { (about.quarantined.len()) } " quarantined" }
                li { strong { (snapshot.warnings.len()) } " " (word(snapshot.warnings.len(), "warning", "warnings")) }
            }
            (quarantined(about, None))
            (pending(about))
            (warnings(&snapshot.warnings))
        }
    };
    Page {
        title: format!("Preview of #{}", frame.number()),
        description: "Parts that the preview of a proposal does not show as its repository has them.".into(),
        canonical: None,
        section: Section::Status,
        main,
    }
}

/// The previews of proposals.
fn listed_previews(previews: &[Arc<Preview>], now: jiff::Timestamp) -> Markup {
    html! {
        @if !previews.is_empty() {
            section aria-labelledby="previews" {
                h2 #previews { "Previews" }
                ul.parts {
                    @for preview in previews {
                        li {
                            a href={ (preview.path()) "/viewer" } rel="nofollow" { "#" (preview.number) }
                            @if !preview.title.is_empty() { " " (short(&preview.title)) }
                            @if !preview.author.is_empty() { " by " (short(&preview.author)) }
                            ": " (preview.changes.changed.len()) " changed, " (preview.changes.removed.len()) " removed"
                            @if preview.quarantined > 0 { ", " (preview.quarantined) " with errors" }
                            "; built from " code { (preview.commit_hash.short()) } " " (moment(&preview.updated_at, now))
                        }
                    }
                }
            }
        }
    }
}

/// The state in one line, with its colour. It is healthy only when nothing is known to be otherwise.
fn state(about: &About, Health { freshness, last_refresh, .. }: Health<'_>) -> (&'static str, &'static str) {
    if freshness.failure.is_some() {
        return ("bad", "No newer release can be read; the last known one is served");
    }
    let Some(last) = last_refresh else { return ("warn", "Live; the outcome of the last refresh is unknown") };
    match last.outcome {
        None => ("bad", "Live, but the last refresh failed"),
        Some(Outcome::Rejected) => ("bad", "Live, but the last refresh was rejected"),
        Some(Outcome::Continuing) => ("warn", "Live, and a newer release is being published"),
        _ if last.behind_since.is_some() => ("warn", "Live, but behind the branch"),
        _ if !about.quarantined.is_empty() => ("warn", "Live, with quarantined versions or entries"),
        _ if about.pending.iter().any(|(_, reasons)| waits(reasons)) => {
            ("warn", "Live, with content that other hosts do not give at present")
        }
        _ if about.pinned => ("warn", "Live, pinned to this release"),
        _ => ("good", "Live and healthy"),
    }
}

fn word(number: usize, one: &'static str, many: &'static str) -> &'static str {
    if number == 1 { one } else { many }
}

/// The last refresh, which need not have made anything live.
fn refresh(last: &LastRefresh, source: &str, now: jiff::Timestamp) -> Markup {
    let outcome = match last.outcome {
        Some(Outcome::Published) => "published",
        Some(Outcome::Continuing) => "continuing",
        Some(Outcome::Unchanged) => "unchanged",
        Some(Outcome::Superseded) => "superseded",
        Some(Outcome::Rejected) => "rejected",
        None => "failed",
    };
    html! {
        section aria-labelledby="refresh" {
            h2 #refresh { "Last refresh" }
            dl.wide {
                div {
                    dt { "Outcome" }
                    dd { (outcome) @if let Some(reason) = last.failure { ": " (reason) "; the log of refresh has the causes" } }
                }
                @if let Some(progress) = last.progress {
                    div { dt { "Progress" } dd { (progress.artifacts) " of " (progress.total) " artifacts" } }
                }
                div { dt { "Ended" } dd { (moment(&last.at, now)) } }
                @if let Some(hash) = &last.commit_hash { div { dt { "Commit" } dd { (commit(source, hash)) } } }
                div {
                    dt { "Behind the branch" }
                    dd { @match &last.behind_since { Some(since) => { "since " (moment(since, now)) } None => { "no" } } }
                }
                @if !last.repaired.is_empty() {
                    div { dt { "Repaired in the stores" } dd { (count(last.repaired.len(), "object", "objects")) } }
                }
            }
        }
    }
}

/// The parts that are not published as they stand in the repository, and why. After a rejected refresh that is all of its commit.
fn quarantined(about: &About, rejected: Option<&LastRefresh>) -> Markup {
    let parts = &about.quarantined;
    let at = |commit: Option<&CommitSha>| Context::new(about, commit.unwrap_or(&about.commit_hash));
    html! {
        section aria-labelledby="quarantined" {
            h2 #quarantined { "Quarantined" }
            @if let Some(last) = rejected {
                p { "STRICT is set, so nothing of the last commit is published until these are corrected:" }
                (problems(&last.quarantined, &at(last.commit_hash.as_ref())))
            }
            @if !parts.is_empty() {
                p { "These keep their last published state until their files are corrected:" }
                (problems(parts, &at(None)))
            } @else if rejected.is_none() {
                p.empty-note { "Nothing is quarantined." }
            }
        }
    }
}

/// Whether a subject has an older state than its files ask for, rather than a branch to follow.
fn waits(reasons: &BTreeSet<PendingReason>) -> bool {
    reasons.iter().any(|reason| *reason != PendingReason::Branch)
}

/// The subjects that each refresh tries again, each with its reasons.
fn pending(about: &About) -> Markup {
    let waiting: Vec<_> = about.pending.iter().filter(|(_, reasons)| waits(reasons)).collect();
    let fitting = section(&waiting, |(subject, reasons)| {
        let reasons = reasons.iter().filter_map(|reason| match reason {
            PendingReason::Unreachable => Some("something that it names on another host cannot be fetched"),
            PendingReason::Undated => Some("the history does not give its date"),
            PendingReason::Branch => None,
        });
        html! { li { code { (brief(subject)) } ": " (reasons.collect::<Vec<_>>().join("; ")) } }
    });
    html! {
        @if !waiting.is_empty() {
            section aria-labelledby="pending" {
                h2 #pending { "Pending" }
                p { "Each refresh tries these again; until then they stay as they were last published:" }
                ul { (fitting.rows) }
                (left_out(waiting.len() - fitting.count))
            }
        }
    }
}

/// The differences of the live release from the one before.
fn changes(snapshot: &Snapshot, registry: RegistryInfo<'_>) -> Markup {
    let (changed, removed) = (&snapshot.about.changed, &snapshot.about.removed);
    let list = |name: &'static str, parts: &BTreeSet<String>| {
        let fitting =
            PageBudget(SECTION_BYTES).fit(parts, |part| html! { li { (history::linked(snapshot, registry, part)) } });
        html! {
            @if !parts.is_empty() {
                h3 { (name) }
                ul.parts { (fitting.rows) }
                (left_out(parts.len() - fitting.count))
            }
        }
    };
    html! {
        @if !changed.is_empty() || !removed.is_empty() {
            section aria-labelledby="changes" {
                h2 #changes { "Changes of this release" }
                (list("Changed", changed))
                (list("Removed", removed))
            }
        }
    }
}

/// Warnings, those of one kind together.
fn warnings(warnings: &[Diagnostic]) -> Markup {
    let mut alike: BTreeMap<(&str, &str), Vec<&Diagnostic>> = BTreeMap::new();
    for warning in warnings {
        alike.entry((&warning.rule, &warning.hint)).or_default().push(warning);
    }
    let message = |warnings: &[&Diagnostic]| -> Option<String> {
        let all_say = &warnings.first()?.message;
        warnings.iter().all(|warning| warning.message == *all_say).then(|| all_say.clone())
    };
    let kinds = alike.len();
    let fitting = PageBudget(SECTION_BYTES).fit(alike, |((rule, hint), warnings)| {
        let message = message(&warnings);
        let places = PageBudget(LIST_BYTES).fit(&warnings, |warning| {
            html! {
                li {
                    code { (brief(&quarantine::position(warning))) }
                    @if message.is_none() { " " (brief(&warning.message)) }
                }
            }
        });
        html! {
            li {
                span.mark { (short(rule)) } " " (brief(message.as_deref().unwrap_or(hint)))
                @if message.is_some() && !hint.is_empty() { span.side-note { (brief(hint)) } }
                details.files {
                    summary { (count(warnings.len(), "place", "places")) }
                    ul.parts { (places.rows) }
                    (left_out(warnings.len() - places.count))
                }
            }
        }
    });
    html! {
        @if kinds > 0 {
            section aria-labelledby="warnings" {
                h2 #warnings { "Warnings" }
                ul.problems { (fitting.rows) }
                (left_out(kinds - fitting.count))
            }
        }
    }
}
