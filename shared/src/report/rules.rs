//! The rules of diagnostics, as `docs/stack-authors/validation.md` describes them.

use std::fmt::Write;
use std::sync::LazyLock;

use crate::validate::suggest;

/// The page of all rules. It is the only declaration of their texts.
const PAGE: &str = include_str!("../../../docs/stack-authors/validation.md");

/// A rule of diagnostics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its stable name, such as `stack/default`.
    pub name: &'static str,
    /// Whether it only warns, everywhere.
    pub is_warning: bool,
    /// The heading above its row.
    pub section: &'static str,
    /// The text between that heading and the table.
    pub introduction: String,
    /// The mistakes, each with its correction, which may be empty.
    pub examples: Vec<(&'static str, &'static str)>,
}

/// A name that no rule has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no rule has the name `{name}`; {remedy}")]
pub struct UnknownRule {
    name: String,
    remedy: String,
}

/// Returns all rules, in the order of the page.
pub fn rules() -> &'static [Rule] {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| parse(PAGE));
    &RULES
}

/// Returns the rule that has a name. Rules of plugins are those of parents.
///
/// # Errors
/// When there is none, with the name that is nearest.
pub fn rule(name: &str) -> Result<&'static Rule, UnknownRule> {
    let of_parent = name.strip_prefix("plugin/").map(|name| format!("parent/{name}"));
    let wanted = of_parent.as_deref().unwrap_or(name);
    rules().iter().find(|rule| rule.name == wanted).ok_or_else(|| {
        let near = suggest::nearest(name, rules().iter().map(|rule| rule.name));
        let remedy = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "a report names the rule of each problem in brackets".to_owned(),
        };
        UnknownRule { name: name.to_owned(), remedy }
    })
}

impl Rule {
    /// The name of its anchor on the page.
    pub fn anchor(&self) -> String {
        self.name.replace('/', "-")
    }

    /// Everything that the page says about it, as plain text: links to other pages are left out.
    pub fn explanation(&self) -> String {
        let severity = if self.is_warning { "warning" } else { "error" };
        let mut text = format!("{} ({severity})\n{}\n", self.name, self.section);
        if !self.introduction.is_empty() {
            let _ = write!(text, "\n{}\n", self.introduction);
        }
        for (wrong, right) in &self.examples {
            let _ = write!(text, "\nwrong: {wrong}\n");
            if !right.is_empty() {
                let _ = writeln!(text, "right: {right}");
            }
        }
        without_links(&text)
    }

    /// The name in the form that SARIF wants beside the id.
    pub(super) fn title(&self) -> String {
        let word = |word: &str| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        };
        self.name.split('/').map(word).collect()
    }
}

/// Reads the tables whose first column is `rule`.
fn parse(page: &'static str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let (mut section, mut introduction, mut is_table, mut row_rules) = ("", String::new(), false, 0);
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            (section, introduction, is_table) = (heading, String::new(), false);
        } else if line.starts_with("| rule |") {
            is_table = true;
        } else if let Some(row) = line.strip_prefix('|').filter(|_| is_table) {
            let [first, wrong, right] = cells(row);
            if first.starts_with("---") {
                continue;
            }
            let names: Vec<&'static str> = first.split('`').skip(1).step_by(2).collect();
            if !names.is_empty() {
                row_rules = names.len();
                rules.extend(names.into_iter().map(|name| Rule {
                    name,
                    is_warning: first.contains(&format!("`{name}`?")),
                    section,
                    introduction: introduction.trim().to_owned(),
                    examples: Vec::new(),
                }));
            }
            // A row without a name goes on with the rules before.
            for rule in rules.iter_mut().rev().take(row_rules) {
                rule.examples.push((wrong, right));
            }
        } else {
            is_table = false;
            introduction.push_str(line);
            introduction.push('\n');
        }
    }
    rules
}

/// A text of the page without its links, which lead to other pages: the words of each stay.
fn without_links(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        let link = after.split_once("](").filter(|(words, _)| !words.contains(['[', ']', '\n']));
        match link.and_then(|(words, target)| Some((words, target.split_once(')')?.1))) {
            Some((words, behind)) => {
                plain.push_str(words);
                rest = behind;
            }
            None => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain + rest
}

/// The first three cells of a row.
fn cells(row: &'static str) -> [&'static str; 3] {
    let mut cells = row.trim_end().trim_end_matches('|').splitn(3, " |").map(str::trim);
    std::array::from_fn(|_| cells.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_is_explained_by_its_row_and_section() {
        let default = rule("stack/default").unwrap();
        assert_eq!((default.section, default.is_warning, default.title().as_str()), ("Stacks", false, "StackDefault"));
        let text = default.explanation();
        for expected in ["stack/default (error)", "wrong: no version, or two", "right: one"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(rule("index/tags").unwrap().is_warning);
        assert_eq!(rule("plugin/override").unwrap().examples.len(), 2);
    }

    #[test]
    fn explanation_has_the_words_of_links_and_not_their_targets() {
        for (text, plain) in [
            ("[another version](versions.md#x), or [one](#y)", "another version, or one"),
            ("`[a]` and [b](c)", "`[a]` and b"),
            ("a [ b](c", "a [ b](c"),
        ] {
            assert_eq!(without_links(text), plain);
        }
        for rule in rules() {
            assert!(!rule.explanation().contains("]("), "{}", rule.explanation());
        }
    }

    #[test]
    fn unknown_rule_is_refused_with_the_nearest_name() {
        assert_eq!(
            rule("stack/defualt").unwrap_err().to_string(),
            "no rule has the name `stack/defualt`; did you mean `stack/default`?"
        );
        assert!(rule("x").unwrap_err().to_string().ends_with("; a report names the rule of each problem in brackets"));
    }

    #[test]
    fn every_rule_has_an_example_and_an_anchor_of_its_own_in_its_row() {
        let mut anchors: Vec<String> = rules().iter().map(Rule::anchor).collect();
        assert!(anchors.len() > 100, "{}", anchors.len());
        for (rule, anchor) in rules().iter().zip(&anchors) {
            assert!(rule.examples.iter().all(|(wrong, _)| !wrong.is_empty()), "{}", rule.name);
            let row = format!("<a id=\"{anchor}\"></a>`{}`", rule.name);
            assert_eq!(PAGE.matches(&row).count(), 1, "{row}");
        }
        anchors.sort();
        anchors.dedup();
        assert_eq!(anchors.len(), rules().len());
    }
}
