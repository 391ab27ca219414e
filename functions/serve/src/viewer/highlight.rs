//! Devfiles in colour: the tokens of the YAML scanner as spans with a class.
//!
//! A text that stops being YAML half-way is shown to its end, only without colours from there on.

use std::ops::Range;

use granit_parser::{ScalarStyle, Scanner, StrInput, TokenType};
use maud::{PreEscaped, Render, html};

use super::budget::{CODE_BYTES, Fitting, PageBudget};

/// A range of a text in bytes, and its kind.
type Token = (Range<usize>, TokenKind);

/// The kind of a token of a text; its name is the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    Plain,
    Key,
    Text,
    Number,
    Word,
    Comment,
    Reference,
    Mark,
}

impl TokenKind {
    fn class(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Key => Some("y-k"),
            Self::Text => Some("y-s"),
            Self::Number => Some("y-n"),
            Self::Word => Some("y-b"),
            Self::Comment => Some("y-c"),
            Self::Reference => Some("y-r"),
            Self::Mark => Some("y-p"),
        }
    }
}

/// Most of a text that is read for colours, in bytes.
const READ_BYTES: usize = CODE_BYTES / 2;

/// A YAML text as numbered lines, each an element with the id `L<number>`, as many as there is room for.
pub(super) fn yaml(text: &str) -> Fitting {
    numbered(lines(text, tokens))
}

/// A file as numbered lines, in the colours of YAML and JSON by its name; in others, comments after `#` have a colour.
pub(super) fn file(path: &str, text: &str) -> Fitting {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let is_yaml = [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
    let has_comments = [".sh", ".py", ".toml", ".rb", ".properties", ".env"].iter().any(|end| name.ends_with(end))
        || name.contains("dockerfile")
        || name.contains("containerfile")
        || matches!(name.as_str(), "makefile" | "owners" | ".gitignore" | ".dockerignore");
    numbered(match (is_yaml, has_comments) {
        (true, _) => lines(text, tokens),
        (_, true) => lines(text, comments),
        _ => lines(text, |text| vec![(0..text.len(), TokenKind::Plain)]),
    })
}

fn numbered((lines, is_cut): (Vec<String>, bool)) -> Fitting {
    let fitting = PageBudget(CODE_BYTES).fit((1..).zip(lines), |(number, line)| {
        html! { span.line id={ "L" (number) } { (PreEscaped(line)) "\n" } }
    });
    Fitting { is_cut: fitting.is_cut || is_cut, ..fitting }
}

/// The lines of a YAML text in colour, and whether there are more.
pub(super) fn yaml_lines(text: &str) -> (Vec<String>, bool) {
    lines(text, tokens)
}

/// Comments and words of instructions: the first word of a line in capitals.
fn comments(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let word = line[indent..].find(|c: char| !c.is_ascii_uppercase()).unwrap_or(line.len() - indent);
        let is_word = word > 1 && line[indent + word..].starts_with(char::is_whitespace);
        let (end, kind) = match line[indent..].chars().next() {
            Some('#') => (line.len(), TokenKind::Comment),
            _ if is_word => (indent + word, TokenKind::Key),
            _ => (indent, TokenKind::Plain),
        };
        found.push((start..start + indent, TokenKind::Plain));
        found.push((start + indent..start + end, kind));
        found.push((start + end..start + line.len(), TokenKind::Plain));
        start += line.len();
    }
    found
}

fn lines(text: &str, tokens: fn(&str) -> Vec<Token>) -> (Vec<String>, bool) {
    let read = &text[..text.floor_char_boundary(READ_BYTES)];
    let mut lines = vec![String::new()];
    for (range, kind) in tokens(read) {
        for (position, segment) in read[range].split('\n').enumerate() {
            if position > 0 {
                lines.push(String::new());
            }
            let segment = segment.trim_end_matches('\r');
            let Some(line) = lines.last_mut().filter(|_| !segment.is_empty()) else { continue };
            match kind.class() {
                Some(class) => html! { span class=(class) { (segment) } }.render_to(line),
                None => segment.render_to(line),
            }
        }
    }
    let is_cut = read.len() < text.len();
    // The last line is half a line, or the text after the last line break.
    if is_cut || lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    (lines, is_cut)
}

/// The whole text in tokens, in order and without gaps.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut end = 0;
    let mut key = false;
    for token in Scanner::new(StrInput::new(text)) {
        let Ok(token) = token else { break };
        let kind = match token.token_type() {
            TokenType::Key => {
                key = true;
                TokenKind::Mark
            }
            TokenType::Scalar(style, value) => {
                if std::mem::take(&mut key) {
                    TokenKind::Key
                } else {
                    scalar(*style, value)
                }
            }
            TokenType::Alias(_) | TokenType::Anchor(_) | TokenType::Tag(..) => TokenKind::Reference,
            TokenType::StreamStart | TokenType::StreamEnd | TokenType::BlockMappingStart | TokenType::BlockEnd => {
                continue;
            }
            TokenType::Value => {
                key = false;
                TokenKind::Mark
            }
            _ => TokenKind::Mark,
        };
        let Some(mut range) = token.span().byte_range() else { break };
        // A block scalar ends with the line break before the next element.
        let trimmed = text.get(range.clone()).map(str::trim_end);
        range.end = range.start + trimmed.map_or(0, str::len);
        if range.start < end || range.is_empty() {
            continue;
        }
        between(text, end..range.start, &mut tokens);
        end = range.end;
        tokens.push((range, kind));
    }
    between(text, end..text.len(), &mut tokens);
    tokens
}

