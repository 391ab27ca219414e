//! Holds the verdicts against those recorded from the reference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// The folder of recorded verdicts, in any of the folders above.
fn verdicts() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared/verdicts")).find(|folder| folder.join("devfiles.jsonl").is_file())
}

#[test]
fn verdicts_on_devfiles_agree_with_the_reference() {
    let Some(folder) = verdicts() else {
        println!("no recorded verdicts above {}: nothing to agree with", env!("CARGO_MANIFEST_DIR"));
        return;
    };
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/stack-authors/validation.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (mut agree, mut on_purpose, mut disagree) = (0, 0, Vec::new());
    for line in std::fs::read_to_string(folder.join("devfiles.jsonl")).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| case[key].as_str();
        let bytes = text("yaml").map(|yaml| yaml.as_bytes().to_vec());
        let bytes = bytes.unwrap_or_else(|| STANDARD.decode(text("yaml_b64").unwrap()).unwrap());
        let own = ("devfile.yaml".to_owned(), Bytes::from(bytes.clone()));
        let beside = case["files"].as_object().into_iter().flatten();
        let beside = beside.map(|(path, text)| (path.clone(), Bytes::from(text.as_str().unwrap().to_owned())));
        let files: HashMap<String, Bytes> = beside.chain([own]).collect();
        let files = |path: &str| files.get(path).cloned();
        let checked = devfile("devfile.yaml", &bytes, &Surroundings { files: &files, ..Surroundings::ALONE });

        let id = text("id").unwrap();
        if checked.is_valid() == case["valid"].as_bool().unwrap() {
            agree += 1;
        } else if case["surprise"] == true && docs.contains(&format!("`{id}`")) {
            on_purpose += 1;
        } else {
            let found = checked.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
            disagree.push(format!("{id}: {} said {}\n  {found}", text("rule").unwrap(), text("error").unwrap()));
        }
    }
    println!("agree {agree}, differ on purpose {on_purpose}, disagree {}", disagree.len());
    assert!(disagree.is_empty(), "{}", disagree.join("\n"));
}

/// Texts of the form of a rule that name something else.
const NO_RULES: [&str; 7] =
    ["application/json", "application/zip", "image/gif", "image/jpeg", "image/png", "image/webp", "info/refs"];

/// Source files below a folder, without those that hold tests alone.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" && name != "model" {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(text.split("mod tests {").next().unwrap().to_owned());
        }
    }
}

/// Every rule that the code names is described once in the documentation, and none beside them.
#[test]
fn rules_are_documented_once_each() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let texts: BTreeSet<&str> = files.iter().flat_map(|source| source.split('"')).collect();
    let is_rule = |text: &&str| {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        text.split_once('/').is_some_and(|(family, rule)| word(family) && word(rule))
    };
    let rules = crate::report::rules();
    for name in texts.iter().filter(|text| is_rule(text) && !NO_RULES.contains(text)) {
        let times = rules.iter().filter(|rule| rule.name == *name).count();
        assert_eq!(times, 1, "rows of docs/stack-authors/validation.md that begin with {name}");
    }
    for rule in rules {
        let (family, name) = rule.name.split_once('/').unwrap();
        // The other half of a name may come from a variable.
        let is_put_together = |text: &&str| {
            text.ends_with(&format!("}}/{name}")) || (text.starts_with(&format!("{family}/{{")) && texts.contains(name))
        };
        let is_named = texts.contains(rule.name) || texts.iter().any(is_put_together);
        assert!(is_named, "no source names {}, which docs/stack-authors/validation.md describes", rule.name);
    }
}
