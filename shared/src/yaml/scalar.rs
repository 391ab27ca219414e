//! The meaning of a scalar in YAML 1.1 as Go's yaml.v2 reads it, which the clients of a registry use.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Number;

use super::node::Data;

/// The words for booleans, lower case. Each is also one with a capital or all in capitals.
const TRUE: [&str; 4] = ["y", "yes", "true", "on"];
const FALSE: [&str; 4] = ["n", "no", "false", "off"];

/// Returns the value of a plain, untagged scalar.
///
/// # Errors
/// For infinities and not-a-number, which JSON does not have.
pub(crate) fn plain(text: &str) -> Result<Data, String> {
    if let Some(data) = word(text) {
        return Ok(data);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("`{text}` is a number that JSON does not have"));
    }
    Ok(number(text).map_or_else(|| Data::Text(text.to_owned()), Data::Number))
}

/// Returns the value of a scalar with an explicit tag; `tag` is the part after `tag:yaml.org,2002:`. Unknown tags make text.
///
/// # Errors
/// When the text is not of the kind that the tag names.
pub(crate) fn tagged(tag: Option<&str>, text: &str) -> Result<Data, String> {
    let Some(tag) = tag else { return Ok(Data::Text(text.to_owned())) };
    let data = match tag {
        "bool" | "int" | "float" | "null" => plain(text)?,
        "binary" => {
            let packed: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
            let bytes = STANDARD.decode(packed).map_err(|_| "the text after !!binary is not base64".to_owned())?;
            return Ok(Data::Text(String::from_utf8_lossy(&bytes).into_owned()));
        }
        _ => return Ok(Data::Text(text.to_owned())),
    };
    match (tag, &data) {
        ("bool", Data::Bool(_)) | ("null", Data::Null) | ("float", Data::Number(_)) => Ok(data),
        ("int", Data::Number(number)) if !number.is_f64() => Ok(data),
        _ => Err(format!("`{text}` does not fit its tag !!{tag}")),
    }
}

fn word(text: &str) -> Option<Data> {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Some(Data::Null);
    }
    if text.len() > 5 || !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let usual_case = text == lower || text[1..] == lower[1..] || text == text.to_ascii_uppercase();
    match lower.as_str() {
        _ if !usual_case => None,
        lower if TRUE.contains(&lower) => Some(Data::Bool(true)),
        lower if FALSE.contains(&lower) => Some(Data::Bool(false)),
        _ => None,
    }
}

/// Integers in bases 2, 8, 10 and 16 and floats, underscores anywhere after the first character.
fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let text = text.replace('_', "");
    integer(&text).or_else(|| is_float(&text).then(|| float(text.parse().ok()?)).flatten())
}

fn integer(text: &str) -> Option<Number> {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    if negative { 0i64.checked_sub_unsigned(magnitude).map(Number::from) } else { Some(magnitude.into()) }
}

/// `[-+]? (. digits | digits [. digits?]) ([eE] [-+]? digits)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    mantissa && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// A float; a whole one becomes an integer, as it does on its way through Go's JSON.
fn float(value: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[allow(clippy::cast_possible_truncation)] // whole and within 53 bits
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::node::{FilePosition, Node};
    use super::*;
    use crate::diagnostic::Position;

    fn value(data: Data) -> Value {
        let at = FilePosition { file: 0, position: Position { line: 1, column: 1 } };
        Value::from(&Node::new(at, data))
    }

    #[test]
    fn plain_scalar_is_read_as_clients_read_it() {
        for (text, expected) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("Null", json!(null)),
            ("nUll", json!("nUll")),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("NO", json!(false)),
            ("yES", json!("yES")),
            ("12", json!(12)),
            ("+12", json!(12)),
            ("-0x10", json!(-16)),
            ("0b101", json!(5)),
            ("01750", json!(1000)),
            ("0o1750", json!(1000)),
            ("08", json!(8)),
            ("1_000", json!(1000)),
            ("_1", json!("_1")),
            ("8080.0", json!(8080)),
            ("8e3", json!(8000)),
            (".5", json!(0.5)),
            ("5.", json!(5)),
            (".", json!(".")),
            ("-", json!("-")),
            ("1e", json!("1e")),
            ("22:22", json!("22:22")),
            ("2024-01-02", json!("2024-01-02")),
            ("2.2.0", json!("2.2.0")),
            ("007a", json!("007a")),
            ("9223372036854775807", json!(9_223_372_036_854_775_807_i64)),
            ("99999999999999999999", json!(1e20)),
            ("1e400", json!("1e400")),
        ] {
            assert_eq!(value(plain(text).unwrap()), expected, "{text:?}");
        }
        for text in [".inf", "-.Inf", "+.INF", ".NaN"] {
            plain(text).unwrap_err();
        }
    }

    #[test]
    fn tagged_scalar_has_the_type_of_its_tag() {
        for (tag, text, expected) in [
            (Some("str"), "12", json!("12")),
            (Some("int"), "12", json!(12)),
            (Some("float"), "8080", json!(8080)),
            (Some("binary"), "aGVsbG8=", json!("hello")),
            (Some("python/name"), "x", json!("x")),
            (None, "5", json!("5")),
        ] {
            assert_eq!(value(tagged(tag, text).unwrap()), expected, "{tag:?} {text:?}");
        }
        for (tag, text) in [("int", "x"), ("bool", "1"), ("null", "x"), ("binary", "???")] {
            tagged(Some(tag), text).unwrap_err();
        }
    }
}
