//! The table: each measurement beside its target.

use crate::console::step;
use crate::figures::grouped;

/// A measurement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Measurement {
    /// Its name, which begins a row of the table.
    pub(super) subject: String,
    /// The target; empty where there is none.
    pub(super) target: String,
    pub(super) measured: String,
    /// Whether the target is met; none where there is no target.
    pub(super) met: Option<bool>,
}

impl Measurement {
    /// Returns a measurement without a target.
    pub(super) fn new(subject: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { subject: subject.into(), measured: measured.into(), ..Self::default() }
    }

    /// Adds a target, and whether it is met.
    pub(super) fn against(self, target: impl Into<String>, met: bool) -> Self {
        Self { target: target.into(), met: Some(met), ..self }
    }

    /// Returns a time in seconds that should be under a limit.
    pub(super) fn time(subject: impl Into<String>, seconds: f64, limit: f64) -> Self {
        Self::new(subject, duration(seconds)).against(format!("under {}", duration(limit)), seconds < limit)
    }

    /// Returns a size in MB that should be under a limit.
    pub(super) fn size(subject: impl Into<String>, megabytes: f64, limit: f64) -> Self {
        Self::new(subject, format!("{megabytes:.1} MB")).against(format!("under {limit:.0} MB"), megabytes < limit)
    }

    fn mark(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        }
    }
}

/// The rows so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Measurement>,
}

impl Table {
    /// Adds a row and prints it.
    pub(super) fn add(&mut self, row: Measurement) {
        step("", &format!("{}: {}", row.subject, row.measured));
        self.rows.push(row);
    }

    /// Renders the table in columns.
    pub(super) fn text(&self) -> String {
        let head = ["what", "target", "measured", ""];
        let rows = self.rows.iter().map(|row| [&row.subject, &row.target, &row.measured, row.mark()]);
        let cells: Vec<[&str; 4]> = std::iter::once(head).chain(rows).collect();
        let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let (what, target, measured) = (width(0), width(1), width(2));
        let lines = cells.iter().map(|row| {
            let line = format!("{:what$}  {:target$}  {:measured$}  {}", row[0], row[1], row[2], row[3]);
            line.trim_end().to_owned() + "\n"
        });
        lines.collect()
    }

    /// Renders the table as Markdown.
    pub(super) fn markdown(&self) -> String {
        let head = "| measurement | target | measured | |\n|---|---|---|---|\n".to_owned();
        let rows = self
            .rows
            .iter()
            .map(|row| format!("| {} | {} | {} | {} |\n", row.subject, row.target, row.measured, row.mark()));
        std::iter::once(head).chain(rows).collect()
    }
}

/// Renders a time in seconds.
pub(super) fn duration(seconds: f64) -> String {
    if seconds >= 1.0 { format!("{seconds:.1} s") } else { format!("{:.0} ms", seconds * 1000.0) }
}

/// Renders a number without decimals, digits in groups.
pub(super) fn whole(number: f64) -> String {
    grouped(number.round() as u64)
}

/// Converts bytes into MB, as memory is counted: 1 MB is 1024 kB of 1024 bytes.
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_target_is_marked() {
        let rows = vec![
            Measurement::time("start", 0.051, 0.1),
            Measurement::time("the first", 3.21, 3.0),
            Measurement::new("size", "2 MB"),
        ];
        let table = Table { rows };
        let text = table.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "what       target        measured",
                "start      under 100 ms  51 ms     met",
                "the first  under 3.0 s   3.2 s     missed",
                "size                     2 MB",
            ]
        );
        let markdown = table.markdown();
        let lines: Vec<&str> = markdown.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| start | under 100 ms | 51 ms | met |",
                "| the first | under 3.0 s | 3.2 s | missed |",
                "| size |  | 2 MB |  |",
            ]
        );
    }

    #[test]
    fn size_at_its_limit_misses_the_target() {
        for (megabytes, met) in [(19.96, true), (20.0, false)] {
            let row = Measurement::size("serve", megabytes, 20.0);
            assert_eq!((row.target.as_str(), row.met), ("under 20 MB", Some(met)), "{megabytes}");
        }
    }
}
