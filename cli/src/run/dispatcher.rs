//! Requests to either function, and the metrics of both.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use devfile_registry::plain_http::RequestBody;
use serve::Observer;

/// The text format of OpenMetrics, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The last line of OpenMetrics.
const END: &str = "# EOF\n";

/// Answers requests by the function that they are for.
#[derive(Debug)]
pub(super) struct Dispatcher {
    pub(super) observer: Observer,
    pub(super) refresh: Arc<refresh::app::App>,
}

impl Dispatcher {
    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        let request = request.map(Body::new);
        if refresh::is_trigger(request.uri().path()) {
            return refresh::answer(&self.refresh, request).await;
        }
        self.observer.answer(request).await
    }

    /// Answers a request to the address of metrics.
    pub(super) fn metrics(&self, path: &str) -> Response<Body> {
        match path {
            "/metrics" => {
                let text = merged(&self.observer.metrics(), &refresh::observe::metrics());
                ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

/// Two texts as one. A family that both have is that of the first.
fn merged(first: &str, second: &str) -> String {
    let name = |line: &str| line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
    let known: BTreeSet<String> = first.lines().filter_map(name).collect();
    let mut text = first.strip_suffix(END).unwrap_or(first).to_owned();
    let mut is_known = false;
    for line in second.lines() {
        if let Some(name) = name(line) {
            is_known = known.contains(&name);
        }
        if !is_known && line != END.trim_end() {
            text.push_str(line);
            text.push('\n');
        }
    }
    text + END
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_both_functions_are_one_text_with_each_family_once() {
        let first = "# HELP a A.\n# TYPE a gauge\na 1\n# EOF\n";
        let second = "# HELP b B.\n# TYPE b counter\nb_total 2\n# HELP a A.\n# TYPE a gauge\na 3\n# EOF\n";
        let expected = "# HELP a A.\n# TYPE a gauge\na 1\n# HELP b B.\n# TYPE b counter\nb_total 2\n# EOF\n";
        assert_eq!(merged(first, second), expected);
        assert_eq!(merged("", second), second);
    }
}
