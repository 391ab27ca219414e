//! The verdict: notes of what was measured, and the promises that did not hold.

use super::functions::Log;
use super::table::Row;

/// Memory counts as flat when the last third of the time needs at most so much more than the second.
const MEMORY_SHARE: f64 = 1.2;
const MEMORY_MB: f64 = 8.0;

/// Most problems of the readers that are printed.
const SHOWN_PROBLEMS: usize = 10;

const REQUESTS: &str = "devfile_registry_requests_total{";
const REVALIDATIONS: &str = "devfile_registry_snapshot_revalidations_total ";

/// Notes and problems.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<String>,
}

impl Verdict {
    /// A promise did not hold.
    pub(super) fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    /// Readers found these problems; a few of many are printed.
    pub(super) fn readers(&mut self, found: Vec<String>) {
        let more = found.len().saturating_sub(SHOWN_PROBLEMS);
        self.problems.extend(found.into_iter().take(SHOWN_PROBLEMS));
        if more > 0 {
            self.problem(format!("and {more} more of that kind"));
        }
    }

    /// No answer may be a 5xx that nothing explains, and there must be answers.
    pub(super) fn server_errors(&mut self, rows: &[Row]) {
        for row in rows.iter().filter(|row| row.tally.server_errors > 0) {
            self.problem(format!("{}: {} answers were 5xx", row.name, row.tally.server_errors));
        }
        if rows.iter().all(|row| row.tally.answers == 0) {
            self.problem("nothing was read");
        }
    }

    /// Every request must be in the first log, and no secret in any.
    pub(super) fn logs(&mut self, logs: &[(&str, Log)], requests: u64) {
        let logged = logs.first().map_or(0, |(_, log)| log.requests);
        if logged < requests {
            self.problem(format!("the log of serve has {logged} of {requests} requests"));
        }
        for (name, log) in logs {
            self.problems
                .extend(log.leaks.iter().map(|secret| format!("the log of {name} holds the secret of {secret}")));
        }
        self.notes.push("Every request is in the log of serve, and no secret in any log.".to_owned());
    }

    /// Memory must be flat. `samples` are seconds since the begin, and MB; the run took so many seconds.
    pub(super) fn memory(&mut self, samples: &[(f64, f64)], seconds: f64) {
        let third = seconds / 3.0;
        let most = |from: f64, to: f64| {
            let within = samples.iter().filter(|(at, _)| (from..to).contains(at));
            within.map(|(_, mb)| *mb).fold(0.0, f64::max)
        };
        let first = samples.first().map_or(0.0, |(_, mb)| *mb);
        let (before, after) = (most(third, 2.0 * third), most(2.0 * third, f64::INFINITY));
        if after > before * MEMORY_SHARE + MEMORY_MB {
            self.problem(format!("memory of serve grows: {before:.1} MB, then {after:.1} MB"));
        }
        self.notes.push(format!(
            "Memory of serve: {first:.1} MB at first, at most {before:.1} MB in the second third and {after:.1} MB in the last."
        ));
    }

    /// The page of metrics must count every request.
    pub(super) fn metrics(&mut self, page: &str, requests: u64) {
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok());
        let counted: u64 = page.lines().filter(|line| line.starts_with(REQUESTS)).filter_map(value).sum();
        let revalidations =
            page.lines().find(|line| line.starts_with(REVALIDATIONS)).and_then(value).unwrap_or_default();
        if counted < requests {
            self.problem(format!("/metrics counts {counted} of {requests} requests"));
        }
        self.notes.push(format!("Metrics count {counted} requests and {revalidations} looks at the bucket."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::table::Tally;

    #[test]
    fn memory_may_grow_by_a_fifth_and_eight_megabytes() {
        // At 0, 1, 2, ... of 6 seconds.
        for (mb, grows) in [
            (vec![10.0; 6], false),
            (vec![10.0, 500.0, 20.0, 20.0, 31.9, 20.0], false),
            (vec![10.0, 10.0, 20.0, 20.0, 20.0, 32.1], true),
            (vec![50.0, 50.0, 10.0, 10.0, 21.0, 10.0], true),
            (vec![], false),
        ] {
            let samples: Vec<(f64, f64)> = mb.iter().enumerate().map(|(at, mb)| (at as f64, *mb)).collect();
            let mut verdict = Verdict::default();
            verdict.memory(&samples, 6.0);
            assert_eq!(!verdict.problems.is_empty(), grows, "{mb:?}: {verdict:?}");
            assert_eq!(verdict.notes.len(), 1);
        }
    }

    #[test]
    fn metrics_count_every_request() {
        let page = "\
# TYPE devfile_registry_requests counter
devfile_registry_requests_total{route=\"/index\",status=\"200\"} 30
devfile_registry_requests_total{route=\"/v2index/all\",status=\"304\"} 12
devfile_registry_snapshot_revalidations_total 7
# EOF
";
        for (requests, problem) in [(42, None), (43, Some("/metrics counts 42 of 43 requests"))] {
            let mut verdict = Verdict::default();
            verdict.metrics(page, requests);
            assert_eq!(verdict.notes, ["Metrics count 42 requests and 7 looks at the bucket."]);
            assert_eq!(verdict.problems.first().map(String::as_str), problem);
        }
    }

    #[test]
    fn errors_are_problems_and_so_is_silence() {
        for (answers, server_errors, problem) in
            [(10, 0, None), (10, 2, Some("all well: 2 answers were 5xx")), (0, 0, Some("nothing was read"))]
        {
            let tally = Tally { answers, server_errors, explained: 3, ..Tally::default() };
            let mut verdict = Verdict::default();
            verdict.server_errors(&[Row { name: "all well".to_owned(), tally, ..Row::default() }]);
            assert_eq!(verdict.problems.first().map(String::as_str), problem);
        }
    }

    #[test]
    fn logs_have_every_request_and_no_secret() {
        for (requests, leaks, problem) in [
            (5, &[][..], None),
            (4, &[], Some("the log of serve has 4 of 5 requests")),
            (5, &["s3"], Some("the log of serve holds the secret of s3")),
        ] {
            let log = Log { requests, leaks: leaks.iter().copied().collect(), ..Log::default() };
            let mut verdict = Verdict::default();
            verdict.logs(&[("serve", log), ("refresh", Log::default())], 5);
            assert_eq!(verdict.problems.first().map(String::as_str), problem);
        }
    }

    #[test]
    fn few_of_many_problems_are_printed() {
        for (found, printed) in [(0, 0), (10, 10), (13, 11)] {
            let mut verdict = Verdict::default();
            verdict.readers(vec!["a problem".to_owned(); found]);
            assert_eq!(verdict.problems.len(), printed);
        }
        let mut verdict = Verdict::default();
        verdict.readers(vec!["a problem".to_owned(); 13]);
        assert_eq!(verdict.problems.last().map(String::as_str), Some("and 3 more of that kind"));
    }
}
