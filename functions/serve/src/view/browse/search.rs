//! Search: which entries some words are about.
//!
//! Every word of a search must stand in an entry, as a part of one of its words. Where no word of the release holds it, words
//! that differ by a typo or two are taken instead, so a search that is spelled right is never blurred. All distinct words of
//! a release are kept once with the entries they stand in; a search compares words, not entries. Two words whose letters differ more
//! than typos may change are not compared.

use std::collections::HashMap;

use devfile_registry::index::{Entry, EntryType};
use devfile_registry::repository::is_entry_name;
use strsim::osa_distance;

use super::aliases;
use super::text::start;
use crate::view::catalog::is_deprecated;
use crate::view::text::fold;

/// The weight of a word, by its field.
const NAME: u32 = 8;
const DISPLAY_NAME: u32 = 6;
const TAG: u32 = 4;
const LANGUAGE: u32 = 4;
const PROJECT_TYPE: u32 = 3;
const PROVIDER: u32 = 2;
const DESCRIPTION: u32 = 1;
const TYPE: u32 = 1;

/// The weight of a kind of match.
const WHOLE: u32 = 8;
const START: u32 = 4;
const PART: u32 = 2;
const TYPO: u32 = 1;

/// Most words of a search; the others are ignored.
const SEARCHED_WORDS: usize = 12;

/// Longest word that may have a typo, in characters; comparing two takes the product of their lengths.
const TYPO_CHARS: usize = 40;

/// Most characters of a text whose words are found. The words of a text are compared with each other.
const FOUND_CHARS: usize = 2000;

/// Most tags of an entry that are found.
const FOUND_TAGS: usize = 100;

/// The words of a release.
#[derive(Debug, Default)]
pub(crate) struct Words {
    words: Vec<Word>,
}

/// A word and the entries it stands in, each with the weight of its best place.
#[derive(Debug)]
struct Word {
    text: Box<str>,
    length: usize,
    letters: Letters,
    entries: Vec<(u32, u32)>,
}

/// The letters of a word as bits; several letters share a bit.
#[derive(Debug, Clone, Copy)]
struct Letters(u64);

impl Letters {
    fn of(text: &str) -> Self {
        Self(text.chars().fold(0, |bits, c| bits | 1 << (u32::from(c) % 64)))
    }

    /// The least number of letters of this word that the other lacks. Each edit can supply one of them.
    fn missing_in(self, other: Self) -> u32 {
        (self.0 & !other.0).count_ones()
    }
}

impl Words {
    /// The words of the entries of a release.
    pub(crate) fn new(entries: &[Entry]) -> Self {
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut words: Vec<Word> = Vec::new();
        for (position, entry) in (0_u32..).zip(entries) {
            let kind = match entry.entry_type {
                EntryType::Stack => "stack",
                EntryType::Sample => "sample",
            };
            let texts = [
                (entry.name.as_str(), NAME),
                (entry.display_name.as_str(), DISPLAY_NAME),
                (entry.language.as_str(), LANGUAGE),
                (entry.project_type.as_str(), PROJECT_TYPE),
                (entry.provider.as_str(), PROVIDER),
                (entry.description.as_str(), DESCRIPTION),
                (kind, TYPE),
                (if is_deprecated(entry) { "deprecated" } else { "" }, TYPE),
            ];
            let tags = entry.tags.iter().take(FOUND_TAGS).map(|tag| (tag.as_str(), TAG));
            for (text, weight) in texts.into_iter().chain(tags) {
                for text in forms(&fold(start(text, FOUND_CHARS))) {
                    let number = *known.entry(text).or_insert_with_key(|text| {
                        let length = text.chars().count();
                        let letters = Letters::of(text);
                        words.push(Word { text: text.as_str().into(), length, letters, entries: Vec::new() });
                        words.len() - 1
                    });
                    let found = &mut words[number].entries;
                    match found.last_mut() {
                        Some((last, best)) if *last == position => *best = weight.max(*best),
                        _ => found.push((position, weight)),
                    }
                }
            }
        }
        Self { words }
    }

    /// The score of every entry, 0 where it is no hit. A search without words finds everything alike.
    pub(crate) fn scores(&self, search: &str, entries: usize) -> Vec<u32> {
        let mut total: Vec<u32> = vec![1; entries];
        for wanted in fold(search).split(' ').filter(|word| !word.is_empty()).take(SEARCHED_WORDS) {
            let mut scores = self.spelled(wanted, entries);
            let without_marks = squashed(wanted);
            if without_marks != wanted && scores.iter().all(|score| *score == 0) {
                scores = self.spelled(&without_marks, entries);
            }
            if scores.iter().all(|score| *score == 0) {
                scores = self.misspelled(wanted, entries);
            }
            // An entry that lacks one word stays out, and later words cannot bring it back.
            for (total, score) in total.iter_mut().zip(scores) {
                *total = if *total == 0 || score == 0 { 0 } else { total.saturating_add(score) };
            }
            if total.iter().all(|score| *score == 0) {
                break;
            }
        }
        total
    }