/// Adds the text between tokens: space, comments and, after an error, everything else.
fn between(text: &str, range: Range<usize>, tokens: &mut Vec<Token>) {
    let mut start = range.start;
    for line in text[range].split_inclusive('\n') {
        let length = line.trim_end().len();
        let comment = line.find('#').filter(|at| line[..*at].trim().is_empty()).unwrap_or(length);
        tokens.push((start..start + comment, TokenKind::Plain));
        tokens.push((start + comment..start + length.max(comment), TokenKind::Comment));
        tokens.push((start + length.max(comment)..start + line.len(), TokenKind::Plain));
        start += line.len();
    }
}

fn scalar(style: ScalarStyle, value: &str) -> TokenKind {
    match (style, value) {
        (ScalarStyle::Plain, "true" | "false" | "null" | "~" | "yes" | "no" | "on" | "off") => TokenKind::Word,
        (ScalarStyle::Plain, number)
            if number.starts_with(|c: char| c.is_ascii_digit() || c == '-') && number.parse::<f64>().is_ok() =>
        {
            TokenKind::Number
        }
        (ScalarStyle::Plain, _) => TokenKind::Plain,
        _ => TokenKind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::fixture;
    use proptest::prelude::*;

    /// The text that a browser shows of the markup.
    fn shown(markup: &str) -> String {
        let mut out = String::new();
        let mut inside = false;
        for c in markup.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                c if !inside => out.push(c),
                _ => {}
            }
        }
        out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    }

    #[test]
    fn every_kind_has_its_class() {
        let text =
            "# head\na: &x 'one'\nb: [1, -2.5, true] # tail\n\"c\": *x\nd: |\n  # no comment\n  <b>\ne: plain text\n";
        insta::assert_snapshot!(yaml(text).rows.into_string(), @r#"
        <span class="line" id="L1"><span class="y-c"># head</span>
        </span><span class="line" id="L2"><span class="y-k">a</span>: <span class="y-r">&amp;x</span> <span class="y-s">'one'</span>
        </span><span class="line" id="L3"><span class="y-k">b</span>: <span class="y-p">[</span><span class="y-n">1</span><span class="y-p">,</span> <span class="y-n">-2.5</span><span class="y-p">,</span> <span class="y-b">true</span><span class="y-p">]</span> <span class="y-c"># tail</span>
        </span><span class="line" id="L4"><span class="y-k">&quot;c&quot;</span>: <span class="y-r">*x</span>
        </span><span class="line" id="L5"><span class="y-k">d</span>: |
        </span><span class="line" id="L6">  <span class="y-s"># no comment</span>
        </span><span class="line" id="L7"><span class="y-s">  &lt;b&gt;</span>
        </span><span class="line" id="L8"><span class="y-k">e</span>: plain text
        </span>
        "#);
    }

    #[test]
    fn lines_are_those_of_the_text() {
        let markup = yaml(fixture::KILN).rows.into_string();
        assert_eq!(shown(&markup), fixture::KILN);
        assert!(markup.contains("id=\"L1\"") && markup.contains(&format!("id=\"L{}\"", fixture::KILN.lines().count())));
        assert!(!markup.contains(&format!("id=\"L{}\"", fixture::KILN.lines().count() + 1)));
    }

    #[test]
    fn text_beyond_the_room_ends_with_a_whole_line() {
        for line in ["- a\n", "[[[[[[[[\n", "\"\"\"\"\"\"\n", "# é\n"] {
            let text = line.repeat((1 << 20) / line.len());
            let code = yaml(&text);
            assert!(code.is_cut && code.count > 1000, "{line}: {} lines", code.count);
            let shown = shown(&code.rows.into_string());
            assert_eq!(shown, line.repeat(shown.len() / line.len()), "{line}");
        }
        assert!(!yaml(&"a: b\n".repeat(5000)).is_cut);
    }

    #[test]
    fn file_is_shown_whole_whatever_its_name() {
        let text = "# a comment\nFROM scratch\n  # <b>\nRUN x # y\n\nlast";
        for name in ["docker/Dockerfile", "a.yaml", "a.txt", "run.sh", "x"] {
            assert_eq!(shown(&file(name, text).rows.into_string()), text.to_owned() + "\n", "{name}");
        }
        let colours = file("Dockerfile", text).rows.into_string();
        assert!(colours.contains("<span class=\"y-c\"># a comment</span>"), "{colours}");
        assert!(colours.contains("<span class=\"y-k\">FROM</span> scratch"), "{colours}");
    }

    #[test]
    fn text_that_is_no_yaml_is_shown_too() {
        for text in ["a: [\n", "\tx: 1\n", "a: b: c\nd: e\n", "}{\n", "'\n", "a: \"\u{1}\"\n", "\"><b>&lt;\n"] {
            assert_eq!(shown(&yaml(text).rows.into_string()), text, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn highlighted_text_has_exactly_the_characters_of_its_source(text in "([a-z:#&*|>'\"\\[\\]{}<, \\-\n\té0-9]{0,80}\n)?") {
            let lines = |text: &str| text.trim_end_matches('\n').to_owned();
            prop_assert_eq!(lines(&shown(&yaml(&text).rows.into_string())), lines(&text));
        }
    }
}
