//! moto, which has the APIs of AWS, in a process of its own.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The account that moto is.
pub const ACCOUNT: &str = "123456789012";

/// The region of the tests.
pub const REGION: &str = "us-east-1";

/// The APIs of AWS without any content. They end when this is dropped.
#[derive(Debug)]
pub struct Moto {
    url: String,
    _process: Child,
}

impl Moto {
    /// Starts moto on a free port.
    pub async fn start() -> Self {
        let mut command = Command::new(crate::tools::tool("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("moto starts");
        let mut log = BufReader::new(process.stderr.take().expect("its log is piped")).lines();
        let url = loop {
            let line = log.next_line().await.expect("its log is text").expect("moto says where it listens");
            if let Some((_, url)) = line.split_once("Running on ") {
                break url.trim().to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { url, _process: process }
    }

    /// Returns the URL on which it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes a call of an API: its answer, or none when the call is refused.
    pub async fn call(&self, service: &str, target: &str, body: &Value) -> Option<Value> {
        call(crate::http::client(), &self.url, (service, target), body).await
    }

    /// Makes a secret in Secrets Manager and returns its ARN.
    pub async fn create_secret(&self, name: &str, value: &str) -> String {
        let body = json!({"Name": name, "SecretString": value});
        let created = self.call("secretsmanager", "secretsmanager.CreateSecret", &body).await.expect("a secret");
        created["ARN"].as_str().expect("an ARN").to_owned()
    }

    /// Gives a secret in Secrets Manager another value.
    pub async fn put_secret(&self, arn: &str, value: &str) {
        let body = json!({"SecretId": arn, "SecretString": value});
        self.call("secretsmanager", "secretsmanager.PutSecretValue", &body).await.expect("another value");
    }

    /// Makes a parameter in the Parameter Store, or gives it another value, and returns its ARN.
    pub async fn put_parameter(&self, name: &str, value: &str) -> String {
        let body = json!({"Name": format!("/{name}"), "Value": value, "Type": "SecureString", "Overwrite": true});
        self.call("ssm", "AmazonSSM.PutParameter", &body).await.expect("a parameter");
        format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name}")
    }
}

/// Makes a call of an API at a URL. moto finds the service by the scope of the signature, which it does not check.
pub(crate) async fn call(
    client: &reqwest::Client,
    url: &str,
    (service, target): (&str, &str),
    body: &Value,
) -> Option<Value> {
    let scope = format!("test/20260101/{REGION}/{service}/aws4_request");
    let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
    let request = client.post(url).header("x-amz-target", target).header("authorization", authorization);
    let request = request.header("content-type", "application/x-amz-json-1.1").body(body.to_string());
    let answer = request.send().await.expect("moto answers");
    if !answer.status().is_success() {
        return None;
    }
    serde_json::from_str(&answer.text().await.expect("a whole answer")).ok()
}
