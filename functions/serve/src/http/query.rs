//! Query strings: pairs of names and values, decoded in one way for every API.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The pairs of a query string, still percent-encoded and without its question mark, in their order.
///
/// As in the reference, a pair with a semicolon or a broken percent-encoding is no pair, `+` is a space, and invalid UTF-8 is a
/// text like any other that nothing matches.
pub(crate) fn pairs(raw: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    raw.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, decode(value)?))
    })
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let hexadecimal = |escape: &str| escape.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(hexadecimal) {
        return None;
    }
    let spaced = text.replace('+', " ");
    Some(Cow::Owned(percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_once() {
        let read = |raw| pairs(raw).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        assert_eq!(read("n=%31&%6eame=a+b&x&&y=%2531"), ["n=1", "name=a b", "x=", "y=%31"]);
        assert_eq!(read("a=b;c=d&e=%zz&f=%e&g=%"), [""; 0]);
        assert_eq!(read("a=%ff&=&b=c=d"), ["a=\u{fffd}", "=", "b=c=d"]);
    }
}