    /// Words that hold the wanted one, and its other names as whole words.
    fn spelled(&self, wanted: &str, entries: usize) -> Vec<u32> {
        if wanted.is_empty() {
            return vec![0; entries];
        }
        let letters = Letters::of(wanted);
        let aliases: Vec<&str> = aliases::of(wanted).collect();
        let is_alias = |word: &Word| aliases.contains(&&*word.text);
        self.score(entries, |word| match &*word.text {
            text if letters.missing_in(word.letters) == 0 && text.contains(wanted) => match text.starts_with(wanted) {
                true if text.len() == wanted.len() => WHOLE,
                true => START,
                false if is_alias(word) => WHOLE,
                false => PART,
            },
            _ if is_alias(word) => WHOLE,
            _ => 0,
        })
    }

    fn misspelled(&self, wanted: &str, entries: usize) -> Vec<u32> {
        let length = wanted.chars().count();
        let allowed = match length {
            0..=3 | TYPO_CHARS.. => return vec![0; entries],
            4..=7 => 1,
            _ => 2,
        };
        let letters = Letters::of(wanted);
        let is_near = |text: &str, own: Letters| {
            own.missing_in(letters) as usize <= allowed && osa_distance(wanted, text) <= allowed
        };
        self.score(entries, |word| {
            if word.length + allowed < length || word.length < 3 || letters.missing_in(word.letters) as usize > allowed
            {
                0
            } else if word.length <= length + allowed {
                u32::from(is_near(&word.text, word.letters)) * TYPO * 2
            } else {
                // The start of a longer word, as somebody types it.
                let begin = start(&word.text, length);
                u32::from(is_near(begin, Letters::of(begin))) * TYPO
            }
        })
    }

    fn score(&self, entries: usize, rate: impl Fn(&Word) -> u32) -> Vec<u32> {
        let mut scores = vec![0; entries];
        for word in &self.words {
            let rating = rate(word);
            if rating > 0 {
                for (entry, weight) in &word.entries {
                    let score: &mut u32 = &mut scores[*entry as usize];
                    *score = (*score).max(rating * weight);
                }
            }
        }
        scores
    }
}

/// The words of a folded text in the forms that somebody may type: `node.js` as it is, without marks, and its parts.
fn forms(folded: &str) -> Vec<String> {
    let mut all = Vec::new();
    let is_mark = |c: char| ",;:()[]{}\"'!?".contains(c);
    for word in folded.split(' ') {
        // A dot ends a sentence, but begins `.net`.
        let word = word.trim_start_matches(is_mark).trim_end_matches(|c: char| is_mark(c) || c == '.');
        let parts = word.split(|c: char| !c.is_alphanumeric());
        let every = [word.to_owned(), squashed(word)].into_iter().chain(parts.map(str::to_owned));
        for form in every.filter(|form| !form.is_empty()) {
            if !all.contains(&form) {
                all.push(form);
            }
        }
    }
    all
}

