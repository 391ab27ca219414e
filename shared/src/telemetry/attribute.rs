//! The attributes of a span.

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A request is answered.
    Server,
    /// Another server is called.
    Client,
    /// Neither.
    Internal,
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A word of ours or of another server, but no text that a client made up, and no secret.
    Text(&'a str),
    /// A number.
    Number(u64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<u16> for Value<'_> {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}
