//! Secrets: settings whose values are read when they are needed, and again after a rotation.
//!
//! - [`Secret`]: asked for its value whenever that is used; start here
//! - `arn`: secrets that AWS Secrets Manager and the SSM Parameter Store keep

mod arn;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use tokio::sync::Mutex;

use self::arn::{Reader, SecretArn, reader};
use crate::environment::Environment;
use crate::settings::{ARN_SUFFIX, FILE_SUFFIX, Setting};

/// Age at which a value is read again, in seconds.
const AGE_SECONDS: i64 = 300;

/// Time between two reads of a refused value, in seconds. Otherwise each forged signature would cause a read.
const RENEWAL_SECONDS: i64 = 10;

/// Most bytes of a file. Secrets Manager takes no more, either.
const FILE_BYTES: u64 = 64 << 10;

/// A secret of the settings: `NAME` has the value, `NAME_FILE` the path of a file with it, or `NAME_ARN` the ARN of a secret in AWS.
/// `Debug` shows its origin alone.
///
/// Values from files and from AWS are read when they are needed first, after five minutes, and when a server refused the last one.
#[derive(Clone)]
pub struct Secret(Arc<SecretState>);

struct SecretState {
    /// The variable.
    variable: String,
    origin: SecretOrigin,
    known: Mutex<Option<KnownValue>>,
}

enum SecretOrigin {
    Value(Arc<str>),
    File(PathBuf),
    /// The ARN, and the client that reads it. A function pointer, so that serve, which has no secrets, is linked without clients of AWS.
    Aws(String, Reader),
}

/// The value of the last read.
struct KnownValue {
    value: Arc<str>,
    read_at: Timestamp,
    /// The last read because of a refusal, and whether that gave another value.
    renewed: Option<(Timestamp, bool)>,
}

/// A secret that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {origin}: {reason}")]
pub struct SecretError {
    origin: String,
    reason: String,
}

impl Secret {
    /// Takes a value that does not change.
    pub fn fixed(name: &str, value: &str) -> Self {
        Self::new(name.to_owned(), SecretOrigin::Value(value.into()))
    }

    fn new(variable: String, origin: SecretOrigin) -> Self {
        Self(Arc::new(SecretState { variable, origin, known: Mutex::default() }))
    }

    /// Reads where a secret is; `None` when none of its variables is set. Values and files are checked at once, secrets in AWS when they
    /// are used.
    pub fn from_environment<E: fmt::Display>(
        environment: &mut Environment,
        setting: &Setting,
        check: impl Fn(&str) -> Result<(), E>,
    ) -> Option<Self> {
        let mut set: Vec<(String, String)> =
            setting.variables().filter_map(|name| Some((name.clone(), environment.lookup(&name)?))).collect();
        let (variable, text) = set.pop()?;
        if let Some((other, _)) = set.pop() {
            environment.reject(format!("{other} and {variable} exclude each other; set one of them"));
            return None;
        }
        let checked = |value: &str| check(value).map_err(|reason| reason.to_string());
        let origin = match variable.strip_prefix(setting.name) {
            Some(FILE_SUFFIX) => {
                let path = PathBuf::from(text);
                let value = read_file(&path).map_err(|reason| format!("cannot read {}: {reason}", path.display()));
                value.and_then(|value| checked(&value)).map(|()| SecretOrigin::File(path))
            }
            Some(ARN_SUFFIX) => match text.parse::<SecretArn>() {
                Ok(arn) => Ok(SecretOrigin::Aws(text, reader(arn))),
                Err(reason) => Err(reason.to_string()),
            },
            _ => checked(&text).map(|()| SecretOrigin::Value(text.into())),
        };
        match origin {
            Ok(origin) => Some(Self::new(variable, origin)),
            Err(reason) => {
                environment.reject(format!("{variable}: {reason}"));
                None
            }
        }
    }

