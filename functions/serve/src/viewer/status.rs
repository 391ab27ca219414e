//! The page for operators: what is live, since when, and what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use devfile_registry::diagnostic::{Diagnostic, Severity};
use devfile_registry::digest::CommitSha;
use devfile_registry::release::Recent;
use devfile_registry::repository::{Part, Quarantined};
use devfile_registry::timestamp::Timestamp;
use maud::{Markup, html};

use super::link::{commit_page, repository_page};
use super::page::{Page, Registry, Section, count};
use super::room::{LIST_BYTES, Room, SECTION_BYTES, brief, left_out, section, short};
use crate::live::Freshness;
use crate::snapshot::Snapshot;

/// The page.
pub(super) fn render(snapshot: &Snapshot, registry: Registry<'_>, freshness: &Freshness, now: jiff::Timestamp) -> Page {
    let about = &snapshot.about;
    let state = match (&freshness.failure, about.quarantined.is_empty()) {
        (Some(_), _) => ("bad", "The bucket does not answer; the last known release is served"),
        (None, false) => ("warn", "Live, with parts that are held back"),
        (None, true) => ("good", "Live and healthy"),
    };
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
        ("Last look at the bucket", html! { (ago(i64::try_from(freshness.checked.as_secs()).unwrap_or(i64::MAX))) }),
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
                li { strong { (about.quarantined.len()) } " held back" }
                li { strong { (snapshot.warnings.len()) } " " (word(snapshot.warnings.len(), "warning", "warnings")) }
            }
            section aria-labelledby="live" {
                h2 #live { "Live release" }
                dl.wide { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } }
            }
            (quarantined(&about.quarantined))
            (changes(&about.changed, &about.removed))
            (recent(&about.recent, &about.source, now))
            (warnings(&snapshot.warnings))
            p.side-note { "For programs: " a href="/status" { "/status" } " and " a href="/health" { "/health" } "." }
        }
    };
    Page {
        title: "Status".into(),
        description: format!("What {} serves now, since when, and what is held back.", registry.name),
        canonical: Some("/viewer/status".into()),
        section: Section::Status,
        main,
    }
}

fn word(number: usize, one: &'static str, many: &'static str) -> &'static str {
    if number == 1 { one } else { many }
}

fn commit(source: &str, commit: &CommitSha) -> Markup {
    html! {
        @match commit_page(source, commit.as_str()) {
            Some(page) => { a href=(page) rel="noopener noreferrer" { code { (commit.short()) } } }
            None => { code { (commit.short()) } }
        }
    }
}

/// A moment and how long ago it was.
fn moment(moment: &Timestamp, now: jiff::Timestamp) -> Markup {
    let seconds = now.as_second() - moment.instant().as_second();
    html! {
        time datetime=(moment) { (moment.instant().strftime("%-d %b %Y, %H:%M:%S UTC")) } " (" (ago(seconds)) ")"
    }
}

/// A time span in the largest unit that fits.
fn ago(seconds: i64) -> String {
    let (number, one, many) = match seconds.max(0) {
        seconds @ 0..=59 => (seconds, "second", "seconds"),
        seconds @ 60..=3599 => (seconds / 60, "minute", "minutes"),
        seconds @ 3600..=86_399 => (seconds / 3600, "hour", "hours"),
        seconds => (seconds / 86_400, "day", "days"),
    };
    format!("{} ago", count(usize::try_from(number).unwrap_or(0), one, many))
}

/// What is held back, and why.
fn quarantined(parts: &[Quarantined]) -> Markup {
    let fitting = section(parts, |part| {
        html! {
            li {
                h3 { (brief(&part_name(&part.part))) }
                ul { (Room(LIST_BYTES).fit(&part.problems, |problem| html! { li { (diagnostic(problem)) } }).rows) }
            }
        }
    });
    html! {
        section aria-labelledby="held-back" {
            h2 #held-back { "Held back" }
            @if parts.is_empty() {
                p.empty-note { "Nothing: everything in the repository is published as it stands there." }
            } @else {
                p { "These stay as they were last published until their files are mended:" }
                ul.problems { (fitting.rows) }
                (left_out(parts.len() - fitting.count))
            }
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

fn diagnostic(problem: &Diagnostic) -> Markup {
    html! {
        span class=(match problem.severity { Severity::Error => "mark deprecated", Severity::Warning => "mark" }) { (problem.rule) }
        " " (brief(&problem.message)) " "
        code { (brief(&place(problem))) }
        @if !problem.hint.is_empty() { span.side-note { (brief(&problem.hint)) } }
    }
}

/// File, line and column, as editors take them.
fn place(problem: &Diagnostic) -> String {
    let position = problem.position.map(|position| format!(":{}:{}", position.line, position.column));
    format!("{}{}", problem.path, position.unwrap_or_default())
}

/// What the last refresh changed.
fn changes(changed: &BTreeSet<String>, removed: &BTreeSet<String>) -> Markup {
    let list = |name: &'static str, parts: &BTreeSet<String>| {
        let fitting = Room(SECTION_BYTES).fit(parts, |part| html! { li { code { (brief(part)) } } });
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
                h2 #changes { "Last refresh" }
                (list("Changed", changed))
                (list("Removed", removed))
            }
        }
    }
}

/// Releases that were live, the newest first.
fn recent(releases: &[Recent], source: &str, now: jiff::Timestamp) -> Markup {
    let fitting = section(releases, |release| {
        html! {
            tr { td { (commit(source, &release.commit_hash)) } td { (moment(&release.generated_at, now)) } }
        }
    });
    html! {
        @if !releases.is_empty() {
            section aria-labelledby="recent" {
                h2 #recent { "Recent releases" }
                div.table tabindex="0" role="region" aria-label="Table of releases" {
                    table {
                        thead { tr { th scope="col" { "Commit" } th scope="col" { "Live since" } } }
                        tbody { (fitting.rows) }
                    }
                }
                (left_out(releases.len() - fitting.count))
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
    let fitting = Room(SECTION_BYTES).fit(alike, |((rule, hint), warnings)| {
        let message = message(&warnings);
        let places = Room(LIST_BYTES).fit(&warnings, |warning| {
            html! {
                li {
                    code { (brief(&place(warning))) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        for (seconds, text) in [
            (-5, "0 seconds ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (7300, "2 hours ago"),
            (86_400 * 3, "3 days ago"),
        ] {
            assert_eq!(ago(seconds), text);
        }
    }

    #[test]
    fn what_the_last_refresh_changed_and_what_was_live() {
        let parts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let shown = changes(&parts(&["stacks/kiln/1.1.0"]), &parts(&["stacks/old"])).into_string();
        assert!(shown.contains("stacks/kiln/1.1.0") && shown.contains("Removed"), "{shown}");
        assert!(changes(&parts(&[]), &parts(&[])).into_string().is_empty());
        let release = serde_json::json!({
            "commit_hash": "0123456789abcdef0123456789abcdef01234567", "generated_at": "2025-11-01T10:00:00Z",
            "release": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        });
        let releases: Vec<Recent> = serde_json::from_value(serde_json::json!([release])).unwrap();
        let now = "2025-11-01T12:00:00Z".parse().unwrap();
        let shown = recent(&releases, "https://github.com/a/b", now).into_string();
        assert!(shown.contains("https://github.com/a/b/commit/0123456789") && shown.contains("2 hours ago"), "{shown}");
    }
}
