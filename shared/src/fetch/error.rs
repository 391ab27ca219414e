//! Why something could not be fetched.

use std::time::Duration;

/// A fetch that came to nothing. It names the host, never the whole URL, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", prefix(.host, .redirected_from.as_deref()))]
pub struct FetchError {
    /// The host that was asked.
    pub host: String,
    /// The host that was asked first, when it was another.
    pub redirected_from: Option<String>,
    /// The reason of the failure.
    pub reason: Reason,
}

impl FetchError {
    /// Whether a later attempt may succeed.
    pub fn is_temporary(&self) -> bool {
        match &self.reason {
            Reason::NotAllowed(_) | Reason::TooLarge(_) | Reason::NotFound | Reason::Redirects(_) => false,
            Reason::Status(status) => matches!(status, 408 | 409 | 425 | 429 | 500..),
            Reason::Unresolved | Reason::Refused(_) | Reason::Slow | Reason::Broken(_) | Reason::NotStored(_) => true,
            Reason::Credentials(_) => true,
            // The next refresh has less to fetch.
            Reason::Wait(..) | Reason::BudgetSpent(_) => true,
        }
    }
}

/// The hosts before a reason; nothing for a URL that names none.
fn prefix(host: &str, redirected_from: Option<&str>) -> String {
    match (host, redirected_from) {
        ("", _) => String::new(),
        (host, None) => format!("{host}: "),
        (host, Some(from)) => format!("{host} (redirected from {from}): "),
    }
}

impl FetchError {
    /// The same in words that everybody may read: the host that was asked for, and none of the words of a server or library. A
    /// redirect may lead to hosts that are nobody's business.
    pub fn public(&self) -> String {
        let host = self.redirected_from.as_deref().unwrap_or(&self.host);
        format!("{}{}", prefix(host, None), self.reason.public())
    }
}

/// The event that took the place of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The rules forbid it; nothing was asked.
    #[error("not allowed: {0}")]
    NotAllowed(&'static str),
    /// The name has no address, or no name server answers.
    #[error("the name cannot be resolved")]
    Unresolved,
    /// No connection: refused, unreachable, or no trust.
    #[error("no connection: {0}")]
    Refused(String),
    /// No answer, or not all of it, in time.
    #[error("no complete answer in time")]
    Slow,
    /// More than was asked for.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// The server says that it does not exist.
    #[error("not found")]
    NotFound,
    /// Any other answer.
    #[error("it answered with status {0}")]
    Status(u16),
    /// An answer that asks for a wait before the next request.
    #[error("it answered with status {0} and asks for a wait of {secs} s", secs = .1.as_secs())]
    Wait(u16, Duration),
    /// Redirects without an end.
    #[error("more than {0} redirects")]
    Redirects(usize),
    /// The answer ended early, or was not one.
    #[error("the answer is broken: {0}")]
    Broken(String),
    /// Everything that one refresh fetches is too much for its memory.
    #[error("everything that is fetched has more than {0} bytes together")]
    BudgetSpent(u64),
    /// The credentials of the host cannot be read.
    #[error("its credentials cannot be read: {0}")]
    Credentials(String),
    /// The fetched content could not be written on this side.
    #[error("it could not be stored: {0}")]
    NotStored(String),
}

impl Reason {
    fn public(&self) -> String {
        match self {
            Self::Refused(_) => "no connection".to_owned(),
            Self::Broken(_) => "the answer is broken".to_owned(),
            Self::NotStored(_) => "it could not be stored".to_owned(),
            Self::Credentials(_) => "its credentials cannot be read".to_owned(),
            Self::NotAllowed(_)
            | Self::Unresolved
            | Self::Slow
            | Self::TooLarge(_)
            | Self::NotFound
            | Self::Status(_)
            | Self::Wait(..)
            | Self::BudgetSpent(_)
            | Self::Redirects(_) => self.to_string(),
        }
    }
}

impl From<&reqwest::Error> for Reason {
    fn from(error: &reqwest::Error) -> Self {
        let mut innermost: &dyn std::error::Error = error;
        while let Some(source) = innermost.source() {
            if let Some(reason) = source.downcast_ref::<Self>() {
                return reason.clone();
            }
            innermost = source;
        }
        // The outermost message has the URL in it.
        if error.is_timeout() {
            Self::Slow
        } else if error.is_connect() {
            Self::Refused(innermost.to_string())
        } else {
            Self::Broken(innermost.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_without_a_host_stands_alone() {
        let error = FetchError { host: String::new(), redirected_from: None, reason: Reason::NotAllowed("no URL") };
        assert_eq!((error.to_string(), error.public()), ("not allowed: no URL".into(), "not allowed: no URL".into()));
    }

    #[test]
    fn public_words_name_the_first_host_and_no_words_of_others() {
        let error = |from: Option<&str>, reason| FetchError {
            host: "vault.internal.example".to_owned(),
            redirected_from: from.map(str::to_owned),
            reason,
        };
        let refused = error(Some("icons.example"), Reason::Refused("refused by 10.0.0.7:443".to_owned()));
        assert_eq!(refused.public(), "icons.example: no connection");
        assert!(refused.to_string().contains("vault.internal.example") && refused.to_string().contains("10.0.0.7"));
        assert_eq!(error(None, Reason::Status(503)).public(), "vault.internal.example: it answered with status 503");
    }
}
