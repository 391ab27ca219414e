//! AWS Lambda, as far as a function sees it: the runtime API on the loopback. It hands a function one event after the other
//! and takes its answers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::{Path as Segments, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::registry::TestRegistry;

/// Longest that an event may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The id of the trace that events belong to, as X-Ray writes it.
pub const XRAY: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

/// A function that runs in the stand-in. It ends when this is dropped.
#[derive(Debug)]
pub struct Function {
    process: Child,
    started: Instant,
    events: mpsc::UnboundedSender<(Value, Duration)>,
    answers: mpsc::UnboundedReceiver<(Instant, Result<Value, String>)>,
    api: JoinHandle<()>,
}

/// The Invoke API: takes asynchronous invocations, and gives them to a test.
#[derive(Debug)]
pub struct Invocations {
    url: String,
    events: mpsc::UnboundedReceiver<Value>,
    api: JoinHandle<()>,
}

/// The answer of a function to an event.
#[derive(Debug)]
pub struct LambdaAnswer {
    /// Time since the function was started.
    pub since_start: Duration,
    /// Its answer.
    pub payload: Value,
}

struct Api {
    events: Mutex<mpsc::UnboundedReceiver<(Value, Duration)>>,
    answers: mpsc::UnboundedSender<(Instant, Result<Value, String>)>,
}

impl Function {
    /// Starts a program as a function, with an environment beside the one of the runtime; the log goes to a pipe.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(program: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let (events, received) = mpsc::unbounded_channel();
        let (answered, answers) = mpsc::unbounded_channel();
        let api = Arc::new(Api { events: Mutex::new(received), answers: answered });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{what}", post(take))
            .route("/2018-06-01/runtime/init/error", post(take_init_error))
            // As the real one (AWS Lambda quotas, "Invocation payload").
            .layer(DefaultBodyLimit::max(6_291_556))
            .with_state(api);
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let api = tokio::spawn(async move {
            // Ends with the task, and only then.
            let _ended = axum::serve(listener, router).await;
        });
        let mut command = Command::new(program);
        command
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", program.file_name().unwrap_or_default())
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/test")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "test")
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let started = Instant::now();
        let process = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { process, started, events, answers, api })
    }

    /// Starts a function of a registry.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn of(registry: &TestRegistry, name: &str) -> Result<Self> {
        let level = ("RUST_LOG".to_owned(), "info".to_owned());
        Self::start(&registry.program(name), registry.variables().into_iter().chain([level])).await
    }

    /// Hands over an event and waits for the answer.
    ///
    /// # Errors
    /// The function's error, or that it has ended or takes too long.
    pub async fn invoke(&mut self, event: Value) -> Result<LambdaAnswer> {
        self.invoke_within(event, PATIENCE).await
    }

    /// Hands over an event that the function is told to answer within a time, and waits for the answer.
    ///
    /// # Errors
    /// The function's error, or that it has ended or takes too long.
    pub async fn invoke_within(&mut self, event: Value, time: Duration) -> Result<LambdaAnswer> {
        self.events.send((event, time)).context("the runtime API has ended")?;
        let answered = async {
            tokio::select! {
                answer = self.answers.recv() => answer.context("the runtime API has ended"),
                status = self.process.wait() => bail!("the function has ended: {}", status?),
            }
        };
        let answered = tokio::time::timeout(time.max(PATIENCE), answered).await;
        let (at, result) = answered.with_context(|| format!("no answer within {} seconds", time.as_secs()))??;
        let payload = result.map_err(|error| anyhow::anyhow!("the function failed: {error}"))?;
        Ok(LambdaAnswer { since_start: at - self.started, payload })
    }

    /// Ends the function and returns its log, one JSON document a line; other lines are left out.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn end(mut self) -> Result<Vec<Value>> {
        self.process.start_kill()?;
        self.api.abort();
        let output = self.process.wait_with_output().await?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

impl Invocations {
    /// The API on a free port.
    pub async fn start() -> Self {
        let (taken, events) = mpsc::unbounded_channel();
        let take = |State(taken): State<mpsc::UnboundedSender<Value>>, body: axum::body::Bytes| async move {
            // Nobody waits any more once the API is dropped.
            let _taken = taken.send(serde_json::from_slice(&body).unwrap_or_default());
            StatusCode::ACCEPTED
        };
        let router = Router::new().route("/2015-03-31/functions/{name}/invocations", post(take)).with_state(taken);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let api = tokio::spawn(async move {
            // Ends with the task, and only then.
            let _ended = axum::serve(listener, router).await;
        });
        Self { url, events, api }
    }

    /// Its address, for `AWS_ENDPOINT_URL_LAMBDA`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The event of the next invocation.
    pub async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an invocation in time");
        next.expect("the API runs")
    }

    /// Whether there is no further invocation so far.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl Drop for Invocations {
    fn drop(&mut self) {
        self.api.abort();
    }
}

/// The event of a GET that came through an HTTP API (payload version 2.0).
pub fn http_event(path: &str, query: &str, headers: &[(&str, &str)]) -> Value {
    let headers: serde_json::Map<String, Value> =
        [("host", "registry.example")].iter().chain(headers).map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "registry.example",
            "domainPrefix": "registry",
            "http": {
                "method": "GET",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test",
            },
            "requestId": "gateway",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1_773_342_238_000_u64,
        },
        "isBase64Encoded": false,
    })
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    let Some((event, time)) = api.events.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let deadline = std::time::SystemTime::now() + time;
    let deadline = deadline.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:test".to_owned()),
        ("lambda-runtime-trace-id", XRAY.to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event.to_string()).into_response()
}

async fn take(
    State(api): State<Arc<Api>>,
    Segments((_, what)): Segments<(String, String)>,
    body: axum::body::Bytes,
) -> StatusCode {
    let now = Instant::now();
    let result = match (what.as_str(), serde_json::from_slice(&body)) {
        ("response", Ok(answer)) => Ok(answer),
        _ => Err(String::from_utf8_lossy(&body).into_owned()),
    };
    // Nobody waits any more once the function is dropped.
    let _taken = api.answers.send((now, result));
    StatusCode::ACCEPTED
}

async fn take_init_error(State(api): State<Arc<Api>>, body: axum::body::Bytes) -> StatusCode {
    let _taken = api.answers.send((Instant::now(), Err(String::from_utf8_lossy(&body).into_owned())));
    StatusCode::ACCEPTED
}