    /// Returns the value.
    ///
    /// # Errors
    /// [`SecretError`] when it was never read before and cannot be read now.
    pub async fn value(&self) -> Result<Arc<str>, SecretError> {
        let mut known = self.0.known.lock().await;
        let now = Timestamp::now();
        if let Some(known) = known.as_ref().filter(|known| is_within(AGE_SECONDS, known.read_at, now)) {
            return Ok(Arc::clone(&known.value));
        }
        match (self.0.read().await, known.as_mut()) {
            (Ok(value), _) => {
                let renewed = known.take().and_then(|known| known.renewed);
                *known = Some(KnownValue { value: Arc::clone(&value), read_at: now, renewed });
                Ok(value)
            }
            (Err(error), None) => Err(error),
            (Err(error), Some(known)) => {
                tracing::warn!(%error, "the last value stays in use");
                // The next attempt is not the next call.
                known.read_at = Timestamp::from_second(now.as_second() - AGE_SECONDS + RENEWAL_SECONDS).unwrap_or(now);
                Ok(Arc::clone(&known.value))
            }
        }
    }

    /// Reads the value again because a server refused it, or refused by it. Returns whether there is another one now.
    pub async fn is_renewed(&self) -> bool {
        let mut known = self.0.known.lock().await;
        let now = Timestamp::now();
        let Some(known) = known.as_mut().filter(|_| !matches!(self.0.origin, SecretOrigin::Value(_))) else {
            return false;
        };
        match known.renewed {
            Some((time, is_another)) if is_within(RENEWAL_SECONDS, time, now) => return is_another,
            _ => {}
        }
        let is_another = match self.0.read().await {
            Ok(value) => {
                let is_another = value != known.value;
                (known.value, known.read_at) = (value, now);
                is_another
            }
            Err(error) => {
                tracing::warn!(%error, "a refused secret cannot be renewed");
                false
            }
        };
        known.renewed = Some((now, is_another));
        is_another
    }
}

impl SecretState {
    fn read(&self) -> BoxFuture<'_, Result<Arc<str>, SecretError>> {
        // Of no named type, because the futures of a refresh nest deeper than the compiler follows.
        async {
            let (name, value) = match &self.origin {
                SecretOrigin::Value(value) => return Ok(Arc::clone(value)),
                SecretOrigin::File(path) => {
                    let file = path.clone();
                    let read = tokio::task::spawn_blocking(move || read_file(&file)).await;
                    (path.display().to_string(), read.unwrap_or_else(|panic| Err(panic.to_string())))
                }
                SecretOrigin::Aws(arn, read) => (arn.clone(), read().await.and_then(|text| without_line_end(&text))),
            };
            let failed = |reason| SecretError { origin: format!("{} ({name})", self.variable), reason };
            value.map(Arc::from).map_err(failed)
        }
        .boxed()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.0.variable).finish()
    }
}

/// Whether so many seconds since a time have not passed. A function may have been frozen in between, which stops all clocks but that of
/// the day.
fn is_within(seconds: i64, since: Timestamp, now: Timestamp) -> bool {
    (0..seconds).contains(&(now.as_second() - since.as_second()))
}

fn read_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_string(&mut text));
    if file.map_err(|error| error.to_string())? as u64 > FILE_BYTES {
        return Err(format!("it has more than {FILE_BYTES} bytes"));
    }
    without_line_end(&text)
}

