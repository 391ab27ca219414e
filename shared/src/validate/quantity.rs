//! Kubernetes quantities: `512Mi`, `0.5`, `250m`, `1e3`.

use std::cmp::Ordering;

/// The suffixes with their factor as powers of 1024 and of 10.
const SUFFIXES: [(&str, u8, i64); 16] = [
    ("", 0, 0),
    ("n", 0, -9),
    ("u", 0, -6),
    ("m", 0, -3),
    ("k", 0, 3),
    ("M", 0, 6),
    ("G", 0, 9),
    ("T", 0, 12),
    ("P", 0, 15),
    ("E", 0, 18),
    ("Ki", 1, 0),
    ("Mi", 2, 0),
    ("Gi", 3, 0),
    ("Ti", 4, 0),
    ("Pi", 5, 0),
    ("Ei", 6, 0),
];

/// An amount, exact at any length: `digits` times ten to the `exponent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quantity {
    negative: bool,
    /// Decimal digits, most significant first, without leading zeros; none for zero.
    digits: Vec<u8>,
    exponent: i64,
}

impl Quantity {
    /// Reads a quantity. As in Kubernetes a suffix alone counts as zero of it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end = unsigned.find(|character: char| !character.is_ascii_digit() && character != '.');
        let (number, suffix) = unsigned.split_at(end.unwrap_or(unsigned.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if text.is_empty() || fraction.contains('.') {
            return None;
        }
        let (kilos, tens) = factor(suffix)?;
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|digit| digit - b'0').collect();
        for _ in 0..kilos {
            multiply(&mut digits, 1024);
        }
        digits.drain(..digits.iter().position(|digit| *digit != 0).unwrap_or(digits.len()));
        let exponent = tens - i64::try_from(fraction.len()).ok()?;
        Some(Self { negative: text.starts_with('-'), digits, exponent })
    }

    /// Whether it is nothing.
    pub(crate) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        let top = |quantity: &Self| {
            let length = i64::try_from(quantity.digits.len()).unwrap_or(i64::MAX);
            quantity.exponent.saturating_add(length)
        };
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => {
                let padded = |quantity: &Self, length: usize| {
                    let zeros = std::iter::repeat_n(0, length - quantity.digits.len());
                    quantity.digits.iter().copied().chain(zeros).collect::<Vec<u8>>()
                };
                let length = self.digits.len().max(other.digits.len());
                top(self).cmp(&top(other)).then_with(|| padded(self, length).cmp(&padded(other, length)))
            }
        }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let negative = |quantity: &Self| quantity.negative && !quantity.is_zero();
        Some(match (negative(self), negative(other)) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        })
    }
}

fn factor(suffix: &str) -> Option<(u8, i64)> {
    if let Some((_, kilos, tens)) = SUFFIXES.iter().find(|(name, ..)| *name == suffix) {
        return Some((*kilos, *tens));
    }
    let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((0, exponent.clamp(i64::from(i32::MIN), i64::from(i32::MAX))))
}

/// Multiplies digits by a small factor.
fn multiply(digits: &mut Vec<u8>, by: u32) {
    let mut carry = 0;
    for digit in digits.iter_mut().rev() {
        let product = u32::from(*digit) * by + carry;
        *digit = u8::try_from(product % 10).unwrap_or(0);
        carry = product / 10;
    }
    while carry > 0 {
        digits.insert(0, u8::try_from(carry % 10).unwrap_or(0));
        carry /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantity_is_parsed_or_refused() {
        for text in [
            "0",
            "1",
            "+1",
            "-1",
            "1.",
            ".5",
            "1.5Gi",
            "12e6",
            "1E3",
            "1e-3",
            "1e400",
            "500m",
            "1u",
            "1n",
            "1Ei",
            "1E",
            "Gi",
            "00012Ki",
            "1234567890123456789012345678901234567890",
        ] {
            assert!(Quantity::parse(text).is_some(), "{text}");
        }
        for text in [
            "", " 1", "1 ", "1.2.3", "1,5", "1K", "1gi", "1GiB", "1Gi1", "1e", "1e3Mi", "1M5", "big", "{{m}}", "--1",
            "1mi", "0x10", "٣",
        ] {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn quantities_are_ordered_by_their_values() {
        for (less, more) in [
            ("1Mi", "1Gi"),
            ("1000m", "1.0001"),
            ("1G", "1Gi"),
            ("-1", "0"),
            ("-2", "-1"),
            ("0", "1n"),
            ("999999999999999999999", "1e21"),
            ("1023Mi", "1Gi"),
            ("1e3", "1Ki"),
        ] {
            let (less, more) = (Quantity::parse(less).unwrap(), Quantity::parse(more).unwrap());
            assert_eq!(less.partial_cmp(&more), Some(Ordering::Less), "{less:?} {more:?}");
        }
        for (one, other) in [("1024Mi", "1Gi"), ("1", "1000m"), ("-0", "0"), ("1.50", "1.5"), ("1e3", "1k")] {
            let (one, other) = (Quantity::parse(one).unwrap(), Quantity::parse(other).unwrap());
            assert_eq!(one.partial_cmp(&other), Some(Ordering::Equal), "{one:?} {other:?}");
        }
    }

    proptest! {
        #[test]
        fn quantity_of_an_integer_agrees_with_it(one in 0u64..1 << 40, other in 0u64..1 << 40, kilos in 0usize..4) {
            let suffix = ["", "Ki", "Mi", "Gi"][kilos];
            let exact = (u128::from(one) << (10 * kilos)).cmp(&u128::from(other));
            let parsed = Quantity::parse(&format!("{one}{suffix}")).unwrap();
            prop_assert_eq!(parsed.partial_cmp(&Quantity::parse(&other.to_string()).unwrap()), Some(exact));
        }

        #[test]
        fn quantity_of_any_text_never_panics(text in "\\PC*") {
            let _ = Quantity::parse(&text);
        }
    }
}