fn squashed(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The names that are nearest to a name that is not there, the nearest first; none for a text that cannot be a name.
pub(crate) fn near_names<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    if !is_entry_name(wanted) {
        return Vec::new();
    }
    let wanted = fold(wanted);
    let mut rated: Vec<(f64, &str)> = names
        .filter_map(|name| {
            let folded = fold(name);
            let is_part =
                wanted.len() > 1 && (folded.contains(&wanted) || folded.len() > 1 && wanted.contains(&folded));
            let rating = strsim::jaro_winkler(&wanted, &folded) + if is_part { 0.3 } else { 0.0 };
            (rating > 0.8).then_some((rating, name))
        })
        .collect();
    rated.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    rated.dedup_by(|a, b| a.1 == b.1);
    rated.into_iter().map(|(_, name)| name).take(5).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> Vec<Entry> {
        let entry = |name: &str, display_name: &str, description: &str, tags: &[&str]| Entry {
            name: name.into(),
            display_name: display_name.into(),
            description: description.into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..Entry::default()
        };
        vec![
            entry("nodejs", "Node.js Runtime", "Node.js 22 application", &["Node.js", "Express"]),
            entry("java-maven", "Maven Java", "Java application based on Maven", &["Java", "Maven"]),
            entry("javascript-web", "Web in JavaScript", "A page, with Express behind it", &["Web"]),
            entry("dotnet", ".NET 8.0", "C# and F# on .NET", &[".NET", "C#"]),
            entry("python", "Python", "Python, also called the Java of scripts", &["Python", "Pip"]),
        ]
    }

    fn found(search: &str) -> Vec<String> {
        let entries = entries();
        let scores = Words::new(&entries).scores(search, entries.len());
        let mut hits: Vec<_> = scores.iter().zip(&entries).filter(|(score, _)| **score > 0).collect();
        hits.sort_by_key(|(score, _)| std::cmp::Reverse(**score));
        hits.into_iter().map(|(_, entry)| entry.name.clone()).collect()
    }

    #[test]
    fn search_finds_every_text_of_an_entry_best_first() {
        for (search, names) in [
            ("java", vec!["java-maven", "javascript-web", "python"]),
            ("JAVA  maven", vec!["java-maven"]),
            ("node.js", vec!["nodejs"]),
            ("nodejs", vec!["nodejs"]),
            ("node-js", vec!["nodejs"]),
            ("express", vec!["nodejs", "javascript-web"]),
            ("c#", vec!["dotnet"]),
            (".net", vec!["dotnet"]),
            ("script", vec!["javascript-web", "python"]),
            ("8.0", vec!["dotnet"]),
            ("java nowhere", vec![]),
            ("nowhere java", vec![]),
            ("zzzzzz", vec![]),
            ("#", vec!["dotnet"]),
            ("--", vec![]),
        ] {
            assert_eq!(found(search), names, "{search}");
        }
        assert_eq!(found("").len(), 5);
        assert_eq!(found("  ").len(), 5);
    }

    #[test]
    fn search_finds_by_language_provider_type_and_other_names() {
        let entry = |name: &str, entry_type, language: &str, provider: &str, tags: &[&str]| Entry {
            name: name.into(),
            entry_type,
            language: language.into(),
            provider: provider.into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..Entry::default()
        };
        let (stack, sample) = (EntryType::Stack, EntryType::Sample);
        let entries = [
            entry("basket", stack, "TypeScript", "Weavers", &[]),
            entry("candle", stack, "Go", "Lantern", &[]),
            entry("django", sample, "Python", "Red Hat", &["Deprecated"]),
            entry("jig", stack, "C++", "Smiths", &[]),
            entry("palette", stack, "JavaScript", "Lantern", &[]),
            entry("press", sample, "C#", "Scribes", &[".NET"]),
        ];
        let words = Words::new(&entries);
        for (search, names) in [
            ("typescript", vec!["basket"]),
            ("ts", vec!["basket"]),
            ("golang", vec!["candle"]),
            ("js", vec!["palette"]),
            ("javascript", vec!["palette"]),
            ("c#", vec!["press"]),
            ("csharp", vec!["press"]),
            ("c++", vec!["jig"]),
            ("cpp", vec!["jig"]),
            (".net", vec!["press"]),
            ("dotnet", vec!["press"]),
            ("py", vec!["django"]),
            ("red hat", vec!["django"]),
            ("lantern", vec!["candle", "palette"]),
            ("sample", vec!["django", "press"]),
            ("deprecated", vec!["django"]),
            ("typescirpt", vec!["basket"]),
        ] {
            let scores = words.scores(search, entries.len());
            let found = scores.iter().zip(&entries).filter(|(score, _)| **score > 0).map(|(_, entry)| &*entry.name);
            assert_eq!(found.collect::<Vec<_>>(), names, "{search}");
        }
        let scores = words.scores("go", entries.len());
        assert!(scores[1] > scores[2] && scores[2] > 0, "a whole word counts for more than a part: {scores:?}");
    }

    #[test]
    fn search_forgives_typos_only_where_nothing_is_spelled_so() {
        for (search, names) in [
            ("pyhton", vec!["python"]),
            ("pythn", vec!["python"]),
            ("mavne", vec!["java-maven"]),
            ("expres", vec!["nodejs", "javascript-web"]),
            ("exprezs", vec!["nodejs", "javascript-web"]),
            ("javasript", vec!["javascript-web"]),
            ("javasrci", vec!["javascript-web"]),
            ("pyt", vec!["python"]),
            ("ptn", vec![]),
        ] {
            assert_eq!(found(search), names, "{search}");
        }
    }

    #[test]
    fn near_names_of_a_misspelt_name_are_the_similar_ones() {
        let names = ["nodejs", "nodejs-angular", "java-maven", "go", "python"];
        let near = |wanted: &str| near_names(wanted, names.into_iter());
        assert_eq!(near("nodjs"), ["nodejs", "nodejs-angular"]);
        assert_eq!(near("maven"), ["java-maven"]);
        assert_eq!(near("golang"), ["go"]);
        assert!(near("qqqq").is_empty());
        for no_name in ["", "nodjs x", "nodjs?", &format!("nodjs{}", "x".repeat(128))] {
            assert!(near(no_name).is_empty(), "{no_name}");
        }
    }

    proptest! {
        #[test]
        fn an_entry_is_found_by_any_of_its_words(position in 0..5usize, word in any::<prop::sample::Index>()) {
            let entries = entries();
            let entry = &entries[position];
            let text = format!("{} {} {}", entry.name, entry.display_name, entry.description);
            let words: Vec<_> = text.split_whitespace().map(|word| word.trim_matches(',')).collect();
            let hits = found(words[word.index(words.len())]);
            prop_assert!(hits.contains(&entry.name));
        }

        #[test]
        fn letters_rule_out_no_word_within_the_distance(wanted in "[a-eé#]{1,8}", text in "[a-eé#]{1,8}") {
            let (wanted_letters, letters) = (Letters::of(&wanted), Letters::of(&text));
            prop_assert!(wanted_letters.missing_in(letters) as usize <= osa_distance(&wanted, &text));
            prop_assert!(!text.contains(&wanted) || wanted_letters.missing_in(letters) == 0);
        }

        #[test]
        fn search_for_any_text_never_panics(search in "\\PC{0,60}") {
            found(&search);
        }
    }
}