/// Returns a text without the line ends behind it, which editors and `echo` add.
fn without_line_end(text: &str) -> Result<String, String> {
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("it is empty".to_owned()),
        value => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::GITHUB_TOKEN;

    fn check(value: &str) -> Result<(), &'static str> {
        if value.contains(' ') { Err("it has spaces") } else { Ok(()) }
    }

    fn read(variables: &[(&'static str, String)]) -> Result<Option<Secret>, String> {
        let variables = variables.to_vec();
        let lookup = move |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
        let mut environment = Environment::new(lookup);
        let secret = Secret::from_environment(&mut environment, &GITHUB_TOKEN, check);
        environment.finish().map(|()| secret).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn secret_is_a_value_or_a_file_or_an_arn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "from-a-file\r\n").unwrap();
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:token-a1b2c3";
        let value = read(&[("GITHUB_TOKEN", "from-a-value".to_owned())]).unwrap().unwrap();
        assert_eq!(value.value().await.unwrap().as_ref(), "from-a-value");
        let file = read(&[("GITHUB_TOKEN_FILE", path.display().to_string())]).unwrap().unwrap();
        assert_eq!(file.value().await.unwrap().as_ref(), "from-a-file");
        let stored = read(&[("GITHUB_TOKEN_ARN", arn.to_owned())]).unwrap().unwrap();
        assert_eq!(format!("{value:?} {stored:?}"), "Secret(\"GITHUB_TOKEN\") Secret(\"GITHUB_TOKEN_ARN\")");
        assert!(read(&[]).unwrap().is_none());
    }

    #[test]
    fn secret_that_cannot_be_used_is_named_at_start_without_its_value() {
        let path = "/nonexistent/token".to_owned();
        for (variables, expected) in [
            (vec![("GITHUB_TOKEN", "s3 cret".to_owned())], "GITHUB_TOKEN: it has spaces"),
            (
                vec![("GITHUB_TOKEN_FILE", path.clone())],
                "GITHUB_TOKEN_FILE: cannot read /nonexistent/token: No such file",
            ),
            (vec![("GITHUB_TOKEN_ARN", "arn:aws:s3:::s3 cret".to_owned())], "GITHUB_TOKEN_ARN: not the ARN of"),
            (vec![("GITHUB_TOKEN", "a".to_owned()), ("GITHUB_TOKEN_FILE", path)], "exclude each other"),
        ] {
            let error = read(&variables).unwrap_err();
            assert!(error.contains(expected) && !error.contains("s3 cret"), "{error}");
        }
    }

    #[tokio::test]
    async fn changed_file_is_read_when_its_value_was_refused_once_in_ten_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first").unwrap();
        let secret = read(&[("GITHUB_TOKEN_FILE", path.display().to_string())]).unwrap().unwrap();
        assert_eq!(secret.value().await.unwrap().as_ref(), "first");
        std::fs::write(&path, "second").unwrap();
        assert_eq!(secret.value().await.unwrap().as_ref(), "first");
        assert!(secret.is_renewed().await);
        assert_eq!(secret.value().await.unwrap().as_ref(), "second");
        std::fs::write(&path, "third").unwrap();
        assert!(secret.is_renewed().await, "others whose call was refused beside that one try again, too");
        assert_eq!(secret.value().await.unwrap().as_ref(), "second");
        assert!(!Secret::fixed("GITHUB_TOKEN", "a").is_renewed().await);
    }

    #[tokio::test]
    async fn old_value_is_read_again_and_stays_while_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first").unwrap();
        let secret = read(&[("GITHUB_TOKEN_FILE", path.display().to_string())]).unwrap().unwrap();
        let age = async || {
            secret.0.known.lock().await.as_mut().unwrap().read_at -= jiff::SignedDuration::from_secs(AGE_SECONDS);
        };
        assert_eq!(secret.value().await.unwrap().as_ref(), "first");
        std::fs::write(&path, "second").unwrap();
        age().await;
        assert_eq!(secret.value().await.unwrap().as_ref(), "second");
        std::fs::remove_file(&path).unwrap();
        age().await;
        assert_eq!(secret.value().await.unwrap().as_ref(), "second");
    }

    #[test]
    fn file_has_a_limit_and_is_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (content, expected) in [
            ("\n".to_owned(), Err("it is empty".to_owned())),
            ("x".repeat(FILE_BYTES as usize + 1), Err(format!("it has more than {FILE_BYTES} bytes"))),
            (" padded \n\n".to_owned(), Ok(" padded ".to_owned())),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read_file(&path), expected);
        }
    }
}
