//! Texts as far as they are shown.

/// Longest title, name or version that is shown, in characters.
const TITLE_CHARS: usize = 200;

/// A title, name or version as far as it is shown.
pub(crate) fn short(text: &str) -> &str {
    start(text, TITLE_CHARS)
}

/// The first characters of a text.
pub(crate) fn start(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}
