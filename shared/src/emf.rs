//! Metrics as log lines, in the embedded metric format of CloudWatch: in AWS Lambda the log is where metrics go.
//!
//! A function is frozen between requests and ended without notice, so nothing is gathered: every line holds the sums of
//! one request or one refresh.

use std::io::Write;
use std::sync::LazyLock;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

/// The namespace of all metrics; dashboards and alarms name it.
pub const NAMESPACE: &str = "DevfileRegistry";

/// The dimension that all metrics have, as the metrics of AWS/Lambda do. It keeps several deployments of an account apart.
const FUNCTION: &str = "FunctionName";

/// The name that AWS Lambda gives to the function.
static FUNCTION_NAME: LazyLock<Option<String>> =
    LazyLock::new(|| std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok().filter(|name| !name.is_empty()));

/// The unit of a metric, as CloudWatch spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// A log line in the making.
#[derive(Debug)]
pub struct Line {
    /// Present when the process is a function.
    function: Option<&'static str>,
    directives: Vec<Value>,
    members: Map<String, Value>,
}

impl Default for Line {
    fn default() -> Self {
        Self::of(FUNCTION_NAME.as_deref())
    }
}

impl Line {
    fn of(function: Option<&'static str>) -> Self {
        let members = function.map(|name| (FUNCTION.to_owned(), json!(name))).into_iter().collect();
        Self { function, directives: Vec::new(), members }
    }

    /// Adds metrics that share dimensions. Names of metrics and dimensions must differ within a line.
    #[must_use]
    pub fn metrics(
        mut self,
        dimensions: &[(&'static str, &'static str)],
        metrics: &[(&'static str, Unit, u64)],
    ) -> Self {
        let own = self.function.map(|_| FUNCTION);
        let names: Vec<&str> = own.into_iter().chain(dimensions.iter().map(|(name, _)| *name)).collect();
        let units: Vec<Value> = metrics
            .iter()
            .map(|(name, unit, _)| {
                let unit = match unit {
                    Unit::Count => "Count",
                    Unit::Bytes => "Bytes",
                    Unit::Seconds => "Seconds",
                    Unit::Milliseconds => "Milliseconds",
                };
                json!({"Name": name, "Unit": unit})
            })
            .collect();
        self.directives.push(json!({"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": units}));
        self.members.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        self.members.extend(metrics.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))));
        self
    }

    /// The line as it was at a time.
    pub fn at(&self, now: SystemTime) -> Value {
        let milliseconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let mut line = Map::new();
        line.insert("_aws".into(), json!({"Timestamp": milliseconds, "CloudWatchMetrics": self.directives}));
        line.extend(self.members.clone());
        line.into()
    }

    /// Writes it to standard error, where all logs go, in one piece.
    pub fn write(&self) {
        let mut text = self.at(SystemTime::now()).to_string();
        text.push('\n');
        // A log that cannot be written is no reason to fail a request.
        let _written = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_a_function_have_its_name_as_a_dimension() {
        let line = Line::of(Some("staging-serve"))
            .metrics(&[("Outcome", "failed")], &[("RefreshOutcome", Unit::Count, 1)])
            .metrics(&[], &[("ReleaseLag", Unit::Seconds, 60)])
            .at(SystemTime::UNIX_EPOCH);
        let dimensions = |number: usize| line["_aws"]["CloudWatchMetrics"][number]["Dimensions"].clone();
        assert_eq!(line["FunctionName"], "staging-serve");
        assert_eq!(dimensions(0), json!([["FunctionName", "Outcome"]]));
        assert_eq!(dimensions(1), json!([["FunctionName"]]));
    }

    /// As the specification of the format shows it: "Embedded metric format example and JSON schema".
    #[test]
    fn a_line_holds_directives_and_their_values() {
        let line = Line::default()
            .metrics(&[("Route", "/index"), ("StatusClass", "2xx")], &[("Requests", Unit::Count, 1)])
            .metrics(&[], &[("ReleaseAge", Unit::Seconds, 60)]);
        assert_eq!(
            line.at(SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1500)),
            json!({
                "_aws": {
                    "Timestamp": 1500,
                    "CloudWatchMetrics": [
                        {
                            "Namespace": "DevfileRegistry",
                            "Dimensions": [["Route", "StatusClass"]],
                            "Metrics": [{"Name": "Requests", "Unit": "Count"}],
                        },
                        {
                            "Namespace": "DevfileRegistry",
                            "Dimensions": [[]],
                            "Metrics": [{"Name": "ReleaseAge", "Unit": "Seconds"}],
                        },
                    ],
                },
                "Route": "/index",
                "StatusClass": "2xx",
                "Requests": 1,
                "ReleaseAge": 60,
            })
        );
    }
}
