//! Figures of a report.

/// Returns the median, which is the mean of the middle two where their number is even; 0 without values.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut ordered: Vec<f64> = values.into_iter().collect();
    ordered.sort_by(f64::total_cmp);
    let at = |position: usize| ordered.get(position).copied().unwrap_or_default();
    f64::midpoint(at(ordered.len().saturating_sub(1) / 2), at(ordered.len() / 2))
}

/// Renders a number with a comma before each group of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_in_any_order() {
        for (values, expected) in
            [(&[][..], 0.0), (&[3.0], 3.0), (&[5.0, 1.0], 3.0), (&[9.0, 1.0, 2.0], 2.0), (&[4.0, 100.0, 2.0, 1.0], 3.0)]
        {
            assert_eq!(median(values.iter().copied()), expected, "{values:?}");
        }
    }

    #[test]
    fn digits_are_in_groups_of_three() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (2_517_370, "2,517,370")] {
            assert_eq!(grouped(number), expected);
        }
    }
}
