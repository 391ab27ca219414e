//! Load by `wrk`, and the rows about it.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::table::{Measurement, whole};
use crate::tools::tool;

/// The results of `wrk`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    /// Requests a second.
    pub(super) per_second: f64,
    p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Answers with another status than 2xx or 3xx.
    pub(super) failed: u64,
}

impl Load {
    /// Asks for a URL with two threads and sixteen connections.
    pub(super) async fn measure(url: &str, headers: &[(&str, &str)], time: Duration) -> Result<Self> {
        let mut command = Command::new(tool("wrk"));
        command.args(["-t2", "-c16", &format!("-d{}s", time.as_secs()), "--latency"]).kill_on_drop(true);
        command.args(headers.iter().map(|(name, value)| format!("-H{name}: {value}")));
        let output = command.arg(url).output().await.context("cannot start wrk")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk fails ({}) at {url}: {}", output.status, said.trim());
        Self::parse(&said).with_context(|| format!("wrk says nothing that can be read about {url}: {}", said.trim()))
    }

    /// Reads the output of `wrk`.
    fn parse(said: &str) -> Option<Self> {
        let after = |label: &str| said.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
        Some(Self {
            per_second: after("Requests/sec:")?.parse().ok()?,
            p50_ms: milliseconds(after("50%")?)?,
            p99_ms: milliseconds(after("99%")?)?,
            failed: after("Non-2xx or 3xx responses:").map_or(Ok(0), str::parse).ok()?,
        })
    }

    /// Returns the time of a core that a page takes, everything from the request to the answer included, which should be under a limit
    /// in milliseconds if there is one.
    pub(super) fn page(&self, subject: impl Into<String>, limit: Option<f64>) -> Measurement {
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        let milliseconds = cores * 1000.0 / self.per_second.max(1e-9);
        let row = Measurement::new(subject, format!("{milliseconds:.2} ms of a core ({self})"));
        match limit {
            Some(limit) => row.against(format!("under {limit:.0} ms"), milliseconds < limit),
            None => row,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { per_second, p50_ms, p99_ms, failed } = self;
        write!(f, "{} req/s, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms", whole(*per_second))?;
        if *failed > 0 { write!(f, ", {failed} failed") } else { Ok(()) }
    }
}

/// Reads a time such as `810.00us`.
fn milliseconds(time: &str) -> Option<f64> {
    let (number, unit) = time.split_at(time.find(|c: char| c.is_ascii_alphabetic())?);
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
Running 2s test @ http://127.0.0.1:1/
  2 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.17ms    0.93ms  12.12ms   74.12%
  Latency Distribution
     50%  810.00us
     75%    1.20ms
     90%    2.20ms
     99%    4.41ms
  27512 requests in 2.00s, 2.91GB read
Requests/sec:  13702.51
Transfer/sec:      1.45GB
";

    #[test]
    fn output_of_wrk_is_read() {
        let load = Load { per_second: 13_702.51, p50_ms: 0.81, p99_ms: 4.41, failed: 0 };
        assert_eq!(Load::parse(SAID), Some(load));
        assert_eq!(load.to_string(), "13,703 req/s, p50 0.81 ms, p99 4.41 ms");
        let refused = Load::parse(&format!("{SAID}  Non-2xx or 3xx responses: 7\n")).unwrap();
        assert_eq!(refused, Load { failed: 7, ..load });
        assert!(refused.to_string().ends_with(", 7 failed"));
        for slow in ["1.50s", "1500.00ms"] {
            assert_eq!(Load::parse(&SAID.replace("4.41ms", slow)).unwrap().p99_ms, 1500.0, "{slow}");
        }
        for unreadable in ["unable to connect to 127.0.0.1:1 Connection refused\n", &SAID.replace("4.41ms", "4.41m")] {
            assert_eq!(Load::parse(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn page_takes_the_time_of_all_cores() {
        let cores = std::thread::available_parallelism().unwrap().get() as f64;
        let load = Load { per_second: cores * 500.0, p50_ms: 1.0, p99_ms: 2.0, failed: 0 };
        let row = load.page("a page", Some(2.0));
        assert!(row.measured.starts_with("2.00 ms of a core ("), "{row:?}");
        assert_eq!(row.met, Some(false));
        assert_eq!(load.page("a page", None).met, None);
    }
}
