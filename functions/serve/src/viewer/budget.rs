//! Bounds of pages: texts end, and lists stop where the room of their section does, so that no content makes a page larger than
//! [`PAGE_BYTES`](devfile_registry::limits::PAGE_BYTES).

use std::borrow::Cow;
use std::time::Duration;

pub(super) use crate::view::browse::text::{short, start};
use maud::{Markup, PreEscaped, html};

/// Room for the code of a devfile or a comparison, in bytes of HTML: a devfile of 100 kB in colour.
pub(super) const CODE_BYTES: usize = 512 << 10;

/// Room for each of the other sections: hundreds of rows.
pub(super) const SECTION_BYTES: usize = 96 << 10;

/// Room for each list beside the sections: tags, links, remotes.
pub(super) const LIST_BYTES: usize = 24 << 10;

/// Longest text of an entry that is shown, in characters. Published descriptions have up to 300.
const TEXT_CHARS: usize = 1500;

/// Longest text that is a link, in bytes, that all browsers and servers accept.
pub(super) const LINK_BYTES: usize = 2000;

/// Longest that the comparisons of a page may take together; after it, the rest is shown as replaced.
pub(super) const PAGE_DIFF_TIME: Duration = Duration::from_millis(100);

/// A text as far as it is shown.
pub(super) fn brief(text: &str) -> Cow<'_, str> {
    match start(text, TEXT_CHARS) {
        whole if whole.len() == text.len() => Cow::Borrowed(text),
        start => Cow::Owned(format!("{start}…")),
    }
}

/// The bytes that are left for a section of a page.
#[derive(Debug)]
pub(super) struct PageBudget(pub(super) usize);

/// The first rows of a list.
#[derive(Debug)]
pub(super) struct Fitting {
    /// The rows.
    pub(super) rows: Markup,
    /// Their number.
    pub(super) count: usize,
    /// Whether there were others.
    pub(super) is_cut: bool,
}

impl PageBudget {
    /// Renders rows as long as there is room for them.
    pub(super) fn fit<T>(&mut self, items: impl IntoIterator<Item = T>, render: impl Fn(T) -> Markup) -> Fitting {
        let (mut rows, mut count) = (String::new(), 0);
        for item in items {
            let PreEscaped(row) = render(item);
            match self.0.checked_sub(row.len()) {
                Some(left) => self.0 = left,
                None => return Fitting { rows: PreEscaped(rows), count, is_cut: true },
            }
            rows.push_str(&row);
            count += 1;
        }
        Fitting { rows: PreEscaped(rows), count, is_cut: false }
    }
}

/// The rows of a list with their number, in the room of a section.
pub(super) fn section<T>(items: &[T], render: impl Fn(&T) -> Markup) -> Fitting {
    PageBudget(SECTION_BYTES).fit(items, render)
}

/// Says how many rows of a list are missing; nothing when there are none.
pub(super) fn left_out(count: usize) -> Markup {
    html! {
        @if count > 0 { p.side-note { (count) " more are not shown here." } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_beyond_its_length_ends_between_characters() {
        assert_eq!(brief("short"), "short");
        let shown = brief(&"é".repeat(TEXT_CHARS + 1)).into_owned();
        assert_eq!((shown.chars().count(), shown.ends_with("é…")), (TEXT_CHARS + 1, true));
        assert_eq!(short(&"é".repeat(1000)).chars().count(), 200);
    }

    #[test]
    fn list_ends_where_its_room_does() {
        let fitting = PageBudget(25).fit(["a", "b", "&", "c"], |text| html! { li { (text) } });
        assert_eq!((fitting.rows.into_string().as_str(), fitting.count), ("<li>a</li><li>b</li>", 2));
        assert!(fitting.is_cut);
        let all = PageBudget(25).fit(["a", "b"], |text| html! { li { (text) } });
        assert!(all.count == 2 && !all.is_cut);
        assert_eq!(left_out(0).into_string(), "");
        assert!(left_out(2).into_string().contains("2 more are not shown here"));
    }
}
