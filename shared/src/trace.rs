//! Positions in a distributed trace: W3C Trace Context, level 1, the header `traceparent`.

use std::fmt;
use std::str::FromStr;

/// Name of the header.
pub const TRACEPARENT: &str = "traceparent";

/// Longest header that is read, in bytes. Later versions may append fields to the 55 bytes of version 00.
const LONGEST: usize = 128;

/// A caller's position in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    flags: u8,
}

/// Why a text is not a [`TraceParent`]. The text came from a client and is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header is not a traceparent of W3C Trace Context")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The position of a call that is made on behalf of this one: the same trace, another span.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span: fastrand::u64(1..), ..self }
    }

    /// The position with a trace, a span and flags. None is all zeros.
    #[cfg(feature = "otel")]
    pub(crate) fn of_parts(trace: u128, span: u64, flags: u8) -> Option<Self> {
        (trace != 0 && span != 0).then_some(Self { trace, span, flags })
    }

    /// Its trace, span and flags.
    #[cfg(feature = "otel")]
    pub(crate) fn parts(self) -> (u128, u64, u8) {
        (self.trace, self.span, self.flags)
    }

    /// The trace, as logs name it: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// Reads a header. A version that is not known yet is read as far as version 00 goes (section 3.2.4).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = (55..=LONGEST).contains(&text.len()) && text.is_ascii();
        let parts = well_formed.then(|| text.splitn(5, '-').collect::<Vec<_>>()).ok_or(InvalidTraceParent)?;
        let (version, trace, span, flags, more) = match parts.as_slice() {
            [version, trace, span, flags] => (*version, *trace, *span, *flags, None),
            [version, trace, span, flags, more] => (*version, *trace, *span, *flags, Some(more)),
            _ => return Err(InvalidTraceParent),
        };
        let version = u8::try_from(hex(version, 2)?).map_err(|_| InvalidTraceParent)?;
        if version == 0xff || (version == 0 && more.is_some()) {
            return Err(InvalidTraceParent);
        }
        let (trace, span) = (hex(trace, 32)?, hex(span, 16)?);
        let (span, flags) = (span as u64, hex(flags, 2)? as u8);
        if trace == 0 || span == 0 { Err(InvalidTraceParent) } else { Ok(Self { trace, span, flags }) }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the flags only `sampled` is known in version 00.
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags & 1)
    }
}

/// Lower-case hexadecimal digits, exactly so many.
fn hex(digits: &str, count: usize) -> Result<u128, InvalidTraceParent> {
    let well_formed = digits.len() == count && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    well_formed.then(|| u128::from_str_radix(digits, 16).ok()).flatten().ok_or(InvalidTraceParent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparent_header_is_parsed_or_refused() {
        assert_eq!(GOOD.parse::<TraceParent>().unwrap().to_string(), GOOD);
        let later = format!("cc{}-what-comes", &GOOD[2..]);
        assert_eq!(later.parse::<TraceParent>().unwrap().to_string(), GOOD);
        for bad in [
            "",
            "00",
            &GOOD[1..],
            &GOOD.to_uppercase(),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replacen("00", "ff", 1),
            &format!("{GOOD}-more"),
            &format!("cc{}{}", &GOOD[2..], "-x".repeat(64)),
            &GOOD.replace('-', "\n"),
            &GOOD.replace("4b", "+b"),
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(InvalidTraceParent), "{bad:?}");
        }
    }

    #[test]
    fn a_child_is_of_the_same_trace() {
        let parent: TraceParent = GOOD.parse().unwrap();
        let child = parent.child();
        assert_eq!(child.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(child, parent);
        assert!(child.to_string().ends_with("-01"), "the flag of the caller is kept");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_written_as_version_00(text in ".{0,140}") {
            if let Ok(parsed) = text.parse::<TraceParent>() {
                prop_assert_eq!(parsed.to_string().parse::<TraceParent>(), Ok(parsed));
            }
        }
    }
}
