//! The table: what readers and refreshes met in each kind of phase.

use std::ops::Sub;

use crate::figures::grouped;

const HEAD: &str = "\
| fault | seconds | answers | 5xx | bucket only, 5xx | stale | p99 ms | slowest ms | refreshes | failed |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

/// The answers of a stretch of time.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) answers: u64,
    /// Answers with 5xx that nothing explains.
    pub(super) server_errors: u64,
    /// Answers with 5xx that only the bucket could have given, which was away.
    pub(super) explained: u64,
    /// Answers that say that they may be stale.
    pub(super) stale: u64,
    pub(super) milliseconds: Vec<f64>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        self.server_errors += other.server_errors;
        self.explained += other.explained;
        self.stale += other.stale;
        self.milliseconds.extend(&other.milliseconds);
    }

    /// Returns the time that so many percent of the answers did not exceed; 0 without answers.
    fn percentile(&self, percent: usize) -> f64 {
        let mut ordered = self.milliseconds.clone();
        ordered.sort_by(f64::total_cmp);
        let position = (ordered.len() * percent / 100).min(ordered.len().saturating_sub(1));
        ordered.get(position).copied().unwrap_or_default()
    }
}

/// The refreshes of a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Refreshes {
    pub(super) published: u32,
    pub(super) failed: u32,
}

impl Sub for Refreshes {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { published: self.published - earlier.published, failed: self.failed - earlier.failed }
    }
}

/// The events of all phases of a name.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) seconds: f64,
    pub(super) tally: Tally,
    pub(super) refreshes: Refreshes,
}

impl Row {
    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.tally.add(&other.tally);
        self.refreshes.published += other.refreshes.published;
        self.refreshes.failed += other.refreshes.failed;
    }

    fn markdown(&self) -> String {
        let Self { name, seconds, tally, refreshes: Refreshes { published, failed } } = self;
        let (answers, stale) = (grouped(tally.answers), grouped(tally.stale));
        let (errors, explained) = (tally.server_errors, tally.explained);
        let (p99, slowest) = (tally.percentile(99), tally.percentile(100));
        format!(
            "| {name} | {seconds:.0} | {answers} | {errors} | {explained} | {stale} | {p99:.1} | {slowest:.1} | {published} | {failed} |"
        )
    }
}

/// Renders one row for each name, in the order of their first, and the sum of all.
pub(super) fn markdown(rows: &[Row]) -> String {
    let mut sum = Row { name: "in all".to_owned(), ..Row::default() };
    let mut merged: Vec<Row> = Vec::new();
    for row in rows {
        sum.add(row);
        match merged.iter_mut().find(|known| known.name == row.name) {
            Some(known) => known.add(row),
            None => merged.push(row.clone()),
        }
    }
    merged.push(sum);
    let rows: Vec<String> = merged.iter().map(Row::markdown).collect();
    format!("{HEAD}\n{}", rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_the_time_that_so_many_answers_did_not_exceed() {
        let hundred = (1..=100).rev().map(f64::from).collect();
        for (milliseconds, percent, expected) in [
            (Vec::new(), 99, 0.0),
            (vec![7.5], 99, 7.5),
            (Vec::clone(&hundred), 50, 51.0),
            (Vec::clone(&hundred), 99, 100.0),
            (hundred, 100, 100.0),
        ] {
            let tally = Tally { milliseconds, ..Tally::default() };
            assert_eq!(tally.percentile(percent), expected, "{percent} of {tally:?}");
        }
    }

    #[test]
    fn phases_of_a_name_are_one_row() {
        let row = |name: &str, answers, milliseconds: &[f64], published| Row {
            name: name.to_owned(),
            seconds: 1.25,
            tally: Tally { answers, server_errors: 0, explained: 1, stale: 1_000, milliseconds: milliseconds.to_vec() },
            refreshes: Refreshes { published, failed: 1 },
        };
        let rows =
            [row("GitHub: stall", 1, &[2.0], 0), row("all well", 900, &[3.0], 2), row("GitHub: stall", 99, &[9.0], 3)];
        let table = markdown(&rows);
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| GitHub: stall | 2 | 100 | 0 | 2 | 2,000 | 9.0 | 9.0 | 3 | 2 |",
                "| all well | 1 | 900 | 0 | 1 | 1,000 | 3.0 | 3.0 | 2 | 1 |",
                "| in all | 4 | 1,000 | 0 | 3 | 3,000 | 9.0 | 9.0 | 5 | 3 |",
            ]
        );
    }
}
