//! The form in which texts are compared.

/// `text` lower-cased, trimmed, with every run of white space as one space.
///
/// Case is folded letter by letter: the context rule for the Greek sigma would give a word and the start of that
/// word two different endings, and the one would no longer be found in the other.
///
/// ```text
/// "  Open   SOURCE " -> "open source"
/// ```
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().flat_map(char::to_lowercase));
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fold_joins_case_and_white_space() {
        for (text, folded) in [
            ("", ""),
            (" \t\n", ""),
            ("Go", "go"),
            ("  Open \u{a0} SOURCE\n", "open source"),
            ("Ünïcode", "ünïcode"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
            ("a\0b", "a\0b"),
        ] {
            assert_eq!(fold(text), folded, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn fold_of_a_folded_text_changes_nothing(text in "\\PC*|\\s*") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }
}
