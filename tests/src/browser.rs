//! A real browser under test: Chromium, driven by its own driver. `scripts/test` fetches both.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::tools::tool;

/// Longest wait for the state of a page.
const PATIENCE: Duration = Duration::from_secs(20);

/// The view of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appearance {
    /// On a desk, in light colours.
    Light,
    /// On a desk, in dark colours.
    Dark,
    /// On the narrowest screen, in light colours.
    Narrow,
}

impl Appearance {
    /// Every look with its name.
    pub const ALL: [(Self, &'static str); 3] = [(Self::Light, "light"), (Self::Dark, "dark"), (Self::Narrow, "narrow")];
}

/// A browser with a profile of its own. Browser, profile and driver end when this is dropped.
#[derive(Debug)]
pub struct Browser {
    /// Its session.
    pub client: Client,
    /// The folder of its downloads.
    pub downloads: tempfile::TempDir,
    /// The address of the driver, as `127.0.0.1:PORT`.
    driver: String,
    session: String,
    _process: Child,
    /// The folder of its temporary files, which it does not remove itself.
    _scratch: tempfile::TempDir,
}

impl Drop for Browser {
    /// Ends the session: a driver that is killed leaves its browser and the profile behind.
    fn drop(&mut self) {
        let ended = TcpStream::connect(&self.driver).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(stream, "DELETE /session/{} HTTP/1.1\r\nHost: {}\r\n\r\n", self.session, self.driver)?;
            stream.read(&mut [0; 64])
        });
        if let Err(error) = ended {
            eprintln!("chromedriver did not end its browser: {error}");
        }
    }
}

impl Browser {
    /// Starts a browser.
    pub async fn start() -> Self {
        let mut command = Command::new(tool("chromedriver"));
        let scratch = tempfile::tempdir().expect("a temporary folder");
        command.env("TMPDIR", scratch.path());
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().expect("chromedriver starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
        let port = loop {
            let line = lines.next_line().await.expect("its output is text").expect("chromedriver says its port");
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let driver = format!("127.0.0.1:{port}");
        let downloads = tempfile::tempdir().expect("a temporary folder");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            "--window-size=1280,900",
        ];
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {
                "binary": tool("chromium"),
                "args": arguments,
                "prefs": {"download.default_directory": downloads.path(), "download.prompt_for_download": false},
            },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://{driver}"))
            .await;
        let client = client.expect("chromedriver starts Chromium");
        let session = client.session_id().await.expect("the session is there").expect("it has a name");
        Self { client, downloads, driver, session, _process: process, _scratch: scratch }
    }

    /// Opens a page and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url} opens: {error}"));
        // chromedriver may answer for the empty page that the browser began with.
        let there = "return location.protocol !== 'data:' && document.readyState === 'complete'";
        let loaded = async { while !matches!(self.client.execute(there, vec![]).await, Ok(Value::Bool(true))) {} };
        tokio::time::timeout(PATIENCE, loaded).await.unwrap_or_else(|_| panic!("{url} is not loaded in time"));
    }

    /// Sends a command of Chromium's own protocol.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        let url = format!("http://{}/session/{}/goog/cdp/execute", self.driver, self.session);
        let body = json!({"cmd": name, "params": parameters}).to_string();
        let answer = crate::http::client().post(url).body(body).send().await.expect("chromedriver answers");
        let text = answer.text().await.expect("its answer is text");
        let mut answer: Value = serde_json::from_str(&text).expect("its answer is JSON");
        assert!(answer["value"]["error"].is_null(), "{name}: {text}");
        answer["value"].take()
    }

    /// Sets size and colours of the screen.
    pub async fn show_as(&self, look: Appearance) {
        let (width, height) = if look == Appearance::Narrow { (320, 800) } else { (1280, 900) };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if look == Appearance::Dark { "dark" } else { "light" };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}
        ]});
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// The first element that a CSS selector finds, as soon as there is one.
    pub async fn find(&self, selector: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
        found.unwrap_or_else(|error| panic!("{selector} is on the page: {error}"))
    }

    /// The text of the first element that a CSS selector finds.
    pub async fn text(&self, selector: &str) -> String {
        self.find(selector).await.text().await.expect("an element has a text")
    }

    /// Clicks the first element that a CSS selector finds.
    pub async fn click(&self, selector: &str) {
        let clicked = self.find(selector).await.click().await;
        clicked.unwrap_or_else(|error| panic!("{selector} can be clicked: {error}"));
    }

    /// Returns the result of a script, which is the body of a function.
    pub async fn script(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until an expression of JavaScript is true, looking at every frame that the browser paints.
    pub async fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
            const look = () => ({expression}) ? done(true) : requestAnimationFrame(look);
            look();"
        );
        let seen = async {
            // A page that is being left takes its script along; the next one is asked again.
            while !matches!(self.client.execute_async(&script, vec![]).await, Ok(Value::Bool(true))) {}
        };
        if tokio::time::timeout(PATIENCE, seen).await.is_err() {
            panic!("{expression} does not become true on {:?}", self.client.current_url().await);
        }
    }

    /// The text of a download, once the browser has put all of it in place.
    pub async fn downloaded(&self, name: &str) -> String {
        let file = self.downloads.path().join(name);
        let frame = "requestAnimationFrame(arguments[arguments.length - 1])";
        let there = async {
            // The driver reports no downloads. The browser renames a file when it is complete.
            while !file.exists() {
                self.client.execute_async(frame, vec![]).await.expect("the browser paints");
            }
        };
        tokio::time::timeout(PATIENCE, there).await.unwrap_or_else(|_| panic!("{name} is not downloaded"));
        std::fs::read_to_string(&file).expect("the download is text")
    }

    /// Returns a picture of the window.
    pub async fn picture(&self) -> Vec<u8> {
        self.capture(json!({"format": "png", "captureBeyondViewport": false, "optimizeForSpeed": false})).await
    }

    /// Returns a picture of the page in its whole length.
    pub async fn whole_picture(&self) -> Vec<u8> {
        self.capture(json!({"format": "png", "captureBeyondViewport": true, "optimizeForSpeed": false})).await
    }

    async fn capture(&self, parameters: Value) -> Vec<u8> {
        let taken = self.command("Page.captureScreenshot", parameters).await;
        let text = taken["data"].as_str().expect("the picture is text");
        base64::engine::general_purpose::STANDARD.decode(text).expect("the picture is base64")
    }

    /// Returns the findings of axe-core about the page, one line each.
    pub async fn accessibility_problems(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(tool("axe.min.js")).expect("axe-core can be read");
        self.client.execute(&axe, vec![]).await.expect("axe-core loads");
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document).then(
                (found) => done(found.violations.map((v) => `${v.impact} ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary).join(' | ')}`)),
                (error) => done([String(error)]));";
        let found = self.client.execute_async(script, vec![]).await.expect("axe-core runs");
        serde_json::from_value(found).expect("axe-core gives a list")
    }
}
